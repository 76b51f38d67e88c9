package node_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flamingo/idspace"
	"flamingo/node"
)

// What a sender learns, and when, while nodes are out of reach.

func TestSendsAreAcceptedUntilTheirNodeIsUnreachable(t *testing.T) {
	for name, c := range map[string]struct {
		lose    func(*world, *node.Node, *node.Opts)
		refused time.Duration
		late    time.Duration // of giving up: a pause between attempts may go on
	}{
		// An attempt to connect has failed when it is refused, or after 5 s.
		"cut off": {func(w *world, _ *node.Node, _ *node.Opts) { w.isolate(2) }, 5 * time.Second, slack},
		"killed":  {func(w *world, n *node.Node, opts *node.Opts) { w.kill(2, n, opts) }, time.Second, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				opts := w.fabric()
				nodes := w.openAll(opts)
				_, id := w.connect(nodes[2])
				c.lose(w, nodes[2], &opts[2])
				notices := watchUndelivered(nodes[0])

				begin := time.Now()
				err, accepted := error(nil), 0
				for ; err == nil && time.Since(begin) < patience; <-time.After(slack / 2) {
					if err = nodes[0].SendData(id, []byte("x")); err == nil {
						accepted++
					} else {
						requireTime(t, "a send was refused", begin, c.refused, slack)
					}
				}
				if !errors.Is(err, node.ErrUnreachable) {
					t.Errorf("a send to a node out of reach: %v, want %v", err, node.ErrUnreachable)
				}
				requireNotices(t, notices, id, slices.Repeat([]error{node.ErrUnreachable}, accepted)...)
				requireTime(t, "what was accepted is given up", begin, 10*time.Second, c.late)
				<-time.After(2 * time.Minute)
				expectOutcome(t, nodes[0], "a lost node", id, node.ErrUnreachable)
				if st := nodes[0].Stats(); int(st.Undelivered) != accepted || len(notices) > 0 {
					t.Errorf("%d undelivered, and %d notices too many; %d messages were accepted", st.Undelivered, len(notices), accepted)
				}
			})
		})
	}
}

func TestWaitsForANodeOutOfReachAreBounded(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		nodes := w.openAll(w.fabric())
		_, id := w.connect(nodes[2]) // a client that reads nothing
		send := func(timeout time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			return nodes[0].Send(ctx, id, []byte("x"))
		}
		var waiting sync.WaitGroup
		var begin time.Time
		expect := func(what string, want error, after, late time.Duration, do func() error) {
			waiting.Go(func() {
				if err := do(); !errors.Is(err, want) {
					t.Errorf("%s: %v, want %v", what, err, want)
				}
				requireTime(t, what, begin, after, late)
			})
		}
		expect("a send that was handed over", node.ErrUncertain, 10*time.Second, slack, func() error { return send(time.Hour) })
		synctest.Wait() // it is at its owner
		begin = time.Now()
		w.isolate(2)
		expect("a send that was not", node.ErrExpired, 3*time.Second, 0, func() error { return send(3 * time.Second) })
		expect("its context", context.DeadlineExceeded, 3*time.Second, 0, func() error { return send(3 * time.Second) })
		expect("a patient one", node.ErrUnreachable, 10*time.Second, slack, func() error { return send(time.Hour) })
		// A close cannot be taken back: it is done if the node returns.
		expect("a close", node.ErrUncertain, 5*time.Second, 0, func() error { return nodes[0].SendClose(id) })
		expect("a look", node.ErrUnreachable, 0, 10*time.Second+slack, func() error {
			_, err := nodes[1].Describe(t.Context(), id)
			return err
		})
		waiting.Wait()
	})
}

func TestNothingIsLostOrDoubledOverAShortOutage(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		nodes := w.openAll(w.fabric())
		c, id := w.connect(nodes[2])
		const messages = 40
		for k := range messages {
			switch k {
			case messages / 4:
				w.isolate(2)
			case messages / 2:
				w.Heal()
			}
			if err := nodes[0].SendData(id, fmt.Append(nil, k)); err != nil {
				t.Fatalf("message %d: %v", k, err)
			}
			<-time.After(100 * time.Millisecond)
		}
		for k := range messages {
			c.expect(fmt.Sprint(k))
		}
		if err := nodes[0].SendClose(id); err != nil {
			t.Fatal(err)
		}
		c.expectEnd()
		if st := nodes[0].Stats(); st.Undelivered > 0 {
			t.Errorf("%d messages are said to be undelivered", st.Undelivered)
		}
	})
}

// TestSendWaitsOverAShortOutage has a message be written while its sender is out of
// reach.
func TestSendWaitsOverAShortOutage(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		nodes := w.openAll(w.fabric())
		c, id := w.connect(nodes[2]) // reads nothing yet
		sent := make(chan error, 1)
		go func() { sent <- nodes[0].Send(t.Context(), id, []byte("x")) }()
		synctest.Wait() // it is at its owner
		w.isolate(2)
		c.expect("x")
		<-time.After(3 * time.Second)
		select {
		case err := <-sent:
			t.Fatalf("the send has ended while its node was out of reach: %v", err)
		default:
		}
		w.Heal()
		if err := receive(t, "the outcome", sent); err != nil {
			t.Errorf("the send: %v", err)
		}
		if err := nodes[0].SendClose(id); err != nil {
			t.Errorf("the close: %v", err)
		}
		c.expectEnd()
	})
}

func TestIDsOfALostNodeAreGoneOnceItIsBack(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		opts := w.fabric()
		nodes := w.openAll(opts)
		_, id := w.connect(nodes[2])
		w.kill(2, nodes[2], &opts[2])
		<-time.After(2 * time.Minute)
		for _, n := range nodes[:2] {
			expectOutcome(t, n, "a node that may come back", id, node.ErrUnreachable)
		}
		nodes[2] = w.openAll(opts[2:])[0]
		for _, n := range nodes {
			until(t, "the end of the life before to be known", func() bool { return errors.Is(n.SendData(id, nil), node.ErrGone) })
			expectOutcome(t, n, "the life before", id, node.ErrGone)
		}
		c, id := w.connect(nodes[2])
		until(t, "the new life to be reached", func() bool {
			_, err := nodes[0].Describe(t.Context(), id)
			return err == nil
		})
		if err := nodes[0].SendData(id, []byte("welcome back")); err != nil {
			t.Error(err)
		}
		c.expect("welcome back")
	})
}

func TestNodeAloneServesItsClientsAndClaimsNothingOfOthers(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		nodes := w.openAll(w.fabric())
		_, far := w.connect(nodes[0])
		before, own := w.connect(nodes[2])
		toCome := mustID(t, nodes[2].Number()+1<<20, 1)
		passedOver := mustID(t, min(nodes[0].Number(), nodes[1].Number(), nodes[2].Number())-1, 1)
		w.isolate(2)
		<-time.After(2 * time.Minute)

		alone := nodes[2]
		if err := alone.SendData(own, []byte("still here")); err != nil {
			t.Error(err)
		}
		before.expect("still here")
		if err := alone.SendClose(own); err != nil {
			t.Error(err)
		}
		before.expectEnd()
		if _, id := w.connect(alone); id.Node() != own.Node() || id == own {
			t.Errorf("a new client is %s after %s, want another id of that number", id, own)
		}
		expectOutcome(t, alone, "its own", own, node.ErrGone)
		expectOutcome(t, alone, "its own to come", own+100, node.ErrNeverIssued)
		expectOutcome(t, alone, "a number passed over", passedOver, node.ErrGone)
		expectOutcome(t, alone, "no id", 0, node.ErrBadID)
		expectOutcome(t, alone, "a client of the others", far, node.ErrUnreachable)
		begin := time.Now()
		if err := alone.SendData(toCome, nil); !errors.Is(err, node.ErrUnreachable) {
			t.Errorf("a number to come, which only the majority can know: %v, want %v", err, node.ErrUnreachable)
		}
		requireTime(t, "the question for it", begin, 0, 3*time.Second)
		expectOutcome(t, nodes[0], "a number to come", toCome, node.ErrNeverIssued)
		expectOutcome(t, nodes[0], "a client of the one alone", own, node.ErrUnreachable)

		w.Heal()
		<-time.After(2 * time.Minute)
		if err := nodes[0].Send(t.Context(), own, []byte("x")); !errors.Is(err, node.ErrGone) {
			t.Errorf("a send to what was closed meanwhile: %v, want %v", err, node.ErrGone)
		}
		expectOutcome(t, alone, "a number to come", toCome, node.ErrNeverIssued)
		if err := alone.SendData(far, []byte("hello")); err != nil {
			t.Errorf("a send after the outage: %v", err)
		}
	})
}

func TestNodeWithoutFurtherNumberRunsOutOfIDsRatherThanRepeatOne(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		log, logger := newLog()
		opts := w.fabric()
		opts[2].Logger = logger
		nodes := w.openAll(opts)
		n := nodes[2]
		first := n.Number()
		a, idA := w.connect(n)
		w.isolate(2)
		node.SkipTo(n, idspace.MaxSerial/2)
		w.connect(n) // uses the serial that asks for a further number
		<-time.After(2 * time.Minute)
		node.SkipTo(n, idspace.MaxSerial-1)
		if _, id := w.connect(n); id != mustID(t, first, idspace.MaxSerial) {
			t.Errorf("the last id of %s is %s", first, id)
		}
		log.forget()
		for range 20 {
			w.dial(n).expectEnd() // there is no id for it
		}
		if r := log.await(t, "accepting is paused"); r.NumAttrs() == 0 {
			t.Error("the log does not say why accepting is paused")
		}
		if n.Number() != first {
			t.Fatalf("number %s without a majority", n.Number())
		}

		w.Heal()
		<-time.After(2 * time.Minute)
		second := n.Number()
		if second <= first {
			t.Fatalf("number %s after %s, want a later one", second, first)
		}
		b, idB := w.connect(n)
		if idB.Node() != second {
			t.Errorf("id %s, want one under %s", idB, second)
		}
		for k, c := range []*client{a, b} {
			if err := nodes[0].SendData([]node.ID{idA, idB}[k], []byte("x")); err != nil {
				t.Error(err)
			}
			c.expect("x")
		}
	})
}

func TestNumbersNeverRunAheadOfTheClock(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		nodes := w.openAll(w.fabric())
		granted := make(map[node.NodeNumber]bool)
		note := func(n *node.Node) {
			if granted[n.Number()] {
				t.Errorf("number %s twice", n.Number())
			}
			granted[n.Number()] = true
			if at := n.Number().Time(); at.After(w.now()) {
				t.Errorf("number %s stands for %v at %v", n.Number(), at, w.now())
			}
		}
		for _, n := range nodes {
			note(n)
		}
		for range 10 { // all of them want a further number at once
			for _, n := range nodes {
				node.SkipTo(n, idspace.MaxSerial/2)
				w.connect(n)
			}
			for _, n := range nodes {
				until(t, "a further number", func() bool { return !granted[n.Number()] })
				note(n)
				node.SkipTo(n, idspace.MaxSerial)
				w.connect(n)
			}
		}
	})
}
