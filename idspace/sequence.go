package idspace

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

const (
	// MaxNumbersPerLife bounds the numbers of one life. They are enough for
	// three years of 42,000 connections a second.
	MaxNumbersPerLife = 1 << 14

	// wantedSerial is the serial whose issue asks for a further number: the
	// second half of the serials is the time in which to obtain one.
	wantedSerial = MaxSerial/2 + 1
)

// Sequence issues the ids of one life, in ascending order and each once, under
// the numbers that life was granted. It begins a number only when all serials
// of the one before are used.
//
// Its methods are safe for concurrent use. All but Extend are lock-free.
type Sequence struct {
	wanted func() // immutable; may be nil

	// last is the id issued last; its serial is zero before the first. It
	// only grows, and only by compare-and-swap: adding to it could carry a
	// serial into the number.
	last atomic.Uint64

	// reserve is the number granted last. It counts as a reserve only while
	// it exceeds the number in last, so that a reserve already begun, however
	// late it is read, cannot begin again.
	reserve atomic.Uint64

	// numbers holds every number, ascending. The slice is never written after
	// it is stored.
	numbers atomic.Pointer[[]NodeNumber]

	extending sync.Mutex // held to write reserve and numbers
}

// NewSequence returns a Sequence that issues ids under first. The error
// matches [ErrBadNumber].
//
// wanted, if not nil, is called once for each number: when half its serials
// are used and no reserve is held. It runs in the goroutine that called Next,
// so it must not block; it may call Extend. It is not repeated should the
// request for a number come to nothing: see [Sequence.Wanting].
func NewSequence(first NodeNumber, wanted func()) (*Sequence, error) {
	if err := first.check(); err != nil {
		return nil, fmt.Errorf("idspace: new sequence: %w", err)
	}
	s := &Sequence{wanted: wanted}
	s.numbers.Store(&[]NodeNumber{first})
	s.reserve.Store(uint64(first))
	s.last.Store(uint64(composeID(first, 0)))
	return s, nil
}

// Next returns an id that was never returned before. A caller that cannot use
// it calls Next again; the id is burned. The error is [ErrExhausted] when
// nothing is left, until Extend gives a further number.
func (s *Sequence) Next() (ID, error) {
	for {
		last := ID(s.last.Load())
		next := last + 1
		if last.Serial() == MaxSerial {
			reserve := NodeNumber(s.reserve.Load())
			if reserve <= last.Node() {
				return 0, ErrExhausted
			}
			next = composeID(reserve, 1)
		}
		if !s.last.CompareAndSwap(uint64(last), uint64(next)) {
			continue
		}
		if next.Serial() == wantedSerial && s.wanted != nil && !s.holdsReserve() {
			s.wanted()
		}
		return next, nil
	}
}

// Extend adds n as the reserve, to be begun when the current number is used
// up. It is refused with an error that matches [ErrBadNumber],
// [ErrNumberNotGreater] unless n exceeds every number held so far,
// [ErrReserveHeld] while another reserve is held, or [ErrTooManyNumbers]. A
// number refused is burned: it may be dropped.
func (s *Sequence) Extend(n NodeNumber) error {
	if err := n.check(); err != nil {
		return fmt.Errorf("idspace: extend: %w", err)
	}
	s.extending.Lock()
	defer s.extending.Unlock()

	held := *s.numbers.Load()
	newest := NodeNumber(s.reserve.Load())
	switch {
	case n <= newest:
		return fmt.Errorf("idspace: extend: %w: %v, newest %v", ErrNumberNotGreater, n, newest)
	case s.holdsReserve():
		return fmt.Errorf("idspace: extend: %w: %v", ErrReserveHeld, newest)
	case len(held) >= MaxNumbersPerLife:
		return fmt.Errorf("idspace: extend: %w", ErrTooManyNumbers)
	}
	numbers := append(slices.Clip(held), n) // clipped, so append copies
	// The list comes first: once the reserve is stored an id under it can be
	// issued, and Owns must know it.
	s.numbers.Store(&numbers)
	s.reserve.Store(uint64(n))
	return nil
}

// Retire gives up every number held: none is begun, and no id issued under it, any
// more. What Extend gives then is the first number again.
func (s *Sequence) Retire() {
	s.extending.Lock()
	defer s.extending.Unlock()
	s.numbers.Store(&[]NodeNumber{})
	for {
		last, newest := ID(s.last.Load()), NodeNumber(s.reserve.Load())
		used := composeID(max(last.Node(), newest), MaxSerial)
		if s.last.CompareAndSwap(uint64(last), uint64(used)) {
			return
		}
	}
}

// Wanting reports whether a further number should be asked for: half of the
// current one's serials are used and no reserve is held. It is for the caller
// that repeats a request.
func (s *Sequence) Wanting() bool {
	return ID(s.last.Load()).Serial() >= wantedSerial && !s.holdsReserve()
}

// Issued reports whether id was returned by Next already. An id that its
// caller burned counts.
func (s *Sequence) Issued(id ID) bool {
	return id.Valid() && id <= ID(s.last.Load()) && s.Owns(id.Node())
}

// Owns reports whether n is one of the numbers held, begun or not.
func (s *Sequence) Owns(n NodeNumber) bool {
	numbers := *s.numbers.Load()
	if len(numbers) > 0 && numbers[len(numbers)-1] == n { // as most are, and this is asked for each message sent
		return true
	}
	_, ok := slices.BinarySearch(numbers, n)
	return ok
}

// Numbers returns every number held, ascending; none after Retire. The slice is the caller's.
func (s *Sequence) Numbers() []NodeNumber { return slices.Clone(*s.numbers.Load()) }

// Newest returns the greatest number held, begun or not; after Retire the last one
// that was. It does not allocate.
func (s *Sequence) Newest() NodeNumber { return NodeNumber(s.reserve.Load()) }

// Remaining returns how many ids can be issued without another Extend.
func (s *Sequence) Remaining() uint64 {
	last := ID(s.last.Load())
	left := uint64(MaxSerial - last.Serial())
	if s.reserve.Load() > uint64(last.Node()) {
		left += uint64(MaxSerial)
	}
	return left
}

func (s *Sequence) holdsReserve() bool {
	// reserve is read first: read after last, it could be one that was begun
	// in between and be taken for a further one.
	reserve := NodeNumber(s.reserve.Load())
	return reserve > ID(s.last.Load()).Node()
}
