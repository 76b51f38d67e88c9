package cluster_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"flamingo/cluster"
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
		w.awaitNumbers(lives...)
		requireOneCluster(t, members(lives)...)
	})
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
