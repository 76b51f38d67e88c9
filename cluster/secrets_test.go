package cluster_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"flamingo/cluster/mesh"
	"flamingo/cluster/trust"
	"flamingo/cluster/trust/trusttest"
	"flamingo/idspace"
)

// withKeys gives each plan a key file of its own, with the same keys, and returns
// their paths.
func withKeys(t *testing.T, plans []plan, keys ...trust.Key) (files []string) {
	t.Helper()
	for i := range plans {
		plans[i].keyFile = trusttest.KeyFile(t, keys...)
		files = append(files, plans[i].keyFile)
	}
	return files
}

// converse has every life send a message to every other, over streams that are
// opened for it, and waits for all of them.
func (w *world) converse(lives []*life, what string) {
	w.t.Helper()
	for _, from := range lives {
		for _, to := range lives {
			if from == to {
				continue
			}
			id, err := idspace.NewID(to.number, 1)
			if err != nil {
				w.t.Fatal(err)
			}
			var peer *mesh.Peer
			w.await(fmt.Sprintf("%s: %s to find %s", what, from.name, to.name), func() bool {
				peer, err = from.Locate(w.t.Context(), to.number)
				return err == nil
			})
			text := fmt.Sprintf("%s from %s", what, from.name)
			if err := peer.SendData(id, mesh.KindDefault, []byte(text)); err != nil {
				w.t.Errorf("%s: %s to %s: %v", what, from.name, to.name, err)
				continue
			}
			var got []string
			w.await(text+" at "+to.name, func() bool { got = append(got, to.inbox.take(id)...); return len(got) > 0 })
			if !slices.Equal(got, []string{text}) {
				w.t.Errorf("%s to %s: %q", what, to.name, got)
			}
		}
	}
}

// flap breaks every stream between the lives.
func (w *world) flap(lives []*life) {
	for i, a := range lives {
		for _, b := range lives[i+1:] {
			w.Cut(a.plan.addr().Addr(), b.plan.addr().Addr())
		}
	}
	w.Heal()
}

// TestKeyIsChangedWithoutAGap goes through the three steps of a rotation, node by
// node, and after each has all streams opened anew, so that each pair of nodes
// meets in each pair of neighbouring steps.
func TestKeyIsChangedWithoutAGap(t *testing.T) {
	before, after := trusttest.NewKey(t), trusttest.NewKey(t)
	inWorld(t, func(t *testing.T, w *world) {
		plans := w.plans(3, 3)
		files := withKeys(t, plans, before)
		lives := w.startAll(plans)
		w.converse(lives, "one key")
		for step, keys := range [][]trust.Key{{before, after}, {after, before}, {after}} {
			for i, file := range files {
				trusttest.WriteKeys(t, file, keys...)
				<-time.After(2 * time.Second) // it is read once a second
				w.converse(lives, fmt.Sprintf("step %d, node %d, streams of before", step+1, i+1))
				w.flap(lives)
				w.converse(lives, fmt.Sprintf("step %d, node %d", step+1, i+1))
			}
		}
		// Gossip goes by the new key, too: who has never known another is a member.
		if err := lives[2].stop(); err != nil {
			t.Errorf("%s: %v", lives[2].name, err)
		}
		next := w.start(plans[2])
		w.awaitMembership(next)
		lives = []*life{lives[0], lives[1], next}
		w.converse(lives, "restarted")
		<-time.After(2 * time.Minute) // nobody is lost to the others
		for _, n := range lives {
			if refused, sealed := n.Refused(); len(refused) > 0 || sealed > 0 {
				t.Errorf("%s refused %v and dropped %d packets", n.name, refused, sealed)
			}
			if got := len(n.Members()); got != 3 {
				t.Errorf("%s sees %d members, want 3", n.name, got)
			}
			if got := strings.Count(n.log.String(), "read again"); got != 3 && n != next {
				t.Errorf("%s has read its keys again %d times, want 3", n.name, got)
			}
		}
		// Who has missed it all is a stranger.
		late := w.plans(4, 0)[3]
		late.keyFile = trusttest.KeyFile(t, before)
		stranger := w.start(late)
		w.await("the stranger to be refused", func() bool { refused, _ := lives[0].Refused(); return len(refused) > 0 })
		<-time.After(time.Minute)
		if got := len(lives[0].Members()); got != 3 || !stranger.State().Cluster.IsZero() {
			t.Errorf("with the former key: a member of %d, cluster %v", got, stranger.State().Cluster)
		}
	})
}
