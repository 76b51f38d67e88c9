package mesh

import (
	"fmt"

	"flamingo/idspace"
)

// hello is what the dialling end says first.
type hello struct {
	min, max    uint64 // protocol versions
	features    features
	cluster     idspace.ClusterID
	boot        idspace.BootID // of the dialling end
	expected    idspace.BootID // of the end it means to reach
	kind        streamKind
	lane        uint64
	session     [16]byte
	resume      uint64 // 1: session is one that was begun before
	attempt     uint64 // grows with every handshake for the same stream
	nextSeq     uint64 // the first frame this end will send
	nextOutcome uint64 // the first outcome it expects
	last        idspace.NodeNumber
	numbers     []idspace.NodeNumber
}

// welcome is the answer to a hello.
type welcome struct {
	refusal     Refusal
	version     uint64 // the one to speak; 0 with a refusal
	min, max    uint64
	features    features
	cluster     idspace.ClusterID
	boot        idspace.BootID
	nextSeq     uint64 // the first frame this end expects
	nextOutcome uint64 // the first outcome it will send
	maxMessage  uint64
	last        idspace.NodeNumber
	numbers     []idspace.NodeNumber
}

func (e *encoder) hello(h *hello) {
	start := e.begin(kindHello)
	e.uint(h.min)
	e.uint(h.max)
	e.uint(uint64(h.features))
	e.bytes(h.cluster[:])
	e.bytes(h.boot[:])
	e.bytes(h.expected[:])
	e.uint(uint64(h.kind))
	e.uint(h.lane)
	e.bytes(h.session[:])
	for _, v := range []uint64{h.resume, h.attempt, h.nextSeq, h.nextOutcome, uint64(h.last)} {
		e.uint(v)
	}
	e.numberList(h.numbers)
	e.end(start)
}

func (e *encoder) welcome(w *welcome) {
	start := e.begin(kindWelcome)
	for _, v := range []uint64{uint64(w.refusal), w.version, w.min, w.max, uint64(w.features)} {
		e.uint(v)
	}
	e.bytes(w.cluster[:])
	e.bytes(w.boot[:])
	for _, v := range []uint64{w.nextSeq, w.nextOutcome, w.maxMessage, uint64(w.last)} {
		e.uint(v)
	}
	e.numberList(w.numbers)
	e.end(start)
}

// fixed decodes the fields of a handshake frame but the list at the end:
// integers into ints and 16-byte values into uuids, in the order of layout.
func (d *decoder) fixed(layout string, ints []uint64, uuids [][16]byte) (err error) {
	for _, field := range layout {
		if field == 'u' {
			ints[0], err = d.uint()
			ints = ints[1:]
		} else {
			uuids[0], err = d.uuid()
			uuids = uuids[1:]
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) uuid() (u [16]byte, err error) {
	b, err := d.bytes()
	if err == nil && len(b) != len(u) {
		err = d.malformed("not 16 bytes")
	}
	copy(u[:], b)
	return u, err
}

// numberList reads the list that ends a frame, and nothing may follow it.
func (d *decoder) numberList() ([]idspace.NodeNumber, error) {
	n, err := d.array(maxNumbers)
	if err != nil {
		return nil, err
	}
	var numbers []idspace.NodeNumber
	for range n {
		v, err := d.uint()
		if err != nil {
			return nil, err
		}
		if !idspace.NodeNumber(v).Valid() {
			return nil, d.malformed("not a node number")
		}
		numbers = append(numbers, idspace.NodeNumber(v))
	}
	if d.at != len(d.b) {
		return nil, d.malformed("trailing bytes")
	}
	return numbers, nil
}

// handshakeKind checks that body is a frame of kind want.
func (d *decoder) handshakeKind(body []byte, want frameKind) error {
	k, err := d.kind(body)
	if err == nil && k != want {
		err = fmt.Errorf("%w: kind %d, want %d", reasonError{ReasonUnexpected}, k, want)
	}
	return err
}

func (d *decoder) hello(body []byte) (h hello, err error) {
	if err := d.handshakeKind(body, kindHello); err != nil {
		return h, err
	}
	layout := layouts[kindHello].fields
	var v [10]uint64
	var u [4][16]byte
	if err := d.fixed(layout[1:len(layout)-1], v[:], u[:]); err != nil {
		return h, err
	}
	h = hello{
		min: v[0], max: v[1], features: features(v[2]), kind: streamKind(min(v[3], 255)), lane: v[4],
		cluster: u[0], boot: u[1], expected: u[2], session: u[3],
		resume: v[5], attempt: v[6], nextSeq: v[7], nextOutcome: v[8], last: idspace.NodeNumber(v[9]),
	}
	if h.boot.IsZero() || h.min > h.max || h.nextSeq == 0 || h.nextOutcome == 0 || h.last > idspace.MaxNumber {
		return h, d.malformed("impossible hello")
	}
	h.numbers, err = d.numberList()
	return h, err
}

func (d *decoder) welcome(body []byte) (w welcome, err error) {
	if err := d.handshakeKind(body, kindWelcome); err != nil {
		return w, err
	}
	layout := layouts[kindWelcome].fields
	var v [9]uint64
	var u [2][16]byte
	if err := d.fixed(layout[1:len(layout)-1], v[:], u[:]); err != nil {
		return w, err
	}
	w = welcome{
		refusal: Refusal(min(v[0], 255)), version: v[1], min: v[2], max: v[3], features: features(v[4]),
		cluster: u[0], boot: u[1],
		nextSeq: v[5], nextOutcome: v[6], maxMessage: v[7], last: idspace.NodeNumber(v[8]),
	}
	if w.boot.IsZero() || w.last > idspace.MaxNumber {
		return w, d.malformed("impossible welcome")
	}
	w.numbers, err = d.numberList()
	return w, err
}
