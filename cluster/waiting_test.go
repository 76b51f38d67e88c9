package cluster_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"flamingo/idspace"
)

func TestNodeThatFindsNoClusterSaysWhatToType(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		plans := w.plans(2, 0)
		n := w.start(plans[0])
		<-time.After(10 * time.Minute)
		n.requireWaits("at 127.0.0.1:4110, 127.0.0.2:4110; sees nobody. To found one, start this node and two others with" +
			" --expect 3, or this node alone with --expect 1")
		// After 3, 6, 12, 24 and 48 seconds, and then every minute.
		if lines := strings.Count(n.log.String(), "msg=waiting"); lines < 8 || lines > 14 {
			t.Errorf("it was logged %d times in ten minutes, want some 13", lines)
		}
		other := w.start(plans[1])
		<-time.After(10 * time.Second)
		n.requireWaits("sees node2")
		other.requireWaits("sees node1")

		founder := w.start(w.plans(3, 1)[2])
		w.awaitNumbers(founder, n, other)
		for _, n := range []*life{founder, n, other} {
			if why := n.Waiting(); why != "" {
				t.Errorf("%s, which has a number, waits for %s", n.name, why)
			}
		}
		requireOneCluster(t, founder.member, n.member, other.member)
	})
}

// Whether it sees them before it proposes is left to chance.
func TestNodeFoundsAloneBesideNodesThatWait(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var lives []*life
		for _, p := range w.plans(3, 0) {
			lives = append(lives, w.start(p))
		}
		<-time.After(10 * time.Second)
		for _, n := range lives { // one of them has the lowest id
			if got, want := n.Founders(1), []idspace.ServerID{n.server()}; !slices.Equal(got, want) {
				t.Errorf("%s would found a cluster of one with %v, want %v", n.name, got, want)
			}
		}
	})
}

func TestNodesTooFewToFoundSayHowManyAreMissing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		plans := w.plans(5, 5)
		lives := []*life{w.start(plans[0]), w.start(plans[1]), w.start(plans[2])}
		<-time.After(2 * time.Minute)
		lives[0].requireWaits("2 more nodes without a cluster yet, started with --expect 5")
		lives[0].requireWaits("sees node2, node3")
		lives = append(lives, w.start(plans[3]))
		<-time.After(10 * time.Second)
		lives[3].requireWaits("1 more node without a cluster yet, started with --expect 5")
		lives = append(lives, w.start(plans[4]))
		w.awaitNumbers(lives...)
		requireOneCluster(t, members(lives)...)
	})
}

func TestNodeThatIsCutOffFromItsClusterSaysSo(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		lives := w.startAll(w.plans(4, 3))
		outside := lives[3]
		for _, n := range lives { // one that is not in raft
			if len(n.State().Voters) == 0 {
				outside = n
			}
		}
		outside.kill()
		for host := 1; host <= 4; host++ {
			if host != outside.plan.host {
				w.Cut(hostAddr(host).Addr(), outside.plan.addr().Addr())
			}
		}
		again := w.start(outside.plan)
		<-time.After(time.Minute)
		again.requireWaits("a member of cluster "+lives[0].State().Cluster.String(), "a majority of the")
		again.requireWaits("sees nobody")
		w.Heal()
		w.awaitNumbers(again)
	})
}
