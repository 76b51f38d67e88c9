package idspace_test

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"flamingo/idspace"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func newSequence(tb testing.TB, first idspace.NodeNumber, wanted func()) *idspace.Sequence {
	tb.Helper()
	s, err := idspace.NewSequence(first, wanted)
	if err != nil {
		tb.Fatalf("NewSequence(%v): %v", first, err)
	}
	return s
}

func mustNext(tb testing.TB, s *idspace.Sequence) idspace.ID {
	tb.Helper()
	id, err := s.Next()
	if err != nil {
		tb.Fatalf("Next: %v", err)
	}
	return id
}

func mustExtend(tb testing.TB, s *idspace.Sequence, n idspace.NodeNumber) {
	tb.Helper()
	if err := s.Extend(n); err != nil {
		tb.Fatalf("Extend(%v): %v", n, err)
	}
}

func TestSequenceBeginsAtSerialOneAndAscends(t *testing.T) {
	s := newSequence(t, 7, nil)
	for want := idspace.Serial(1); want <= 5; want++ {
		if got := mustNext(t, s); got != mustID(t, 7, want) {
			t.Errorf("Next = %v, want %v", got, mustID(t, 7, want))
		}
	}
}

func TestSequenceRefusesABadFirstNumber(t *testing.T) {
	for _, n := range []idspace.NodeNumber{0, idspace.MaxNumber + 1} {
		if _, err := idspace.NewSequence(n, nil); !errors.Is(err, idspace.ErrBadNumber) {
			t.Errorf("NewSequence(%d): %v, want ErrBadNumber", n, err)
		}
	}
}

func TestSequenceRefusesRatherThanWraps(t *testing.T) {
	s := newSequence(t, idspace.MaxNumber, nil)
	s.SkipTo(idspace.MaxSerial - 1)
	if got := mustNext(t, s); got != mustID(t, idspace.MaxNumber, idspace.MaxSerial) {
		t.Errorf("last id = %v", got)
	}
	for range 3 {
		if id, err := s.Next(); id != 0 || !errors.Is(err, idspace.ErrExhausted) {
			t.Errorf("Next of a used-up sequence = %v, %v, want ErrExhausted", id, err)
		}
	}
	if got := s.Remaining(); got != 0 {
		t.Errorf("Remaining = %d, want 0", got)
	}
}

func TestSequenceGoesOnUnderTheReserve(t *testing.T) {
	s := newSequence(t, 7, nil)
	mustExtend(t, s, 9)
	s.SkipTo(idspace.MaxSerial - 1)
	want := []idspace.ID{mustID(t, 7, idspace.MaxSerial), mustID(t, 9, 1), mustID(t, 9, 2)}
	got := []idspace.ID{mustNext(t, s), mustNext(t, s), mustNext(t, s)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ids over the switch (-want +got):\n%s", diff)
	}
}

func TestExhaustedSequenceResumesWithANewNumber(t *testing.T) {
	s := newSequence(t, 7, nil)
	s.SkipTo(idspace.MaxSerial)
	if _, err := s.Next(); !errors.Is(err, idspace.ErrExhausted) {
		t.Fatalf("Next: %v, want ErrExhausted", err)
	}
	if !s.Wanting() {
		t.Error("an exhausted sequence does not want a number")
	}
	mustExtend(t, s, 8)
	if got := mustNext(t, s); got != mustID(t, 8, 1) {
		t.Errorf("Next = %v, want %v", got, mustID(t, 8, 1))
	}
}

func TestBegunReserveNeverBeginsAgain(t *testing.T) {
	s := newSequence(t, 7, nil)
	mustExtend(t, s, 9)
	s.SkipTo(idspace.MaxSerial)
	mustNext(t, s)
	s.SkipTo(idspace.MaxSerial) // of number 9
	if id, err := s.Next(); !errors.Is(err, idspace.ErrExhausted) {
		t.Errorf("Next = %v, %v, want ErrExhausted", id, err)
	}
}

func TestExtendRefusesWhatCouldRepeatOrPileUp(t *testing.T) {
	s := newSequence(t, 7, nil)
	for n, want := range map[idspace.NodeNumber]error{
		0:                     idspace.ErrBadNumber,
		idspace.MaxNumber + 1: idspace.ErrBadNumber,
		6:                     idspace.ErrNumberNotGreater,
		7:                     idspace.ErrNumberNotGreater,
	} {
		if err := s.Extend(n); !errors.Is(err, want) {
			t.Errorf("Extend(%d) to %v: %v, want %v", n, s.Numbers(), err, want)
		}
	}
	mustExtend(t, s, 9)
	for n, want := range map[idspace.NodeNumber]error{
		8:  idspace.ErrNumberNotGreater,
		9:  idspace.ErrNumberNotGreater,
		10: idspace.ErrReserveHeld,
	} {
		if err := s.Extend(n); !errors.Is(err, want) {
			t.Errorf("Extend(%d) to %v: %v, want %v", n, s.Numbers(), err, want)
		}
	}
	if diff := cmp.Diff([]idspace.NodeNumber{7, 9}, s.Numbers()); diff != "" {
		t.Errorf("Numbers after refusals (-want +got):\n%s", diff)
	}
}

func TestExtendStopsAtMaxNumbersPerLife(t *testing.T) {
	s := newSequence(t, 1, nil)
	for n := idspace.NodeNumber(2); n <= idspace.MaxNumbersPerLife; n++ {
		mustExtend(t, s, n)
		s.SkipTo(idspace.MaxSerial)
		mustNext(t, s)
	}
	if err := s.Extend(idspace.MaxNumber); !errors.Is(err, idspace.ErrTooManyNumbers) {
		t.Errorf("Extend over the limit: %v, want ErrTooManyNumbers", err)
	}
}

func TestSequenceAsksOnceWhenHalfIsUsed(t *testing.T) {
	asked := 0
	s := newSequence(t, 7, func() { asked++ })
	s.SkipTo(idspace.WantedSerial - 2)
	for i, want := range []int{0, 1, 1, 1} {
		if id := mustNext(t, s); asked != want {
			t.Errorf("after id %d (%v): asked %d times, want %d", i, id, asked, want)
		}
		if s.Wanting() != (want == 1) {
			t.Errorf("after id %d: Wanting = %t", i, s.Wanting())
		}
	}
	s.SkipTo(idspace.MaxSerial - 1)
	mustNext(t, s)
	if asked != 1 {
		t.Errorf("asked %d times by the end of the number, want 1", asked)
	}
}

func TestSequenceDoesNotAskWhileAReserveIsHeld(t *testing.T) {
	asked := 0
	s := newSequence(t, 7, func() { asked++ })
	mustExtend(t, s, 8)
	s.SkipTo(idspace.WantedSerial - 1)
	mustNext(t, s)
	if asked != 0 || s.Wanting() {
		t.Errorf("with a reserve: asked %d times, Wanting = %t", asked, s.Wanting())
	}
	s.SkipTo(idspace.MaxSerial)
	mustNext(t, s)
	s.SkipTo(idspace.WantedSerial - 1)
	mustNext(t, s)
	if asked != 1 || !s.Wanting() {
		t.Errorf("at half of the reserve: asked %d times, Wanting = %t, want once", asked, s.Wanting())
	}
}

func TestWantedMayExtendAtOnce(t *testing.T) {
	var s *idspace.Sequence
	s = newSequence(t, 7, func() { mustExtend(t, s, s.Numbers()[0]+1) })
	s.SkipTo(idspace.WantedSerial - 1)
	mustNext(t, s)
	if !s.Owns(8) || s.Wanting() {
		t.Errorf("Numbers = %v, Wanting = %t, want a reserve", s.Numbers(), s.Wanting())
	}
}

func TestSequenceKnowsWhatItIssued(t *testing.T) {
	s := newSequence(t, 7, nil)
	issued := func(n idspace.NodeNumber, serial idspace.Serial) bool { return s.Issued(mustID(t, n, serial)) }
	if issued(7, 1) {
		t.Error("issued the first id before Next")
	}
	mustNext(t, s)
	mustNext(t, s) // burned or used, it is issued
	mustExtend(t, s, 9)
	if !issued(7, 1) || !issued(7, 2) || issued(7, 3) || issued(9, 1) || issued(6, 1) || issued(8, 1) {
		t.Error("of 7:1, 7:2, not 7:3, 9:1, 6:1, 8:1, one is wrong")
	}
	s.SkipTo(idspace.MaxSerial)
	mustNext(t, s)
	if !issued(7, idspace.MaxSerial) || !issued(9, 1) || issued(9, 2) || issued(8, 1) {
		t.Error("after the switch: of 7:max, 9:1, not 9:2, 8:1, one is wrong")
	}
	for _, id := range []idspace.ID{0, 7 << idspace.SerialBits, 9 << idspace.SerialBits} {
		if s.Issued(id) {
			t.Errorf("Issued(%v) = true for an id that is not valid", id)
		}
	}
	if !s.Owns(7) || !s.Owns(9) || s.Owns(8) || s.Owns(0) {
		t.Errorf("Owns is wrong for %v", s.Numbers())
	}
}

func TestRemainingCountsCurrentAndReserve(t *testing.T) {
	const all = uint64(idspace.MaxSerial)
	s := newSequence(t, 7, nil)
	check := func(when string, want uint64) {
		t.Helper()
		if got := s.Remaining(); got != want {
			t.Errorf("%s: Remaining = %d, want %d", when, got, want)
		}
	}
	check("new", all)
	mustNext(t, s)
	check("one issued", all-1)
	mustExtend(t, s, 9)
	check("extended", 2*all-1)
	s.SkipTo(idspace.MaxSerial)
	mustNext(t, s)
	check("on the reserve", all-1)
}

func TestNewestIsTheReserveBeforeItIsBegun(t *testing.T) {
	s := newSequence(t, 7, nil)
	if got := s.Newest(); got != 7 {
		t.Errorf("Newest = %v, want 7", got)
	}
	mustExtend(t, s, 9)
	if got := s.Newest(); got != 9 {
		t.Errorf("Newest = %v, want 9", got)
	}
}

func TestNumbersAreTheCallersCopy(t *testing.T) {
	s := newSequence(t, 7, nil)
	s.Numbers()[0] = 99
	if !s.Owns(7) {
		t.Error("writing to the result of Numbers changed the sequence")
	}
}

// TestSequenceFollowsItsModel compares with the plain list of what is issued.
func TestSequenceFollowsItsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := idspace.NodeNumber(rapid.Uint64Range(1, 100).Draw(t, "first"))
		s, err := idspace.NewSequence(first, nil)
		if err != nil {
			t.Fatal(err)
		}
		var lastID idspace.ID
		t.Repeat(map[string]func(*rapid.T){
			"next": func(t *rapid.T) {
				left := s.Remaining()
				id, err := s.Next()
				if (err != nil) != (left == 0) {
					t.Fatalf("Next: %v with %d remaining", err, left)
				}
				if err == nil && (id <= lastID || !id.Valid() || !s.Issued(id) || s.Remaining() != left-1) {
					t.Fatalf("Next = %v after %v, %d remaining of %d", id, lastID, s.Remaining(), left)
				}
				lastID = max(lastID, id)
			},
			"skip": func(*rapid.T) {
				if lastID.Serial() < idspace.MaxSerial-1 { // never back
					s.SkipTo(idspace.MaxSerial - 1)
				}
			},
			"extend": func(t *rapid.T) {
				before := s.Numbers()
				n := idspace.NodeNumber(rapid.Uint64Range(0, 200).Draw(t, "n"))
				ok := s.Extend(n) == nil
				if ok && n <= slices.Max(before) || ok != s.Owns(n) && !slices.Contains(before, n) {
					t.Fatalf("Extend(%d) of %v: accepted %t", n, before, ok)
				}
			},
		})
	})
}

func TestConcurrentNextAsksOnce(t *testing.T) {
	const issuers, each = 8, 2000
	var asked atomic.Int64
	s := newSequence(t, 7, func() { asked.Add(1) })
	s.SkipTo(idspace.WantedSerial - issuers*each/2)
	var wg sync.WaitGroup
	for range issuers {
		wg.Go(func() {
			for range each {
				if _, err := s.Next(); err != nil {
					t.Errorf("Next: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if got := asked.Load(); got != 1 {
		t.Errorf("asked %d times for a number, want once", got)
	}
}

func TestConcurrentNextNeverRepeatsOverTheSwitch(t *testing.T) {
	const issuers, each = 8, 500
	for range 50 {
		s := newSequence(t, 7, nil)
		s.SkipTo(idspace.MaxSerial - issuers*each/2)
		issued := make([][]idspace.ID, issuers)
		var wg sync.WaitGroup
		for i := range issuers {
			wg.Go(func() {
				for len(issued[i]) < each {
					held := s.Numbers() // before Next, so that only one Extend of the issuers is not late
					if id, err := s.Next(); err == nil {
						issued[i] = append(issued[i], id)
						if !s.Issued(id) {
							t.Errorf("%v is issued and the sequence does not know it", id)
						}
						continue
					}
					_ = s.Extend(held[len(held)-1] + 1) // one of the issuers succeeds
				}
			})
		}
		wg.Wait()
		requireDistinctAscending(t, issued)
		if got := s.Numbers(); len(got) != 2 {
			t.Errorf("Numbers = %v, want two", got)
		}
	}
}

// requireDistinctAscending checks that no two issuers got the same id, and
// that each saw its own ascend.
func requireDistinctAscending(t *testing.T, issued [][]idspace.ID) {
	t.Helper()
	seen := make(map[idspace.ID]int)
	for i, ids := range issued {
		if !slices.IsSorted(ids) {
			t.Errorf("issuer %d: ids do not ascend", i)
		}
		for _, id := range ids {
			if j, ok := seen[id]; ok {
				t.Fatalf("id %v was issued to %d and %d", id, j, i)
			}
			seen[id] = i
		}
	}
}
