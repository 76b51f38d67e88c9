package test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"flamingo/node"
)

func TestNodesStartedInAnyOrderFormOneCluster(t *testing.T) {
	t.Parallel()
	const longestPause = time.Second
	for _, size := range []int{3, 5} {
		for _, stagger := range []time.Duration{0, longestPause} {
			t.Run(fmt.Sprintf("%d nodes, pauses up to %v", size, stagger), func(t *testing.T) {
				t.Parallel()
				f := newFabric(t, size, 3)
				order := rand.Perm(size)
				first := time.Now()
				for k, i := range order {
					if k > 0 && stagger > 0 {
						<-time.After(rand.N(stagger))
					}
					f.members[i].start()
				}
				last := time.Now()
				for _, m := range f.members {
					m.awaitOpen()
				}
				f.awaitMesh()
				t.Logf("in the order %v: all see all %v after the first start, %v after the last",
					order, time.Since(first).Round(time.Millisecond), time.Since(last).Round(time.Millisecond))
				f.expectOneCluster()
			})
		}
	}
}

// expectOneCluster checks that no two members have one number, and that each reaches
// a connection of every other.
func (f *fabric) expectOneCluster() {
	f.t.Helper()
	numbers := map[node.NodeNumber]string{}
	a := newAudience(f.t)
	for _, owner := range f.members {
		if other := numbers[owner.number]; other != "" {
			f.t.Errorf("%s and %s both have number %s", other, owner.opts.Name, owner.number)
		}
		numbers[owner.number] = owner.opts.Name
		c := a.join(owner.addr)
		if c.id.Node() != owner.number {
			f.t.Errorf("%s has number %s and issues id %s", owner.opts.Name, owner.number, c.id)
		}
		for _, sender := range f.members {
			text := "from " + sender.opts.Name
			if got := sender.one(doSendWait, c.id, "text "+text); got != accepted {
				f.t.Errorf("%s to %s of %s: %s", sender.opts.Name, c.id, owner.opts.Name, got)
				continue
			}
			until(f.t, "a message", func() bool { h := c.heard(); return len(h) > 0 && h[len(h)-1] == text })
		}
	}
}
