package chaos

import (
	"fmt"
	"time"

	"github.com/anishathalye/porcupine"

	"flamingo/idspace"
)

// grantModel is what all who ask may believe: a number is greater than every one
// that was granted before it.
var grantModel = porcupine.Model{
	Init: func() any { return idspace.NodeNumber(0) },
	Step: func(state, _, output any) (bool, any) {
		last, got := state.(idspace.NodeNumber), output.(idspace.NodeNumber)
		return got > last, got
	},
}

// linearizeWithin bounds the search; what is not settled by then counts as wrong.
const linearizeWithin = time.Minute

// uniqueness finds numbers and ids that were issued twice, and grants that no
// order explains.
func uniqueness(x *index) (all []Violation) {
	holders := map[idspace.NodeNumber]int{}
	var grants []porcupine.Operation
	grant := func(who int, n idspace.NodeNumber, call, back int64) {
		if holders[n]++; holders[n] == 2 {
			all = append(all, Violation{8, fmt.Sprintf("number %s was granted twice", n)})
		}
		grants = append(grants, porcupine.Operation{ClientId: who, Output: n, Call: call, Return: back})
	}
	for _, l := range x.Lives {
		for _, r := range l.Records {
			switch r.Kind { //nolint:exhaustive // the others grant nothing
			case Number:
				grant(len(grants), idspace.NodeNumber(r.ID), l.Start, r.End)
			case Raced:
				grant(len(grants), idspace.NodeNumber(r.ID), r.Begin, r.End)
			}
		}
	}
	if got := porcupine.CheckOperationsTimeout(grantModel, grants, linearizeWithin); got != porcupine.Ok {
		all = append(all, Violation{8, fmt.Sprintf("%d grants are not linearizable: %v", len(grants), got)})
	}
	clients := map[idspace.ID]int{}
	for _, c := range x.Clients {
		if clients[c.ID]++; c.ID != 0 && clients[c.ID] == 2 {
			all = append(all, Violation{8, fmt.Sprintf("id %s was issued twice", c.ID)})
		}
	}
	return all
}
