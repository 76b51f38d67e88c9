package idspace

import (
	"fmt"
	"log/slog"
)

const (
	// SerialBits is the width of the serial in an id: 2^28 connections
	// under one number last 107 minutes at 42,000 a second.
	SerialBits = 28

	// MaxSerial is the greatest serial.
	MaxSerial Serial = 1<<SerialBits - 1

	// idDigits is the length of an id's text form: four bits a digit.
	idDigits = (NumberBits + SerialBits) / 4
)

// Serial numbers the connections under one node number, from 1 to MaxSerial.
// Zero means none.
type Serial uint32

// Valid reports whether s lies between 1 and MaxSerial.
func (s Serial) Valid() bool { return s != 0 && s <= MaxSerial }

// ID names one connection for ever: [NumberBits] bits of node number, then
// [SerialBits] bits of serial. The zero ID means "no id"; it is not valid and
// no encoder writes it. A field that may be empty is tagged omitzero in JSON
// and is a sql.Null[ID] in SQL.
type ID uint64

// NewID returns the id of the given serial under a node number, or an error
// matching [ErrBadNumber] or [ErrBadID] when either is out of its range.
func NewID(n NodeNumber, s Serial) (ID, error) {
	if !n.Valid() {
		return 0, n.invalid()
	}
	if !s.Valid() {
		return 0, fmt.Errorf("%w: serial %d: want 1 to %d", ErrBadID, s, MaxSerial)
	}
	return composeID(n, s), nil
}

// composeID needs n within its range. A serial of zero gives the word that
// precedes the first id under n.
func composeID(n NodeNumber, s Serial) ID { return ID(n)<<SerialBits | ID(s) }

// ParseID returns the id whose text form s is: exactly 16 lower-case hex
// digits. The error matches [ErrBadID].
func ParseID(s string) (ID, error) { return parseIDText(s) }

func parseIDText[T text](s T) (ID, error) {
	v, ok := parseHex(s, idDigits)
	if id := ID(v); ok && id.Valid() {
		return id, nil
	}
	return 0, fmt.Errorf("%w: %q: want %d lower-case hex digits, %s",
		ErrBadID, string(s[:min(len(s), quoteLimit)]), idDigits, idRule)
}

// idRule ends every message that refuses an id.
const idRule = "9 of node number and 7 of serial, neither zero"

// Node returns the node number in id.
func (id ID) Node() NodeNumber { return NodeNumber(id >> SerialBits) }

// Serial returns the serial in id.
func (id ID) Serial() Serial { return Serial(id) & MaxSerial }

// Valid reports whether neither the node number nor the serial is zero. It
// does not tell whether the id was ever issued.
func (id ID) Valid() bool { return id.Node() != 0 && id.Serial() != 0 }

// String returns 16 lower-case hex digits, also for an id that is not valid.
func (id ID) String() string {
	return string(appendHex(make([]byte, 0, idDigits), uint64(id), idDigits))
}

// Format implements [fmt.Formatter]: %v, %s and %q print the text form, %#v
// Go syntax, and all other verbs (%d, %x, %b, …) the integer.
func (id ID) Format(f fmt.State, verb rune) {
	formatNumber(f, verb, uint64(id), "idspace.ID", id.String())
}

// LogValue implements [slog.LogValuer] with the text form.
func (id ID) LogValue() slog.Value { return slog.StringValue(id.String()) }

// check returns an error matching ErrBadID unless id is valid.
func (id ID) check() error {
	if id.Valid() {
		return nil
	}
	return fmt.Errorf("%w: %s: want %s", ErrBadID, id.String(), idRule)
}
