package cluster_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"flamingo/cluster"
	"flamingo/idspace"
)

func TestNodesStartedInAnyOrderFoundOneCluster(t *testing.T) {
	for _, size := range []struct{ nodes, expect int }{{3, 3}, {5, 3}, {5, 5}} {
		for seed := range uint64(4) {
			t.Run(fmt.Sprintf("%d nodes expect %d seed %d", size.nodes, size.expect, seed), func(t *testing.T) {
				inWorld(t, func(t *testing.T, w *world) {
					rnd := rand.New(rand.NewPCG(seed, 1))
					plans := w.plans(size.nodes, size.expect)
					rnd.Shuffle(len(plans), func(i, j int) { plans[i], plans[j] = plans[j], plans[i] })
					var lives []*life
					for _, p := range plans {
						lives = append(lives, w.start(p))
						if seed > 0 { // the first time all at once
							<-time.After(time.Duration(rnd.Int64N(int64(seed * uint64(time.Second)))))
						}
					}
					begin := time.Now()
					w.awaitNumbers(lives...)
					if took := time.Since(begin); took > 10*time.Second {
						t.Errorf("the last number came %v after the last start, want at most 10s", took)
					}
					requireOneCluster(t, members(lives)...)
				})
			})
		}
	}
}

// Two groups, each enough for a cluster, do not know of each other at first.
func TestNodesThatMeetAtOnceFoundOneCluster(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		plans := w.plans(7, 3)
		var lives []*life
		for i, p := range plans[:6] {
			p.join = []int{1, 2, 3}
			if i >= 3 {
				p.join = []int{4, 5, 6}
			}
			lives = append(lives, w.start(p))
		}
		<-time.After(300 * time.Millisecond)
		lives = append(lives, w.start(plans[6]))
		w.awaitMembership(lives...)
		requireOneCluster(t, members(lives)...)
	})
}

// Of each of two groups only one node knows of the other group, and cannot tell
// its own by packets until the network heals. What each group proposes, that node
// is asked to promise.
func meetInSilence(w *world, trusting bool) []*life {
	plans := w.plans(6, 3)
	for i, p := range plans {
		p.join = []int{1, 2, 3}
		if i >= 3 {
			p.join = []int{4, 5, 6}
		}
		plans[i] = p.with(func(p *plan) { p.shy, p.trusting = true, trusting })
	}
	plans[2].join = append(plans[2].join, 6) // which is not up yet: it tries again before anybody has settled
	informed := []netip.Addr{hostAddr(3).Addr(), hostAddr(6).Addr()}
	w.Mute(informed, hosts(1, 2))
	w.Mute(informed, hosts(4, 5))
	var lives []*life
	for i, p := range plans {
		if i == 3 {
			<-time.After(100 * time.Millisecond)
		}
		lives = append(lives, w.start(p))
	}
	return lives
}

func TestNodeThatKnowsOfMoreKeepsAClusterFromBeingFounded(t *testing.T) {
	for i := range 10 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				lives := meetInSilence(w, false)
				<-time.After(3 * time.Second)
				w.Heal()
				w.awaitMembership(lives...)
				requireOneCluster(t, members(lives)...)
			})
		})
	}
}

// The negative control: if nodes promise whatever is proposed, two clusters are
// founded, unless the groups have exchanged their states just then.
func TestNodesThatTrustEveryProposerFoundTwoClusters(t *testing.T) {
	clusters := make(map[idspace.ClusterID]bool)
	for i := 0; i < 10 && len(clusters) < 2; i++ {
		clear(clusters)
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				lives := meetInSilence(w, true)
				<-time.After(3 * time.Second)
				for _, n := range lives {
					n.fails = true // they refuse each other
					if c := n.State().Cluster; !c.IsZero() {
						clusters[c] = true
					}
				}
			})
		})
	}
	if len(clusters) < 2 {
		t.Error("two clusters were never founded")
	}
}

func TestBlankNodeLeavesAClusterAloneThatIsLeaving(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		plans := w.plans(2, 1)
		last := w.start(plans[0])
		w.awaitNumbers(last)
		last.Drain()
		last.BreakStore() // it grants nothing any more
		<-time.After(time.Second)
		blank := w.start(plans[1])
		<-time.After(5 * time.Second) // it has met the one that is leaving
		last.kill()
		w.awaitNumbers(blank)
	})
}

func TestBlankNodeJoinsUnderTheIdentityThatItTakesMeanwhile(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c, err := cluster.New(w.config(w.plans(1, 1)[0]))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.LeaveSeat(); err != nil {
			t.Fatal(err)
		}
		joined := make(chan error, 1)
		go func() { joined <- c.Join(t.Context()) }()
		synctest.Wait()
		if err := c.TakeSeat(); err != nil {
			t.Fatal(err)
		}
		if err := <-joined; err != nil {
			t.Errorf("joining ended with %v", err)
		}
		if known, err := c.Known(); err != nil || known.IsZero() {
			t.Errorf("the node belongs to cluster %v, %v, want to one", known, err)
		}
	})
}
