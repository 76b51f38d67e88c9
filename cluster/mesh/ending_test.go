package mesh_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"flamingo/cluster/mesh"
)

// TestNothingAcceptedIsForgottenWhenRunEnds sends to one new peer after another
// while the mesh ends.
func TestNothingAcceptedIsForgottenWhenRunEnds(t *testing.T) {
	for range 100 {
		r := newRig(t, 1)
		r.config = func(c *mesh.Config) { c.MaxPeers = 1 << 16 }
		stop := r.run()
		a := r.node(1)
		var accepted atomic.Int64
		var senders sync.WaitGroup
		first := make(chan struct{})
		var once sync.Once
		for s := range 4 {
			senders.Go(func() {
				for i := range 250 {
					n := 2 + s*250 + i
					boot := bootOf(n)
					boot[14] = byte(n >> 8)
					if a.To(boot).SendData(idOf(2, n), mesh.KindDefault, []byte("x")) != nil {
						return
					}
					accepted.Add(1)
					once.Do(func() { close(first) })
				}
			})
		}
		<-first
		stop()
		senders.Wait()
		if got, want := a.lossCount(), int(accepted.Load()); got != want {
			t.Fatalf("%d accepted, %d reported", want, got)
		}
	}
}
