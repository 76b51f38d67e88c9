package chaos

import (
	"fmt"
	"slices"
	"time"

	"flamingo/idspace"
)

// second is one of the clock of the records.
const second = int64(time.Second)

// A History is what the processes and the clients of a run have recorded.
type History struct {
	Lives   []*Life
	Clients []*Client
	Faults  []Fault
}

// A Life is one process of one node.
type Life struct {
	Node    int // which node of the run
	Number  idspace.NodeNumber
	Start   int64 // when the process was started
	End     int64 // when it was about to be killed or told to leave; 0: it was there to the end
	Left    bool  // as it was told to, and has said so: what it sent is judged, too
	Fate    Fate  // how it ended; empty if it did not
	Records []Record
}

// lives reports whether all that the life did is recorded, and judged by it.
func (l *Life) lives() bool { return l.End == 0 }

// judged reports whether what the life did at a time is: it was there, and not about
// to end.
func (l *Life) judged(at int64) bool { return l.lives() || at < l.End }

// A Client is one connection.
type Client struct {
	ID      idspace.ID // from the greeting; 0 without
	Got     []Receipt  // in its order
	Sent    int        // messages
	Damage  []string   // what it has read and is no message
	Ended   bool       // by either side
	EndedAt int64      // when that was seen
	EndsAs  string     // how we ended it: fin, reset; empty if we did not
}

// A Receipt is a message that a client has read.
type Receipt struct {
	Message
	At int64
}

// A Fault is what the nemesis has done, from Begin until all nodes that live
// reached each other again.
type Fault struct {
	Step       Step
	Nodes      []int // that may feel it
	Begin, End int64
	Lossless   bool   // nothing may be refused, late or uncertain for it
	Proof      string // that it took effect
}

// A Violation is what must not have happened.
type Violation struct {
	Invariant int // as numbered in the package's documentation
	Text      string
}

func (v Violation) String() string { return fmt.Sprintf("invariant %d: %s", v.Invariant, v.Text) }

// Violations returns what is wrong with the history, in time linear in its length.
func (h *History) Violations() []Violation {
	x := h.index()
	var all []Violation
	for _, check := range []func(*index) []Violation{
		misdeliveries, disorder, damage, holes, answers, lateAnswers, closes, uniqueness, accounts,
		watches, groups, afterlives, farewells, strangers,
	} {
		all = append(all, check(x)...)
	}
	return all
}

// flowKey names what one sender sends to one connection.
type flowKey struct {
	from   idspace.NodeNumber
	to     idspace.ID
	stream byte
}

// A flow is what was sent and has arrived under a key, each in its order.
type flow struct {
	sent []Record
	got  []Receipt
	// reported holds how many messages of the flow Undelivered told of, by outcome.
	reported map[string]int
	arrived  map[int]bool
}

func (f *flow) missing(r *Record) bool { return !f.arrived[r.Seq] }

func (f *flow) reports() (all, certain int) {
	for word, n := range f.reported {
		all += n
		if word != Uncertain {
			certain += n
		}
	}
	return all, certain
}

// An index is a history by what the checks look for.
type index struct {
	*History
	lives   map[idspace.NodeNumber]*Life
	clients map[idspace.ID]*Client
	flows   map[flowKey]*flow
	keys    []flowKey // of flows, in the order they came up

	published map[flowKey]map[int]bool // messages to groups: who publishes, and the stream
}

func (h *History) index() *index {
	x := &index{
		History: h, lives: map[idspace.NodeNumber]*Life{}, clients: map[idspace.ID]*Client{},
		flows: map[flowKey]*flow{}, published: map[flowKey]map[int]bool{},
	}
	for _, l := range h.Lives {
		if l.Number != 0 {
			x.lives[l.Number] = l
		}
	}
	for _, c := range h.Clients {
		if c.ID == 0 {
			continue
		}
		x.clients[c.ID] = c
		for _, r := range c.Got {
			f := x.flow(flowKey{r.From, c.ID, r.Stream})
			f.got = append(f.got, r)
			f.arrived[r.Seq] = true
		}
	}
	for _, l := range h.Lives {
		for _, r := range l.Records {
			switch r.Kind {
			case Sent:
				f := x.flow(flowKey{l.Number, r.ID, r.Stream})
				f.sent = append(f.sent, r)
			case Undelivered:
				x.flow(flowKey{l.Number, r.ID, StreamData}).reported[r.Word]++
			case Published:
				k := flowKey{from: l.Number, stream: r.Stream}
				if x.published[k] == nil {
					x.published[k] = map[int]bool{}
				}
				x.published[k][r.Seq] = true
			case Number, Opened, Data, Closed, Kicked, Leads, Raced, Link, Stat, Watched, Noticed, Joined, Reborn, Retired, Intruded, Answered:
			}
		}
	}
	for _, f := range x.flows {
		slices.SortStableFunc(f.sent, func(a, b Record) int { return a.Seq - b.Seq })
	}
	return x
}

func (x *index) flow(k flowKey) *flow {
	f := x.flows[k]
	if f == nil {
		f = &flow{reported: map[string]int{}, arrived: map[int]bool{}}
		x.flows[k] = f
		x.keys = append(x.keys, k)
	}
	return f
}

// arrived reports whether a message of a flow has.
func (x *index) arrived(k flowKey, seq int) bool {
	f := x.flows[k]
	return f != nil && f.arrived[seq]
}

// complete reports whether the sender of the flow lives or has left in order, so that
// all it did and was told is known.
func (x *index) complete(k flowKey) bool {
	l := x.lives[k.from]
	return l != nil && (l.lives() || l.Left)
}

// open reports whether the connection was there to the end, on a node that lives.
func (x *index) open(id idspace.ID) bool {
	c, owner := x.clients[id], x.lives[id.Node()]
	return c != nil && !c.Ended && owner != nil && owner.lives()
}

// excused reports whether a fault lets a send or a report between two times, from
// one node to another, end otherwise than well.
func (x *index) excused(from, to idspace.NodeNumber, begin, end int64) bool {
	sender, owner := x.lives[from], x.lives[to]
	if sender == nil || owner == nil || !owner.lives() && owner.End <= end {
		return true // what was for a life that has ended may be given up late
	}
	for _, f := range x.Faults {
		if !f.Lossless && begin <= f.End && end >= f.Begin &&
			(slices.Contains(f.Nodes, sender.Node) || slices.Contains(f.Nodes, owner.Node)) {
			return true
		}
	}
	return false
}

// summary says how much there was to judge.
func (h *History) summary() string {
	words, reports, notices := map[string]int{}, map[string]int{}, map[string]int{}
	got, ended, joined, published, partly := 0, 0, 0, 0, 0
	for _, l := range h.Lives {
		for _, r := range l.Records {
			switch r.Kind { //nolint:exhaustive // the others are not counted
			case Sent:
				words[r.Word]++
			case Undelivered:
				reports[r.Word]++
			case Noticed:
				notices[r.Word]++
			case Joined:
				joined++
			case Published:
				if published++; r.Word != "" {
					partly++
				}
			}
		}
	}
	for _, c := range h.Clients {
		got += len(c.Got)
		if c.Ended {
			ended++
		}
	}
	return fmt.Sprintf("%d lives, %d connections (%d ended), %d messages arrived, answers %v, reports %v, notices of watches %v, %d memberships, %d published (%d not to all nodes)",
		len(h.Lives), len(h.Clients), ended, got, words, reports, notices, joined, published, partly)
}
