package node_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"flamingo/node"
)

// retire has the last of three nodes retired while it is cut off, and lets it find out.
func (w *world) retire(nodes []*node.Node) (before node.NodeNumber) {
	w.t.Helper()
	before = nodes[2].Number()
	w.isolate(2)
	<-time.After(time.Minute)
	if err := nodes[0].Retire(w.t.Context(), before, false); err != nil {
		w.t.Fatal(err)
	}
	w.Heal()
	return before
}

// awaitRebirth waits until the last of three nodes lives again and all see each other as members. The
// links between them may be idle by then, as nothing is sent.
func (w *world) awaitRebirth(nodes []*node.Node, before node.NodeNumber) {
	w.t.Helper()
	until(w.t, "another number", func() bool { return nodes[2].Number() > before })
	for k, n := range nodes {
		for _, o := range nodes {
			until(w.t, fmt.Sprintf("node %d to see %v", k, o.Number()), func() bool {
				return slices.ContainsFunc(n.Nodes(), func(i node.NodeInfo) bool {
					return i.Number == o.Number() && (i.State == "ready" || i.State == "draining")
				})
			})
		}
	}
}

func TestNodeThatLivesAgainHasGroupsAndMetadataOfItsNewConnectionsAlone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		nodes := w.openAll(w.fabric())
		far, stays := w.connect(nodes[0])
		_, goes := w.connect(nodes[2])
		if err := errors.Join(nodes[0].JoinGroup(stays, "g"), nodes[2].JoinGroup(goes, "g"), nodes[2].SetMeta(goes, "k", "old")); err != nil {
			t.Fatal(err)
		}
		w.awaitRebirth(nodes, w.retire(nodes))
		if _, why := nextClose(t, nodes[2]); why != node.ReasonRetired {
			t.Errorf("ended for reason %v, want %v", why, node.ReasonRetired)
		}
		if meta, err := nodes[0].Meta(t.Context(), goes); !errors.Is(err, node.ErrGone) {
			t.Errorf("metadata of a retired id: %v, %v, want %v", meta, err, node.ErrGone)
		}
		near, comes := w.connect(nodes[2])
		if err := errors.Join(nodes[0].JoinGroup(comes, "g"), nodes[1].SetMeta(comes, "k", "new")); err != nil {
			t.Fatal(err)
		}
		if meta, err := nodes[0].Meta(t.Context(), comes); err != nil || meta["k"] != "new" {
			t.Errorf("metadata of an id of the next life: %v, %v", meta, err)
		}
		for i, n := range nodes {
			count, missing, err := n.GroupCount(t.Context(), "g")
			if count != 2 || len(missing) > 0 || err != nil {
				t.Errorf("node %d counts %d members, missing %v, %v; want 2", i, count, missing, err)
			}
			<-time.After(time.Second) // by then everybody knows who has members
			text := "from " + string(rune('0'+i))
			if p, err := n.Publish("g", []byte(text)); err != nil || len(p.Failed) > 0 {
				t.Errorf("a publish by node %d: %+v, %v", i, p, err)
			}
			near.expect(text)
			far.expect(text)
		}
	})
}

// A watch of a node that is retired meanwhile is on a connection that has nothing to do
// with that, and ends with it.
func TestWatchesOfANodeThatLivesAgainGoOn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		nodes := w.openAll(w.fabric())
		c, id := w.connect(nodes[0])
		d, other := w.connect(nodes[0])
		events, silent := watchFrom(t, nodes[2], id), watchFrom(t, nodes[2], other)
		before := w.retire(nodes)
		d.Close() // in between, when nobody can tell it
		w.awaitRebirth(nodes, before)
		requireClosed(t, "closed beside the rebirth", silent, node.ReasonClient, node.ReasonUnknown)
		c.Close()
		requireClosed(t, "closed after it", events, node.ReasonClient, node.ReasonUnknown)
		_, id = w.connect(nodes[2])
		late := watchFrom(t, nodes[0], id)
		if err := nodes[1].SendClose(id); err != nil {
			t.Fatal(err)
		}
		requireClosed(t, "of the next life", late, node.ReasonRemote)
	})
}

// A node that drains when it learns that it was retired goes on draining in its next
// life, which others see, and ends it.
func TestNodeThatIsRetiredWhileItDrainsGoesOnDraining(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		nodes := w.openAll(w.fabric())
		c, _ := w.connect(nodes[2])
		if err := nodes[2].StartDrain(node.DrainPlan{Wait: 10 * time.Minute, Duration: time.Minute}); err != nil {
			t.Fatal(err)
		}
		w.awaitRebirth(nodes, w.retire(nodes))
		c.expectEnd()
		until(t, "the others to see that it drains", func() bool {
			return slices.ContainsFunc(nodes[0].Nodes(), func(i node.NodeInfo) bool {
				return i.Number == nodes[2].Number() && i.State == "draining"
			})
		})
		late, _ := w.connect(nodes[2]) // it waits still
		select {
		case <-nodes[2].Drained():
		case <-time.After(15 * time.Minute):
			t.Fatalf("not drained: %+v", nodes[2].DrainProgress())
		}
		late.expectEnd()
	})
}
