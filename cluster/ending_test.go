package cluster_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"flamingo/cluster"
	"flamingo/cluster/mesh"
)

func TestNumberThatIsGoneStaysGone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		lives := w.startAll(w.plans(3, 3))
		leads := func(n *life) bool { return n.State().Leading }
		w.await("a leader", func() bool { return slices.ContainsFunc(lives, leads) })
		leader := slices.IndexFunc(lives, leads)
		seer, n := lives[(leader+1)%3], lives[(leader+2)%3]
		gone := func() bool {
			_, err := seer.Locate(t.Context(), n.number)
			return errors.Is(err, mesh.ErrGone)
		}
		// Its end is recorded while it runs, so its last words come afterwards. The
		// answer may be lost: the leader breaks with who has ended.
		boot := n.Boot()
		if _, err := n.Mesh().Request(t.Context(), lives[leader].Boot(), mesh.RequestEndLife, boot[:]); err != nil && !errors.Is(err, mesh.ErrUncertain) {
			t.Fatal(err)
		}
		w.await("the end to be known", gone)
		for range 20000 {
			if !gone() {
				p, err := seer.Locate(t.Context(), n.number)
				t.Fatalf("a number that was gone leads to %v, %v", p, err)
			}
			<-time.After(time.Millisecond)
		}
		n.awaitEnd(cluster.ErrLifeEnded)
	})
}
