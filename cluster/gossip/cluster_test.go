package gossip_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"flamingo/cluster/gossip"
	"flamingo/cluster/port"
)

// Nodes on real sockets, in one process, with the fast timing. What takes
// long, or needs a faulty network, is in virtual_test.go.

// launchAll starts nodes in random order, all with the same seeds.
func launchAll(t *testing.T, count int) []*node {
	t.Helper()
	var ports []*port.Port
	var seeds []string
	for range count {
		p := listen(t, netip.AddrPort{}, nil)
		ports, seeds = append(ports, p), append(seeds, p.Addr().String())
	}
	nodes := make([]*node, count)
	for _, i := range rand.Perm(count) {
		nodes[i] = launch(t, plan{
			port: ports[i], name: string(rune('a' + i)), seeds: seeds, timing: gossip.Fast(),
		})
	}
	return nodes
}

func TestNodesWithOneListSeeEachOther(t *testing.T) {
	for _, count := range []int{3, 5} {
		nodes := launchAll(t, count)
		awaitEach(t, nodes)
		for _, n := range nodes {
			for _, m := range n.Members() {
				if m.Addr != m.Meta.Address || m.Since.IsZero() {
					t.Errorf("%s sees %+v, want an address and a time", n.name, m)
				}
			}
		}
	}
}

func TestUpdateReachesAll(t *testing.T) {
	nodes := launchAll(t, 3)
	awaitEach(t, nodes)
	want := nodes[0].Meta()
	want.Number, want.Numbers, want.State, want.Cluster = 77, 3, gossip.StateReady, clusterA
	if err := nodes[0].Update(t.Context(), want); err != nil {
		t.Fatalf("Update = %v", err)
	}
	for _, n := range nodes {
		await(t, n, "the update", func(ms []gossip.Member) bool {
			m, _ := find(ms, nodes[0].boot)
			return m.Meta == want
		})
	}
	next := want
	next.Cluster = clusterB
	if err := nodes[0].Update(t.Context(), next); !errors.Is(err, gossip.ErrClusterChanged) || nodes[0].Meta() != want {
		t.Errorf("Update with another cluster id = %v, meta %+v, want ErrClusterChanged and no change", err, nodes[0].Meta())
	}
}

func TestQuickRestartIsAnotherMember(t *testing.T) {
	nodes := launchAll(t, 3)
	awaitEach(t, nodes)

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	nodes[0].kill()
	again := launch(t, plan{addr: nodes[0].addr, name: "a", seeds: []string{nodes[1].addr.String()}, timing: gossip.Fast()})
	var gone, joined bool
	told := make(map[string]bool)
	for c := range nodes[1].Changes(ctx) {
		told[c.Kind.String()+" "+c.Member.Boot.String()] = true
		gone = told["gone "+nodes[0].boot.String()] || !contains(nodes[1].Members(), nodes[0])
		joined = told["joined "+again.boot.String()]
		if gone && joined {
			break
		}
	}
	if !gone || !joined {
		t.Errorf("gone %t, joined %t, want both", gone, joined)
	}
	nodes[0] = again
	awaitEach(t, nodes)
}

func contains(ms []gossip.Member, n *node) bool {
	_, ok := find(ms, n.boot)
	return ok
}

func TestGoodbyeIsFaster(t *testing.T) {
	timing := gossip.Fast()
	timing.Suspicion = 100 // so that only a goodbye shows within the patience
	timing.Probe = 10 * time.Second
	first := launch(t, plan{name: "a", timing: timing})
	second := launch(t, plan{name: "b", timing: timing, seeds: []string{first.addr.String()}})
	awaitEach(t, []*node{first, second})
	second.leave()
	awaitEach(t, []*node{first})
	if err := second.Update(t.Context(), second.Meta()); !errors.Is(err, gossip.ErrEnded) {
		t.Errorf("Update after the end = %v, want ErrEnded", err)
	}
	if err := second.Run(t.Context()); !errors.Is(err, gossip.ErrRunning) {
		t.Errorf("second Run = %v, want ErrRunning", err)
	}
}

func TestStrangersBytesChangeNothing(t *testing.T) {
	nodes := launchAll(t, 2)
	awaitEach(t, nodes)
	target := nodes[0]
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	noise := func() []byte {
		b := make([]byte, rnd.IntN(1400))
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		return b
	}
	udp, err := net.Dial("udp", target.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	for range 500 {
		udp.Write(noise())                                        //nolint:errcheck // may be refused
		udp.Write(append([]byte("\xf4\x08flamingo"), noise()...)) //nolint:errcheck // the same, with the label
	}
	stranger, err := port.New(port.Config{})
	if err != nil {
		t.Fatal(err)
	}
	hello := gossip.AppendHello(gossip.Hello{Boot: newBoot(t), Name: gossip.DefaultClusterName})
	for i := range 50 {
		c, err := stranger.Dial(t.Context(), target.addr, port.Gossip)
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			c.Write(append(append([]byte(nil), hello...), "\xf4\x08flamingo"...)) //nolint:errcheck // may be refused
		}
		c.Write(noise())              //nolint:errcheck // may be refused
		c.(*net.TCPConn).CloseWrite() //nolint:errcheck // only to be quick
		io.Copy(io.Discard, c)        //nolint:errcheck // until it is closed
		c.Close()
	}
	awaitEach(t, nodes)
	if strings.Contains(target.log.String(), "memberlist") {
		t.Errorf("strangers make noise at level info:\n%s", target.log)
	}
}

func TestPortThatEndsEndsGossip(t *testing.T) {
	n := launch(t, plan{name: "a", timing: gossip.Fast()})
	await(t, n, "itself", func(ms []gossip.Member) bool { return len(ms) == 1 })
	n.stopPort() //nolint:errcheck // looked at in the cleanup
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for range n.Changes(ctx) { // until Run ends
	}
	if err := n.stopGossip(); !errors.Is(err, gossip.ErrPortEnded) {
		t.Errorf("Run = %v, want ErrPortEnded", err)
	}
}
