package gossip_test

import (
	"context"
	"encoding/binary"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"flamingo/cluster/gossip"
	"flamingo/cluster/port"
	"flamingo/idspace"
)

// idle returns a Gossip that does not run, whose table the test changes.
func idle(t *testing.T) *gossip.Gossip {
	t.Helper()
	g, err := gossip.New(goodConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// goodConfig returns a Config that New accepts.
func goodConfig(t *testing.T) gossip.Config {
	t.Helper()
	p, err := port.New(port.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return gossip.Config{Port: p, Advertise: hostAddr(1), Boot: bootOf(999), Meta: metaOf("a", clusterA)}
}

func bootOf(n int) (b idspace.BootID) {
	binary.BigEndian.PutUint64(b[8:], uint64(n))
	return b
}

func memberWith(n int, name string) gossip.Member {
	return gossip.Member{Boot: bootOf(n), Meta: gossip.Meta{Name: name}}
}

func TestChangesOfOneMemberAreToldAsOne(t *testing.T) {
	g := idle(t)
	next, stop := iter.Pull(g.Changes(t.Context()))
	defer stop()
	want := func(kind gossip.ChangeKind, n int, name string) {
		t.Helper()
		c, ok := next()
		if !ok || c.Kind != kind || c.Member.Boot != bootOf(n) || c.Member.Meta.Name != name {
			t.Fatalf("change = %v %+v, %t, want %v of %d as %s", c.Kind, c.Member, ok, kind, n, name)
		}
	}
	g.Put(memberWith(1, "one"))
	want(gossip.Joined, 1, "one")

	g.Put(memberWith(2, "two")) // came and went
	g.Put(memberWith(1, "a"))   // several updates
	g.Put(memberWith(1, "b"))
	g.Remove(bootOf(2))
	g.Put(memberWith(3, "three"))
	want(gossip.Updated, 1, "b")
	want(gossip.Joined, 3, "three")

	g.Remove(bootOf(1)) // went and came, as it was
	g.Put(memberWith(1, "b"))
	g.Remove(bootOf(3)) // went and came, as another
	g.Put(memberWith(4, "three"))
	want(gossip.Gone, 3, "three")
	want(gossip.Joined, 4, "three")
}

func TestChangesBeginWithWhoIsPresent(t *testing.T) {
	g := idle(t)
	g.Put(memberWith(1, "one"))
	g.Put(memberWith(2, "two"))
	seen := make(map[idspace.BootID]bool)
	for range 2 { // a sequence may be ranged over again
		clear(seen)
		for c := range g.Changes(t.Context()) {
			if seen[c.Member.Boot] = true; c.Kind != gossip.Joined {
				t.Errorf("change = %v, want joined", c.Kind)
			}
			if len(seen) == 2 {
				break
			}
		}
	}
}

func TestSubscriberThatDoesNotReadStaysSmall(t *testing.T) {
	g := idle(t)
	next, stop := iter.Pull(g.Changes(t.Context()))
	defer stop()
	g.Put(memberWith(1, "one"))
	next()
	for i := range 10_000 {
		g.Put(memberWith(i+2, "passing"))
		g.Remove(bootOf(i + 2))
	}
	if dirty, told := g.Hold(); dirty != 0 || told != 1 {
		t.Errorf("holds %d changes and %d members, want 0 and 1", dirty, told)
	}
}

func TestChangesEndWithTheirContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := idle(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for range g.Changes(ctx) {
			t.Error("a change, want none")
		}
	})
}
