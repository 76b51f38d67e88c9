package chaos

import (
	"fmt"

	"flamingo/idspace"
)

// A Fate is how a life ended.
type Fate string

// The fates.
const (
	Killed  Fate = "killed"  // the node was started again, with its disk
	Wiped   Fate = "wiped"   // the node was started again, without
	Quit    Fate = "quit"    // it left, as it was told to
	GivenUp Fate = "retired" // the others have retired its number, and it came back
)

// reasons are those that a watch may give for it.
func (f Fate) reasons() []string {
	switch f {
	case Quit:
		return []string{"shutdown", "drained", nodeEnded}
	case GivenUp:
		return []string{nodeRetired}
	case Killed, Wiped:
	}
	return []string{nodeEnded}
}

// next is the number with which the process went on when its own was retired; 0: it
// was not.
func (l *Life) next() idspace.NodeNumber {
	for i := len(l.Records) - 1; l.Fate == GivenUp && i >= 0; i-- {
		if l.Records[i].Kind == Reborn {
			return idspace.NodeNumber(l.Records[i].ID)
		}
	}
	return 0
}

// knownWithin is how long after a life has ended, and all nodes that live reach
// each other, every node must know that it has: it asks every second, and an answer
// takes 3 s at most.
const knownWithin = 5 * second

// afterlives finds sends to connections of a life that ended long ago, which must
// be answered gone, and retired numbers that were not given up for a greater one.
func afterlives(x *index) (all []Violation) {
	known := map[idspace.NodeNumber]int64{}
	for _, l := range x.Lives {
		if l.Number == 0 || l.lives() || l.Fate == Wiped {
			continue
		}
		for _, f := range x.Faults {
			if f.Begin <= l.End && l.End <= f.End {
				known[l.Number] = f.End + knownWithin
			}
		}
	}
	for _, l := range x.Lives {
		for i := range l.Records {
			r := &l.Records[i]
			switch r.Kind { //nolint:exhaustive // the others are not to lives that ended
			case Reborn:
				if idspace.NodeNumber(r.ID) <= l.Number {
					all = append(all, Violation{20, fmt.Sprintf("node %s was retired, and went on with %s", l.Number, idspace.NodeNumber(r.ID))})
				}
			case Sent:
				since, ended := known[r.ID.Node()]
				if ended && l.judged(r.End) && r.Begin > since && r.Word != Gone && !x.excused(l.Number, l.Number, r.Begin, r.End) {
					all = append(all, Violation{20, fmt.Sprintf("message %c%d of %s to %s was answered %s, and its node has ended", r.Stream, r.Seq, l.Number, r.ID, r.Word)})
				}
			}
		}
	}
	return all
}

// farewells finds messages to connections that were ended by a node, which were
// accepted, and have neither arrived nor were reported. The client has read all
// there was.
func farewells(x *index) (all []Violation) {
	for _, k := range x.keys {
		owner, c := x.lives[k.to.Node()], x.clients[k.to]
		if owner == nil || c == nil || !c.Ended || c.EndsAs != "" || !x.complete(k) || !owner.lives() && !owner.Left {
			continue
		}
		f, missing := x.flows[k], 0
		for i := range f.sent {
			if r := &f.sent[i]; (r.Word == Accepted || r.Word == Written) && f.missing(r) {
				missing++
			}
		}
		if reported, _ := f.reports(); missing > reported {
			all = append(all, Violation{13, fmt.Sprintf("%d accepted messages %c of %s to %s, which its node ended, have not arrived, and %d are reported", missing, k.stream, k.from, k.to, reported)})
		}
	}
	return all
}

// strangers finds numbers of nodes that have not the key of the cluster.
func strangers(x *index) (all []Violation) {
	for _, l := range x.Lives {
		for i := range l.Records {
			if r := &l.Records[i]; r.Kind == Intruded {
				all = append(all, Violation{16, fmt.Sprintf("a stranger with %s was granted number %s", r.Word, idspace.NodeNumber(r.ID))})
			}
		}
	}
	return all
}
