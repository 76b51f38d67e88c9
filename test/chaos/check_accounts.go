package chaos

import (
	"fmt"

	"flamingo/idspace"
)

// accounts compares the counts of the nodes that live with what was recorded. They
// are at rest.
func accounts(x *index) (all []Violation) {
	for _, l := range x.Lives {
		if !l.lives() {
			continue
		}
		stats, seen := map[string]int{}, map[Kind]int{}
		for _, r := range l.Records {
			seen[r.Kind]++
			if r.Kind == Stat {
				stats[r.Word] = r.Seq
			}
		}
		received, clients := x.received(l.Number)
		for _, c := range []struct {
			ok   bool
			what string
		}{
			{len(stats) > 0, "no counts"},
			{stats["accepted"] == stats["connections"]+stats["closed"], "accepted is not connections and closed"},
			{stats["accepted"] == seen[Opened], "accepted is not the opens recorded"},
			{stats["accepted"] >= clients, "accepted is less than the clients greeted"},
			{stats["closed"] == seen[Closed]+stats["closed-by-us"], "closed is not the closes recorded and our own"},
			{stats["messages-in"] == seen[Data], "messages-in is not the messages recorded"},
			{stats["messages-out"] >= received, "messages-out is less than what clients received"},
			{stats["undelivered"] == seen[Undelivered], "undelivered is not the reports recorded"},
			{stats["queued"]+stats["opens-waiting"]+stats["closes-waiting"]+stats["notices-dropped"] == 0, "something waits or was dropped"},
		} {
			if !c.ok {
				all = append(all, Violation{17, fmt.Sprintf("node %s: %s: counts %v, recorded %v, %d clients received %d", l.Number, c.what, stats, seen, clients, received)})
			}
		}
	}
	return all
}

// received counts the messages that clients of a node have read, greetings
// included, and these clients.
func (x *index) received(n idspace.NodeNumber) (messages, clients int) {
	for _, c := range x.Clients {
		if c.ID != 0 && c.ID.Node() == n {
			clients++
			messages += 1 + len(c.Got)
		}
	}
	return messages, clients
}
