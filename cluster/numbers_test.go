package cluster_test

import (
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"flamingo/cluster"
	"flamingo/idspace"
)

// manyNumbers returns so many live numbers, every third of those up to last.
func manyNumbers(count int) (last idspace.NodeNumber, live map[idspace.NodeNumber]idspace.BootID) {
	live = make(map[idspace.NodeNumber]idspace.BootID)
	for i := range count {
		last += 3
		live[last] = idspace.BootID{1, byte(i >> 16), byte(i >> 8), byte(i)}
	}
	return last, live
}

func TestTwentyThousandLiveNumbersComeInPages(t *testing.T) {
	last, live := manyNumbers(20_000)
	retired := make([]idspace.NodeNumber, 0, idspace.RetiredKept)
	for i := range cap(retired) {
		retired = append(retired, idspace.NodeNumber(3*i+1))
	}
	voter, asking := cluster.NewNumbers(last, live, retired...), &cluster.Numbers{}
	pages, next := 0, idspace.NodeNumber(0)
	for more := true; more; more = next != 0 {
		answer := voter.Answer(next)
		if len(answer) > 64<<10 {
			t.Fatalf("page %d has %d bytes, want 64 KiB at most", pages, len(answer))
		}
		var err error
		if next, err = asking.Take(answer); err != nil {
			t.Fatalf("page %d: %v", pages, err)
		}
		pages++
	}
	gotLast, got, gotRetired := asking.Taken()
	if gotLast != last || !maps.Equal(got, live) || gotRetired != len(retired) {
		t.Errorf("%d pages say last %v, %d live and %d retired; want %v, %d and %d",
			pages, gotLast, len(got), gotRetired, last, len(live), len(retired))
	}
	if want := (len(live) + cluster.NumbersPerPage - 1) / cluster.NumbersPerPage; pages != want {
		t.Errorf("%d pages, want %d", pages, want)
	}
}

// While the pages come, lives begin and end. None that has ended becomes live by it,
// and none that is live is missing.
func TestPagesOfLaterStatesFitTogether(t *testing.T) {
	last, live := manyNumbers(3 * cluster.NumbersPerPage)
	asking := &cluster.Numbers{}
	next, err := asking.Take(cluster.NewNumbers(last, live).Answer(0))
	if err != nil {
		t.Fatal(err)
	}
	later := maps.Clone(live)
	ended := next + 3*10 // not told yet
	early := idspace.NodeNumber(3)
	delete(later, ended)
	delete(later, early) // told already
	later[last+1] = idspace.BootID{2}
	for next != 0 {
		if next, err = asking.Take(cluster.NewNumbers(last+1, later, ended).Answer(next)); err != nil {
			t.Fatal(err)
		}
	}
	gotLast, got, retired := asking.Taken()
	if gotLast != last || retired != 1 {
		t.Errorf("last is %v with %d retired, want %v and 1", gotLast, retired, last)
	}
	for n := range live {
		if _, ok := got[n]; ok != (n != ended) {
			t.Errorf("number %v is live: %v, want %v", n, ok, n != ended)
		}
	}
	if _, ok := got[last+1]; ok {
		t.Errorf("number %v is live, later than last, %v", last+1, last)
	}
}

// A voter that lags does not know of ends that the first page knew of.
func TestPagesOfEarlierStatesAreRefused(t *testing.T) {
	last, live := manyNumbers(2 * cluster.NumbersPerPage)
	before := maps.Clone(live)
	before[1] = idspace.BootID{9}
	for _, tt := range []struct {
		name  string
		voter *cluster.Numbers
		want  bool
	}{
		{"the same state", cluster.NewNumbers(last, live), true},
		{"before an end", cluster.NewNumbers(last, before), false},
		{"before a grant", cluster.NewNumbers(last-1, live), false},
		{"after a grant", cluster.NewNumbers(last+1, before), true},
	} {
		asking := &cluster.Numbers{}
		next, err := asking.Take(cluster.NewNumbers(last, live).Answer(0))
		if err != nil || next == 0 {
			t.Fatalf("the first of two pages: next %v, %v", next, err)
		}
		if _, err := asking.Take(tt.voter.Answer(next)); (err == nil) != tt.want {
			t.Errorf("%s: %v, want it taken: %v", tt.name, err, tt.want)
		}
	}
}

// A number that is missing would be taken for one that has ended.
func TestPagesThatLackANumberAreRefused(t *testing.T) {
	last, live := manyNumbers(cluster.NumbersPerPage + 1)
	voter := cluster.NewNumbers(last, live)
	first := voter.Answer(0)
	for lacking := range 2 {
		asking := &cluster.Numbers{}
		next, err := asking.Take(first)
		if err != nil {
			t.Fatal(err)
		}
		_, err = asking.Take(voter.Answer(next + idspace.NodeNumber(lacking)))
		if (err != nil) != (lacking > 0) {
			t.Errorf("%d numbers are in no page: %v", lacking, err)
		}
	}
}

func TestPageOfTheProtocolSaysHowManyNumbersAPageHas(t *testing.T) {
	for _, file := range []string{"protocol.md", "architecture.md"} {
		text, err := os.ReadFile("../docs/" + file)
		if err != nil {
			t.Fatal(err)
		}
		n := cluster.NumbersPerPage
		if want := fmt.Sprintf("%d,%03d", n/1000, n%1000); !strings.Contains(string(text), want) {
			t.Errorf("%s does not say %s", file, want)
		}
	}
}

// A node outside of raft learns of ends and of retirements, though no answer has room
// for all numbers.
func TestNodeOutsideLearnsOfEndsPageByPage(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		lives := w.startAll(w.plans(7, 3))
		for _, n := range lives {
			n.SetPage(2)
		}
		w.await("the voters", func() bool { return len(w.leaderOf(lives...).State().Voters) == 3 })
		var outside []*life
		for _, n := range lives {
			if n.State().Leader.IsZero() {
				outside = append(outside, n)
			}
		}
		if len(outside) != 4 {
			t.Fatalf("%d nodes are outside, want 4", len(outside))
		}
		left, lost, asking := outside[0], outside[1], outside[2]
		if err := left.stop(); err != nil {
			t.Fatal(err)
		}
		lost.kill()
		<-time.After(time.Minute)
		if err := asking.Retire(t.Context(), lost.number, false); err != nil {
			t.Fatal(err)
		}
		for _, n := range []*life{asking, outside[3]} {
			w.await(n.name+" to know", func() bool {
				return n.Fate(left.number) == cluster.FateEnded && n.Fate(lost.number) == cluster.FateRetired
			})
			for _, of := range without(lives, left, lost) {
				if f := n.Fate(of.number); f != cluster.FateOpen {
					t.Errorf("%s says of %s: fate %v, want open", n.name, of.name, f)
				}
			}
		}
	})
}
