package gossip_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"flamingo/cluster/gossip"
	"flamingo/cluster/port"
	"flamingo/cluster/port/porttest"
	"flamingo/idspace"
)

// Nodes on a network in memory, with the timing of a LAN and virtual time.

// virtual runs f in a bubble. The minute after all nodes have ended is for what
// memberlist does not wait for: a goroutine that outlives it fails the test.
func virtual(t *testing.T, f func(*testing.T, *porttest.Network)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(func() { <-time.After(time.Minute) })
		f(t, porttest.New())
	})
}

var hostAddr, hosts = porttest.HostAddr, porttest.Hosts

// on starts node i with the given hosts as seeds.
func on(t *testing.T, network *porttest.Network, i int, cluster idspace.ClusterID, seeds ...int) *node {
	t.Helper()
	return launch(t, planOn(network, i, cluster, seeds...))
}

func planOn(network *porttest.Network, i int, cluster idspace.ClusterID, seeds ...int) plan {
	p := plan{network: network, addr: hostAddr(i), name: fmt.Sprintf("n%d", i), cluster: cluster}
	for _, s := range seeds {
		p.seeds = append(p.seeds, hostAddr(s).String())
	}
	return p
}

func TestPartitionHealsByItself(t *testing.T) {
	virtual(t, func(t *testing.T, network *porttest.Network) {
		var nodes []*node
		for i := 1; i <= 5; i++ {
			// Only node 1 has a seed to find from the far side; the others
			// must remember.
			nodes = append(nodes, on(t, network, i, clusterA, 1))
		}
		awaitEach(t, nodes)
		network.Partition(hosts(1, 3), hosts(4, 5))
		awaitEach(t, nodes[:3])
		awaitEach(t, nodes[3:])
		<-time.After(20 * gossip.LAN().Forget)
		if lost := nodes[0].Stats().Lost; lost != 2 {
			t.Errorf("node 1 remembers %d lost members, want 2", lost)
		}
		network.Heal()
		begin := time.Now()
		awaitEach(t, nodes)
		if took, limit := time.Since(begin), 2*gossip.LAN().RejoinMax; took > limit {
			t.Errorf("healed after %v, want at most %v", took, limit)
		}
		if lost := nodes[0].Stats().Lost; lost != 0 {
			t.Errorf("node 1 remembers %d lost members, want none", lost)
		}
	})
}

func TestLostMembersAreFoundWithoutSeeds(t *testing.T) {
	virtual(t, func(t *testing.T, network *porttest.Network) {
		first := on(t, network, 1, clusterA)
		second := on(t, network, 2, clusterA, 1)
		awaitEach(t, []*node{first, second})
		network.Partition(hosts(1, 1), hosts(2, 2))
		awaitEach(t, []*node{first})
		second.kill()
		<-time.After(time.Hour)
		network.Heal()
		again := on(t, network, 2, clusterA) // knows nobody, and must be found
		awaitEach(t, []*node{first, again})
	})
}

func TestExchangeTellsBothWhatTheOtherKnows(t *testing.T) {
	virtual(t, func(t *testing.T, network *porttest.Network) {
		nodes := []*node{
			on(t, network, 1, clusterA), on(t, network, 2, clusterA, 1),
			on(t, network, 3, clusterA), on(t, network, 4, clusterA, 3),
		}
		awaitEach(t, nodes[:2])
		awaitEach(t, nodes[2:])
		network.Mute(hosts(1, 4), hosts(1, 4))
		nodes[0].Exchange(hostAddr(3))
		for _, n := range []*node{nodes[0], nodes[2]} {
			await(t, n, "the members of both groups", func(ms []gossip.Member) bool { return sees(ms, nodes) })
		}
	})
}

func TestDeadMemberIsGoneAndDrainedOneForgotten(t *testing.T) {
	virtual(t, func(t *testing.T, network *porttest.Network) {
		nodes := []*node{on(t, network, 1, clusterA), on(t, network, 2, clusterA, 1), on(t, network, 3, clusterA, 1)}
		awaitEach(t, nodes)
		begin := time.Now()
		nodes[2].kill()
		awaitEach(t, nodes[:2])
		if took := time.Since(begin); took > 30*time.Second {
			t.Errorf("dead member gone after %v, want at most 30s", took)
		}
		if got := nodes[0].Stats().Lost; got != 1 {
			t.Errorf("after a death: %d lost members, want 1", got)
		}
		meta := nodes[1].Meta()
		meta.State = gossip.StateDraining
		if err := nodes[1].Update(t.Context(), meta); err != nil {
			t.Fatal(err)
		}
		await(t, nodes[0], "the draining", func(ms []gossip.Member) bool {
			m, _ := find(ms, nodes[1].boot)
			return m.Meta.State == gossip.StateDraining
		})
		nodes[1].leave()
		awaitEach(t, nodes[:1])
		if got := nodes[0].Stats().Lost; got != 1 {
			t.Errorf("after a departure: %d lost members, want 1 as before", got)
		}
	})
}

// wantRefusal waits until n refuses peer, with an error that names both ids.
func wantRefusal(t *testing.T, n, peer *node) {
	t.Helper()
	var got gossip.Refusal
	eventually(t, fmt.Sprintf("%s to refuse %s", n.name, peer.name), func() bool {
		for _, r := range n.Refusals() {
			if r.Boot == peer.boot {
				got = r
				return true
			}
		}
		return false
	})
	ours, theirs := n.Meta().Cluster, peer.Meta().Cluster
	var mismatch *gossip.MismatchError
	if !errors.Is(got.Err, gossip.ErrOtherCluster) || !errors.As(got.Err, &mismatch) {
		t.Fatalf("%s refuses %s with %v, want ErrOtherCluster", n.name, peer.name, got.Err)
	}
	if mismatch.Ours != ours || mismatch.Theirs != theirs || mismatch.Peer != peer.boot {
		t.Errorf("%s refuses %s with %+v, want ours %v, theirs %v", n.name, peer.name, mismatch, ours, theirs)
	}
	for _, id := range []idspace.ClusterID{ours, theirs} {
		if !strings.Contains(got.Err.Error(), id.String()) {
			t.Errorf("%q does not name %v", got.Err, id)
		}
	}
	synctest.Wait()
	if log := n.log.String(); !strings.Contains(log, peer.boot.String()) {
		t.Errorf("%s does not log the refusal of %s:\n%s", n.name, peer.name, log)
	}
}

func TestTwoClustersThatMeetStayApart(t *testing.T) {
	virtual(t, func(t *testing.T, network *porttest.Network) {
		a := []*node{on(t, network, 1, clusterA, 1, 2, 3, 4), on(t, network, 2, clusterA, 1, 2, 3, 4)}
		b := []*node{on(t, network, 3, clusterB, 1, 2, 3, 4), on(t, network, 4, clusterB, 1, 2, 3, 4)}
		for _, n := range a {
			for _, m := range b {
				wantRefusal(t, n, m)
				wantRefusal(t, m, n)
			}
		}
		<-time.After(10 * time.Minute)
		awaitEach(t, a)
		awaitEach(t, b)
		for _, s := range a[0].Seeds()[2:] {
			if len(s.Addrs) != 1 || !errors.Is(s.Addrs[0].Err, gossip.ErrOtherCluster) {
				t.Errorf("seed %+v, want ErrOtherCluster", s)
			}
		}
	})
}

func TestBlankNodeMeetsAnybodyUntilItHasACluster(t *testing.T) {
	virtual(t, func(t *testing.T, network *porttest.Network) {
		a := []*node{on(t, network, 1, clusterA), on(t, network, 2, clusterA, 1)}
		b := []*node{on(t, network, 3, clusterB), on(t, network, 4, clusterB, 3)}
		awaitEach(t, a)
		awaitEach(t, b)
		blank := on(t, network, 5, idspace.ClusterID{}, 1, 3)
		await(t, blank, "all five", func(ms []gossip.Member) bool { return len(ms) == 5 })
		for _, n := range append(a, b...) {
			await(t, n, "its own and the blank one", func(ms []gossip.Member) bool {
				return len(ms) == 3 && contains(ms, blank)
			})
		}

		meta := blank.Meta()
		meta.Cluster = clusterA
		if err := blank.Update(t.Context(), meta); err != nil {
			t.Fatal(err)
		}
		a = append(a, blank)
		if got := blank.Members(); !sees(got, a) {
			t.Errorf("after Update the node sees %v, want those of its cluster", names(got))
		}
		awaitEach(t, a)
		awaitEach(t, b)
		wantRefusal(t, blank, b[0])
		<-time.After(10 * time.Minute)
		awaitEach(t, a)
		awaitEach(t, b)
	})
}

func TestClustersOfOtherNamesStayApart(t *testing.T) {
	virtual(t, func(t *testing.T, network *porttest.Network) {
		one := on(t, network, 1, idspace.ClusterID{}, 2)
		p := planOn(network, 2, idspace.ClusterID{}, 1)
		p.change = func(c *gossip.Config) { c.ClusterName = "other" }
		two := launch(t, p)
		for n, m := range map[*node]*node{one: two, two: one} {
			eventually(t, "a refusal", func() bool { return len(n.Refusals()) > 0 })
			r := n.Refusals()[0]
			if r.Boot != m.boot || !errors.Is(r.Err, gossip.ErrOtherName) ||
				!strings.Contains(r.Err.Error(), `"other"`) || !strings.Contains(r.Err.Error(), `"flamingo"`) {
				t.Errorf("%s refuses with %+v, want ErrOtherName that names both", n.name, r)
			}
		}
		<-time.After(10 * time.Minute)
		awaitEach(t, []*node{one})
		awaitEach(t, []*node{two})
	})
}

func TestNodeFindsItselfByItsBootID(t *testing.T) {
	virtual(t, func(t *testing.T, network *porttest.Network) {
		p := planOn(network, 1, idspace.ClusterID{}, 1)
		// Nothing in the addresses says that the seed is the node itself.
		p.change = func(c *gossip.Config) { c.Advertise = netip.MustParseAddrPort("127.0.0.9:4110") }
		n := launch(t, p)
		var got gossip.SeedAddr
		eventually(t, "the seed to be tried", func() bool {
			for _, s := range n.Seeds() {
				for _, a := range s.Addrs {
					got = a
				}
			}
			return !got.At.IsZero()
		})
		if !got.Self || !errors.Is(got.Err, gossip.ErrSelf) || got.Peer != n.boot {
			t.Errorf("seed = %+v, want Self", got)
		}
		if s := n.Stats(); s.JoinErrors != 0 || len(s.StreamsRefused) != 0 {
			t.Errorf("stats = %+v, want no fault", s)
		}
	})
}

func TestConfirmedIsWhenTheMemberAnswered(t *testing.T) {
	virtual(t, func(t *testing.T, network *porttest.Network) {
		nodes := []*node{on(t, network, 1, clusterA), on(t, network, 2, clusterA, 1)}
		awaitEach(t, nodes)
		<-time.After(time.Minute)
		m, _ := find(nodes[0].Members(), nodes[1].boot)
		if age := time.Since(m.Confirmed); age > 5*time.Second {
			t.Errorf("confirmed %v ago, want at most 5s", age)
		}
		cut := time.Now()
		network.Partition(hosts(1, 1), hosts(2, 2))
		<-time.After(3 * time.Second)
		m, ok := find(nodes[0].Members(), nodes[1].boot)
		if !ok || m.Confirmed.After(cut) {
			t.Errorf("present %t, confirmed %v after the cut, want present and before it", ok, m.Confirmed.Sub(cut))
		}
	})
}

func TestMembersOverTheBoundAreRefused(t *testing.T) {
	virtual(t, func(t *testing.T, network *porttest.Network) {
		p := planOn(network, 1, clusterA)
		p.change = func(c *gossip.Config) { c.MaxMembers = 2 }
		small := launch(t, p)
		others := []*node{on(t, network, 2, clusterA, 1), on(t, network, 3, clusterA, 2)}
		await(t, others[1], "the other big one", func(ms []gossip.Member) bool { return contains(ms, others[0]) })
		eventually(t, "a refusal for room", func() bool { return small.Stats().MembersRefused[gossip.ForRoom] > 0 })
		if got := len(small.Members()); got > 2 {
			t.Errorf("%d members, want at most 2", got)
		}
	})
}

func TestUpdateThatCannotSpreadSaysSo(t *testing.T) {
	virtual(t, func(t *testing.T, network *porttest.Network) {
		p := planOn(network, 1, clusterA)
		// Nothing is sent within the timeout.
		p.timing = gossip.LAN()
		p.timing.Gossip, p.timing.Probe = time.Hour, time.Hour
		n := launch(t, p)
		other := on(t, network, 2, clusterA, 1)
		awaitEach(t, []*node{n, other})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		meta := n.Meta()
		meta.Number = 5
		begin := time.Now()
		err := n.Update(ctx, meta)
		if took := time.Since(begin); took > time.Second {
			t.Errorf("Update took %v, want at most 1s", took)
		}
		if !errors.Is(err, gossip.ErrNotSpread) {
			t.Errorf("Update = %v, want ErrNotSpread", err)
		}
		if n.Meta().Number != 5 {
			t.Errorf("Meta = %+v, want the update", n.Meta())
		}
	})
}

func TestNodesMeetOverIPv6(t *testing.T) {
	virtual(t, func(t *testing.T, network *porttest.Network) {
		p := plan{network: network, name: "six", addr: netip.MustParseAddrPort("[::1]:4110")}
		first := launch(t, p)
		p.addr, p.seeds = netip.MustParseAddrPort("[::1]:4111"), []string{"::1"}
		second := launch(t, p)
		awaitEach(t, []*node{first, second})
	})
}

func TestIdleStreamsAreBoundedAndEnd(t *testing.T) {
	virtual(t, func(t *testing.T, network *porttest.Network) {
		n := on(t, network, 1, clusterA)
		await(t, n, "itself", func(ms []gossip.Member) bool { return len(ms) == 1 })
		stranger, err := port.New(port.Config{Addr: hostAddr(9), Network: network.Host(hostAddr(9).Addr())})
		if err != nil {
			t.Fatal(err)
		}
		const more = 10
		for range gossip.MaxStreams + more {
			c, err := stranger.Dial(t.Context(), n.addr, port.Gossip)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			synctest.Wait()
		}
		if got := n.Stats().StreamsRefused[gossip.ForStreams]; got != more {
			t.Errorf("refused %d streams over the bound, want %d", got, more)
		}
		<-time.After(gossip.LAN().Stream)
		synctest.Wait()
		if got := n.Stats().StreamsRefused[gossip.ForHello]; got != gossip.MaxStreams {
			t.Errorf("ended %d idle streams, want %d", got, gossip.MaxStreams)
		}
	})
}
