package cluster_test

import (
	"context"
	"testing"
	"time"
)

// endings bounds what Run does after it has left: consensus, gossip and the port end.
const endings = 5 * time.Second

// Run leaves, too, when a life is over or the port fails: whoever leaves meanwhile does
// not wait longer than it wants to.
func TestLeaveBesideRunEndsWithItsContext(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		lives := w.startAll(w.plans(3, 3))
		leaving := without(lives, w.leaderOf(lives...))[0]
		for _, n := range without(lives, leaving) {
			w.Cut(leaving.plan.addr().Addr(), n.plan.addr().Addr())
		}
		begin := time.Now()
		leaving.cancel() // the others look present still, and nothing is recorded
		<-time.After(100 * time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		leaving.Leave(ctx)
		if d := time.Since(begin); d > 1200*time.Millisecond {
			t.Errorf("Leave returned after %v, want 1.1s", d)
		}
		<-leaving.ended
		if d := time.Since(begin); d > 1100*time.Millisecond+endings {
			t.Errorf("Run returned after %v, want %v after Leave at most", d, endings)
		}
	})
}
