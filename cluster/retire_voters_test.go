package cluster_test

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"flamingo/cluster"
	"flamingo/cluster/mesh"
	"flamingo/idspace"
)

// lostFourth starts four nodes, of which three are voters, and parts the fourth, which
// it returns as the last, from them, which give it up after so long. change, if any,
// is made to each plan.
func (w *world) lostFourth(after time.Duration, change func(i int, p *plan)) (lives []*life) {
	w.t.Helper()
	plans := w.plans(4, 3)
	for i := range plans {
		plans[i].lostAfter = after
		if change != nil {
			change(i, &plans[i])
		}
	}
	lives = w.startAll(plans)
	var voters []idspace.ServerID
	w.await("three voters", func() bool {
		voters = w.leaderOf(lives...).State().Voters
		return len(voters) == 3
	})
	votes := func(n *life) bool { return slices.Contains(voters, n.State().Identity.Server) }
	fourth := slices.IndexFunc(lives, func(n *life) bool { return !votes(n) })
	lost := lives[fourth]
	lives = append(without(lives, lost), lost)
	for _, n := range lives[:3] {
		w.Cut(n.plan.addr().Addr(), lost.plan.addr().Addr())
	}
	lost.fails = true
	return lives
}

func beCalm(_ int, p *plan) { p.calm = true }

// requireFate checks what has become of lost, as each of the others sees it.
func (w *world) requireFate(when string, lost *life, want cluster.Fate, seen ...*life) {
	w.t.Helper()
	for _, n := range seen {
		if got := n.Fate(lost.number); got != want {
			w.t.Errorf("%s %s: the fate of %s is %v, want %v", when, n.name, lost.name, got, want)
		}
	}
}

// A voter that was started again has not missed anybody for long, and says so:
// TestLostNodeIsRetiredInTime is the same without the restart.
func TestVoterThatWasStartedAgainHasToMissALostNodeItself(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		lives := w.lostFourth(20*time.Minute, beCalm)
		<-time.After(15 * time.Minute)
		again := without(lives[:3], w.leaderOf(lives[:3]...))[0]
		again.kill()
		back := w.start(again.plan)
		w.awaitNumbers(back)
		seen := append(without(lives[:3], again), back)
		<-time.After(15 * time.Minute)
		w.requireFate("30 minutes of silence, 15 of them a restarted voter's:", lives[3], cluster.FateOpen, seen...)
		<-time.After(8 * time.Minute)
		w.requireFate("38 minutes of silence, 23 of them a restarted voter's:", lives[3], cluster.FateRetired, seen...)
	})
}

// Each voter counts the silence that it has heard itself, so a leader that dies
// takes nothing with it.
func TestNextLeaderRetiresInTime(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		lives := w.lostFourth(20*time.Minute, beCalm)
		<-time.After(18 * time.Minute)
		lead := w.leaderOf(lives[:3]...)
		rest := without(lives[:3], lead)
		lead.kill()
		<-time.After(time.Minute)
		w.requireFate("19 of 20 minutes:", lives[3], cluster.FateOpen, rest...)
		<-time.After(5 * time.Minute)
		w.requireFate("24 of 20 minutes:", lives[3], cluster.FateRetired, rest...)
	})
}

// A leader that dies while it writes a retirement has made it, or has not: whoever
// asked learns which, and the number is retired once.
func TestLeaderThatDiesInTheMiddleOfARetirement(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		lives := w.lostFourth(-1, nil)
		<-time.After(time.Minute)
		lead := w.leaderOf(lives[:3]...)
		rest := without(lives[:3], lead)
		var died atomic.Bool
		lead.BeforeCommit(func() error {
			if died.CompareAndSwap(false, true) {
				lead.plug.pull()
			}
			return nil
		})
		err := rest[0].Retire(t.Context(), lives[3].number, false)
		if err != nil && !errors.Is(err, mesh.ErrUnreachable) {
			t.Fatalf("the retirement ended as %v, want done or %v", err, mesh.ErrUnreachable)
		}
		if !died.Load() {
			t.Fatal("the leader wrote nothing, and lives")
		}
		w.leaderOf(rest...)
		if err != nil { // then it is repeated
			if err = rest[0].Retire(t.Context(), lives[3].number, false); err != nil && !errors.Is(err, mesh.ErrGone) {
				t.Fatalf("repeated, it ended as %v", err)
			}
		}
		for _, n := range rest {
			w.await("the retirement at "+n.name, func() bool { return n.Fate(lives[3].number) == cluster.FateRetired })
			if retired := n.Stats().Retired; retired != 1 {
				t.Errorf("%s knows of %d retired numbers, want 1", n.name, retired)
			}
		}
		lead.kill()
	})
}

// Silence is counted in looks: a wall clock that jumps makes nobody lost, and
// keeps nobody.
func TestClocksThatJumpChangeNothingAboutWhoIsLost(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var jumps [4]atomic.Int64
		lives := w.lostFourth(20*time.Minute, func(i int, p *plan) {
			p.calm = true
			p.clock = func() time.Time { return w.now().Add(time.Duration(jumps[i].Load())) }
		})
		for i, by := range []time.Duration{2 * time.Hour, -2 * time.Hour, 0, time.Hour} {
			jumps[i].Store(int64(by))
		}
		<-time.After(19 * time.Minute)
		w.requireFate("19 of 20 minutes:", lives[3], cluster.FateOpen, lives[:3]...)
		<-time.After(3 * time.Minute)
		w.requireFate("22 of 20 minutes:", lives[3], cluster.FateRetired, lives[:3]...)
	})
}

// Not even an operator has a minority retire somebody.
func TestVoterThatIsCutOffRetiresNobodyWhenAsked(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		lives := w.startAll(w.plans(3, 3))
		lead := w.leaderOf(lives...) // as such it may take itself for the leader still
		rest := without(lives, lead)
		for _, n := range rest {
			w.Cut(lead.plan.addr().Addr(), n.plan.addr().Addr())
		}
		for _, wait := range []time.Duration{0, time.Minute} {
			<-time.After(wait)
			if err := lead.Retire(t.Context(), rest[0].number, true); !errors.Is(err, mesh.ErrUnreachable) {
				t.Errorf("%v after it was cut off, a retirement ends as %v, want %v", wait, err, mesh.ErrUnreachable)
			}
		}
		w.requireFate("cut off,", rest[0], cluster.FateOpen, lead, rest[1])
		w.Heal()
		w.leaderOf(lives...)
		<-time.After(time.Minute)
		w.requireFate("healed,", rest[0], cluster.FateOpen, lives...)
	})
}
