package node_test

import (
	"fmt"
	"testing"
	"time"

	"flamingo/node"
)

// linksThatAre counts the links of all nodes in a state.
func linksThatAre(state string, nodes []*node.Node) (count int) {
	for _, n := range nodes {
		for _, i := range n.Nodes() {
			if i.Link == state {
				count++
			}
		}
	}
	return count
}

// After a rebirth links between nodes are opened anew, and close when nothing is sent
// on them: who waits for all of them to be up at once may wait for ever. The next
// send opens each again.
func TestLinksOfANodeThatLivesAgainOpenWhenTheyAreUsed(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		nodes := w.openAll(w.fabric())
		w.awaitRebirth(nodes, w.retire(nodes))
		<-time.After(10 * time.Minute)
		if linksThatAre("idle", nodes) == 0 {
			t.Error("ten minutes after a rebirth no link is idle")
		}
		for _, state := range []string{"connecting", "unreachable", "gone"} {
			if n := linksThatAre(state, nodes); n > 0 {
				t.Errorf("ten minutes after a rebirth %d links are %s", n, state)
			}
		}
		for k, owner := range nodes {
			c, id := w.connect(owner)
			for i, n := range nodes {
				begin, text := time.Now(), fmt.Sprintf("from %d to %d", i, k)
				if err := n.SendData(id, []byte(text)); err != nil {
					t.Errorf("%s: %v", text, err)
					continue
				}
				c.expect(text)
				requireTime(t, text, begin, 0, 5*time.Second)
			}
		}
		until(t, "each link that was used to be up", func() bool { return linksThatAre("up", nodes) == 6 })
	})
}
