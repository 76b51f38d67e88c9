package mesh

import (
	"encoding/binary"
	"math"

	"flamingo/idspace"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// message is a frame of a lane before it has its number.
type message struct {
	kind    frameKind
	as      Kind         // data, wait, many
	code    uint16       // the closes: 0 for none
	id      idspace.ID   // all kinds but many
	ids     []idspace.ID // many
	stage   Stage        // wait
	time    uint64       // wait: what is left, see timeLeft
	payload []byte       // of a close: the reason

	// Of a publish: what is to be done, the group, and how many lanes share it.
	// id is zero, and ids are those left out.
	what  publishing
	group string
	lanes int
}

// each calls f for every id of m; a publish has id 0.
func (m *message) each(f func(idspace.ID)) {
	if m.kind != kindMany {
		f(m.id)
		return
	}
	for _, id := range m.ids {
		f(id)
	}
}

// size is what counts against MaxMessage.
func (m *message) size() int {
	if m.kind == kindCloseWait {
		return 0
	}
	return len(m.payload)
}

// encoder appends frames to buf. Not safe for concurrent use.
type encoder struct {
	buf []byte
	out *msgpack.Encoder // writes to this encoder

	timeAt int // where in buf the last wait says how much time is left, in 4 bytes; 0: nowhere
}

func newEncoder() *encoder {
	e := &encoder{}
	e.out = msgpack.NewEncoder(e)
	return e
}

// Write and WriteByte are for the library. They take everything, so what the
// library's methods return is nil.
func (e *encoder) Write(p []byte) (int, error) {
	e.buf = append(e.buf, p...)
	return len(p), nil
}

// WriteByte implements io.ByteWriter.
func (e *encoder) WriteByte(c byte) error {
	e.buf = append(e.buf, c)
	return nil
}

// uint, array and bytes write their shortest form. What fills short frames does
// not take the way through the library, which costs more than all the rest.
func (e *encoder) uint(v uint64) {
	switch {
	case v <= uint64(msgpcode.PosFixedNumHigh):
		e.buf = append(e.buf, byte(v))
	case v > math.MaxUint32:
		e.buf = binary.BigEndian.AppendUint64(append(e.buf, msgpcode.Uint64), v)
	case v > math.MaxUint16:
		e.buf = binary.BigEndian.AppendUint32(append(e.buf, msgpcode.Uint32), uint32(v))
	default:
		_ = e.out.EncodeUint(v)
	}
}

func (e *encoder) array(n int) {
	if n < 16 {
		e.buf = append(e.buf, msgpcode.FixedArrayLow|byte(n))
		return
	}
	_ = e.out.EncodeArrayLen(n)
}

func (e *encoder) bytes(b []byte) {
	if len(b) <= math.MaxUint8 {
		e.buf = append(e.buf, msgpcode.Bin8, byte(len(b)))
	} else {
		_ = e.out.EncodeBytesLen(len(b))
	}
	e.buf = append(e.buf, b...)
}

// begin starts a frame and returns where it does.
func (e *encoder) begin(kind frameKind) (start int) {
	start = len(e.buf)
	e.buf = append(e.buf, 0, 0, 0, 0)
	e.open(kind)
	return start
}

// open writes what begins the body of a frame.
func (e *encoder) open(kind frameKind) {
	e.array(len(layouts[kind].fields))
	e.uint(uint64(kind))
}

// end puts the length into the header of the frame that starts at start.
func (e *encoder) end(start int) {
	binary.BigEndian.PutUint32(e.buf[start:], uint32(len(e.buf)-start-headerLen))
}

// message appends a numbered frame of a lane.
func (e *encoder) message(seq uint64, m *message) {
	start := e.begin(m.kind)
	e.fields(seq, m)
	e.end(start)
}

// body appends the frame without a header and with number 0, as it travels in
// parts.
func (e *encoder) body(m *message) {
	e.open(m.kind)
	e.fields(0, m)
}

func (e *encoder) fields(seq uint64, m *message) {
	e.uint(seq)
	switch m.kind { //nolint:exhaustive // every other kind is no message
	case kindData:
		e.uint(uint64(m.id))
		e.uint(uint64(m.as))
	case kindWait:
		e.uint(uint64(m.id))
		e.uint(uint64(m.as))
		e.uint(uint64(m.stage))
		e.timing(m.time)
	case kindMany:
		e.array(len(m.ids))
		for _, id := range m.ids {
			e.uint(uint64(id))
		}
		e.uint(uint64(m.as))
	case kindClose, kindCloseWait:
		e.uint(uint64(m.id))
		e.uint(uint64(m.code))
	case kindPublish:
		e.publish(m)
	default: // a void has its payload alone
	}
	e.bytes(m.payload)
}

// timing writes the time that is left in a form of one length, so that it can be
// written over; but for one of more than 49 days.
func (e *encoder) timing(left uint64) {
	if e.timeAt = 0; left > math.MaxUint32 {
		e.uint(left)
		return
	}
	e.timeAt = len(e.buf) + 1
	e.buf = binary.BigEndian.AppendUint32(append(e.buf, msgpcode.Uint32), uint32(left))
}

// void makes a void of frame, which is numbered, under the same number and with
// the same length: what follows the number becomes bytes. That is at least what
// empty bytes take.
func void(frame []byte) {
	frame[headerLen] = msgpcode.FixedArrayLow | byte(len(layouts[kindVoid].fields))
	frame[kindAt] = byte(kindVoid)
	rest := frame[kindAt+1:]
	rest = rest[uintLen(rest[0]):]
	switch n := len(rest); {
	case n-2 <= math.MaxUint8:
		rest[0], rest[1] = msgpcode.Bin8, byte(n-2)
	case n-3 <= math.MaxUint16:
		rest[0] = msgpcode.Bin16
		binary.BigEndian.PutUint16(rest[1:], uint16(n-3))
	default:
		rest[0] = msgpcode.Bin32
		binary.BigEndian.PutUint32(rest[1:], uint32(n-5))
	}
}

// uintLen returns the length of an integer that begins with code, as the encoder
// writes it.
func uintLen(code byte) int {
	if code <= msgpcode.PosFixedNumHigh {
		return 1
	}
	return 1 + 1<<(code-msgpcode.Uint8)
}

// part appends a piece of a message that travels in parts.
func (e *encoder) part(seq, tag uint64, last bool, piece []byte) {
	start := e.begin(kindPart)
	e.uint(seq)
	e.uint(tag)
	if last {
		e.uint(1)
	} else {
		e.uint(0)
	}
	e.bytes(piece)
	e.end(start)
}

// uints appends a frame that has integers alone.
func (e *encoder) uints(kind frameKind, values ...uint64) {
	start := e.begin(kind)
	for _, v := range values {
		e.uint(v)
	}
	e.end(start)
}

// call appends a request or a reply.
func (e *encoder) call(kind frameKind, number, code uint64, body []byte) {
	start := e.begin(kind)
	e.uint(number)
	e.uint(code)
	e.bytes(body)
	e.end(start)
}

func (e *encoder) numbers(last idspace.NodeNumber, numbers []idspace.NodeNumber) {
	start := e.begin(kindNumbers)
	e.uint(uint64(last))
	e.numberList(numbers)
	e.end(start)
}

func (e *encoder) numberList(numbers []idspace.NodeNumber) {
	e.array(len(numbers))
	for _, n := range numbers {
		e.uint(uint64(n))
	}
}
