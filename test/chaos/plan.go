package chaos

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What is what a step of a plan does.
type What string

// The faults.
const (
	Kill      What = "kill"       // kill -9, and start again
	Partition What = "partition"  // no packet between Node and the others, either way
	OneWay    What = "one-way"    // Node hears nothing from the others
	Datagrams What = "datagrams"  // no UDP between Node and the others
	Abort     What = "abort"      // every connection between nodes that Node has, For in turn
	Pause     What = "pause"      // SIGSTOP, and SIGCONT after For
	Lead      What = "lead"       // whoever leads is ended: killed, paused, cut off or told to leave
	Wipe      What = "wipe"       // kill -9, and start again without the data directory
	SyncError What = "sync-error" // fdatasync fails with EIO; then as Kill
	DiskFull  What = "disk-full"  // pwrite64 fails with ENOSPC; then as Kill
	SlowDisk  What = "slow-disk"  // fdatasync takes 3 s; then as Kill
	Relay     What = "relay"      // packets between Node and Peer are delayed, lost, doubled, reordered
	Grants    What = "grants"     // Times nodes ask for numbers at once
	Draining  What = "drain"      // Node is drained over For, leaves, and is started again
	Retiring  What = "retire"     // kill -9, the number is retired, and start again
	Exile     What = "exile"      // as Partition, until the number is retired; then the node must take another one
	Intruding What = "intrude"    // nodes without the cluster's key, or with another, ask for numbers
)

// everything is every fault there is.
var everything = []What{
	Kill, Partition, OneWay, Datagrams, Abort, Pause, Lead, Wipe, SyncError, DiskFull, SlowDisk, Relay, Grants, Draining,
	Retiring, Exile, Intruding,
}

// A Step is one fault of a plan.
type Step struct {
	What  What
	Node  int // of the run; of Lead the way
	Peer  int // another node
	Times int // of Abort and Grants
	For   time.Duration
}

func (s Step) String() string {
	return fmt.Sprintf("%s node %d peer %d times %d for %v", s.What, s.Node, s.Peer, s.Times, s.For)
}

// Counts says how often a plan has each fault.
type Counts map[What]int

// PerRun is what every run of CI has: about two minutes.
var PerRun = Counts{
	Kill: 10, Partition: 2, OneWay: 1, Datagrams: 1, Abort: 50, Pause: 3, Lead: 5, Wipe: 1, SyncError: 1, Relay: 1, Grants: 8,
	Draining: 1, Exile: 1, Intruding: 1,
}

// PerTenMinutes is what ten minutes of a long run have.
var PerTenMinutes = Counts{
	Kill: 50, Partition: 10, OneWay: 10, Datagrams: 2, Abort: 100, Pause: 10, Lead: 20, Wipe: 1, SyncError: 1, DiskFull: 1,
	SlowDisk: 1, Relay: 3, Grants: 1000, Draining: 5, Retiring: 3, Exile: 3, Intruding: 2,
}

// beyondMemory is longer than gossip remembers the dead.
const beyondMemory = 65 * time.Second

const (
	abortsAtOnce = 10
	grantsAtOnce = 25
)

// Plan returns the steps for a seed, nodes numbered from 0. The same arguments
// give the same plan. If there are ten partitions or more, the first is longer than
// gossip remembers the dead.
func Plan(seed uint64, nodes int, counts Counts) []Step {
	dice := rand.New(rand.NewPCG(seed, 0x6368616f73))
	between := func(least, most time.Duration) time.Duration {
		return least + time.Duration(dice.Int64N(int64(most-least)))
	}
	var steps []Step
	for _, what := range everything {
		batch := 1
		switch what { //nolint:exhaustive // the others come one by one
		case Abort:
			batch = abortsAtOnce
		case Grants:
			batch = grantsAtOnce
		}
		for i, left := 0, counts[what]; left > 0; i, left = i+1, left-batch {
			s := Step{What: what, Node: dice.IntN(nodes), Times: min(batch, left)}
			s.Peer = (s.Node + 1 + dice.IntN(nodes-1)) % nodes
			switch what { //nolint:exhaustive // the others take the time they take
			case Partition, OneWay, Datagrams:
				s.For = between(time.Second/2, 5*time.Second)
				if what == Partition && i == 0 && counts[what] >= 10 {
					s.For = beyondMemory
				}
			case Abort:
				s.For = between(50*time.Millisecond, 250*time.Millisecond)
			case Pause:
				s.For = between(time.Second/10, 4*time.Second)
			case Lead:
				s.Node = i // way after way
			case Intruding:
				s.For = 3 * time.Second // enough for a node that is let in, unless the machine is busy
			case Draining:
				s.For = between(time.Second/2, 3*time.Second)
			case Relay, SlowDisk:
				s.For = between(4*time.Second, 8*time.Second)
			}
			steps = append(steps, s)
		}
	}
	dice.Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
	// A voter without its disk is replaced after minutes. Until then the others
	// are all that is left of the majority: only a kill may follow.
	var late []Step
	steps = slices.DeleteFunc(steps, func(s Step) bool {
		if s.What == Wipe {
			late = append(late, s)
		}
		return s.What == Wipe
	})
	if i := slices.IndexFunc(steps, func(s Step) bool { return s.What == Kill }); i >= 0 && len(late) > 0 {
		late = append(late, steps[i])
		steps = slices.Delete(steps, i, i+1)
	}
	return append(steps, late...)
}

// scaled returns the counts for a part of the time, 0 to 1; none becomes zero.
func (c Counts) scaled(part float64) Counts {
	s := Counts{}
	for what, n := range c {
		s[what] = max(1, int(math.Round(float64(n)*part)))
	}
	return s
}

// ParseCounts reads counts as in "kill=3,drain=1". The error names what is wrong and
// what is allowed.
func ParseCounts(text string) (Counts, error) {
	c := Counts{}
	for f := range strings.SplitSeq(text, ",") {
		what, number, _ := strings.Cut(f, "=")
		n, err := strconv.Atoi(number)
		if err != nil || n < 1 || !slices.Contains(everything, What(what)) {
			return nil, fmt.Errorf("%q: allowed is FAULT=COUNT, a fault being one of %v and a count a number from 1, separated by commas", f, everything)
		}
		c[What(what)] = n
	}
	return c, nil
}
