package node_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"flamingo/node"
	"flamingo/node/nodetest"
)

// fabric returns the options of three nodes that found one cluster, with data
// directories.
func fabric(t testing.TB) []node.Opts {
	t.Helper()
	addrs := nodetest.FreeAddrs(t, 3)
	all := make([]node.Opts, len(addrs))
	for i := range all {
		all[i] = lines()
		all[i].Cluster, all[i].Join, all[i].Expect = addrs[i], addrs, len(addrs)
		all[i].Name, all[i].DataDir = fmt.Sprintf("node%d", i), t.TempDir()
	}
	return all
}

// openAll opens a node with each of opts at the same time. At the end of the
// test they are closed.
func openAll(t testing.TB, opts []node.Opts) []*node.Node {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	nodes := make([]*node.Node, len(opts))
	var wg sync.WaitGroup
	for i := range opts {
		wg.Go(func() {
			var err error
			if nodes[i], err = node.OpenHasty(ctx, opts[i]); err != nil {
				t.Errorf("node%d: %v", i, err)
			}
		})
	}
	wg.Wait()
	for _, n := range nodes {
		if n != nil {
			closeAtEnd(t, n)
		}
	}
	if t.Failed() {
		t.FailNow()
	}
	for _, n := range nodes {
		awaitNodes(t, n, nodes)
	}
	return nodes
}

// awaitNodes waits until n sees every other node under its number, and its link
// to it is up.
func awaitNodes(t testing.TB, n *node.Node, others []*node.Node) {
	t.Helper()
	until(t, "every node to be seen", func() bool {
		seen := n.Nodes()
		for _, o := range others {
			if !slices.ContainsFunc(seen, func(i node.NodeInfo) bool {
				return i.Number == o.Number() && (i.Self || i.Link == "up")
			}) {
				return false
			}
		}
		return true
	})
}

func TestAnyNodeReachesAnyConnection(t *testing.T) {
	nodes := openAll(t, fabric(t))
	for i, owner := range nodes {
		for k, sender := range nodes {
			c, id := connectID(t, owner)
			if err := sender.SendData(id, fmt.Appendf(nil, "from %d to %d", k, i)); err != nil {
				t.Fatal(err)
			}
			c.expect(fmt.Sprintf("from %d to %d", k, i))
			if err := sender.Send(t.Context(), id, []byte("written")); err != nil {
				t.Fatal(err)
			}
			c.expect("written")
			info, err := sender.Describe(t.Context(), id)
			if err != nil || info.ID != id || info.Remote.String() != c.LocalAddr().String() || info.MessagesOut != 2 {
				t.Errorf("described as %+v, %v", info, err)
			}
			if err := sender.SendClose(id); err != nil {
				t.Fatal(err)
			}
			c.expectEnd()
			if i != k {
				why := within(t, "the end", func() node.Reason {
					for got, why := range owner.Closes() {
						if got != id {
							t.Errorf("%s ended, want %s", got, id)
						}
						return why
					}
					return 0
				})
				if why != node.ReasonRemote {
					t.Errorf("ended as %v, want %v", why, node.ReasonRemote)
				}
			}
			if err := sender.SendClose(id); !errors.Is(err, node.ErrGone) {
				t.Errorf("a second close: %v, want %v", err, node.ErrGone)
			}
			if err := sender.Send(t.Context(), id, []byte("x")); !errors.Is(err, node.ErrGone) {
				t.Errorf("a send to a closed connection: %v, want %v", err, node.ErrGone)
			}
			if _, err := sender.Describe(t.Context(), id); !errors.Is(err, node.ErrGone) {
				t.Errorf("a look at a closed connection: %v, want %v", err, node.ErrGone)
			}
			if err := sender.Send(t.Context(), id|1<<27, []byte("x")); !errors.Is(err, node.ErrNeverIssued) {
				t.Errorf("a send to a connection to come: %v, want %v", err, node.ErrNeverIssued)
			}
		}
	}
}

func TestSendManySplitsByNode(t *testing.T) {
	nodes := openAll(t, fabric(t))
	var clients []*client
	var ids []node.ID
	for range 10 {
		for _, n := range nodes {
			c, id := connectID(t, n)
			clients, ids = append(clients, c), append(ids, id)
		}
	}
	for _, err := range nodes[0].SendMany(ids, []byte("to all")) {
		if err != nil {
			t.Error(err)
		}
	}
	for _, c := range clients {
		c.expect("to all")
	}
}

func TestDropOfASlowClientIsReportedToTheSenderOnAnotherNode(t *testing.T) {
	opts := fabric(t)
	for i := range opts {
		opts[i].OutputBytes, opts[i].SlowClient = 64<<10, node.SlowDropNewest
	}
	nodes := openAll(t, opts)
	_, id := connectID(t, nodes[0])
	msg := make([]byte, 32<<10)
	until(t, "the client's queue to be full", func() bool {
		if err := nodes[1].SendData(id, msg); err != nil {
			t.Fatal(err)
		}
		return nodes[0].Stats().Dropped > 0
	})
	got := nextUndelivered(t, nodes[1])
	if got.id != id || !errors.Is(got.err, node.ErrBackpressure) {
		t.Errorf("notice %v, want %v of %v", got, node.ErrBackpressure, id)
	}
	if st := nodes[0].Stats(); st.Undelivered != 0 {
		t.Errorf("%d messages are undelivered at the owner, want none: the sender was told", st.Undelivered)
	}
}

func TestNumberToComeWasNeverIssued(t *testing.T) {
	nodes := openAll(t, fabric(t))
	id := node.ID(uint64(nodes[2].Number()+1<<20)<<28 | 1)
	for _, n := range nodes {
		until(t, "a leader to answer", func() bool {
			err := n.SendData(id, []byte("x"))
			if err == nil || errors.Is(err, node.ErrGone) {
				t.Fatalf("a send to a number to come: %v", err)
			}
			return errors.Is(err, node.ErrNeverIssued)
		})
	}
}

func TestIDsOfANodeThatLeftAreGone(t *testing.T) {
	opts := fabric(t)
	opts[2].Ignore = node.IgnoreCloses
	nodes := openAll(t, opts)
	c, id := connectID(t, nodes[2])
	if err := nodes[2].Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.expectEnd()
	for _, n := range nodes[:2] {
		until(t, "the end of the life to be known", func() bool {
			return errors.Is(n.SendData(id, []byte("x")), node.ErrGone)
		})
	}
}

func TestRestartedNodeHasAnotherNumberAndItsFormerIDsAreGone(t *testing.T) {
	opts := fabric(t)
	nodes := openAll(t, opts)
	_, id := connectID(t, nodes[2])
	former := nodes[2].Number()
	if err := closeNow(nodes[2]); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	again := openAll(t, opts[2:])[0]
	if again.Number() <= former {
		t.Errorf("number %s after %s, want a later one", again.Number(), former)
	}
	for _, n := range []*node.Node{nodes[0], nodes[1], again} {
		until(t, "the former id to be gone", func() bool { return errors.Is(n.SendData(id, []byte("x")), node.ErrGone) })
	}
	awaitNodes(t, nodes[0], []*node.Node{again})
	c, id := connectID(t, again)
	if err := nodes[0].SendData(id, []byte("welcome back")); err != nil {
		t.Fatal(err)
	}
	c.expect("welcome back")
}

func TestOpenGivesUpWithItsContext(t *testing.T) {
	opts := fabric(t)[0]
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := node.OpenContext(ctx, opts); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Open of one node of three = %v, want %v", err, context.DeadlineExceeded)
	}
}

func TestOpenTellsWhatItWaitsFor(t *testing.T) {
	opts := fabric(t)[0]
	told := make(chan string, 1)
	opts.Waiting = func(reason string) {
		select {
		case told <- reason:
		default:
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	opened := make(chan error, 1)
	go func() {
		_, err := node.OpenContext(ctx, opts)
		opened <- err
	}()
	if reason := receive(t, "a reason", told); !strings.Contains(reason, "2 more nodes") {
		t.Errorf("the first of three nodes waits for %q, want two more", reason)
	}
	cancel()
	if err := receive(t, "Open to give up", opened); !errors.Is(err, context.Canceled) {
		t.Errorf("Open = %v, want %v", err, context.Canceled)
	}
}

func TestEveryFaultOfTheOptionsIsReportedAtOnce(t *testing.T) {
	opts := lines()
	opts.MaxConns, opts.Expect, opts.Cluster, opts.Join = -1, 2, "nowhere", []string{"node1:99999"}
	_, err := node.Open(opts)
	for _, want := range []string{"MaxConns -1", "Expect 2", `Cluster "nowhere"`, "node1:99999"} {
		if !errors.Is(err, node.ErrBadOption) || !strings.Contains(err.Error(), want) {
			t.Errorf("Open = %v, want it to name %q", err, want)
		}
	}
}

func TestBadClusterOptionsAreRefusedByName(t *testing.T) {
	for name, c := range map[string]struct {
		set  func(*node.Opts)
		want string
	}{
		"expect":             {func(o *node.Opts) { o.Expect = 2 }, "Expect 2"},
		"send timeout alone": {func(o *node.Opts) { o.SendTimeout = 2 * time.Hour }, "SendTimeout 2h"},
		"name alone":         {func(o *node.Opts) { o.Name = string(make([]byte, 65)) }, "Name"},
		"address":            {func(o *node.Opts) { o.Cluster = "nowhere" }, `Cluster "nowhere"`},
		"clear text":         {func(o *node.Opts) { o.Cluster = "192.0.2.1:4110" }, "192.0.2.1:4110"},
		"advertise":          {func(o *node.Opts) { o.Expect, o.Advertise = 1, ":4110" }, `Advertise ":4110"`},
		"advertise alone":    {func(o *node.Opts) { o.Advertise = "nowhere" }, `Advertise "nowhere"`},
		"admin":              {func(o *node.Opts) { o.Admin = ":4180" }, `Admin ":4180"`},
		"join":               {func(o *node.Opts) { o.Expect, o.Join = 1, []string{"node1:99999"} }, "node1:99999"},
		"cluster name":       {func(o *node.Opts) { o.Expect, o.ClusterName = 1, string(make([]byte, 65)) }, "ClusterName"},
		"name":               {func(o *node.Opts) { o.Expect, o.Name = 1, string(make([]byte, 65)) }, "Name"},
		"send timeout":       {func(o *node.Opts) { o.Expect, o.SendTimeout = 1, -1 }, "SendTimeout"},
		"beside another":     {func(o *node.Opts) { o.Expect, o.MaxConns = 2, -1 }, "MaxConns"},
	} {
		t.Run(name, func(t *testing.T) {
			opts := lines()
			c.set(&opts)
			_, err := node.Open(opts)
			if !errors.Is(err, node.ErrBadOption) {
				t.Fatalf("Open = %v, want %v", err, node.ErrBadOption)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("Open = %v, want it to name %q", err, c.want)
			}
		})
	}
}

func TestNodeThatClosesIsSeenDraining(t *testing.T) {
	nodes := openAll(t, fabric(t))
	connectID(t, nodes[2]) // its end is not taken, so that Close waits
	ctx, cancel := context.WithCancel(t.Context())
	closed := make(chan error, 1)
	go func() { closed <- nodes[2].Close(ctx) }()
	until(t, "node2 to be seen draining", func() bool {
		return slices.ContainsFunc(nodes[0].Nodes(), func(i node.NodeInfo) bool { return i.Name == "node2" && i.State == "draining" })
	})
	cancel()
	if err := receive(t, "the end of Close", closed); !errors.Is(err, context.Canceled) {
		t.Errorf("Close = %v, want %v", err, context.Canceled)
	}
}

func TestNodeLeavesInOrderWhateverItsSendsWaitFor(t *testing.T) {
	opts := fabric(t)
	opts[2].Ignore = node.IgnoreCloses
	nodes := openAll(t, opts)
	_, stuck := connectID(t, nodes[0]) // reads nothing
	msg := make([]byte, 64<<10)
	messages := func() uint64 {
		info, err := nodes[0].Describe(t.Context(), stuck)
		if err != nil {
			t.Fatal(err)
		}
		return info.MessagesOut
	}
	until(t, "output that the client does not take", func() bool {
		info, err := nodes[0].Describe(t.Context(), stuck)
		if err == nil && info.PendingBytes < 512<<10 {
			err = nodes[0].SendData(stuck, msg)
		}
		if err != nil {
			t.Fatal(err)
		}
		return info.PendingBytes >= 512<<10
	})
	before := messages()
	sent := make(chan error, 1)
	go func() { sent <- nodes[2].Send(context.Background(), stuck, []byte("never written")) }()
	until(t, "the send to be taken", func() bool { return messages() > before })

	c, id := connectID(t, nodes[2])
	if err := nodes[2].Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.expectEnd()
	if err := receive(t, "the outcome", sent); !errors.Is(err, node.ErrUncertain) {
		t.Errorf("the send that waited: %v, want %v", err, node.ErrUncertain)
	}
	for _, n := range nodes[:2] {
		until(t, "the end of the life to be known", func() bool {
			return errors.Is(n.SendData(id, []byte("x")), node.ErrGone)
		})
	}
}
