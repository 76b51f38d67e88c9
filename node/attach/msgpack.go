package attach

import (
	"encoding/binary"
	"math"

	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// msgpackForm has the frames as arrays of msgpack: behind their length on a stream, and as
// messages without it.
type msgpackForm struct{ header bool }

const headerLen = 4 // bytes: the length of what follows, big-endian

func (f msgpackForm) appendFrame(dst []byte, r *record) []byte {
	if !f.header {
		return appendRecord(dst, r, frameLayouts[:])
	}
	start := len(dst)
	dst = appendRecord(append(dst, 0, 0, 0, 0), r, frameLayouts[:])
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-headerLen))
	return dst
}

func appendRecord(dst []byte, r *record, layouts []layout) []byte {
	l := &layouts[r.kind]
	dst = append(dst, msgpcode.FixedArrayLow|byte(1+len(l.fields)), r.kind)
	u, s := 0, 0
	for i := range len(l.fields) {
		switch l.fields[i] {
		case 'u':
			dst = appendUint(dst, r.u[u])
			u++
		case 's':
			dst = append(appendTextLen(dst, len(r.s[s])), r.s[s]...)
			s++
		case 'b':
			dst = append(appendBytesLen(dst, len(r.payload)), r.payload...)
		case 'a':
			dst = appendArrayLen(dst, len(r.list))
			for _, v := range r.list {
				dst = appendUint(dst, v)
			}
		case 'x':
			dst = appendArrayLen(dst, len(r.actions))
			for k := range r.actions {
				dst = appendRecord(dst, &r.actions[k], actionLayouts[:])
			}
		}
	}
	return dst
}

// The writers use the shortest form.

func appendUint(dst []byte, v uint64) []byte {
	switch {
	case v <= uint64(msgpcode.PosFixedNumHigh):
		return append(dst, byte(v))
	case v <= math.MaxUint8:
		return append(dst, msgpcode.Uint8, byte(v))
	case v <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, msgpcode.Uint16), uint16(v))
	case v <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, msgpcode.Uint32), uint32(v))
	default:
		return binary.BigEndian.AppendUint64(append(dst, msgpcode.Uint64), v)
	}
}

func appendTextLen(dst []byte, n int) []byte {
	if n < 32 {
		return append(dst, msgpcode.FixedStrLow|byte(n))
	}
	return appendLen(dst, n, msgpcode.Str8)
}

func appendBytesLen(dst []byte, n int) []byte { return appendLen(dst, n, msgpcode.Bin8) }

func appendArrayLen(dst []byte, n int) []byte {
	switch {
	case n < 16:
		return append(dst, msgpcode.FixedArrayLow|byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, msgpcode.Array16), uint16(n))
	default:
		return binary.BigEndian.AppendUint32(append(dst, msgpcode.Array32), uint32(n))
	}
}

// appendLen appends a length with the first of three codes that follow each other, of
// 8, 16 and 32 bits.
func appendLen(dst []byte, n int, code byte) []byte {
	switch {
	case n <= math.MaxUint8:
		return append(dst, code, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, code+1), uint16(n))
	default:
		return binary.BigEndian.AppendUint32(append(dst, code+2), uint32(n))
	}
}

func (msgpackForm) decode(body []byte, r *record) error {
	d := decoder{b: body}
	r.reset()
	if err := d.record(r, frameLayouts[:]); err != nil {
		return err
	}
	if d.at != len(body) {
		return d.malformed("bytes behind the last field")
	}
	return nil
}

// A decoder reads one body. No claim in it leads to an allocation beyond what is
// there, nor to recursion beyond the actions of a frame.
type decoder struct {
	b  []byte
	at int
}

func (d *decoder) record(r *record, layouts []layout) error {
	n, err := d.array(16)
	if err != nil {
		return err
	}
	kind, err := d.uint()
	if err != nil {
		return err
	}
	if kind == 0 || kind >= uint64(len(layouts)) || layouts[kind].name == "" {
		return d.malformed("no such kind")
	}
	l := &layouts[kind]
	if n != 1+len(l.fields) {
		return d.malformed("not the fields of " + l.name)
	}
	r.kind = uint8(kind)
	u, s := 0, 0
	for i := range len(l.fields) {
		switch l.fields[i] {
		case 'u':
			r.u[u], err = d.uint()
			u++
		case 's':
			var text []byte
			text, err = d.bytes()
			r.s[s] = string(text)
			s++
		case 'b':
			r.payload, err = d.bytes()
		case 'a':
			err = d.list(r)
		case 'x':
			err = d.actions(r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) list(r *record) error {
	n, err := d.array(maxIDs)
	for range n {
		var v uint64
		if v, err = d.uint(); err != nil {
			break
		}
		r.list = append(r.list, v)
	}
	return err
}

func (d *decoder) actions(r *record) error {
	n, err := d.array(maxActions)
	for range n {
		if err = d.record(r.grow(), actionLayouts[:]); err != nil {
			break
		}
	}
	return err
}

// code returns the next byte without taking it, or 0xc1, which begins nothing.
func (d *decoder) code() byte {
	if d.at == len(d.b) {
		return 0xc1
	}
	return d.b[d.at]
}

func (d *decoder) uint() (uint64, error) {
	c := d.code()
	switch {
	case c <= msgpcode.PosFixedNumHigh:
		d.at++
		return uint64(c), nil
	case c >= msgpcode.Uint8 && c <= msgpcode.Uint64:
		d.at++
		return d.bigEndian(1 << (c - msgpcode.Uint8))
	case c >= msgpcode.Int8 && c <= msgpcode.Int64: // some libraries write them for what is not negative
		size := 1 << (c - msgpcode.Int8)
		d.at++
		v, err := d.bigEndian(size)
		if err == nil && v>>(8*size-1) != 0 {
			return 0, d.malformed("a negative integer")
		}
		return v, err
	default:
		return 0, d.malformed("not an integer")
	}
}

// bigEndian reads an integer of so many bytes.
func (d *decoder) bigEndian(size int) (v uint64, err error) {
	if len(d.b)-d.at < size {
		return 0, d.malformed("cut short")
	}
	for _, b := range d.b[d.at : d.at+size] {
		v = v<<8 | uint64(b)
	}
	d.at += size
	return v, nil
}

// array returns the length of an array of at most limit elements. Every element takes
// a byte at least, so it is also bounded by what is left.
func (d *decoder) array(limit int) (int, error) {
	c := d.code()
	n, err := uint64(c&msgpcode.FixedArrayMask), error(nil)
	switch {
	case msgpcode.IsFixedArray(c):
		d.at++
	case c == msgpcode.Array16 || c == msgpcode.Array32:
		d.at++
		n, err = d.bigEndian(2 << (c - msgpcode.Array16))
	default:
		return 0, d.malformed("not an array")
	}
	if err == nil && (n > uint64(limit) || n > uint64(len(d.b)-d.at)) {
		return 0, d.malformed("array too long")
	}
	return int(n), err
}

// bytes returns a part of the input: what bin or str it is.
func (d *decoder) bytes() ([]byte, error) {
	c := d.code()
	n, err := uint64(c&msgpcode.FixedStrMask), error(nil)
	switch {
	case msgpcode.IsFixedString(c):
		d.at++
	case c >= msgpcode.Bin8 && c <= msgpcode.Bin32:
		d.at++
		n, err = d.bigEndian(1 << (c - msgpcode.Bin8))
	case c >= msgpcode.Str8 && c <= msgpcode.Str32:
		d.at++
		n, err = d.bigEndian(1 << (c - msgpcode.Str8))
	default:
		return nil, d.malformed("not bytes")
	}
	if err != nil || n > uint64(len(d.b)-d.at) {
		return nil, d.malformed("bytes cut short")
	}
	d.at += int(n)
	return d.b[d.at-int(n) : d.at : d.at], nil
}

func (d *decoder) malformed(what string) error {
	return malformed("%s at byte %d of %d", what, d.at, len(d.b))
}
