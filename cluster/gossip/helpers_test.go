package gossip_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"time"

	"flamingo/cluster/gossip"
	"flamingo/cluster/port"
	"flamingo/cluster/port/porttest"
	"flamingo/idspace"
)

// patience bounds every wait; it is reached by tests that fail.
const patience = 2 * time.Minute

var (
	clusterA = idspace.ClusterID{15: 0xa}
	clusterB = idspace.ClusterID{15: 0xb}
)

// plan says how a node of a test is to be.
type plan struct {
	port    *port.Port     // that listens already; nil for one on addr
	addr    netip.AddrPort // to listen on; zero for any port of 127.0.0.1
	network *porttest.Network
	name    string // of the node
	cluster idspace.ClusterID
	change  func(*gossip.Config)
	seeds   []string
	timing  gossip.Timing
}

// node is a node under test, running.
type node struct {
	*gossip.Gossip
	name string
	boot idspace.BootID
	addr netip.AddrPort
	log  *logBuffer

	stopGossip, stopPort func() error
}

// launch starts a node, which ends with the test if not before.
func launch(t *testing.T, p plan) *node {
	t.Helper()
	n := &node{name: p.name, boot: newBoot(t), log: &logBuffer{}}
	po := p.port
	if po == nil {
		po = listen(t, p.addr, p.network)
	}
	n.addr = po.Addr()
	cfg := gossip.Config{
		Port:   po,
		Boot:   n.boot,
		Meta:   metaOf(p.name, p.cluster),
		Seeds:  p.seeds,
		Timing: p.timing,
		Logger: slog.New(slog.NewTextHandler(n.log, nil)),
	}
	if p.change != nil {
		p.change(&cfg)
	}
	g, err := gossip.New(cfg)
	if err != nil {
		po.Close()
		t.Fatal(err)
	}
	n.Gossip = g
	n.stopPort = background(po.Run)
	n.stopGossip = background(n.Run)
	t.Cleanup(func() { n.end(t) })
	return n
}

// listen returns a port that listens. An address that was just given up may
// have been lent to somebody else for a moment.
func listen(t *testing.T, addr netip.AddrPort, network *porttest.Network) *port.Port {
	t.Helper()
	cfg := port.Config{Addr: addr}
	if !addr.IsValid() {
		cfg.Addr = netip.MustParseAddrPort("127.0.0.1:0")
	}
	if network != nil {
		cfg.Network = network.Host(cfg.Addr.Addr())
	}
	p, err := port.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the address "+cfg.Addr.String(), func() bool {
		err := p.Listen(t.Context())
		if err != nil {
			t.Log(err)
		}
		return err == nil
	})
	return p
}

// end ends the node and says how it was, if the test failed.
func (n *node) end(t *testing.T) {
	if err := n.stopGossip(); err != nil && !errors.Is(err, gossip.ErrPortEnded) {
		t.Errorf("%s: Run = %v", n.name, err)
	}
	if err := n.stopPort(); err != nil {
		t.Errorf("%s: Run of the port = %v", n.name, err)
	}
	if t.Failed() {
		t.Logf("%s (%v at %v):\n%s%+v", n.name, n.boot, n.addr, n.log, n.Stats())
	}
}

// kill ends the node without a goodbye.
func (n *node) kill() {
	n.stopPort()   //nolint:errcheck // looked at in the cleanup
	n.stopGossip() //nolint:errcheck // looked at in the cleanup
}

// leave ends the node in order.
func (n *node) leave() {
	n.stopGossip() //nolint:errcheck // looked at in the cleanup
	n.stopPort()   //nolint:errcheck // looked at in the cleanup
}

// background runs f until the func it returns is called, which returns what f
// returned, also when called again.
func background(f func(context.Context) error) func() error {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f(ctx) }()
	return sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
}

func newBoot(t *testing.T) idspace.BootID {
	t.Helper()
	b, err := idspace.NewBootID(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func metaOf(name string, cluster idspace.ClusterID) gossip.Meta {
	return gossip.Meta{Name: name, Cluster: cluster, MinVersion: 1, MaxVersion: 1}
}

// logBuffer keeps what is logged.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// await waits until ok reports true of the members that n sees. It looks after
// each change.
func await(t *testing.T, n *node, what string, ok func([]gossip.Member) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if ok(n.Members()) {
		return
	}
	for range n.Changes(ctx) {
		if ok(n.Members()) {
			return
		}
	}
	t.Fatalf("%s waited in vain for %s; it sees %v", n.name, what, names(n.Members()))
}

// awaitEach waits until each node sees exactly all of them.
func awaitEach(t *testing.T, nodes []*node) {
	t.Helper()
	for _, n := range nodes {
		await(t, n, fmt.Sprintf("the %d nodes", len(nodes)), func(ms []gossip.Member) bool { return sees(ms, nodes) })
	}
}

// sees reports whether ms are exactly the nodes.
func sees(ms []gossip.Member, nodes []*node) bool {
	if len(ms) != len(nodes) {
		return false
	}
	for _, n := range nodes {
		if _, ok := find(ms, n.boot); !ok {
			return false
		}
	}
	return true
}

func find(ms []gossip.Member, boot idspace.BootID) (gossip.Member, bool) {
	for _, m := range ms {
		if m.Boot == boot {
			return m, true
		}
	}
	return gossip.Member{}, false
}

func names(ms []gossip.Member) []string {
	var all []string
	for _, m := range ms {
		all = append(all, fmt.Sprintf("%s(%v)", m.Meta.Name, m.Boot))
	}
	return all
}

// eventually waits for what raises no event of its own: it looks now and then.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
