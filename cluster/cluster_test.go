package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"flamingo/cluster"
	"flamingo/cluster/gossip"
	"flamingo/cluster/mesh"
	"flamingo/idspace"
)

// An inbox is an owner that takes every message.
type inbox struct {
	mu  sync.Mutex
	got map[idspace.ID][]string // guarded by mu
}

func (b *inbox) Deliver(id idspace.ID, _ mesh.Kind, msg []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.got == nil {
		b.got = make(map[idspace.ID][]string)
	}
	b.got[id] = append(b.got[id], string(msg))
	return nil
}

func (b *inbox) DeliverMany(ids []idspace.ID, kind mesh.Kind, msg []byte, results []error) {
	for i, id := range ids {
		results[i] = b.Deliver(id, kind, msg)
	}
}

func (b *inbox) DeliverWaited(id idspace.ID, kind mesh.Kind, _ mesh.Stage, msg []byte, _ time.Duration, done func(error)) {
	done(b.Deliver(id, kind, msg))
}
func (b *inbox) Close(idspace.ID, uint16, string) error { return nil }
func (b *inbox) Describe(idspace.ID) ([]byte, error)    { return []byte("here"), nil }

// take returns what came for id since it was last asked.
func (b *inbox) take(id idspace.ID) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	got := b.got[id]
	delete(b.got, id)
	return got
}

// A member is a node that runs.
type member struct {
	*cluster.Cluster
	name   string
	inbox  *inbox
	number idspace.NodeNumber // the newest, once it is granted
	stop   func() error       // in order; returns what Run and Close returned
}

// freeAddrs returns addresses on loopback whose ports are free for TCP and UDP.
func freeAddrs(t *testing.T, n int) (addrs []netip.AddrPort) {
	t.Helper()
	for len(addrs) < n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		pc, err := net.ListenPacket("udp", ln.Addr().String())
		if err != nil {
			continue // another one
		}
		defer pc.Close()
		addrs = append(addrs, netip.MustParseAddrPort(ln.Addr().String()))
	}
	return addrs
}

func startMember(t *testing.T, i int, addrs []netip.AddrPort, expect int, dir string) *member {
	t.Helper()
	var join []string
	for _, a := range addrs {
		join = append(join, a.String())
	}
	m := &member{name: fmt.Sprintf("node%d", i), inbox: &inbox{}}
	c, err := cluster.New(cluster.Config{
		NodeName: m.name, Address: addrs[i], Join: join, Expect: expect, Dir: dir,
		Owner: m.inbox, OutcomeOf: func(error) mesh.Outcome { return mesh.OutcomeGone },
		Timing: gossip.Fast(), Election: 200 * time.Millisecond, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.Cluster = c
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	m.stop = sync.OnceValue(func() error {
		cancel()
		return errors.Join(<-ended, c.Close())
	})
	t.Cleanup(func() {
		if err := m.stop(); err != nil {
			t.Errorf("node%d: %v", i, err)
		}
	})
	return m
}

// On real sockets, with all that a system adds to them. Every other test is in
// a world.
func TestNodesOnRealSocketsFoundOneClusterAndSendToEachOther(t *testing.T) {
	addrs := freeAddrs(t, 3)
	dirs := []string{t.TempDir(), t.TempDir(), t.TempDir()}
	var members []*member
	for i, dir := range dirs {
		members = append(members, startMember(t, i, addrs, 3, dir))
	}
	grantAll(t, members)
	requireOneCluster(t, members...)
	sendAllToAll(t, members...)

	former := members[2].number
	if err := members[2].stop(); err != nil {
		t.Fatal(err)
	}
	members[2] = startMember(t, 2, addrs, 3, dirs[2])
	grantAll(t, members[2:])
	if members[2].number <= former {
		t.Errorf("number %v after %v, want a later one", members[2].number, former)
	}
	for _, m := range members {
		awaitLocate(t, m, former, mesh.ErrGone)
	}
	sendAllToAll(t, members...)
}

// requireOneCluster checks that all belong to one cluster and hold numbers of
// their own.
func requireOneCluster(t *testing.T, members ...*member) {
	t.Helper()
	seen := make(map[idspace.NodeNumber]string)
	for _, m := range members {
		if other := seen[m.number]; other != "" || !m.number.Valid() {
			t.Errorf("%s was granted %v, as was %q", m.name, m.number, other)
		}
		seen[m.number] = m.name
		if got, want := m.State().Cluster, members[0].State().Cluster; got != want {
			t.Errorf("%s is in cluster %v, want %v", m.name, got, want)
		}
	}
}

// sendAllToAll sends from each to each, and requires every message once, in
// order. What the inboxes had before is forgotten.
func sendAllToAll(t *testing.T, members ...*member) {
	t.Helper()
	const each = 100
	idFrom := func(from int, to *member) idspace.ID {
		id, err := idspace.NewID(to.number, idspace.Serial(from+1))
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	for from, m := range members {
		for to, other := range members {
			if from == to {
				continue
			}
			peer := locate(t, m, other.number)
			for k := range each {
				if err := peer.SendData(idFrom(from, other), mesh.KindDefault, fmt.Appendf(nil, "%d", k)); err != nil {
					t.Fatalf("send from %s to %s: %v", m.name, other.name, err)
				}
			}
		}
	}
	for from, m := range members {
		if err := m.Mesh().Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		for to, other := range members {
			if from == to {
				continue
			}
			got := other.inbox.take(idFrom(from, other))
			if len(got) != each {
				t.Fatalf("%s has %d messages from %s, want %d", other.name, len(got), m.name, each)
			}
			for k, msg := range got {
				if msg != fmt.Sprint(k) {
					t.Fatalf("message %d from %s to %s is %q", k, m.name, other.name, msg)
				}
			}
		}
	}
}

// passing are the errors that news under way can make.
var passing = []error{mesh.ErrUnreachable, mesh.ErrUncertain, mesh.ErrNotMine, mesh.ErrBlank}

// locate waits until m reaches who holds a number: news of it may still be under
// way, or a link after a partition.
func locate(t *testing.T, m *member, n idspace.NodeNumber) (peer *mesh.Peer) {
	t.Helper()
	poll(t, patience, func() (done bool, said string) {
		var err error
		if peer, err = m.Locate(t.Context(), n); err == nil {
			_, err = peer.Describe(t.Context(), anyIDOf(n))
		}
		said = fmt.Sprintf("%s locates %v: %v", m.name, n, err)
		if err != nil && !slices.ContainsFunc(passing, func(e error) bool { return errors.Is(err, e) }) {
			t.Fatal(said)
		}
		return err == nil, said
	})
	return peer
}

// poll looks every 5 ms, and fails with what was said last when limit is over.
func poll(t *testing.T, limit time.Duration, look func() (done bool, said string)) {
	t.Helper()
	late := time.After(limit)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		done, said := look()
		if done {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("after %v: %s", limit, said)
		}
	}
}

func anyIDOf(n idspace.NodeNumber) idspace.ID {
	id, err := idspace.NewID(n, 1)
	if err != nil {
		panic(err)
	}
	return id
}

// grantAll waits until each of members has a number.
func grantAll(t *testing.T, members []*member) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	for _, m := range members {
		wg.Go(func() {
			var err error
			if m.number, err = m.Grant(ctx); err != nil {
				t.Errorf("grant: %v", err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// awaitLocate waits until m answers want for a number: news may be under way.
func awaitLocate(t *testing.T, m *member, n idspace.NodeNumber, want error) {
	t.Helper()
	poll(t, 30*time.Second, func() (done bool, said string) {
		_, err := m.Locate(t.Context(), n)
		return errors.Is(err, want), fmt.Sprintf("%s locates %v: %v, want %v", m.name, n, err, want)
	})
}
