package node_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flamingo/cluster/port"
	"flamingo/cluster/port/porttest"
	"flamingo/node"
)

// Whole nodes and their clients on a network in memory, in a bubble of virtual
// time, with the timings that they have in production: an outage of ten minutes
// costs no time, and what has to happen after five seconds is seen to happen
// then.

// outset is when every test begins, for node numbers: a bubble's own time
// begins before their epoch.
var outset = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)

// A world is a network with nodes and clients on it.
type world struct {
	*porttest.Network
	t      *testing.T
	origin time.Time
	home   string // of data directories
	dirs   int    // made so far
}

// inWorld runs f in a bubble, beside other tests. The minute after is for what
// memberlist does not wait for.
func inWorld(t *testing.T, f func(*testing.T, *world)) {
	t.Helper()
	t.Parallel()
	home := newHome(t) // cleaned up outside of the bubble
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(func() { <-time.After(time.Minute) })
		f(t, &world{Network: porttest.New(), t: t, origin: time.Now(), home: home})
	})
}

// newHome returns a directory on a disk in memory, where there is one: syncs
// would be most of what a test waits for.
func newHome(t *testing.T) string {
	home, err := os.MkdirTemp("/dev/shm", "flamingo-node-") //nolint:usetesting // T.TempDir takes no place
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	return home
}

// now is the wall clock of every node.
func (w *world) now() time.Time { return outset.Add(time.Since(w.origin)) }

// newDir returns a fresh data directory.
func (w *world) newDir() string {
	w.dirs++
	return filepath.Join(w.home, fmt.Sprint(w.dirs))
}

// host is where node i of a fabric is.
func host(i int) netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 0, byte(i + 1)}) }

// outside is where clients are.
var outside = netip.AddrFrom4([4]byte{127, 0, 1, 1})

// fabric returns the options of three nodes that found one cluster.
func (w *world) fabric() []node.Opts {
	all := make([]node.Opts, 3)
	for i := range all {
		all[i] = lines()
		all[i].Listen = []string{"tcp://" + netip.AddrPortFrom(host(i), node.DefaultPort).String()}
		all[i].Cluster = netip.AddrPortFrom(host(i), port.DefaultPort).String()
		all[i].Join = []string{host(0).String(), host(1).String(), host(2).String()}
		all[i].Expect, all[i].Name, all[i].DataDir = len(all), fmt.Sprintf("node%d", i), w.newDir()
	}
	return all
}

// openAll opens a node with each of opts at the same time.
func (w *world) openAll(opts []node.Opts) []*node.Node {
	w.t.Helper()
	nodes := make([]*node.Node, len(opts))
	var wg sync.WaitGroup
	for i := range opts {
		wg.Go(func() { nodes[i] = w.open(opts[i]) })
	}
	wg.Wait()
	if w.t.Failed() {
		w.t.FailNow()
	}
	for _, n := range nodes {
		awaitNodes(w.t, n, nodes)
	}
	return nodes
}

// open opens a node, which is nil if that fails.
func (w *world) open(opts node.Opts) *node.Node {
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	at := netip.MustParseAddrPort(opts.Cluster).Addr()
	n, err := node.OpenOn(ctx, w.Host(at), w.now, opts)
	if err != nil {
		w.t.Errorf("%s: %v", opts.Name, err)
		return nil
	}
	closeAtEnd(w.t, n)
	return n
}

// isolate parts node i from all others, which notice, and not from clients.
func (w *world) isolate(i int) {
	for k := range 3 {
		if k != i {
			w.Cut(host(i), host(k))
		}
	}
	synctest.Wait()
}

// kill ends node i as kill -9 does: not a byte gets out any more. In its options
// it leaves what is on the disk at that moment.
func (w *world) kill(i int, n *node.Node, opts *node.Opts) {
	w.t.Helper()
	w.Cut(host(i), outside)
	w.isolate(i) // from here on nobody writes
	dir := w.newDir()
	if err := os.CopyFS(dir, os.DirFS(opts.DataDir)); err != nil {
		w.t.Fatal(err)
	}
	opts.DataDir = dir
	if err := closeNow(n); err != nil && !errors.Is(err, context.Canceled) {
		w.t.Errorf("%s: %v", opts.Name, err)
	}
	w.Heal()
}

// connect connects a client to n, which takes the open.
func (w *world) connect(n *node.Node) (*client, node.ID) {
	w.t.Helper()
	c := w.dial(n)
	return c, recvOpen(w.t, n)
}

func (w *world) dial(n *node.Node) *client {
	w.t.Helper()
	nc, err := w.Host(outside).Dial(w.t.Context(), netip.MustParseAddrPort(n.Addrs()[0].String()))
	if err != nil {
		w.t.Fatal(err)
	}
	return newClient(w.t, nc)
}

// slack is how late a timeout is met, at most: one tick of whoever looks.
const slack = 100 * time.Millisecond

// requireTime checks that it is so long after begin, or a little late.
func requireTime(t testing.TB, what string, begin time.Time, after, late time.Duration) {
	t.Helper()
	if d := time.Since(begin); d < after || d > after+late {
		t.Errorf("%s: after %v, want %v, and %v more at most", what, d, after, late)
	}
}

// watchUndelivered returns what Undelivered of n says, until n is closed.
func watchUndelivered(n *node.Node) <-chan notice {
	notices := make(chan notice, 1000)
	go func() {
		defer close(notices)
		for id, err := range n.Undelivered() {
			notices <- notice{id, err}
		}
	}()
	return notices
}

// requireNotices takes a notice of id for each outcome, in this order.
func requireNotices(t testing.TB, notices <-chan notice, id node.ID, outcomes ...error) {
	t.Helper()
	for k, want := range outcomes {
		if got := receive(t, "a notice", notices); got.id != id || !errors.Is(got.err, want) {
			t.Fatalf("notice %d of %d: %v of %s, want %v of %s", k, len(outcomes), got.err, got.id, want, id)
		}
	}
}
