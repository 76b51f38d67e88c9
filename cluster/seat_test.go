package cluster_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"flamingo/cluster"
	"flamingo/cluster/consensus"
	"flamingo/cluster/gossip"
)

// leaderOf waits until one of the lives leads and serves.
func (w *world) leaderOf(lives ...*life) (lead *life) {
	w.t.Helper()
	w.await("a leader", func() bool {
		i := slices.IndexFunc(lives, func(n *life) bool { return n.State().Serving })
		if i >= 0 {
			lead = lives[i]
		}
		return i >= 0
	})
	return lead
}

// without returns the lives but for those left out.
func without(lives []*life, out ...*life) []*life {
	return slices.DeleteFunc(slices.Clone(lives), func(n *life) bool { return slices.Contains(out, n) })
}

// stall has the disk of a leader hang in its next write, and waits until another
// leads and the one says why it does not. What the write returns in the end is said
// by the function returned, called once.
func (w *world) stall(lead *life, rest ...*life) (end func(error)) {
	w.t.Helper()
	result := make(chan error, 1)
	lead.BeforeCommit(func() error {
		err := <-result
		result <- nil // the writes after it
		return err
	})
	w.leaderOf(rest...)
	w.await("the leader to say that it has stalled", func() bool {
		return errors.Is(lead.State().Err, consensus.ErrStalled)
	})
	return func(err error) { result <- err }
}

// awaitRole waits until all see n in that role, n by its own counts, too.
func (w *world) awaitRole(n *life, role gossip.Role, lives ...*life) {
	w.t.Helper()
	for _, sees := range lives {
		w.await(fmt.Sprintf("%s to be %v for %s", n.name, role, sees.name), func() bool {
			return slices.ContainsFunc(sees.Nodes(), func(i cluster.Node) bool { return i.Boot == n.Boot() && i.Role == role })
		})
	}
	if got := n.Stats().Role; got != role {
		w.t.Errorf("by its own counts %s is %v, want %v", n.name, got, role)
	}
}

func TestVoterWhoseDiskStalledTakesItsSeatAgain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		lives := w.startAll(w.plans(3, 3))
		lead := w.leaderOf(lives...)
		before := lead.State().Identity
		rest := without(lives, lead)
		end := w.stall(lead, rest...)
		<-time.After(time.Minute)
		if st := lead.State(); st.Phase == consensus.Running && st.Err == nil {
			t.Fatalf("a server goes on while its disk hangs: %+v", st)
		}
		w.awaitRole(lead, gossip.RoleOutside, lives...)
		end(nil)
		w.await("it to take its seat again", func() bool {
			st := lead.State()
			return st.Phase == consensus.Running && st.Err == nil && !st.Leader.IsZero()
		})
		now := lead.State().Identity
		if now.Server != before.Server || now.Start != before.Start+1 || now.Boot != before.Boot {
			t.Errorf("it is %+v, want %+v at its next start", now, before)
		}
		if n := lead.Stats().Reseated; n != 1 {
			t.Errorf("its seat was taken again %d times, want once", n)
		}
		lead.requireLogged("the disk stalled")
		w.awaitRole(lead, gossip.RoleVoter, lives...)

		// Its vote counts: without it there is no majority.
		rest[0].kill()
		number, err := lead.Grant(t.Context())
		if err != nil || number <= lead.number {
			t.Errorf("a number of two voters: %v, %v, want one after %v", number, err, lead.number)
		}
	})
}

// What a failed sync has left in memory may look as if it were on the disk: there
// is no way back to it but a start of the process.
func TestVoterWhoseDiskFailedAfterAStallStaysOut(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		lives := w.startAll(w.plans(3, 3))
		lead := w.leaderOf(lives...)
		before := lead.State().Identity
		lead.fails = true
		w.stall(lead, without(lives, lead)...)(errors.New("input/output error"))
		<-time.After(30 * time.Minute)
		st := lead.State()
		if st.Phase != consensus.Stopped || st.Identity != before {
			t.Errorf("half an hour later it is %v as %+v, want stopped as %+v", st.Phase, st.Identity, before)
		}
		if n := lead.Stats().Reseated; n != 0 {
			t.Errorf("its seat was taken again %d times, want never", n)
		}
		lead.requireLogged("consensus has failed")
		w.awaitRole(lead, gossip.RoleOutside, lives...)
	})
}
