package mesh

import (
	"encoding/binary"
	"fmt"
	"io"

	"flamingo/idspace"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// decoder reads the body of one frame at a time. It calls the library only
// after it has looked at the code byte itself, and only for array lengths,
// unsigned integers and lengths of bytes: no claim in the input leads to an
// allocation or to recursion. Not safe for concurrent use.
type decoder struct {
	b  []byte
	at int
	in *msgpack.Decoder // reads from this decoder
}

func newDecoder() *decoder {
	d := &decoder{}
	d.in = msgpack.NewDecoder(d)
	return d
}

// Read, ReadByte and UnreadByte are for the library.
func (d *decoder) Read(p []byte) (int, error) {
	if d.at == len(d.b) {
		return 0, io.EOF
	}
	n := copy(p, d.b[d.at:])
	d.at += n
	return n, nil
}

// ReadByte implements io.ByteReader.
func (d *decoder) ReadByte() (byte, error) {
	if d.at == len(d.b) {
		return 0, io.EOF
	}
	d.at++
	return d.b[d.at-1], nil
}

// UnreadByte implements io.ByteScanner.
func (d *decoder) UnreadByte() error {
	d.at--
	return nil
}

// code returns the next byte without taking it, or 0xc1, which begins nothing.
func (d *decoder) code() byte {
	if d.at == len(d.b) {
		return 0xc1
	}
	return d.b[d.at]
}

// uint, array and bytes read the forms that fill short frames themselves, and
// leave the others to the library.
func (d *decoder) uint() (uint64, error) {
	b, c := d.b[d.at:], d.code()
	switch {
	case c <= msgpcode.PosFixedNumHigh:
		d.at++
		return uint64(c), nil
	case c == msgpcode.Uint64 && len(b) >= 9:
		d.at += 9
		return binary.BigEndian.Uint64(b[1:]), nil
	case c == msgpcode.Uint32 && len(b) >= 5:
		d.at += 5
		return uint64(binary.BigEndian.Uint32(b[1:])), nil
	}
	if c < msgpcode.Uint8 || c > msgpcode.Uint64 {
		return 0, d.malformed("not an unsigned integer")
	}
	v, err := d.in.DecodeUint64()
	if err != nil {
		return 0, d.malformed("cut short")
	}
	return v, nil
}

// array returns the length of an array of at most limit elements. Every
// element takes a byte at least, so the length is also bounded by what is left.
func (d *decoder) array(limit int) (int, error) {
	c := d.code()
	if msgpcode.IsFixedArray(c) {
		d.at++
		return d.arrayOf(int(c&msgpcode.FixedArrayMask), limit)
	}
	if c != msgpcode.Array16 && c != msgpcode.Array32 {
		return 0, d.malformed("not an array")
	}
	n, err := d.in.DecodeArrayLen()
	if err != nil {
		return 0, d.malformed("cut short")
	}
	return d.arrayOf(n, limit)
}

func (d *decoder) arrayOf(n, limit int) (int, error) {
	if n > limit || n > len(d.b)-d.at {
		return 0, d.malformed("array too long")
	}
	return n, nil
}

// bytes returns a part of the input, not a copy.
func (d *decoder) bytes() ([]byte, error) {
	n, err := d.bytesLen()
	if err != nil || n > len(d.b)-d.at {
		return nil, d.malformed("not bytes, or cut short")
	}
	d.at += n
	return d.b[d.at-n : d.at : d.at], nil
}

func (d *decoder) bytesLen() (int, error) {
	switch c := d.code(); {
	case c == msgpcode.Bin8 && len(d.b)-d.at >= 2:
		d.at += 2
		return int(d.b[d.at-1]), nil
	case c == msgpcode.Bin16, c == msgpcode.Bin32:
		return d.in.DecodeBytesLen()
	default:
		return 0, d.malformed("not bytes")
	}
}

func (d *decoder) malformed(what string) error {
	return fmt.Errorf("%w: %s at byte %d of %d", reasonError{ReasonMalformed}, what, d.at, len(d.b))
}

// frame is a decoded frame. What its fields mean depends on kind; see the
// table in docs/protocol.md. ids, group and payload are valid until the next decode.
type frame struct {
	kind    frameKind
	u       [7]uint64 // the integers after the kind, in order
	ids     []idspace.ID
	group   []byte // publish: what is before the payload
	payload []byte
}

// kind reads what begins a body: the array length and the kind, which
// determine each other.
func (d *decoder) kind(body []byte) (frameKind, error) {
	d.b, d.at = body, 0
	n, err := d.array(len(layouts[kindHello].fields))
	if err != nil {
		return 0, err
	}
	k, err := d.uint()
	if err != nil {
		return 0, err
	}
	if k == 0 || k >= uint64(len(layouts)) || n == 0 || len(layouts[k].fields) != n {
		return 0, d.malformed("no such kind and length")
	}
	return frameKind(k), nil
}

// frame decodes body into f. Handshake frames are refused: they have a decoder
// of their own.
func (d *decoder) frame(body []byte, f *frame) (err error) {
	if d.data(body, f) {
		return nil
	}
	return d.any(body, f)
}

func (d *decoder) any(body []byte, f *frame) (err error) {
	if f.kind, err = d.kind(body); err != nil {
		return err
	}
	if f.kind == kindHello || f.kind == kindWelcome {
		return fmt.Errorf("%w: handshake frame", reasonError{ReasonUnexpected})
	}
	ints := 0
	f.payload = nil
	for _, field := range layouts[f.kind].fields[1:] {
		switch field {
		case 'u':
			f.u[ints], err = d.uint()
			ints++
		case 'b':
			f.group = f.payload
			f.payload, err = d.bytes()
		default:
			err = d.ids(f)
		}
		if err != nil {
			return err
		}
	}
	if d.at != len(d.b) {
		return d.malformed("trailing bytes")
	}
	return nil
}

// data decodes a data frame as most of them are: behind many others, and for an id
// of eight bytes. It reports false of every other frame, and of every fault.
func (d *decoder) data(body []byte, f *frame) bool {
	const (
		seqAt   = 2
		idAt    = seqAt + 1 + 4
		asAt    = idAt + 1 + 8
		bytesAt = asAt + 1
		least   = bytesAt + 2
	)
	if len(body) < least || body[0] != msgpcode.FixedArrayLow|5 || body[1] != byte(kindData) ||
		body[seqAt] != msgpcode.Uint32 || body[idAt] != msgpcode.Uint64 || body[asAt] > msgpcode.PosFixedNumHigh {
		return false
	}
	payload := body[least:]
	switch {
	case body[bytesAt] == msgpcode.Bin8 && int(body[bytesAt+1]) == len(payload):
	case body[bytesAt] == msgpcode.Bin16 && len(payload) > 0 && int(binary.BigEndian.Uint16(body[bytesAt+1:])) == len(payload)-1:
		payload = payload[1:]
	default:
		return false
	}
	f.kind, f.payload = kindData, payload[:len(payload):len(payload)]
	f.u[0] = uint64(binary.BigEndian.Uint32(body[seqAt+1:]))
	f.u[1] = binary.BigEndian.Uint64(body[idAt+1:])
	f.u[2] = uint64(body[asAt])
	return true
}

// ids reads an array of ids or numbers. Which of the two it is, and whether
// they are valid, is for the caller to check.
func (d *decoder) ids(f *frame) error {
	n, err := d.array(maxIDs)
	if err != nil {
		return err
	}
	f.ids = f.ids[:0]
	for range n {
		v, err := d.uint()
		if err != nil {
			return err
		}
		f.ids = append(f.ids, idspace.ID(v))
	}
	return nil
}
