package attach

import "encoding/binary"

// An Action is what an event causes, as it goes to the node. There are more: docs/attach.md.
type Action []byte

// Send sends data to a connection of whatever node.
func Send(id uint64, data []byte) Action { return bytes(uints([]byte{0x94, 1}, id, 0), data) }

// Close ends a connection.
func Close(id uint64) Action { return text(uints([]byte{0x94, 3}, id, 0), "") }

// Join makes a connection a member of a group.
func Join(id uint64, group string) Action { return text(uints([]byte{0x93, 4}, id), group) }

// Publish sends data to the members of a group on all nodes.
func Publish(group string, data []byte) Action {
	return bytes(append(text([]byte{0x95, 6}, group), 0x90, 0), data)
}

// What of msgpack the protocol needs, in the longest form of each length.

func uints(b []byte, values ...uint64) []byte {
	for _, v := range values {
		b = binary.BigEndian.AppendUint64(append(b, 0xcf), v)
	}
	return b
}

func text(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(append(b, 0xdb), uint32(len(s))), s...)
}

func bytes(b, data []byte) []byte {
	return append(binary.BigEndian.AppendUint32(append(b, 0xc6), uint32(len(data))), data...)
}

func list(b []byte, actions []Action) []byte {
	b = binary.BigEndian.AppendUint32(append(b, 0xdd), uint32(len(actions)))
	for _, a := range actions {
		b = append(b, a...)
	}
	return b
}

// A decoder reads what a node sends, which is well-formed.
type decoder struct{ b []byte }

func (d *decoder) take(n int) []byte {
	part := d.b[:n]
	d.b = d.b[n:]
	return part
}

// number reads a big-endian integer of so many bytes.
func (d *decoder) number(size int) (v uint64) {
	for _, b := range d.take(size) {
		v = v<<8 | uint64(b)
	}
	return v
}

func (d *decoder) uint() uint64 {
	c := d.take(1)[0]
	if c < 0x80 {
		return uint64(c)
	}
	return d.number(1 << (c - 0xcc))
}

func (d *decoder) bytes() []byte {
	switch c := d.take(1)[0]; {
	case c >= 0xd9:
		return d.take(int(d.number(1 << (c - 0xd9))))
	case c >= 0xc4:
		return d.take(int(d.number(1 << (c - 0xc4))))
	default:
		return d.take(int(c & 31))
	}
}
