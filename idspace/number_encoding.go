package idspace

import (
	"database/sql/driver"
	"encoding/binary"
	"fmt"
)

// Every method here refuses a number that is not valid, with an error matching
// ErrBadNumber, and every decoding method then leaves its receiver as it was.

// AppendText implements [encoding.TextAppender].
func (n NodeNumber) AppendText(b []byte) ([]byte, error) {
	if err := n.check(); err != nil {
		return b, err
	}
	return appendHex(b, uint64(n), numberDigits), nil
}

// MarshalText implements [encoding.TextMarshaler]. It also makes a NodeNumber
// a key of JSON objects.
func (n NodeNumber) MarshalText() ([]byte, error) { return n.AppendText(nil) }

// UnmarshalText implements [encoding.TextUnmarshaler] and accepts what
// [ParseNodeNumber] does.
func (n *NodeNumber) UnmarshalText(b []byte) error {
	v, err := parseNumberText(b)
	return assign(n, v, err)
}

// MarshalJSON implements [encoding/json.Marshaler] with the text form, as a
// string.
func (n NodeNumber) MarshalJSON() ([]byte, error) {
	if err := n.check(); err != nil {
		return nil, err
	}
	return quotedHex(uint64(n), numberDigits), nil
}

// UnmarshalJSON implements [encoding/json.Unmarshaler]. It accepts the text
// form as a string and refuses numbers. As is the convention, null changes
// nothing.
func (n *NodeNumber) UnmarshalJSON(b []byte) error {
	s, null, ok := jsonString(b)
	if null {
		return nil
	}
	if !ok {
		return fmt.Errorf("%w: JSON %.*q: want a string of %d lower-case hex digits",
			ErrBadNumber, quoteLimit, b, numberDigits)
	}
	return n.UnmarshalText([]byte(s))
}

// AppendBinary implements [encoding.BinaryAppender].
func (n NodeNumber) AppendBinary(b []byte) ([]byte, error) {
	if err := n.check(); err != nil {
		return b, err
	}
	return binary.BigEndian.AppendUint64(b, uint64(n)), nil
}

// MarshalBinary implements [encoding.BinaryMarshaler]: 8 bytes, big-endian.
func (n NodeNumber) MarshalBinary() ([]byte, error) { return n.AppendBinary(nil) }

// UnmarshalBinary implements [encoding.BinaryUnmarshaler].
func (n *NodeNumber) UnmarshalBinary(b []byte) error {
	if len(b) != 8 {
		return fmt.Errorf("%w: %d bytes: want 8", ErrBadNumber, len(b))
	}
	return n.set(binary.BigEndian.Uint64(b))
}

// MarshalMsgpack writes a msgpack uint64, always in its full form of 9 bytes.
func (n NodeNumber) MarshalMsgpack() ([]byte, error) {
	if err := n.check(); err != nil {
		return nil, err
	}
	return msgpackUint64(uint64(n)), nil
}

// UnmarshalMsgpack accepts an unsigned msgpack integer of any width.
func (n *NodeNumber) UnmarshalMsgpack(b []byte) error {
	v, ok := parseMsgpackUint(b)
	if !ok {
		return fmt.Errorf("%w: want an unsigned msgpack integer", ErrBadNumber)
	}
	return n.set(v)
}

// Value implements [driver.Valuer]: a positive integer.
func (n NodeNumber) Value() (driver.Value, error) {
	if err := n.check(); err != nil {
		return nil, err
	}
	return int64(n), nil
}

// Scan implements [database/sql.Scanner]. It accepts the integer that
// [NodeNumber.Value] wrote and the 8 bytes of the binary form. Unlike
// [ID.Scan] it refuses text: nine digits may as well be the decimal integer of
// a driver that hands out numbers as text. It refuses NULL, too.
func (n *NodeNumber) Scan(src any) error {
	switch v := src.(type) {
	case int64:
		return n.set(uint64(v))
	case []byte:
		return n.UnmarshalBinary(v)
	default:
		return fmt.Errorf("%w: SQL %T: want an integer or 8 bytes", ErrBadNumber, src)
	}
}

// set stores v if it is valid.
func (n *NodeNumber) set(v uint64) error { return assign(n, NodeNumber(v), NodeNumber(v).check()) }
