package idspace

import (
	"fmt"
	"log/slog"
	"time"
)

const (
	// NumberBits is the width of the node number in an id: 136 years of
	// ticks.
	NumberBits = 36

	// MaxNumber is the greatest node number.
	MaxNumber NodeNumber = 1<<NumberBits - 1

	// numberDigits is the length of a number's text form.
	numberDigits = NumberBits / 4
)

// NodeNumber names one life of a node, of which it is granted to no other. It
// lies between 1 and MaxNumber; zero means none.
type NodeNumber uint64

// ParseNodeNumber returns the number whose text form s is: exactly 9
// lower-case hex digits. The error matches [ErrBadNumber].
func ParseNodeNumber(s string) (NodeNumber, error) { return parseNumberText(s) }

func parseNumberText[T text](s T) (NodeNumber, error) {
	v, ok := parseHex(s, numberDigits)
	if n := NodeNumber(v); ok && n.Valid() {
		return n, nil
	}
	return 0, fmt.Errorf("%w: %q: want %d lower-case hex digits, not all zero",
		ErrBadNumber, string(s[:min(len(s), quoteLimit)]), numberDigits)
}

// NumberAfter returns the number to grant in the given tick when last was the
// last one granted: max(last + 1, tick). Tick zero stands for a clock that is
// not trusted and gives last + 1. The error matches [ErrTickOutOfRange] or
// [ErrNumbersExhausted].
func NumberAfter(last NodeNumber, t Tick) (NodeNumber, error) {
	if t > Tick(MaxNumber) {
		return 0, fmt.Errorf("%w: tick %d, last number %d", ErrTickOutOfRange, t, MaxNumber)
	}
	if last >= MaxNumber {
		return 0, ErrNumbersExhausted
	}
	return max(last+1, NodeNumber(t)), nil
}

// Valid reports whether n lies between 1 and MaxNumber.
func (n NodeNumber) Valid() bool { return n != 0 && n <= MaxNumber }

// Tick returns the tick in which n was granted, or at which it would have
// been: the number of a leader that does not stamp lags behind.
func (n NodeNumber) Tick() Tick { return Tick(n) }

// Time returns when the life that n names began, in UTC, as far as the clock
// of the granting leader can be trusted.
func (n NodeNumber) Time() time.Time { return n.Tick().Time() }

// String returns 9 lower-case hex digits; a value over MaxNumber prints more.
func (n NodeNumber) String() string {
	if n > MaxNumber {
		return fmt.Sprintf("%x", uint64(n))
	}
	return string(appendHex(make([]byte, 0, numberDigits), uint64(n), numberDigits))
}

// Format implements [fmt.Formatter] as [ID.Format] does.
func (n NodeNumber) Format(f fmt.State, verb rune) {
	formatNumber(f, verb, uint64(n), "idspace.NodeNumber", n.String())
}

// LogValue implements [slog.LogValuer] with the text form.
func (n NodeNumber) LogValue() slog.Value { return slog.StringValue(n.String()) }

// check returns an error matching ErrBadNumber unless n is valid.
func (n NodeNumber) check() error {
	if n.Valid() {
		return nil
	}
	return n.invalid()
}

func (n NodeNumber) invalid() error {
	return fmt.Errorf("%w: %d: want 1 to %d", ErrBadNumber, n, MaxNumber)
}
