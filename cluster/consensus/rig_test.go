package consensus_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"flamingo/cluster/consensus"
	"flamingo/idspace"
)

// patience bounds every wait of a test, in the fake time of its bubble.
const patience = 2 * time.Minute

// world is a network of pipes between servers, which are dialled by id.
type world struct {
	t       testing.TB
	cluster idspace.ClusterID

	mu     sync.Mutex
	inbox  map[string]chan net.Conn // by address
	addr   map[idspace.ServerID]string
	cut    map[idspace.ServerID]bool
	conns  map[net.Conn][2]idspace.ServerID
	nextAt int
	nodes  []*node
	logs   []string
}

type node struct {
	*consensus.Server
	w      *world
	store  *consensus.Store
	id     idspace.ServerID
	cancel context.CancelFunc
	done   chan error
}

func newWorld(t testing.TB) *world {
	cluster, err := idspace.NewClusterID(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &world{
		t: t, cluster: cluster,
		inbox: make(map[string]chan net.Conn),
		addr:  make(map[idspace.ServerID]string),
		cut:   make(map[idspace.ServerID]bool),
		conns: make(map[net.Conn][2]idspace.ServerID),
	}
}

func newBoot(t testing.TB) idspace.BootID {
	t.Helper()
	b, err := idspace.NewBootID(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func newServerID(t testing.TB) idspace.ServerID {
	t.Helper()
	id, err := idspace.NewServerID(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func openStore(t testing.TB, dir string) *consensus.Store {
	t.Helper()
	st, err := consensus.OpenStore(consensus.StoreConfig{Dir: dir, Boot: newBoot(t), Random: rand.Reader})
	if err != nil {
		t.Fatalf("OpenStore(%q): %v", dir, err)
	}
	return st
}

// endpoint is the network as one server sees it.
type endpoint struct {
	w    *world
	self idspace.ServerID
}

func (e endpoint) Dial(ctx context.Context, to idspace.ServerID) (net.Conn, error) {
	w := e.w
	w.mu.Lock()
	inbox := w.inbox[w.addr[to]]
	if w.cut[e.self] || w.cut[to] || inbox == nil {
		w.mu.Unlock()
		return nil, errors.New("no route")
	}
	near, far := net.Pipe()
	w.conns[near] = [2]idspace.ServerID{e.self, to}
	w.mu.Unlock()
	select {
	case inbox <- far:
		return near, nil
	case <-ctx.Done():
		near.Close()
		far.Close()
		return nil, ctx.Err()
	}
}

func (e endpoint) Accept(ctx context.Context) (net.Conn, error) {
	e.w.mu.Lock()
	inbox := e.w.inbox[e.w.addr[e.self]]
	e.w.mu.Unlock()
	select {
	case c := <-inbox:
		return c, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// partition cuts the servers off from all others.
func (w *world) partition(ids ...idspace.ServerID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		w.cut[id] = true
		for c, ends := range w.conns {
			if ends[0] == id || ends[1] == id {
				c.Close()
				delete(w.conns, c)
			}
		}
	}
}

func (w *world) heal(ids ...idspace.ServerID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		w.cut[id] = false
	}
}

// place gives a server a new address; nobody is at the old one any more.
func (w *world) place(id idspace.ServerID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nextAt++
	at := time.Duration(w.nextAt).String()
	inbox, ok := w.inbox[w.addr[id]]
	if !ok {
		inbox = make(chan net.Conn)
	}
	delete(w.inbox, w.addr[id])
	w.addr[id], w.inbox[at] = at, inbox
}

// Enabled, Handle, WithAttrs and WithGroup make the world the log of its
// servers.
func (w *world) Enabled(context.Context, slog.Level) bool { return true }

func (w *world) Handle(_ context.Context, r slog.Record) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.logs = append(w.logs, r.Message)
	return nil
}

func (w *world) WithAttrs([]slog.Attr) slog.Handler { return w }
func (w *world) WithGroup(string) slog.Handler      { return w }

func (w *world) logged(msg string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Contains(w.logs, msg)
}

// start makes a server on st, for run to run. The test stops it with stop.
func (w *world) start(st *consensus.Store, edit ...func(*consensus.Config)) *node {
	w.t.Helper()
	id := st.Identity().Server
	w.place(id)
	cfg := consensus.Config{Store: st, Network: endpoint{w: w, self: id}, Logger: slog.New(w)}
	for _, e := range edit {
		e(&cfg)
	}
	srv, err := consensus.New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	n := &node{Server: srv, w: w, store: st, id: id, done: make(chan error, 1)}
	w.mu.Lock()
	w.nodes = append(w.nodes, n)
	w.mu.Unlock()
	return n
}

func (n *node) run() *node {
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	go func() { n.done <- n.Run(ctx) }()
	return n
}

// stop ends a server as a crash would, and returns what Run returned.
func (n *node) stop() error {
	n.cancel()
	err := n.ended()
	n.w.mu.Lock()
	n.w.nodes = slices.DeleteFunc(n.w.nodes, func(m *node) bool { return m == n })
	n.w.mu.Unlock()
	n.store.Close()
	return err
}

// ended waits until Run has returned, and returns what it did.
func (n *node) ended() error {
	err := <-n.done
	n.done <- err
	return err
}

func (w *world) stopAll() {
	for _, n := range w.running() {
		_ = n.stop()
	}
}

func (w *world) running() []*node {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.nodes)
}

// found makes a cluster of the stores, which the first one founds.
func (w *world) found(stores ...*consensus.Store) {
	w.t.Helper()
	p := consensus.Proposal{Cluster: w.cluster, Proposer: stores[0].Identity().Server}
	for _, st := range stores {
		p.Servers = append(p.Servers, st.Identity().Server)
	}
	slices.SortFunc(p.Servers, func(a, b idspace.ServerID) int { return slices.Compare(a[:], b[:]) })
	if err := stores[0].Found(p); err != nil {
		w.t.Fatal(err)
	}
	for _, st := range stores[1:] {
		if err := st.Join(w.cluster); err != nil {
			w.t.Fatal(err)
		}
	}
}

// memoryCluster runs n servers in memory.
func (w *world) memoryCluster(n int, edit ...func(*consensus.Config)) []*node {
	w.t.Helper()
	return w.diskCluster(make([]string, n), edit...)
}

// diskCluster runs a server on each of the directories.
func (w *world) diskCluster(dirs []string, edit ...func(*consensus.Config)) (nodes []*node) {
	w.t.Helper()
	for _, n := range w.newCluster(dirs, edit...) {
		nodes = append(nodes, n.run())
	}
	return nodes
}

// newCluster is diskCluster of servers that do not run yet.
func (w *world) newCluster(dirs []string, edit ...func(*consensus.Config)) (nodes []*node) {
	w.t.Helper()
	var stores []*consensus.Store
	for _, dir := range dirs {
		stores = append(stores, openStore(w.t, dir))
	}
	w.found(stores...)
	for _, st := range stores {
		nodes = append(nodes, w.start(st, edit...))
	}
	return nodes
}

// await waits until ok, looking again after each 10 ms of fake time.
func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for range patience / (10 * time.Millisecond) {
		if ok() {
			return
		}
		<-time.After(10 * time.Millisecond)
	}
	t.Fatalf("waited %v for %s", patience, what)
}

// leader waits for one of the nodes to serve.
func leader(t testing.TB, nodes ...*node) (n *node) {
	t.Helper()
	await(t, "a leader", func() bool {
		for _, n = range nodes {
			if n.State().Serving {
				return true
			}
		}
		return false
	})
	return n
}

// grant asks the nodes until one grants.
func grant(t testing.TB, boot idspace.BootID, ordinal uint32, nodes ...*node) (g consensus.Granted) {
	t.Helper()
	await(t, "a grant", func() bool {
		for _, n := range nodes {
			var err error
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			g, err = n.Grant(ctx, boot, ordinal, idspace.ServerID{}, 0)
			cancel()
			if err == nil {
				return true
			}
		}
		return false
	})
	return g
}

var standstill = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)

// fixedClock makes numbers repeat where nothing but raft keeps them apart.
func fixedClock(cfg *consensus.Config) { cfg.Now = func() time.Time { return standstill } }

// presentClock: a bubble's own time begins before the epoch of ticks.
func presentClock(cfg *consensus.Config) {
	origin := time.Now()
	cfg.Now = func() time.Time { return standstill.Add(time.Since(origin)) }
}
