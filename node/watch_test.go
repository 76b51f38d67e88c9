package node_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"flamingo/node"
)

// watchFrom begins a watch.
func watchFrom(t testing.TB, n *node.Node, id node.ID) <-chan node.WatchEvent {
	t.Helper()
	events, err := n.Watch(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return events
}

// requireStates takes events with these states, in this order.
func requireStates(t testing.TB, what string, events <-chan node.WatchEvent, states ...node.WatchState) {
	t.Helper()
	for _, want := range states {
		if got := receive(t, what+": "+want.String(), events); got.State != want {
			t.Fatalf("%s: %+v, want %v", what, got, want)
		}
	}
}

// requireClosed takes events up to the last, which says that the connection is
// closed for one of the reasons; nothing else but of being reachable comes before.
func requireClosed(t testing.TB, what string, events <-chan node.WatchEvent, reasons ...node.Reason) {
	t.Helper()
	var all []node.WatchEvent
	for {
		select {
		case e, ok := <-events:
			if ok {
				all = append(all, e)
				continue
			}
		case <-time.After(patience):
			t.Errorf("%s: no end of the events within %v; they are %+v", what, patience, all)
			return
		}
		break
	}
	closed := 0
	for _, e := range all {
		if e.State == node.WatchClosed {
			closed++
		}
	}
	if closed != 1 || all[len(all)-1].State != node.WatchClosed {
		t.Errorf("%s: %+v, want exactly one that it is closed, the last", what, all)
		return
	}
	if why := all[len(all)-1].Reason; !slices.Contains(reasons, why) {
		t.Errorf("%s: closed for reason %v, want %v", what, why, reasons)
	}
}

// deathbed is where connections of node 1 end in some way.
type deathbed struct {
	*world
	opts   []node.Opts
	nodes  []*node.Node
	client *client
	id     node.ID
}

// waysToDie are ways in which a connection of node 1 ends, by a listener of which
// the options are those named.
var waysToDie = []struct {
	name, listener string
	die            func(t *testing.T, d *deathbed)
	reasons        []node.Reason
}{
	{"the client closes", "", func(_ *testing.T, d *deathbed) { d.client.Close() }, []node.Reason{node.ReasonClient}},
	{"its network breaks", "", func(_ *testing.T, d *deathbed) { d.Cut(host(1), outside) }, []node.Reason{node.ReasonError, node.ReasonClient}},
	{"its node closes it", "", func(t *testing.T, d *deathbed) { d.close(t, 1) }, []node.Reason{node.ReasonSent}},
	{"the watching node closes it", "", func(t *testing.T, d *deathbed) { d.close(t, 0) }, []node.Reason{node.ReasonRemote}},
	{"a third node closes it", "", func(t *testing.T, d *deathbed) { d.close(t, 2) }, []node.Reason{node.ReasonRemote}},
	{"it is idle", "idle-timeout=5s", func(*testing.T, *deathbed) {}, []node.Reason{node.ReasonIdle}},
	{"its time is over", "max-lifetime=5s", func(*testing.T, *deathbed) {}, []node.Reason{node.ReasonLifetime}},
	{"it says nothing first", "first-message-timeout=5s", func(*testing.T, *deathbed) {}, []node.Reason{node.ReasonTimeout}},
	{"it says too much", "", func(_ *testing.T, d *deathbed) { go func() { _, _ = d.client.Write(make([]byte, 3<<20)) }() }, []node.Reason{node.ReasonTooLarge}},
	{"its node closes", "", func(t *testing.T, d *deathbed) {
		if err := closeNow(d.nodes[1]); err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}, []node.Reason{node.ReasonShutdown, node.ReasonNodeEnded}},
	{"its node is killed and started again", "", func(_ *testing.T, d *deathbed) {
		d.kill(1, d.nodes[1], &d.opts[1])
		d.open(d.opts[1])
	}, []node.Reason{node.ReasonNodeEnded}},
	{"its node is retired", "", func(t *testing.T, d *deathbed) {
		d.isolate(1)
		<-time.After(time.Minute)
		if err := d.nodes[2].Retire(t.Context(), d.id.Node(), false); err != nil {
			t.Error(err)
		}
	}, []node.Reason{node.ReasonRetired}},
}

func (d *deathbed) close(t *testing.T, from int) {
	if err := d.nodes[from].SendClose(d.id); err != nil {
		t.Error(err)
	}
}

func TestWatchYieldsOneCloseForEachWayToDie(t *testing.T) {
	for _, way := range waysToDie {
		t.Run(strings.ReplaceAll(way.name, " ", "_"), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				d := &deathbed{world: w, opts: w.fabric()}
				d.opts[1].Listen[0] += "?" + way.listener
				d.nodes = w.openAll(d.opts)
				d.client, d.id = w.connect(d.nodes[1])
				far, near := watchFrom(t, d.nodes[0], d.id), watchFrom(t, d.nodes[1], d.id)
				<-time.After(time.Second)
				way.die(t, d)
				requireClosed(t, "from another node", far, way.reasons...)
				if way.name != "its node closes" { // at once, so that nobody knows that its life is over
					late := watchFrom(t, d.nodes[0], d.id)
					requireClosed(t, "watched when it was over", late, append(way.reasons, node.ReasonUnknown)...)
				}
				if way.name == "its node is retired" {
					w.Heal()
				}
				if !strings.Contains(way.name, "killed") && way.name != "its node closes" {
					requireClosed(t, "from its node", near, way.reasons...)
				}
			})
		})
	}
}

func TestWatchTellsOfAPartition(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		nodes := w.openAll(w.fabric())
		c, id := w.connect(nodes[1])
		events := watchFrom(t, nodes[0], id)
		w.isolate(1)
		requireStates(t, "parted", events, node.WatchUnreachable)
		late := watchFrom(t, nodes[0], id)
		requireStates(t, "watched while parted", late, node.WatchUnreachable)
		<-time.After(5 * time.Minute)
		w.Heal()
		requireStates(t, "healed", events, node.WatchReachable)
		requireStates(t, "healed, watched late", late, node.WatchReachable)
		w.isolate(1)
		requireStates(t, "parted again", events, node.WatchUnreachable)
		c.Close() // nobody but its node knows
		<-time.After(time.Minute)
		w.Heal()
		requireClosed(t, "closed while parted", events, node.ReasonClient, node.ReasonUnknown)
		requireClosed(t, "closed while parted, watched late", late, node.ReasonClient, node.ReasonUnknown)
	})
}

// With the only watch of a peer goes what is known of it; and gossip may have
// dropped the peer by the time that another watch begins.
func TestWatchBegunWhileItsNodeIsAwayTellsOfBoth(t *testing.T) {
	for _, away := range []time.Duration{10 * time.Second, 5 * time.Minute} {
		t.Run(away.String(), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				nodes := w.openAll(w.fabric())
				_, id := w.connect(nodes[1])
				ctx, cancel := context.WithCancel(t.Context())
				first, err := nodes[0].Watch(ctx, id)
				if err != nil {
					t.Fatal(err)
				}
				<-time.After(time.Second)
				w.isolate(1)
				requireStates(t, "parted", first, node.WatchUnreachable)
				cancel()
				<-time.After(away)
				second := watchFrom(t, nodes[0], id)
				requireStates(t, "watched while parted", second, node.WatchUnreachable)
				w.Heal()
				requireStates(t, "healed", second, node.WatchReachable)
			})
		})
	}
}

func TestRetiredNodeServesItsClientsUntilItKnows(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		nodes := w.openAll(w.fabric())
		before := nodes[2].Number()
		far, member := w.connect(nodes[0])
		if err := nodes[2].JoinGroup(member, "g"); err != nil {
			t.Fatal(err)
		}
		c, id := w.connect(nodes[2])
		events := watchFrom(t, nodes[0], id)
		w.isolate(2)
		<-time.After(time.Minute)
		if err := nodes[1].Retire(t.Context(), before, false); err != nil {
			t.Fatal(err)
		}
		requireClosed(t, "of a retired node", events, node.ReasonRetired)

		// It goes on: with those it has, and with others.
		if err := nodes[2].SendData(id, []byte("still here")); err != nil {
			t.Fatal(err)
		}
		c.expect("still here")
		_, later := w.connect(nodes[2])
		if later.Node() != before {
			t.Errorf("while it cannot know, the retired node issues %v, want ids under %v", later, before)
		}
		w.Heal()
		got := map[node.ID]node.Reason{}
		for range 2 {
			id, why := nextClose(t, nodes[2])
			got[id] = why
		}
		if got[id] != node.ReasonRetired || got[later] != node.ReasonRetired {
			t.Errorf("ended are %v, want %v and %v for reason %v", got, id, later, node.ReasonRetired)
		}
		c.expectEnd()
		until(t, "another number", func() bool { return nodes[2].Number() > before })
		until(t, "the others to see it", func() bool {
			return slices.ContainsFunc(nodes[0].Nodes(), func(i node.NodeInfo) bool {
				return i.Number == nodes[2].Number() && i.State == "ready"
			})
		})
		until(t, "it to see the others", func() bool {
			return slices.ContainsFunc(nodes[2].Nodes(), func(i node.NodeInfo) bool {
				return i.Number == nodes[0].Number() && i.State == "ready"
			})
		})
		again, anew := w.connect(nodes[2])
		if anew.Node() == before {
			t.Errorf("an id under the retired number %v is issued: %v", before, anew)
		}
		if err := nodes[0].SendData(anew, []byte("hello")); err != nil {
			t.Fatal(err)
		}
		again.expect("hello")
		if err := nodes[0].SendData(id, []byte("x")); !errors.Is(err, node.ErrGone) {
			t.Errorf("a send to a retired id: %v, want %v", err, node.ErrGone)
		}
		if err := nodes[2].SendData(id, []byte("x")); !errors.Is(err, node.ErrGone) {
			t.Errorf("a send of its own node to a retired id: %v, want %v", err, node.ErrGone)
		}
		if p, err := nodes[2].Publish("g", []byte("to the group")); err != nil || len(p.Failed) > 0 {
			t.Errorf("a publish of the node that lives again: %+v, %v", p, err)
		}
		far.expect("to the group")
	})
}

func TestWatchIsRefusedWhatCannotBe(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		opts := w.fabric()
		opts[0].MaxWatches, opts[2].MaxWatched = 2, 1
		nodes := w.openAll(opts)
		_, id := w.connect(nodes[2])
		_, second := w.connect(nodes[2])
		for _, tc := range []struct {
			n    *node.Node
			id   node.ID
			want error
		}{
			{nodes[0], 0, node.ErrBadID},
			{nodes[1], node.ID(uint64(nodes[1].Number())<<28 | 1), node.ErrNeverIssued},
			{nodes[0], node.ID(1<<64 - 1), node.ErrNeverIssued},
		} {
			if _, err := tc.n.Watch(t.Context(), tc.id); !errors.Is(err, tc.want) {
				t.Errorf("watch %v: %v, want %v", tc.id, err, tc.want)
			}
		}
		ghost := watchFrom(t, nodes[0], node.ID(uint64(nodes[2].Number())<<28|9))
		requireStates(t, "an id that was never issued", ghost, node.WatchNeverIssued)

		ctx, cancel := context.WithCancel(t.Context())
		events, err := nodes[0].Watch(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Second)
		over := watchFrom(t, nodes[0], second)
		requireStates(t, "over the bound of the node", over, node.WatchRefused)
		watchFrom(t, nodes[0], id)
		if _, err := nodes[0].Watch(t.Context(), id); !errors.Is(err, node.ErrBackpressure) {
			t.Errorf("a watch over the bound: %v, want %v", err, node.ErrBackpressure)
		}
		cancel()
		if e, ok := <-events; ok {
			t.Errorf("a watch that was given up yields %+v", e)
		}
		if s := nodes[0].WatchStats(); s.Watches != 1 || s.Refused != 1 {
			t.Errorf("counts %+v, want 1 watch, 1 refused", s)
		}
		if s := nodes[2].WatchStats(); s.Watched != 1 || s.Refused != 1 {
			t.Errorf("counts of the owner %+v, want 1 watched, 1 refused", s)
		}
	})
}

func TestManyWatchesOutliveTheirStreams(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		nodes := w.openAll(w.fabric())
		var clients []*client
		var all []<-chan node.WatchEvent
		for range 50 {
			c, id := w.connect(nodes[1])
			clients = append(clients, c)
			all = append(all, watchFrom(t, nodes[0], id))
		}
		for i, c := range clients { // while links break again and again
			if i%5 == 0 {
				w.Cut(host(0), host(1))
				w.Heal()
			}
			c.Close()
			<-time.After(30 * time.Millisecond)
		}
		for i, events := range all {
			requireClosed(t, fmt.Sprintf("watch %d", i), events, node.ReasonClient, node.ReasonUnknown)
		}
		until(t, "no watch to be left", func() bool {
			return nodes[0].WatchStats() == node.WatchStats{} && nodes[1].WatchStats() == node.WatchStats{}
		})
	})
}

func TestWatchOfANodeThatStandsAlone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		opts := lines()
		opts.Listen = []string{"tcp://" + netip.AddrPortFrom(host(0), node.DefaultPort).String()}
		n, err := node.OpenOn(t.Context(), w.Host(host(0)), w.now, opts)
		if err != nil {
			t.Fatal(err)
		}
		closeAtEnd(t, n)
		c, id := w.connect(n)
		events := watchFrom(t, n, id)
		c.Close()
		requireClosed(t, "alone", events, node.ReasonClient)
		old := watchFrom(t, n, node.ID(uint64(n.Number()-1)<<28|1))
		requireClosed(t, "an id of an earlier life", old, node.ReasonNodeEnded)
		open := watchFrom(t, n, func() node.ID { _, id := w.connect(n); return id }())
		if err := n.Retire(t.Context(), n.Number(), true); !errors.Is(err, node.ErrAlone) {
			t.Errorf("retire: %v, want %v", err, node.ErrAlone)
		}
		if err := closeNow(n); err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		requireClosed(t, "its node closes", open, node.ReasonShutdown)
	})
}
