package idspace

import (
	"database/sql/driver"
	"encoding/binary"
	"fmt"
)

// Every method here refuses an id that is not valid, with an error matching
// ErrBadID, and every decoding method then leaves its receiver as it was.

// AppendText implements [encoding.TextAppender].
func (id ID) AppendText(b []byte) ([]byte, error) {
	if err := id.check(); err != nil {
		return b, err
	}
	return appendHex(b, uint64(id), idDigits), nil
}

// MarshalText implements [encoding.TextMarshaler]. It also makes an ID a key
// of JSON objects.
func (id ID) MarshalText() ([]byte, error) { return id.AppendText(nil) }

// UnmarshalText implements [encoding.TextUnmarshaler] and accepts what
// [ParseID] does.
func (id *ID) UnmarshalText(b []byte) error {
	v, err := parseIDText(b)
	return assign(id, v, err)
}

// MarshalJSON implements [encoding/json.Marshaler] with the text form, as a
// string.
func (id ID) MarshalJSON() ([]byte, error) {
	if err := id.check(); err != nil {
		return nil, err
	}
	return quotedHex(uint64(id), idDigits), nil
}

// UnmarshalJSON implements [encoding/json.Unmarshaler]. It accepts the text
// form as a string and refuses numbers, which JavaScript would have rounded.
// As is the convention, null changes nothing.
func (id *ID) UnmarshalJSON(b []byte) error {
	s, null, ok := jsonString(b)
	if null {
		return nil
	}
	if !ok {
		return fmt.Errorf("%w: JSON %.*q: want a string of %d lower-case hex digits",
			ErrBadID, quoteLimit, b, idDigits)
	}
	return id.UnmarshalText([]byte(s))
}

// AppendBinary implements [encoding.BinaryAppender].
func (id ID) AppendBinary(b []byte) ([]byte, error) {
	if err := id.check(); err != nil {
		return b, err
	}
	return binary.BigEndian.AppendUint64(b, uint64(id)), nil
}

// MarshalBinary implements [encoding.BinaryMarshaler]: 8 bytes, big-endian,
// so that bytes sort as ids do.
func (id ID) MarshalBinary() ([]byte, error) { return id.AppendBinary(nil) }

// UnmarshalBinary implements [encoding.BinaryUnmarshaler].
func (id *ID) UnmarshalBinary(b []byte) error {
	if len(b) != 8 {
		return fmt.Errorf("%w: %d bytes: want 8", ErrBadID, len(b))
	}
	return id.set(binary.BigEndian.Uint64(b))
}

// MarshalMsgpack writes a msgpack uint64, always in its full form of 9 bytes.
func (id ID) MarshalMsgpack() ([]byte, error) {
	if err := id.check(); err != nil {
		return nil, err
	}
	return msgpackUint64(uint64(id)), nil
}

// UnmarshalMsgpack accepts an unsigned msgpack integer of any width.
func (id *ID) UnmarshalMsgpack(b []byte) error {
	v, ok := parseMsgpackUint(b)
	if !ok {
		return fmt.Errorf("%w: want an unsigned msgpack integer", ErrBadID)
	}
	return id.set(v)
}

// Value implements [driver.Valuer]: the 64 bits as a signed integer, which is
// what a BIGINT column holds. From the year 2094 on the integer is negative;
// order by the text or binary form where that matters.
func (id ID) Value() (driver.Value, error) {
	if err := id.check(); err != nil {
		return nil, err
	}
	return int64(id), nil
}

// Scan implements [database/sql.Scanner]. It accepts the integer that
// [ID.Value] wrote and, as a string or bytes, the text form; bytes may also be
// the 8 of the binary form. It refuses NULL: use sql.Null[ID].
func (id *ID) Scan(src any) error {
	switch v := src.(type) {
	case int64:
		return id.set(uint64(v))
	case string:
		return id.UnmarshalText([]byte(v))
	case []byte:
		if len(v) == 8 {
			return id.UnmarshalBinary(v)
		}
		return id.UnmarshalText(v)
	default:
		return fmt.Errorf("%w: SQL %T: want an integer, text or 8 bytes", ErrBadID, src)
	}
}

// set stores v if it is valid.
func (id *ID) set(v uint64) error { return assign(id, ID(v), ID(v).check()) }
