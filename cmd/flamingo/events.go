package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// eventsCommand follows what becomes of the nodes of a cluster.
type eventsCommand struct {
	apiFlags

	Interval time.Duration `default:"1s" help:"How often to ask, 100ms to 1h."`
}

// Help is the end of the help text.
func (*eventsCommand) Help() string {
	return `Nodes that come, go, drain, lead or cannot be asked are seen by asking all of them again and again: what ` +
		`begins and ends between two questions is not. It ends with ^C; a node that does not answer is asked again.`
}

// An event is one thing that has changed.
type event struct {
	At   time.Time `json:"at"`
	Kind string    `json:"event"` // joined, left, state, leader, no-leader, silent, answers or lost-contact
	Node string    `json:"node,omitempty"`
	What string    `json:"what"`
}

// Bounds of what --interval and the like may say.
const (
	minInterval = 100 * time.Millisecond
	maxInterval = time.Hour
)

// checkInterval says what is wrong with how often to ask.
func checkInterval(d time.Duration) error {
	if d < minInterval || d > maxInterval {
		return badUse("--interval %v: want %v to %v", d, minInterval, maxInterval)
	}
	return nil
}

// Run prints events until ctx is done.
func (c *eventsCommand) Run(ctx context.Context, con *console) error {
	if err := checkInterval(c.Interval); err != nil {
		return err
	}
	before, body, err := c.survey(ctx)
	if err != nil {
		return c.failed(con, body, err)
	}
	if err := c.print(con, begin(before)); err != nil {
		return err
	}
	tick := time.NewTicker(c.Interval)
	defer tick.Stop()
	reached := true
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		after, _, err := c.survey(ctx)
		switch {
		case ctx.Err() != nil:
			return nil // it was interrupted, as the user wanted
		case err != nil && reached:
			err = c.print(con, []event{{time.Now(), "lost-contact", "", printable(err.Error())}})
			reached = false
		case err == nil:
			err = c.print(con, changes(before, after))
			before, reached = after, true
		default:
			err = nil
		}
		if err != nil {
			return err
		}
	}
}

func (c *eventsCommand) print(con *console, events []event) error {
	for _, e := range events {
		var err error
		if c.JSON {
			err = json.NewEncoder(con.out).Encode(e)
		} else {
			_, err = fmt.Fprintf(con.out, "%s  %-12s  %s\n", e.At.UTC().Format("2006-01-02T15:04:05.000Z"), e.Kind, e.What)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// begin is the state that events go out from, as events.
func begin(s *survey) []event { return changes(&survey{At: s.At}, s) }

// changes are what differs between two surveys.
func changes(before, after *survey) []event {
	var events []event
	add := func(kind, node, what string) {
		events = append(events, event{after.At, kind, printable(node), printable(what)})
	}
	for i := range after.Nodes {
		n := &after.Nodes[i]
		was := before.node(n)
		switch {
		case was == nil:
			add("joined", n.Name, fmt.Sprintf("%s is %s, number %s", n.Name, n.State, orDash(n.Number)))
		case was.State != n.State:
			add("state", n.Name, fmt.Sprintf("%s was %s and is %s", n.Name, was.State, n.State))
		}
		switch silent := was != nil && !was.counted(); {
		case !n.counted() && !silent:
			add("silent", n.Name, n.Name+" cannot be asked: "+n.Missing)
		case n.counted() && silent:
			add("answers", n.Name, n.Name+" answers again")
		}
	}
	for i := range before.Nodes {
		if n := &before.Nodes[i]; after.node(n) == nil {
			add("left", n.Name, fmt.Sprintf("%s, number %s, is gone", n.Name, orDash(n.Number)))
		}
	}
	switch was, is := before.leader(), after.leader(); {
	case is != nil && (was == nil || was.Number != is.Number):
		add("leader", is.Name, fmt.Sprintf("%s leads the voters in term %.0f", is.Name, is.Samples.sum("raft_term")))
	case is == nil && was != nil:
		add("no-leader", "", "no leader of the voters is known")
	}
	return events
}

// node returns the same life of a node: the one with its number, or while it has
// none its name.
func (s *survey) node(like *surveyed) *surveyed {
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if n.Number == like.Number && (n.Number != "" || n.Name == like.Name) {
			return n
		}
	}
	return nil
}
