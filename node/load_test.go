package node_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"flamingo/node"
)

func TestEveryNodeTellsTheLoadOfAll(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		nodes := w.openAll(w.fabric())
		c, id := w.connect(nodes[1])
		if err := nodes[0].SendData(id, []byte("hello")); err != nil {
			t.Fatal(err)
		}
		c.expect("hello")
		synctest.Wait()
		for k, n := range nodes {
			loads, missing, err := n.Loads(t.Context())
			if err != nil || len(missing) != 0 || len(loads) != 3 {
				t.Fatalf("node %d: %+v, missing %v, %v; want three", k, loads, missing, err)
			}
			leaders := 0
			for _, l := range loads {
				if want := map[bool]int{true: 1}[l.Number == id.Node()]; l.Connections != want || l.MessagesOut != uint64(want) {
					t.Errorf("node %d: %s has %d connections and wrote %d messages, want %d each", k, l.Name, l.Connections, l.MessagesOut, want)
				}
				if len(l.Peers) != 2 || l.Peers[0].Link != "up" || l.Peers[0].FramesOut+l.Peers[1].FramesOut == 0 {
					t.Errorf("node %d: links of %s: %+v, want two that are up", k, l.Name, l.Peers)
				}
				if l.Role != "voter" || l.Phase != node.DrainNone || len(l.Listeners) != 1 {
					t.Errorf("node %d: %+v, want a voter that serves at one listener", k, l)
				}
				if l.Leader {
					leaders++
				}
			}
			if leaders != 1 {
				t.Errorf("node %d sees %d leaders", k, leaders)
			}
		}
		w.Cut(host(0), host(2))
		began := time.Now()
		loads, missing, err := nodes[0].Loads(t.Context())
		if err != nil || len(loads) != 2 || len(missing) != 1 || missing[0].Number != nodes[2].Number() {
			t.Errorf("without a way to node 2: %d loads, missing %v, %v", len(loads), missing, err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("waited %v for a node that does not answer", took)
		}
	})
}

func TestAnyNodeBeginsTheDrainOfAnother(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		nodes := w.openAll(w.fabric())
		c, _ := w.connect(nodes[2])
		plan := node.DrainPlan{Wait: 5 * time.Second, Duration: time.Second}
		for _, bad := range []node.DrainPlan{{Wait: -1}, {Duration: 25 * time.Hour}} {
			if err := nodes[0].StartDrainOf(t.Context(), nodes[2].Number(), &bad); !errors.Is(err, node.ErrBadOption) {
				t.Errorf("plan %v: %v, want %v", bad, err, node.ErrBadOption)
			}
		}
		if p := nodes[2].DrainProgress(); p.Phase != node.DrainNone {
			t.Fatalf("a bad plan began a drain: %+v", p)
		}
		if err := nodes[0].StartDrainOf(t.Context(), nodes[2].Number(), &plan); err != nil {
			t.Fatal(err)
		}
		if p := nodes[2].DrainProgress(); p.Phase != node.DrainWaiting || p.Plan != plan {
			t.Errorf("node 2 drains as %+v, want %+v", p, plan)
		}
		if p := nodes[0].DrainProgress(); p.Phase != node.DrainNone {
			t.Errorf("node 0, which only asked, drains as %+v", p)
		}
		c.expectEnd()
		<-nodes[2].Drained()
		loads, _, err := nodes[0].Loads(t.Context())
		if err != nil || len(loads) != 3 || loads[2].Number == 0 {
			t.Fatalf("%+v, %v", loads, err)
		}
		for _, l := range loads {
			if want := map[bool]node.DrainPhase{true: node.DrainOver, false: node.DrainNone}[l.Number == nodes[2].Number()]; l.Phase != want {
				t.Errorf("%s is %s, want %s", l.Name, l.Phase, want)
			}
		}
		w.Cut(host(0), host(1))
		if err := nodes[0].StartDrainOf(t.Context(), nodes[1].Number(), nil); err == nil {
			t.Error("a drain of a node out of reach has begun")
		}
		if p := nodes[1].DrainProgress(); p.Phase != node.DrainNone {
			t.Errorf("node 1, out of reach, drains as %+v", p)
		}
	})
}
