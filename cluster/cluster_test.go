package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
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

func (b *inbox) Deliver(id idspace.ID, msg []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.got == nil {
		b.got = make(map[idspace.ID][]string)
	}
	b.got[id] = append(b.got[id], string(msg))
	return nil
}

func (b *inbox) DeliverMany(ids []idspace.ID, msg []byte, results []error) {
	for i, id := range ids {
		results[i] = b.Deliver(id, msg)
	}
}

func (b *inbox) DeliverWritten(id idspace.ID, msg []byte, _ time.Duration, done func(error)) {
	done(b.Deliver(id, msg))
}
func (b *inbox) Close(idspace.ID) error              { return nil }
func (b *inbox) Describe(idspace.ID) ([]byte, error) { return []byte("here"), nil }
func (b *inbox) messages(id idspace.ID) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.got[id]...)
}

type member struct {
	*cluster.Cluster
	inbox  *inbox
	number idspace.NodeNumber
	stop   func() error
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
	m := &member{inbox: &inbox{}}
	c, err := cluster.New(cluster.Config{
		NodeName: fmt.Sprintf("node%d", i), Address: addrs[i], Join: join, Expect: expect, Dir: dir,
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

// startCluster starts n nodes with one join list and waits until each has its
// number.
func startCluster(t *testing.T, n, expect int) []*member {
	t.Helper()
	addrs := freeAddrs(t, n)
	members := make([]*member, n)
	for i := range members {
		members[i] = startMember(t, i, addrs, expect, t.TempDir())
	}
	grantAll(t, members)
	return members
}

func TestNodesFoundOneClusterAndSendToEachOther(t *testing.T) {
	for _, size := range []struct{ nodes, expect int }{{1, 1}, {3, 3}, {5, 3}} {
		t.Run(fmt.Sprintf("%d nodes expect %d", size.nodes, size.expect), func(t *testing.T) {
			members := startCluster(t, size.nodes, size.expect)
			seen := make(map[idspace.NodeNumber]bool)
			for _, m := range members {
				if seen[m.number] {
					t.Fatalf("number %s was granted twice", m.number)
				}
				seen[m.number] = true
				if got, want := m.State().Cluster, members[0].State().Cluster; got != want {
					t.Errorf("cluster %s, want %s", got, want)
				}
			}
			sendAllToAll(t, members)
		})
	}
}

func sendAllToAll(t *testing.T, members []*member) {
	t.Helper()
	const each = 100
	for from, m := range members {
		for to, other := range members {
			if from == to {
				continue
			}
			id, err := idspace.NewID(other.number, idspace.Serial(from+1))
			if err != nil {
				t.Fatal(err)
			}
			peer := locate(t, m, other.number)
			for k := range each {
				if err := peer.SendData(id, fmt.Appendf(nil, "%d", k)); err != nil {
					t.Fatalf("send from node%d to node%d: %v", from, to, err)
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
			id, _ := idspace.NewID(other.number, idspace.Serial(from+1))
			got := other.inbox.messages(id)
			if len(got) != each {
				t.Fatalf("node%d has %d messages from node%d, want %d", to, len(got), from, each)
			}
			for k, msg := range got {
				if msg != fmt.Sprint(k) {
					t.Fatalf("message %d from node%d to node%d is %q", k, from, to, msg)
				}
			}
		}
	}
}

// locate waits until m knows who holds a number: news of it may still be under
// way.
func locate(t *testing.T, m *member, n idspace.NodeNumber) *cluster.Peer {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		peer, err := m.Locate(t.Context(), n)
		if err == nil {
			return peer
		}
		if !errors.Is(err, mesh.ErrUnreachable) {
			t.Fatalf("locate %s: %v", n, err)
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatalf("locate %s: %v", n, err)
		}
	}
}

func TestNodeComesBackUnderALaterNumberAndItsFormerOneIsGone(t *testing.T) {
	addrs := freeAddrs(t, 3)
	dirs := []string{t.TempDir(), t.TempDir(), t.TempDir()}
	members := make([]*member, 3)
	for i := range members {
		members[i] = startMember(t, i, addrs, 3, dirs[i])
	}
	grantAll(t, members)
	former := members[2].number
	if err := members[2].stop(); err != nil {
		t.Fatal(err)
	}
	members[2] = startMember(t, 2, addrs, 3, dirs[2])
	grantAll(t, members[2:])
	if members[2].number <= former {
		t.Errorf("number %s after %s, want a later one", members[2].number, former)
	}
	for i, m := range members {
		awaitLocate(t, m, fmt.Sprintf("node%d on the former life", i), former, mesh.ErrGone)
	}
	sendAllToAll(t, members)
}

func TestNumberOfANodeThatLostItsDirectoryIsUnreachable(t *testing.T) {
	addrs := freeAddrs(t, 4)
	members := make([]*member, 4)
	for i := range members {
		members[i] = startMember(t, i, addrs, 3, t.TempDir())
	}
	grantAll(t, members)
	former := members[3].number
	if err := members[3].stop(); err != nil {
		t.Fatal(err)
	}
	members[3] = startMember(t, 3, addrs, 3, t.TempDir())
	grantAll(t, members[3:])
	if members[3].number <= former {
		t.Errorf("number %s after %s, want a later one", members[3].number, former)
	}
	for i, m := range members {
		awaitLocate(t, m, fmt.Sprintf("node%d on the former life", i), former, mesh.ErrUnreachable)
	}
	ask, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := members[0].Locate(ask, members[3].number+1<<20); !errors.Is(err, mesh.ErrNeverIssued) {
		t.Errorf("a number to come: %v, want %v", err, mesh.ErrNeverIssued)
	}
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
func awaitLocate(t *testing.T, m *member, what string, n idspace.NodeNumber, want error) {
	t.Helper()
	late := time.After(30 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := m.Locate(t.Context(), n)
		if errors.Is(err, want) {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("%s: %v, want %v", what, err, want)
		}
	}
}
