package chaos

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"flamingo/idspace"
)

// A grant is a number that somebody was given who asked at call and had it at back.
type grant struct {
	number     idspace.NodeNumber
	call, back int64
}

// uniqueness finds numbers and ids that were issued twice, and grants that no
// order explains.
func uniqueness(x *index) (all []Violation) {
	var grants []grant
	for _, l := range x.Lives {
		for _, r := range l.Records {
			switch r.Kind { //nolint:exhaustive // the others grant nothing
			case Number:
				grants = append(grants, grant{idspace.NodeNumber(r.ID), l.Start, r.End})
			case Raced, Reborn:
				grants = append(grants, grant{idspace.NodeNumber(r.ID), r.Begin, r.End})
			}
		}
	}
	all = unordered(grants)
	clients := map[idspace.ID]int{}
	for _, c := range x.Clients {
		if clients[c.ID]++; c.ID != 0 && clients[c.ID] == 2 {
			all = append(all, Violation{8, fmt.Sprintf("id %s was issued twice", c.ID)})
		}
	}
	return all
}

// unordered finds numbers that were granted twice, and those for which one that is
// greater was there before they were asked for. Without either the grants are
// linearizable: in the order of their numbers.
func unordered(grants []grant) (all []Violation) {
	grants = slices.Clone(grants)
	slices.SortFunc(grants, func(a, b grant) int { return cmp.Compare(b.number, a.number) })
	next := grant{back: math.MaxInt64} // of the greater ones, the first that was there
	for i, g := range grants {
		if i > 0 && g.number == grants[i-1].number {
			all = append(all, Violation{8, fmt.Sprintf("number %s was granted twice", g.number)})
		}
		if next.back < g.call {
			all = append(all, Violation{8, fmt.Sprintf("number %s was granted when %s was there: not linearizable", g.number, next.number)})
		}
		if g.back < next.back {
			next = g
		}
	}
	return all
}
