package mesh

import (
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"flamingo/idspace"
)

// An inLane is a session of a lane from a peer: it takes the frames of its streams,
// one stream after another, in order.
type inLane struct {
	mesh *Mesh // immutable, as what follows
	peer idspace.BootID
	key  streamKey
	id   [16]byte
	box  *outbox

	waits atomic.Int64 // outcomes owed to sends that wait

	// Owned by who reads the stream; between two streams by who installs the
	// next one.
	next    uint64 // number of the next frame
	long    map[uint64]*assembly
	inner   *decoder // for what was assembled
	results []error
	mine    idspace.NodeNumber // the last one found to be ours; 0 for none

	noticed noticed // of pressure

	// Guarded by Mesh.inMu.
	attempt uint64    // of the last hello
	stream  *inStream // nil while there is none
	left    uint64    // when the last stream ended: Mesh.leaves at that time
	away    int       // ticks since
	parts   int       // bytes kept since of messages whose parts have not all come
}

// An assembly is a message of which not all parts have come.
type assembly struct {
	body  []byte
	over  bool  // over the limit: the rest is dropped, and the sender is told
	begun int64 // by Mesh.clock
}

func (m *Mesh) newInLane(h *hello) *inLane {
	n := &inLane{
		mesh: m, peer: h.boot, key: streamKey{h.kind, h.lane}, id: h.session, box: newOutbox(nil),
		next: h.nextSeq, long: make(map[uint64]*assembly), inner: newDecoder(),
	}
	n.box.outcomes, n.box.settled = h.nextOutcome-1, h.nextOutcome-1
	return n
}

// attach goes on with the session on s, which h has opened. It reports false if
// that cannot be.
func (n *inLane) attach(s *stream, h *hello) bool {
	if n.mesh.doubling {
		n.next = h.nextSeq
	}
	if h.nextSeq > n.next || !n.box.attach(s, n.next-1, h.nextOutcome-1) {
		return false
	}
	n.mesh.notices.attach(n, h.features&n.mesh.features&featurePressure != 0)
	return true
}

// detach ends what attach began. It returns how many bytes are kept of parts for
// another stream, and whether one can go on.
func (n *inLane) detach() (parts int, whole bool) {
	n.results = nil
	n.mesh.notices.detach(n)
	for _, a := range n.long {
		parts += cap(a.body)
	}
	return parts, n.box.detach()
}

// read takes frames until the stream ends, and acknowledges them a batch at a
// time. It waits for nothing but bytes.
func (n *inLane) read(s *stream) error {
	r, d, f := frameReader{stream: s}, newDecoder(), frame{}
	defer r.count()
	for {
		body, err := r.next()
		if err != nil {
			return err
		}
		if err := d.frame(body, &f); err != nil {
			return err
		}
		if f.kind == kindOutcomeAck {
			err = n.box.settle(f.u[0])
		} else {
			err = n.numbered(&f)
		}
		if err != nil {
			return err
		}
		if !r.batched() {
			n.box.setAck(n.next - 1)
		}
	}
}

func (n *inLane) numbered(f *frame) error {
	seq := f.u[0]
	if f.kind > kindVoid && f.kind != kindPublish {
		return fmt.Errorf("%w: %s on a lane", reasonError{ReasonUnexpected}, layouts[f.kind].name)
	}
	if seq != n.next {
		return fmt.Errorf("%w: %d, want %d", reasonError{ReasonSequence}, seq, n.next)
	}
	n.next++
	switch f.kind { //nolint:exhaustive // every other kind is a whole frame: those after void were refused above
	case kindVoid:
		return nil
	case kindPart:
		return n.part(seq, f)
	default:
		return n.take(seq, f)
	}
}

// take delivers one whole frame under the number seq.
func (n *inLane) take(seq uint64, f *frame) error {
	switch f.kind { //nolint:exhaustive // every other kind is for one id
	case kindMany:
		return n.takeMany(seq, f)
	case kindPublish:
		return n.takePublish(seq, f)
	}
	id := idOf(f.u[1])
	if !id.Valid() {
		return fmt.Errorf("%w: not an id", reasonError{ReasonMalformed})
	}
	switch {
	case !n.owns(id.Node()):
		n.answer(seq, id, OutcomeNotMine)
	case f.kind == kindClose || f.kind == kindCloseWait:
		return n.takeClose(seq, id, f)
	case len(f.payload) > n.mesh.cfg.MaxMessage:
		n.answer(seq, id, OutcomeTooLarge)
	case f.kind == kindData:
		n.refused(seq, id, n.mesh.cfg.Owner.Deliver(id, kindOf(f.u[2]), f.payload))
	default: // wait
		n.takeWait(seq, id, f)
	}
	return nil
}

func (n *inLane) takeClose(seq uint64, id idspace.ID, f *frame) error {
	code := f.u[2]
	if code > math.MaxUint16 || len(f.payload) > maxReason {
		return fmt.Errorf("%w: close", reasonError{ReasonMalformed})
	}
	err := n.mesh.cfg.Owner.Close(id, uint16(code), string(f.payload))
	if f.kind == kindClose {
		n.refused(seq, id, err)
	} else {
		n.tell(seq, id, n.answerTo(err))
	}
	return nil
}

// owns is Identity.Owns. Most frames of a lane are for the number of the one
// before, and a number that is ours stays so.
func (n *inLane) owns(number idspace.NodeNumber) bool {
	if number == n.mine {
		return true
	}
	if !n.mesh.cfg.Identity.Owns(number) {
		return false
	}
	n.mine = number
	return true
}

// answerTo is what a sender that waits is told.
func (n *inLane) answerTo(err error) verdict {
	if err == nil {
		return only(OutcomeAccepted)
	}
	return n.mesh.answerTo(err)
}

// refused answers only what was not taken.
func (n *inLane) refused(seq uint64, id idspace.ID, err error) {
	if err == nil {
		return
	}
	a := n.mesh.answerTo(err)
	if a.Outcome == OutcomeBackpressure {
		n.press(seq, id)
	}
	n.tell(seq, id, a)
}

func (n *inLane) answer(seq uint64, id idspace.ID, o Outcome) { n.tell(seq, id, only(o)) }

func (n *inLane) tell(seq uint64, id idspace.ID, a verdict) {
	if !n.box.outcome(seq, id, a) {
		n.mesh.late.Add(1)
	}
}

// takeWait lets the owner call back once the message is as far as it is to be.
func (n *inLane) takeWait(seq uint64, id idspace.ID, f *frame) {
	if n.waits.Add(1) > int64(n.mesh.cfg.MaxWaits) {
		n.waits.Add(-1)
		n.answer(seq, id, OutcomeBackpressure)
		return
	}
	left, none, over := timeOf(f.u[4])
	stage := Stage(min(f.u[3], math.MaxUint8))
	switch {
	case !stage.Valid(): // of a later release
		n.waits.Add(-1)
		n.answer(seq, id, OutcomeNoAck)
		return
	case over:
		n.waits.Add(-1)
		n.answer(seq, id, OutcomeExpired)
		return
	case none:
		left = 0
	}
	var called atomic.Bool
	n.mesh.cfg.Owner.DeliverWaited(id, kindOf(f.u[2]), stage, f.payload, left, func(err error) {
		if !called.Swap(true) {
			n.waits.Add(-1)
			a := n.answerTo(err)
			if a.Outcome == OutcomeBackpressure {
				n.press(seq, id)
			}
			n.tell(seq, id, a)
		}
	})
}

// takeMany delivers one message to several ids. Outcomes are told in the order
// of the ids.
func (n *inLane) takeMany(seq uint64, f *frame) error {
	foreign := len(f.payload) > n.mesh.cfg.MaxMessage
	for _, id := range f.ids {
		if !id.Valid() {
			return fmt.Errorf("%w: not an id", reasonError{ReasonMalformed})
		}
		foreign = foreign || !n.owns(id.Node())
	}
	if foreign {
		for _, id := range f.ids {
			if err := n.take(seq, &frame{kind: kindData, u: [7]uint64{seq, uint64(id), f.u[1]}, payload: f.payload}); err != nil {
				return err
			}
		}
		return nil
	}
	if cap(n.results) < len(f.ids) {
		n.results = make([]error, maxIDs)
	}
	results := n.results[:len(f.ids)]
	clear(results)
	n.mesh.cfg.Owner.DeliverMany(f.ids, kindOf(f.u[1]), f.payload, results)
	for i, id := range f.ids {
		n.refused(seq, id, results[i])
	}
	return nil
}

// part adds a piece to its message, and delivers the message with the last one.
func (n *inLane) part(seq uint64, f *frame) error {
	tag, last := f.u[1], f.u[2]
	if last > 1 || len(f.payload) > partSize {
		return fmt.Errorf("%w: part", reasonError{ReasonMalformed})
	}
	a := n.long[tag]
	if a == nil {
		if len(n.long) >= maxParts {
			return reasonError{ReasonParts}
		}
		a = &assembly{begun: n.mesh.clock()}
		n.long[tag] = a
	}
	if len(a.body)+len(f.payload) > n.mesh.cfg.MaxMessage+assemblyOverhead {
		a.over, a.body = true, nil
	}
	if !a.over {
		a.body = append(a.body, f.payload...)
	}
	if last == 0 {
		return nil
	}
	delete(n.long, tag)
	if a.over {
		n.answer(seq, 0, OutcomeTooLarge)
		return nil
	}
	return n.assembled(seq, a)
}

// assembled delivers a message of which all parts are there. The time that is
// left was so when its first part was sent.
func (n *inLane) assembled(seq uint64, a *assembly) error {
	var f frame
	if err := n.inner.frame(a.body, &f); err != nil {
		return err
	}
	if f.kind == kindWait && f.u[4] > 0 {
		spent := uint64(n.mesh.clock()-a.begun) / uint64(time.Millisecond)
		f.u[4] -= min(spent, f.u[4]-1)
	}
	if f.u[0] != 0 || f.kind != kindData && f.kind != kindWait && f.kind != kindMany && f.kind != kindPublish {
		return fmt.Errorf("%w: %s in parts", reasonError{ReasonUnexpected}, layouts[f.kind].name)
	}
	return n.take(seq, &f)
}
