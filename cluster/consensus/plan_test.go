package consensus_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"flamingo/cluster/consensus"
	"flamingo/idspace"
)

func TestVotersChangeOneStepAtATime(t *testing.T) {
	a, b, c, d, e := idspace.ServerID{1}, idspace.ServerID{2}, idspace.ServerID{3}, idspace.ServerID{4}, idspace.ServerID{5}
	type entry = consensus.RosterEntry
	v, nv := consensus.Voter, consensus.NonVoter
	for _, tt := range []struct {
		name    string
		target  int
		servers []entry
		spare   []idspace.ServerID
		want    func(consensus.Step) bool
	}{
		{"one voter wants two more", 3, []entry{v(a)}, []idspace.ServerID{b}, adds(b)},
		{"one waits for the second to be there", 3, []entry{v(a), nv(b, true)}, nil, stays},
		{"one adds the second", 3, []entry{v(a), nv(b, true)}, []idspace.ServerID{c}, adds(c)},
		{"one waits for the second to catch up", 3, []entry{v(a), nv(b, true), nv(c, false)}, nil, stays},
		{"two have caught up", 3, []entry{v(a), nv(b, true), nv(c, true)}, nil, promotes(b)},
		{"the change is ended", 3, []entry{v(a), v(b), nv(c, true)}, nil, promotes(c)},
		{"three of three", 3, []entry{v(a), v(b), v(c)}, []idspace.ServerID{d, e}, stays},
		{"three of five", 5, []entry{v(a), v(b), v(c), nv(d, true)}, nil, stays},
		{"three of five, two ready", 5, []entry{v(a), v(b), v(c), nv(d, true), nv(e, true)}, nil, promotes(d)},
		{"a dead one has no substitute", 3, []entry{v(a), v(b), v(c).Dead()}, nil, stays},
		{"a dead one gets a substitute", 3, []entry{v(a), v(b), v(c).Dead()}, []idspace.ServerID{d}, adds(d)},
		{"the substitute comes first", 3, []entry{v(a), v(b), v(c).Dead(), nv(d, true)}, nil, promotes(d)},
		{"then the dead one goes", 3, []entry{v(a), v(b), v(c).Dead(), v(d)}, nil, removes(c)},
		{"of two dead among four one goes", 3, []entry{v(a), v(b), v(c).Dead(), v(d).Dead()}, nil, removes(c)},
		{"the dead one came back", 3, []entry{v(a), v(b), v(c), v(d)}, nil, removes(d)},
		{"five were too many", 3, []entry{v(a), v(b), v(c), v(d), v(e)}, nil, removes(e)},
		{"one that wants no vote is replaced", 3, []entry{v(a), v(b).Leaving(), v(c), nv(d, true)}, nil, promotes(d)},
		{"a dead non-voter goes", 3, []entry{v(a), v(b), v(c), nv(d, true).Dead()}, nil, removes(d)},
		{"a superfluous non-voter goes", 3, []entry{v(a), v(b), v(c), nv(d, true)}, nil, removes(d)},
		{"the leader itself is never taken out", 1, []entry{v(a), v(b)}, nil, removes(b)},
	} {
		r := consensus.MakeRoster(a, tt.target, tt.servers, tt.spare...)
		if got := r.Next(); !tt.want(got) {
			t.Errorf("%s: %+v", tt.name, got)
		}
	}
}

func adds(id idspace.ServerID) func(consensus.Step) bool {
	return func(s consensus.Step) bool { return s.Is(consensus.StepAdd, id) }
}

func promotes(id idspace.ServerID) func(consensus.Step) bool {
	return func(s consensus.Step) bool { return s.Is(consensus.StepPromote, id) }
}

func removes(id idspace.ServerID) func(consensus.Step) bool {
	return func(s consensus.Step) bool { return s.Is(consensus.StepRemove, id) }
}

func stays(s consensus.Step) bool { return s.Is(consensus.StepNone, idspace.ServerID{}) }

func TestNoStepLosesTheQuorumAndAllEndOdd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		self := idspace.ServerID{1}
		target := rapid.SampledFrom([]int{1, 3, 5}).Draw(t, "target")
		servers := []consensus.RosterEntry{consensus.Voter(self)}
		for i := range rapid.IntRange(0, 5).Draw(t, "servers") {
			id := idspace.ServerID{byte(i + 2)}
			e := consensus.NonVoter(id, rapid.Bool().Draw(t, "caught up"))
			if rapid.Bool().Draw(t, "voter") {
				e = consensus.Voter(id)
			}
			if rapid.IntRange(0, 3).Draw(t, "dead") == 0 {
				e = e.Dead()
			}
			servers = append(servers, e)
		}
		var spare []idspace.ServerID
		for i := range rapid.IntRange(0, 4).Draw(t, "spare") {
			spare = append(spare, idspace.ServerID{byte(i + 20)})
		}
		r := consensus.MakeRoster(self, target, servers, spare...)
		for range 50 {
			voters, alive := r.Alive()
			had := alive > voters/2
			s := r.Next()
			if s.Is(consensus.StepNone, idspace.ServerID{}) {
				if voters > target && had {
					t.Fatalf("%d voters stay, want %d", voters, target)
				}
				return
			}
			r.Do(s)
			voters, alive = r.Alive()
			if had && alive <= voters/2 {
				t.Fatalf("%+v leaves %d of %d voters alive", s, alive, voters)
			}
		}
		t.Fatalf("no end: %+v", r)
	})
}

func TestLeaderThatWantsFewerVotersKeepsThem(t *testing.T) {
	for _, tt := range []struct{ want, voters, target int }{
		{3, 1, 3}, {3, 2, 3}, {3, 3, 3}, {3, 4, 3}, {3, 5, 5}, {3, 6, 5}, {5, 3, 5}, {1, 3, 3}, {1, 2, 1}, {1, 1, 1}, {3, 7, 5},
	} {
		if got := consensus.TargetOf(tt.want, tt.voters); got != tt.target {
			t.Errorf("with %d voters a leader that wants %d keeps %d, want %d", tt.voters, tt.want, got, tt.target)
		}
	}
}

func TestServerIsDeadOnlyAfterItsSilence(t *testing.T) {
	const limit = 5 * time.Minute
	begin := time.Unix(1_800_000_000, 0)
	at := func(d time.Duration) time.Time { return begin.Add(d) }
	id := idspace.ServerID{1}
	for _, tt := range []struct {
		name      string
		heard     time.Time
		reachable bool
		want      bool
	}{
		{"never heard", time.Time{}, false, true},
		{"heard a minute ago", at(limit - time.Minute), false, false},
		{"reached by the mesh", time.Time{}, true, false},
	} {
		s := consensus.NewSilence()
		if s.Dead(id, time.Time{}, false, begin, limit) {
			t.Errorf("%s: dead at once", tt.name)
		}
		if got := s.Dead(id, tt.heard, tt.reachable, at(limit), limit); got != tt.want {
			t.Errorf("%s: after %v dead is %v, want %v", tt.name, limit, got, tt.want)
		}
	}
}

func TestOneServerGrowsToThreeVotersAndReplacesADeadOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		candidates := func() (all []consensus.Candidate) {
			for _, n := range w.running() {
				all = append(all, consensus.Candidate{Server: n.id, Reachable: true, WantsVote: true})
			}
			return all
		}
		withCandidates := func(c *consensus.Config) { c.Candidates = candidates }
		nodes := w.memoryCluster(1, presentClock, withCandidates)
		defer w.stopAll()
		for range 3 {
			st := openStore(t, "")
			if err := st.Join(w.cluster); err != nil {
				t.Fatal(err)
			}
			nodes = append(nodes, w.start(st, presentClock, withCandidates).run())
			<-time.After(time.Duration(rand.N(5)) * time.Second)
		}
		voters := func() []idspace.ServerID { return leader(t, w.running()...).State().Voters }
		await(t, "three voters", func() bool { return len(voters()) == 3 })
		var victim *node
		lead := leader(t, nodes...)
		for _, n := range nodes {
			for _, id := range voters() {
				if n != lead && n.id == id {
					victim = n
				}
			}
		}
		_ = victim.stop()
		died := time.Now()
		<-time.After(4 * time.Minute)
		if got := voters(); !slices.Contains(got, victim.id) || len(got) != 3 {
			t.Errorf("voters %v after it: %v", time.Since(died), got)
		}
		await(t, "a substitute", func() bool { v := voters(); return len(v) == 3 && !slices.Contains(v, victim.id) })
		grant(t, newBoot(t), 1, w.running()...)
	})
}
