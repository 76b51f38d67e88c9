package node_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"flamingo/node"
)

// take runs TakeEvents until the node is closed or the test ends, and returns what it
// hands out, one by one. What the test leaves is done with at the end.
func take(t *testing.T, n *node.Node) <-chan node.Event {
	t.Helper()
	events := make(chan node.Event, 1000)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := n.TakeEvents(ctx, func(batch []node.Event) {
			for _, e := range batch {
				events <- e
			}
		}); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("TakeEvents: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	return events
}

func expectEvent(t *testing.T, events <-chan node.Event, want node.EventType, id node.ID, data string) node.Event {
	t.Helper()
	e := receive(t, "an event", events)
	if e.Type != want || id != 0 && e.ID != id || string(e.Data) != data {
		t.Fatalf("event %d of %v, %q; want %d of %v, %q", e.Type, e.ID, e.Data, want, id, data)
	}
	return e
}

// A message that is not done with keeps a client that has ended its input, and its
// close unreported, however long that takes.
func TestHeldMessageKeepsItsConnection(t *testing.T) {
	eachDriver(t, func(t *testing.T, opts node.Opts) {
		n := start(t, opts)
		events := take(t, n)
		c := connect(t, n)
		open := expectEvent(t, events, node.EventOpen, 0, "")
		n.DoneEvents([]node.Event{open})
		c.say("one\ntwo\n")
		if err := c.tcp().CloseWrite(); err != nil {
			t.Fatal(err)
		}
		one := expectEvent(t, events, node.EventMessage, open.ID, "one")
		two := expectEvent(t, events, node.EventMessage, open.ID, "two")
		n.DoneEvents([]node.Event{two}) // another order than that in which they were taken
		for _, text := range []string{"1", "2"} {
			if err := n.SendData(open.ID, []byte(text)); err != nil {
				t.Fatalf("send to a client whose message is held: %v", err)
			}
			c.expect(text)
		}
		select {
		case e := <-events:
			t.Fatalf("event %d of %v while a message is held", e.Type, e.ID)
		default:
		}
		n.DoneEvents([]node.Event{one})
		c.expectEnd()
		end := expectEvent(t, events, node.EventClose, open.ID, "")
		if end.Why != node.ReasonClient {
			t.Errorf("closed for %v, want %v", end.Why, node.ReasonClient)
		}
		n.DoneEvents([]node.Event{end})
	})
}

// Held messages are what pauses reading: everybody waits, and what is done with is
// made up for.
func TestHeldMessagesHoldUpReadingAlone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		const lines, size, limit = 1000, 1000, 64 << 10
		opts := w.fabric()[0]
		opts.Expect, opts.QueueBytes = 1, limit
		n := w.open(opts)
		events := take(t, n)
		c := w.dial(n)
		n.DoneEvents([]node.Event{<-events})
		var saying sync.WaitGroup
		defer saying.Wait()
		saying.Go(func() { c.say(strings.Repeat(strings.Repeat("x", size-1)+"\n", lines)) })
		got := 0
		for got < lines {
			synctest.Wait()
			held := len(events)
			if most := 2 * limit / size; held == 0 || held > most {
				t.Fatalf("%d messages are held with nobody running, behind %d; want 1 to %d", held, got, most)
			}
			for got += held; held > 0; held-- {
				n.DoneEvents([]node.Event{<-events})
			}
		}
	})
}

// Whoever takes events hears of every end, also of those that it has asked for.
func TestEndByOurOwnSendCloseIsAnEvent(t *testing.T) {
	n := start(t, lines())
	events := take(t, n)
	c := connect(t, n)
	open := expectEvent(t, events, node.EventOpen, 0, "")
	if err := n.SendClose(open.ID); err != nil {
		t.Fatal(err)
	}
	c.expectEnd()
	if e := expectEvent(t, events, node.EventClose, open.ID, ""); e.Why != node.ReasonSent {
		t.Errorf("closed for %v, want %v", e.Why, node.ReasonSent)
	}
}
