package node_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flamingo/node"
)

// A crowd is clients of one node, and what became of them.
type crowd struct {
	clients []*client
	ids     []node.ID
	reading sync.WaitGroup

	mu    sync.Mutex
	ended []time.Time          // guarded by mu: when each client saw the end, in this order
	heard map[node.ID][]string // guarded by mu
}

// gather connects so many clients to n, which read until their end.
func (w *world) gather(n *node.Node, count int) *crowd {
	w.t.Helper()
	c := &crowd{heard: make(map[node.ID][]string)}
	for range count {
		cl, id := w.connect(n)
		_ = cl.SetDeadline(time.Time{}) // a drain takes longer than the patience of a test
		c.clients, c.ids = append(c.clients, cl), append(c.ids, id)
		c.reading.Go(func() {
			for {
				line, err := cl.in.ReadString('\n')
				c.mu.Lock()
				if err != nil {
					c.ended = append(c.ended, time.Now())
					c.mu.Unlock()
					cl.Close()
					return
				}
				c.heard[id] = append(c.heard[id], line)
				c.mu.Unlock()
			}
		})
	}
	return c
}

// requireEven checks that each tenth of the time has ended 8 to 12 % of the clients.
func (c *crowd) requireEven(t *testing.T, began time.Time, over time.Duration) {
	t.Helper()
	var tenths [10]int
	for _, at := range c.ended {
		tenths[max(0, min(9, int(10*at.Sub(began)/over)))]++
	}
	for _, n := range tenths {
		if 100*n < 8*len(c.ids) || 100*n > 12*len(c.ids) {
			t.Errorf("%v of %d clients ended in the tenths of %v; want 8 to 12 %% in each", tenths, len(c.ids), over)
			return
		}
	}
}

// sayTo has other nodes send to every client of a node that drains until it is gone,
// and returns what was written to each. A send that meets the node in the moment in
// which it leaves, behind the end of its last connection, may be uncertain.
func (c *crowd) sayTo(t *testing.T, owner *node.Node, from ...*node.Node) map[node.ID][]string {
	said := make(map[node.ID][]string)
	gone := make(map[node.ID]bool)
	for round := 0; len(gone) < len(c.ids); round++ {
		for i, id := range c.ids {
			if gone[id] {
				continue
			}
			msg := fmt.Sprint("message ", round)
			switch err := from[i%len(from)].Send(t.Context(), id, []byte(msg)); {
			case err == nil:
				said[id] = append(said[id], msg+"\n")
			case errors.Is(err, node.ErrGone),
				errors.Is(err, node.ErrUncertain) && owner.DrainProgress().Phase == node.DrainOver:
				gone[id] = true
			default:
				t.Errorf("send to a connection of a node that drains: %v; want written or gone", err)
				gone[id] = true
			}
		}
		<-time.After(500 * time.Millisecond)
	}
	return said
}

// takeCloses takes the closes of n until it is closed.
func takeCloses(n *node.Node) <-chan map[node.ID]node.Reason {
	taken := make(chan map[node.ID]node.Reason, 1)
	go func() {
		taken <- maps.Collect(n.Closes())
	}()
	return taken
}

func TestDrainEndsConnectionsEvenlyAndLosesNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		const wait, over = 10 * time.Second, time.Minute
		opts := w.fabric()
		for i := range opts {
			opts[i].DrainWait, opts[i].DrainDuration = wait, over
		}
		nodes := w.openAll(opts)
		k := slices.IndexFunc(nodes, node.Leads)
		if k < 0 {
			t.Fatal("nobody leads")
		}
		victim, others := nodes[k], slices.Delete(slices.Clone(nodes), k, k+1)
		c := w.gather(victim, 100)
		closes := takeCloses(victim)
		var said map[node.ID][]string
		var sending sync.WaitGroup
		sending.Go(func() { said = c.sayTo(t, victim, others...) })

		began := time.Now()
		drained := make(chan error, 1)
		go func() { drained <- victim.Drain(t.Context()) }()

		<-time.After(5 * time.Second) // it waits
		for _, n := range nodes {
			if !slices.ContainsFunc(n.Nodes(), func(i node.NodeInfo) bool { return i.Number == victim.Number() && i.State == "draining" }) {
				t.Errorf("a node does not see that another drains: %+v", n.Nodes())
			}
		}
		if node.Leads(victim) || !slices.ContainsFunc(others, node.Leads) {
			t.Error("the lead was not handed over")
		}
		late := w.dial(victim) // new clients are served until the wait is over
		_ = late.SetDeadline(time.Time{})
		lateID := recvOpen(t, victim)
		c.reading.Go(func() { _, _ = io.ReadAll(late); late.Close() })
		if p := victim.DrainProgress(); p.Phase != node.DrainWaiting || p.Left != 101 || p.Departed != 0 ||
			p.Plan != (node.DrainPlan{Wait: wait, Duration: over}) || !p.Began.Equal(began) {
			t.Errorf("progress while it waits: %+v", p)
		}

		<-time.After(wait - 5*time.Second + over/2)
		if _, err := w.Host(outside).Dial(t.Context(), netip.MustParseAddrPort(victim.Addrs()[0].String())); err == nil {
			t.Error("a client was accepted after the wait")
		}
		p := victim.DrainProgress()
		if p.Phase != node.DrainEnding || p.Departed < 48 || p.Departed > 53 || p.Left != 101-p.Departed || p.Ending.Sub(began) != wait {
			t.Errorf("progress in the middle: %+v", p)
		}
		if err := receive(t, "the end of the drain", drained); err != nil {
			t.Errorf("Drain: %v", err)
		}
		requireTime(t, "the drain", began, wait+over, 10*time.Second)
		sending.Wait()
		c.reading.Wait()
		c.requireEven(t, began.Add(wait), over)
		for i, id := range append(c.ids, lateID) {
			if i < len(c.clients) && (!slices.Equal(c.heard[id], said[id]) || len(said[id]) < 10) {
				t.Errorf("client %d heard %d messages, and %d were written", i, len(c.heard[id]), len(said[id]))
			}
			for _, n := range others {
				if err := n.SendData(id, nil); !errors.Is(err, node.ErrGone) {
					t.Errorf("send after the drain: %v; want gone", err)
				}
			}
		}
		reasons := receive(t, "the closes", closes)
		for _, id := range append(c.ids, lateID) {
			if reasons[id] != node.ReasonDrained {
				t.Errorf("%v ended for %v, want drained", id, reasons[id])
			}
		}
		if p := victim.DrainProgress(); p.Phase != node.DrainOver || p.Left != 0 || p.Departed != 101 {
			t.Errorf("progress after the end: %+v", p)
		}
	})
}

// What clients have said is handed to the program, however late it takes it.
func TestDrainHandsOutWhatWasReceived(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		opts := w.fabric()[:1]
		opts[0].Expect, opts[0].Join, opts[0].DrainDuration = 1, nil, 10*time.Second
		n := w.openAll(opts)[0]
		c := w.gather(n, 20)
		closes := takeCloses(n)
		for _, cl := range c.clients {
			if _, err := io.WriteString(cl, "the last word\n"); err != nil {
				t.Error(err)
			}
		}
		drained := make(chan error, 1)
		go func() { drained <- n.Drain(t.Context()) }()
		<-time.After(time.Minute)
		select {
		case err := <-drained:
			t.Fatalf("drained before the messages were taken: %v", err)
		default:
		}
		for range c.clients {
			if m := recvData(t, n); m.data != "the last word" || !slices.Contains(c.ids, m.id) {
				t.Errorf("received %+v", m)
			}
		}
		if err := receive(t, "the end of the drain", drained); err != nil {
			t.Error(err)
		}
		c.reading.Wait()
		if reasons := receive(t, "the closes", closes); len(reasons) != len(c.ids) {
			t.Errorf("%d closes, want %d", len(reasons), len(c.ids))
		}
	})
}

func TestCloseCutsADrainShort(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		nodes := w.openAll(w.fabric())
		n := nodes[0]
		c := w.gather(n, 50)
		closes := takeCloses(n)
		if err := n.StartDrain(node.DrainPlan{Wait: time.Hour, Duration: time.Hour}); err != nil {
			t.Fatal(err)
		}
		if err := n.StartDrain(node.DrainPlan{}); err != nil {
			t.Errorf("a second drain: %v; want that the first one goes on", err)
		}
		<-time.After(90 * time.Minute)
		if p := n.DrainProgress(); p.Phase != node.DrainEnding || p.Departed < 24 || p.Departed > 26 {
			t.Errorf("progress in the middle: %+v", p)
		}
		begin := time.Now()
		if err := n.Close(t.Context()); err != nil {
			t.Error(err)
		}
		requireTime(t, "Close", begin, 0, 15*time.Second)
		c.reading.Wait()
		receive(t, "the end of the drain", n.Drained())
		count := map[node.Reason]int{}
		for _, why := range receive(t, "the closes", closes) {
			count[why]++
		}
		if count[node.ReasonDrained]+count[node.ReasonShutdown] != 50 || count[node.ReasonDrained] < 24 || count[node.ReasonDrained] > 26 {
			t.Errorf("ended for %v", count)
		}
		if err := n.StartDrain(node.DrainPlan{}); !errors.Is(err, node.ErrClosed) {
			t.Errorf("a drain after Close: %v; want closed", err)
		}
		if err := n.Drain(t.Context()); err != nil {
			t.Errorf("Drain after Close: %v; want what Close says", err)
		}
	})
}

func TestDrainWhoseContextEndsClosesAtOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		opts := w.fabric()
		opts[0].DrainDuration, opts[0].Ignore = time.Hour, node.IgnoreCloses
		n := w.openAll(opts)[0]
		c := w.gather(n, 50)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		begin := time.Now()
		err := n.Drain(ctx)
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Drain: %v; want nil or the cause of its context", err)
		}
		requireTime(t, "Drain", begin, time.Minute, 20*time.Second)
		c.reading.Wait()
		synctest.Wait()
	})
}

func TestDrainPlansAreChecked(t *testing.T) {
	n := start(t, lines())
	for _, plan := range []node.DrainPlan{
		{Wait: -1}, {Duration: -1}, {Wait: 24*time.Hour + 1}, {Duration: 25 * time.Hour},
	} {
		if err := n.StartDrain(plan); !errors.Is(err, node.ErrBadOption) {
			t.Errorf("%+v: %v; want a bad option", plan, err)
		}
	}
	if p := n.DrainProgress(); p.Phase != node.DrainNone || n.Nodes()[0].State != "ready" {
		t.Errorf("a plan that was refused has begun: %+v", p)
	}
	opts := lines()
	opts.DrainWait, opts.DrainDuration = -time.Second, 48*time.Hour
	if found := faults(openFails(t, opts)); len(found) != 2 {
		t.Errorf("faults %v, want one for each time", found)
	}
}
