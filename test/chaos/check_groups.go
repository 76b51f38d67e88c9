package chaos

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"flamingo/idspace"
)

// heardWithin is how long after a connection joined a group through another node,
// or after nodes that were apart reach each other again, whoever publishes must
// have heard of it.
const heardWithin = 2 * second

// arriveWithin is how long what was accepted outside of a fault may be on its way.
const arriveWithin = 10 * second

// Failures is the word of a record of kind Published for the outcomes of nodes.
func Failures(failed map[idspace.NodeNumber]string) string {
	var words []string
	for _, n := range slices.Sorted(maps.Keys(failed)) {
		words = append(words, n.String()+"="+failed[n])
	}
	return strings.Join(words, ",")
}

// failure returns the outcome that a record of kind Published has for a node.
func failure(word string, n idspace.NodeNumber) (outcome string, ok bool) {
	for f := range strings.SplitSeq(word, ",") {
		if number, outcome, found := strings.Cut(f, "="); found && number == n.String() {
			return outcome, true
		}
	}
	return "", false
}

// A membership is that of a connection in a group.
type membership struct {
	id      idspace.ID
	through idspace.NodeNumber // the node that has joined it
	since   int64
	until   int64 // when the connection ended
}

// groups compares what nodes published with what members received. That nothing
// arrives twice or late is for disorder to find.
func groups(x *index) (all []Violation) {
	members := map[byte][]membership{}
	for _, l := range x.Lives {
		for _, r := range l.Records {
			if r.Kind == Joined && r.Word == Accepted && x.clients[r.ID] != nil {
				until := int64(math.MaxInt64)
				if c := x.clients[r.ID]; c.Ended {
					until = c.EndedAt
				}
				members[r.Stream] = append(members[r.Stream], membership{r.ID, l.Number, r.End, until})
			}
		}
	}
	for _, l := range x.Lives {
		if l.Number == 0 {
			continue
		}
		lost := map[Record]bool{}
		for i := range l.Records {
			p := &l.Records[i]
			if p.Kind != Published || !l.judged(p.End) {
				continue
			}
			if p.Word != "" && !strings.Contains(p.Word, "=") {
				all = append(all, Violation{19, fmt.Sprintf("message %c%d of %s to a group was answered %s", p.Stream, p.Seq, l.Number, p.Word)})
				continue
			}
			for _, m := range members[p.Stream] {
				if m.since > p.Begin || m.until < p.End+arriveWithin {
					continue
				}
				fault, excusable := x.reached(l, p, m)
				if fault != "" {
					all = append(all, Violation{19, fmt.Sprintf("message %c%d of %s to a group: member %s %s", p.Stream, p.Seq, l.Number, m.id, fault)})
				}
				if excusable {
					lost[Record{Stream: p.Stream, Seq: p.Seq, ID: idspace.ID(m.id.Node())}] = true
				}
			}
		}
		if counted := l.stat("group-lost"); l.lives() && len(lost) > counted {
			all = append(all, Violation{19, fmt.Sprintf("%d times a message of %s to a group has not come to a node that took it, and %d are counted as lost", len(lost), l.Number, counted)})
		}
	}
	return all
}

// reached judges what became of a message to a group at a member. Excusable is a
// loss that the publisher must have counted.
func (x *index) reached(l *Life, p *Record, m membership) (fault string, excusable bool) {
	owner := x.lives[m.id.Node()]
	arrived := x.arrived(flowKey{l.Number, m.id, p.Stream}, p.Seq)
	outcome, failed := failure(p.Word, m.id.Node())
	switch {
	case failed && arrived && outcome != Uncertain:
		return "has it, and its node failed as " + outcome, false
	case arrived || owner == nil:
		return "", false
	case failed && x.excused(l.Number, owner.Number, p.Begin, p.End):
		return "", false
	case failed:
		return "has not got it: its node failed as " + outcome + ", outside of a fault that may cost one", false
	case p.Begin < x.heard(l, owner, m):
		return "", false // nobody has told the publisher of it, perhaps
	case owner != l && x.excused(l.Number, owner.Number, p.Begin, p.End+heardWithin):
		return "", owner.lives()
	}
	return fmt.Sprintf("of node %s has not got it, and its node did not fail", m.id.Node()), false
}

// heard is when a node must know that another one has a member.
func (x *index) heard(l, owner *Life, m membership) int64 {
	if m.through == l.Number {
		return m.since
	}
	at := max(m.since, l.opened())
	for _, f := range x.Faults { // in the order of time
		if !f.Lossless && f.Begin <= at+heardWithin && f.End > at && (slices.Contains(f.Nodes, l.Node) || slices.Contains(f.Nodes, owner.Node)) {
			at = f.End
		}
	}
	return at + heardWithin
}

// opened is when the node had its number.
func (l *Life) opened() int64 {
	for i := range l.Records {
		if l.Records[i].Kind == Number {
			return l.Records[i].End
		}
	}
	return l.Start
}

// stat is the last count of a name.
func (l *Life) stat(name string) int {
	for i := len(l.Records) - 1; i >= 0; i-- {
		if l.Records[i].Kind == Stat && l.Records[i].Word == name {
			return l.Records[i].Seq
		}
	}
	return 0
}
