package idspace

import "fmt"

// Command is what a [Registry] applies: a [Grant] or an [EndLife]. Commands go
// into a replicated log in the form of [EncodeCommand].
type Command interface {
	// check returns an error matching ErrBadCommand if a field is missing or
	// contradicts another.
	check() error
	appendTo(b []byte) []byte
}

// Grant asks for a number. It is idempotent per (Boot, Ordinal), so that a
// request whose answer was lost can be repeated, with a new tick.
type Grant struct {
	// Boot is the life that asks. Not zero.
	Boot BootID

	// Ordinal counts the numbers of this life: 1, 2, 3 … A repeated request
	// repeats it.
	Ordinal uint32

	// Server is the data directory the life runs on; zero for none. The first
	// grant to a life ends the earlier life on the same directory. A life
	// keeps its Server and Start.
	Server ServerID

	// Start counts the starts of that data directory, from 1, and tells an
	// earlier life from a later one. Zero exactly if Server is zero.
	Start uint64

	// Tick is stamped by the leader that proposes the command; zero if it
	// does not vouch for its clock.
	Tick Tick
}

// EndLife records that a life has ended. Applied to a life that is not known
// it keeps that life from ever being granted a number.
type EndLife struct {
	Boot  BootID
	Cause EndCause
}

// EndCause says why a life ended. Its values are part of the command and
// snapshot formats: append only.
type EndCause uint8

// The causes of the end of a life.
const (
	CauseLeft    EndCause = 1 // the node left in order
	CauseNewBoot EndCause = 2 // its data directory began a later life
	CauseRetired EndCause = 3 // somebody declared it gone for good
)

// String returns the cause in words.
func (c EndCause) String() string {
	switch c {
	case CauseLeft:
		return "left"
	case CauseNewBoot:
		return "new boot"
	case CauseRetired:
		return "retired"
	}
	return fmt.Sprintf("cause %d", uint8(c))
}

func (c EndCause) valid() bool { return CauseLeft <= c && c <= CauseRetired }

func (g Grant) check() error {
	switch {
	case g.Boot.IsZero():
		return fmt.Errorf("%w: grant without boot", ErrBadCommand)
	case g.Ordinal == 0:
		return fmt.Errorf("%w: grant with ordinal 0", ErrBadCommand)
	case g.Server.IsZero() != (g.Start == 0):
		return fmt.Errorf("%w: grant with one of server and start", ErrBadCommand)
	}
	return nil
}

func (e EndLife) check() error {
	switch {
	case e.Boot.IsZero():
		return fmt.Errorf("%w: end of life without boot", ErrBadCommand)
	case !e.Cause.valid():
		return fmt.Errorf("%w: end of life with %v", ErrBadCommand, e.Cause)
	}
	return nil
}
