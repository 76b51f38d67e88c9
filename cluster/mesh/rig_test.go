package mesh_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"flamingo/cluster/mesh"
	"flamingo/idspace"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var theCluster = idspace.ClusterID{0xc1}

func bootOf(n int) idspace.BootID { return idspace.BootID{15: byte(n), 0: 0xb0} }

func numberOf(n int) idspace.NodeNumber { return idspace.NodeNumber(n) << 20 }

// idOf returns connection serial of node n.
func idOf(n, serial int) idspace.ID {
	id, err := idspace.NewID(numberOf(n), idspace.Serial(serial))
	if err != nil {
		panic(err)
	}
	return id
}

// A node is a mesh with everything it needs, and itself what it needs.
type node struct {
	*mesh.Mesh
	rig  *rig
	n    int
	boot idspace.BootID

	// Hooks, set before the rig runs; nil for plain behaviour.
	deliver func(id idspace.ID, msg []byte) error
	written func(id idspace.ID, msg []byte, timeout time.Duration, done func(error))
	closeID func(id idspace.ID) error
	handle  func(ctx context.Context, peer idspace.BootID, kind mesh.RequestKind, body []byte) ([]byte, error)

	mu      sync.Mutex
	cluster idspace.ClusterID
	numbers []idspace.NodeNumber
	got     map[idspace.ID][]string
	kinds   map[idspace.ID][]mesh.Kind // of messages that have one
	endings map[idspace.ID]string      // code and reason of the last close
	closed  map[idspace.ID]int
	lost    []mesh.Undelivered
	heard   map[idspace.BootID][]idspace.NodeNumber
}

func (n *node) Boot() idspace.BootID { return n.boot }

func (n *node) Cluster() idspace.ClusterID {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cluster
}

func (n *node) Last() idspace.NodeNumber { return numberOf(n.n) }

func (n *node) Owns(number idspace.NodeNumber) bool { return number == numberOf(n.n) }

func (n *node) Numbers() []idspace.NodeNumber {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]idspace.NodeNumber(nil), n.numbers...)
}

func (n *node) Deliver(id idspace.ID, kind mesh.Kind, msg []byte) error {
	if n.deliver != nil {
		if err := n.deliver(id, msg); err != nil {
			return err
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.got[id] = append(n.got[id], string(msg))
	if kind != mesh.KindDefault {
		n.kinds[id] = append(n.kinds[id], kind)
	}
	return nil
}

func (n *node) DeliverMany(ids []idspace.ID, kind mesh.Kind, msg []byte, results []error) {
	for i, id := range ids {
		results[i] = n.Deliver(id, kind, msg)
	}
}

func (n *node) DeliverWaited(id idspace.ID, kind mesh.Kind, _ mesh.Stage, msg []byte, timeout time.Duration, done func(error)) {
	if n.written != nil {
		n.written(id, msg, timeout, done)
		return
	}
	done(n.Deliver(id, kind, msg))
}

func (n *node) Close(id idspace.ID, code uint16, reason string) error {
	if n.closeID != nil {
		if err := n.closeID(id); err != nil {
			return err
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed[id]++
	n.endings[id] = fmt.Sprintf("%d %q", code, reason)
	return nil
}

func (n *node) Describe(id idspace.ID) ([]byte, error) {
	if id.Serial() > 1000 {
		return nil, mesh.ErrNeverIssued
	}
	return []byte("conn " + id.String()), nil
}

func (n *node) Handle(ctx context.Context, peer idspace.BootID, kind mesh.RequestKind, body []byte) ([]byte, error) {
	if n.handle == nil {
		return append([]byte("re: "), body...), nil
	}
	return n.handle(ctx, peer, kind, body)
}

func (n *node) messages(id idspace.ID) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string(nil), n.got[id]...)
}

func (n *node) losses() map[idspace.ID]map[mesh.Outcome]int {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := make(map[idspace.ID]map[mesh.Outcome]int)
	for _, u := range n.lost {
		if all[u.ID] == nil {
			all[u.ID] = make(map[mesh.Outcome]int)
		}
		all[u.ID][u.Outcome] += u.Messages + u.Closes
	}
	return all
}

func (n *node) lossCount() (count int) {
	for _, byOutcome := range n.losses() {
		for _, c := range byOutcome {
			count += c
		}
	}
	return count
}

func (n *node) peer(boot idspace.BootID) mesh.PeerStats {
	for _, p := range n.Peers() {
		if p.Boot == boot {
			return p
		}
	}
	return mesh.PeerStats{}
}

func outcomeOf(err error) mesh.Outcome {
	for o := mesh.OutcomeGone; o.Valid(); o++ {
		if errors.Is(err, o.Err()) {
			return o
		}
	}
	return mesh.OutcomeUncertain
}

// A rig is some nodes and the network between them.
type rig struct {
	tb     testing.TB
	nodes  map[idspace.BootID]*node
	pipe   func() (a, b net.Conn, err error)
	dial   func(from, to *node) error                // nil error: the dial succeeds
	wrap   func(from, to *node, c net.Conn) net.Conn // around the dialling end
	config func(*mesh.Config)
	made   func()                            // called before the nodes run; nil for nothing
	raw    map[idspace.BootID]func(net.Conn) // ends of streams that are no mesh

	mu    sync.Mutex
	conns []net.Conn
}

// newRig returns n nodes that are not running yet.
func newRig(tb testing.TB, n int) *rig {
	r := &rig{tb: tb, nodes: make(map[idspace.BootID]*node)}
	r.pipe = func() (net.Conn, net.Conn, error) {
		a, b := net.Pipe()
		return a, b, nil
	}
	for i := 1; i <= n; i++ {
		r.nodes[bootOf(i)] = &node{
			rig: r, n: i, boot: bootOf(i), cluster: theCluster, numbers: []idspace.NodeNumber{numberOf(i)},
			got: make(map[idspace.ID][]string), closed: make(map[idspace.ID]int),
			heard: make(map[idspace.BootID][]idspace.NodeNumber), kinds: make(map[idspace.ID][]mesh.Kind),
			endings: make(map[idspace.ID]string),
		}
	}
	return r
}

func (r *rig) node(n int) *node { return r.nodes[bootOf(n)] }

// configOf returns the settings of n.
func (r *rig) configOf(n *node) mesh.Config {
	cfg := mesh.Config{
		Network: n.network(), Identity: n, Owner: n, Requests: n, OutcomeOf: outcomeOf,
		Undelivered: func(u mesh.Undelivered) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.lost = append(n.lost, u)
		},
		Heard: func(peer idspace.BootID, numbers []idspace.NodeNumber, _ idspace.NodeNumber) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.heard[peer] = append(n.heard[peer], numbers...)
		},
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	if r.config != nil {
		r.config(&cfg)
	}
	return cfg
}

// run starts every node, and returns what stops them all.
func (r *rig) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, n := range r.nodes {
		m, err := mesh.New(r.configOf(n))
		if err != nil {
			r.tb.Fatal(err)
		}
		n.Mesh = m
	}
	if r.made != nil {
		r.made()
	}
	for _, n := range r.nodes {
		wg.Go(func() {
			if err := n.Run(ctx); err != nil {
				r.tb.Errorf("Run: %v", err)
			}
		})
	}
	for _, n := range r.nodes {
		<-n.Started()
	}
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			wg.Wait()
		})
	}
	r.tb.Cleanup(stop)
	return stop
}

var errNoRoute = errors.New("no route")

type network struct{ from *node }

func (n *node) network() mesh.Network { return network{n} }

func (w network) Dial(_ context.Context, peer idspace.BootID) (net.Conn, error) {
	r := w.from.rig
	if serve := r.raw[peer]; serve != nil {
		a, b := net.Pipe()
		go serve(b)
		return a, nil
	}
	to := r.nodes[peer]
	if to == nil {
		return nil, errNoRoute
	}
	if r.dial != nil {
		if err := r.dial(w.from, to); err != nil {
			return nil, err
		}
	}
	a, b, err := r.pipe()
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.conns = append(r.conns, a)
	r.mu.Unlock()
	to.Serve(b) //nolint:contextcheck // a stream outlives the dial that opened it
	if r.wrap != nil {
		a = r.wrap(w.from, to, a)
	}
	return a, nil
}

// loopback makes the rig's streams TCP connections.
func (r *rig) loopback() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.tb.Fatal(err)
	}
	r.tb.Cleanup(func() { ln.Close() })
	var mu sync.Mutex
	r.pipe = func() (net.Conn, net.Conn, error) {
		mu.Lock()
		defer mu.Unlock()
		a, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			return nil, nil, err
		}
		b, err := ln.Accept()
		return a, b, err
	}
}

// cut breaks every stream there is.
func (r *rig) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		c.Close()
	}
	r.conns = nil
}

func flush(tb testing.TB, n *node) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := n.Flush(ctx); err != nil {
		tb.Fatalf("Flush: %v; peers %+v", err, n.Peers())
	}
}

func text(i int) string { return fmt.Sprintf("message %d", i) }
