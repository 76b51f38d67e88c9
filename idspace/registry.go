package idspace

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

const (
	// MaxLiveGrants bounds the numbers of all live lives together: some
	// 50 MB. A grant over it is refused.
	MaxLiveGrants = 1 << 20

	// EndedLivesKept is how many ended lives are remembered; the oldest is
	// dropped. A request of a life that was dropped is granted a number, which
	// is then burned and stays live until the life is ended once more. At one
	// end per tick the memory lasts four minutes, far longer than a request.
	EndedLivesKept = 1 << 12

	// RetiredKept is how many retired numbers are remembered as such; the oldest
	// is dropped, and is then gone like any other. A node that is away while as
	// many others are retired finds itself gone instead of retired.
	RetiredKept = 1 << 10
)

// Registry is the record of who was granted which number: a deterministic
// state machine, the same on every replica that applied the same commands.
// Memory that was lost with all replicas is begun anew by NewRegistry; the
// ticks of the commands keep its numbers above those granted before.
//
// It is not safe for concurrent use.
type Registry struct {
	last    NodeNumber // only grows
	lives   map[BootID]*Life
	holders map[NodeNumber]BootID // of every number in lives
	servers map[ServerID]BootID   // of every life in lives that has a server
	ended   endedLives
	retired []NodeNumber // of the lives retired last, oldest first

	maxGrants, maxNumbers, maxEnded, maxRetired int // immutable; replicas must agree
}

// Life is a life that was granted at least one number and has not ended.
type Life struct {
	Boot    BootID
	Server  ServerID     // zero if it has no data directory
	Start   uint64       // zero if it has no data directory
	Numbers []NodeNumber // ascending; that of ordinal n at n-1
}

// Result says what a command did.
type Result struct {
	// Boot and Ordinal repeat those of the command; the ordinal of an EndLife
	// is zero.
	Boot    BootID
	Ordinal uint32

	// Number is the number granted; zero for an EndLife.
	Number NodeNumber

	// Repeated tells that an earlier command had done the same.
	Repeated bool

	// Ended is the life that this command ended, the caller's to keep, and
	// Cause why. Its Boot is zero if no life with numbers was ended.
	Ended Life
	Cause EndCause
}

// NewRegistry returns a Registry that has granted nothing.
func NewRegistry() *Registry {
	return &Registry{
		lives:      make(map[BootID]*Life),
		holders:    make(map[NodeNumber]BootID),
		servers:    make(map[ServerID]BootID),
		maxGrants:  MaxLiveGrants,
		maxNumbers: MaxNumbersPerLife,
		maxEnded:   EndedLivesKept,
		maxRetired: RetiredKept,
	}
}

// Apply applies c. The error matches [ErrTooManyNumbers] or one of those listed
// under the conditions of applying a command. The registry is then unchanged,
// and every replica gets the same error.
func (r *Registry) Apply(c Command) (Result, error) {
	var res Result
	var err error
	switch c := c.(type) {
	case Grant:
		res, err = r.grant(c)
	case EndLife:
		res, err = r.endLife(c)
	default:
		err = fmt.Errorf("%w: %T", ErrBadCommand, c)
	}
	if err != nil {
		return Result{}, fmt.Errorf("idspace: apply: %w", err)
	}
	return res, nil
}

// Last returns the number granted last, zero if none was. A number up to it
// that nobody holds is gone; one above it was never granted.
func (r *Registry) Last() NodeNumber { return r.last }

// Live returns every number held by a life that has not ended, ascending.
func (r *Registry) Live() []NodeNumber { return slices.Sorted(maps.Keys(r.holders)) }

// Lives returns the lives that have not ended, by their first number. They
// share nothing with the registry.
func (r *Registry) Lives() []Life {
	lives := make([]Life, 0, len(r.lives))
	for _, l := range r.sortedLives() {
		lives = append(lives, l.clone())
	}
	return lives
}

// Holder returns the life that holds n; ok is false if none does.
func (r *Registry) Holder(n NodeNumber) (b BootID, ok bool) {
	b, ok = r.holders[n]
	return b, ok
}

// Numbers returns the numbers of a life, ascending: none if it has ended or
// was never granted one. The slice is the caller's.
func (r *Registry) Numbers(b BootID) []NodeNumber {
	if l := r.lives[b]; l != nil {
		return slices.Clone(l.Numbers)
	}
	return nil
}

// Ended returns why a life ended, while that is remembered.
func (r *Registry) Ended(b BootID) (cause EndCause, ok bool) { return r.ended.cause(b) }

// Retired returns the numbers of lives that were retired, those retired first
// first, while that is remembered. The slice is the caller's.
func (r *Registry) Retired() []NodeNumber { return slices.Clone(r.retired) }

// sortedLives does not copy the lives.
func (r *Registry) sortedLives() []*Life {
	return slices.SortedFunc(maps.Values(r.lives), func(a, b *Life) int {
		return cmp.Compare(a.Numbers[0], b.Numbers[0])
	})
}

func (l *Life) clone() Life {
	c := *l
	c.Numbers = slices.Clone(l.Numbers)
	return c
}
