package consensus_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"flamingo/cluster/consensus"
	"flamingo/idspace"
)

func TestRestartOnTheSameDirectoryGrantsUpwards(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var last idspace.NodeNumber
		var server idspace.ServerID
		for start := uint64(1); start <= 3; start++ {
			st := openStore(t, dir)
			id := st.Identity()
			if start == 1 {
				w.found(st)
				server = id.Server
			}
			if id.Server != server || id.Start != start {
				t.Fatalf("start %d: identity %+v, want server %v", start, id, server)
			}
			n := w.start(st, fixedClock).run()
			for range 3 {
				g := grant(t, newBoot(t), 1, n)
				if g.Number <= last || g.Last != g.Number {
					t.Fatalf("start %d: granted %v after %v, last %v", start, g.Number, last, g.Last)
				}
				last = g.Number
			}
			if err := n.stop(); err != nil {
				t.Fatalf("Run: %v", err)
			}
		}
	})
}

func TestGrantIsIdempotentPerBootAndOrdinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		nodes := w.memoryCluster(3, presentClock)
		defer w.stopAll()
		boot := newBoot(t)
		first := grant(t, boot, 1, nodes...)
		second := grant(t, boot, 2, nodes...)
		_ = leader(t, nodes...).stop()
		rest := w.running()
		if again := grant(t, boot, 1, rest...); again.Number != first.Number || again.Ordinal != 1 || again.Boot != boot {
			t.Errorf("repeated ordinal 1 under another leader: %+v, want %v", again, first.Number)
		}
		if again := grant(t, boot, 2, rest...); again.Number != second.Number || second.Number <= first.Number {
			t.Errorf("ordinals 1, 2, 2: %v %v %v", first.Number, second.Number, again.Number)
		}
	})
}

func TestGrantsArePacedToOnePerTick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		n := w.memoryCluster(1, fixedClock)[0]
		defer w.stopAll()
		leader(t, n)
		begin := time.Now()
		boot := newBoot(t)
		for ordinal := range uint32(8) {
			grant(t, boot, ordinal+1, n)
		}
		if took := time.Since(begin); took < 7*idspace.TickDuration {
			t.Errorf("8 grants took %v, want at least %v", took, 7*idspace.TickDuration)
		}
		begin = time.Now()
		for ordinal := range uint32(8) {
			grant(t, boot, ordinal+1, n)
		}
		if took := time.Since(begin); took >= idspace.TickDuration {
			t.Errorf("8 repeated requests took %v, want no pacing", took)
		}
		if ahead := n.State().Ahead; ahead != 7 {
			t.Errorf("Ahead is %d after 8 grants under a clock that stands still, want 7", ahead)
		}
	})
}

func TestGrantOverTheQueueIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		n := w.memoryCluster(1, presentClock)[0]
		defer w.stopAll()
		leader(t, n)
		answers := make(chan error)
		total := consensus.MaxRequests + 20
		for range total {
			go func() {
				_, err := n.Grant(context.Background(), newBoot(t), 1, idspace.ServerID{}, 0)
				answers <- err
			}()
		}
		busy := 0
		for range total {
			if err := <-answers; errors.Is(err, consensus.ErrBusy) {
				busy++
			} else if err != nil {
				t.Errorf("Grant: %v", err)
			}
		}
		if busy < 10 || busy > 20 {
			t.Errorf("%d of %d requests were refused with room for %d", busy, total, consensus.MaxRequests)
		}
	})
}

func TestClockThatIsOffIsNotStamped(t *testing.T) {
	for _, tt := range []struct {
		name    string
		offset  time.Duration
		known   bool
		stamped bool
	}{
		{"agrees", 4 * time.Second, true, true},
		{"unknown", time.Hour, false, true},
		{"ahead", 6 * time.Second, true, false},
		{"behind", -6 * time.Second, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				off := false
				n := w.memoryCluster(1, presentClock, func(c *consensus.Config) {
					c.ClockOffset = func() (time.Duration, bool) { return tt.offset, tt.known && off }
				})[0]
				defer w.stopAll()
				first := grant(t, newBoot(t), 1, n)
				off = true
				<-time.After(time.Minute)
				second := grant(t, newBoot(t), 1, n)
				if stamped := second.Number > first.Number+1; stamped != tt.stamped {
					t.Errorf("a minute after %v: %v, want stamped %v", first.Number, second.Number, tt.stamped)
				}
			})
		})
	}
}

func TestFirstNumberNeedsATrustedClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		n := w.memoryCluster(1, presentClock, func(c *consensus.Config) {
			c.ClockOffset = func() (time.Duration, bool) { return time.Hour, true }
		})[0]
		defer w.stopAll()
		leader(t, n)
		g, err := n.Grant(context.Background(), newBoot(t), 1, idspace.ServerID{}, 0)
		if !errors.Is(err, consensus.ErrClockUntrusted) {
			t.Errorf("Grant: %+v, %v, want ErrClockUntrusted", g, err)
		}
	})
}

func TestEndOfLifeIsCommittedAndConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		nodes := w.memoryCluster(3, presentClock)
		defer w.stopAll()
		lead := leader(t, nodes...)
		one, two := newBoot(t), newBoot(t)
		grant(t, one, 1, lead)
		g := grant(t, two, 1, lead)
		if err := lead.EndLife(t.Context(), one, idspace.CauseLeft); err != nil {
			t.Fatal(err)
		}
		last, lives, err := lead.Confirm(t.Context())
		if err != nil || last != g.Number || len(lives) != 1 || lives[0].Boot != two {
			t.Errorf("Confirm: %v %+v %v, want last %v and the life %v", last, lives, err, g.Number, two)
		}
		if _, err := lead.Grant(t.Context(), one, 2, idspace.ServerID{}, 0); !errors.Is(err, idspace.ErrLifeEnded) {
			t.Errorf("Grant to an ended life: %v", err)
		}
		for _, n := range nodes {
			await(t, "all to have applied it", func() bool { last, lives := n.Lives(); return last == g.Number && len(lives) == 1 })
			if n == lead {
				continue
			}
			_, err := n.Grant(t.Context(), newBoot(t), 1, idspace.ServerID{}, 0)
			var not *consensus.NotLeaderError
			if !errors.As(err, &not) || !errors.Is(err, consensus.ErrNotLeader) || not.Leader != lead.id {
				t.Errorf("Grant of a follower: %v, want the leader %v", err, lead.id)
			}
		}
	})
}

func TestWithoutQuorumGrantFailsInTimeAndStateSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		nodes := w.memoryCluster(3, presentClock)
		defer w.stopAll()
		lead := leader(t, nodes...)
		boot := newBoot(t)
		for _, n := range nodes {
			if n != lead {
				w.partition(n.id)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		_, err := lead.Grant(ctx, boot, 1, idspace.ServerID{}, 0)
		if !errors.Is(err, consensus.ErrUncertain) && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Grant without quorum: %v", err)
		}
		await(t, "no leader", func() bool { st := lead.State(); return !st.Serving && st.Leader.IsZero() })
		if _, err := lead.Grant(t.Context(), boot, 1, idspace.ServerID{}, 0); !errors.Is(err, consensus.ErrNotLeader) {
			t.Errorf("Grant without leader: %v", err)
		}
		if _, _, err := lead.Confirm(t.Context()); !errors.Is(err, consensus.ErrNotLeader) {
			t.Errorf("Confirm without leader: %v", err)
		}
		for _, n := range nodes {
			w.heal(n.id)
		}
		grant(t, boot, 1, nodes...)
	})
}

func TestIsolatedFollowerDoesNotRaiseTheTerm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		nodes := w.memoryCluster(3, presentClock)
		defer w.stopAll()
		lead := leader(t, nodes...)
		follower := nodes[(slices.Index(nodes, lead)+1)%3]
		await(t, "the follower to know the leader", func() bool { return follower.State().Leader == lead.id })
		term := follower.State().Term
		w.partition(follower.id)
		<-time.After(time.Minute)
		if got := follower.State().Term; got != term {
			t.Errorf("after a minute alone the term is %d, want %d: pre-vote is off", got, term)
		}
		w.heal(follower.id)
		grant(t, newBoot(t), 1, lead)
		if !follower.PreVoteSupported() || w.logged("raft: pre-vote is disabled because it is not supported by the Transport") {
			t.Error("raft says that the transport lacks pre-vote")
		}
	})
}

func TestAllAddressesMayChangeAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		nodes := w.memoryCluster(3, presentClock)
		defer w.stopAll()
		first := grant(t, newBoot(t), 1, nodes...)
		var ids []idspace.ServerID
		for _, n := range nodes {
			ids = append(ids, n.id)
			w.place(n.id)
		}
		w.partition(ids...)
		<-time.After(10 * time.Second)
		w.heal(ids...)
		if second := grant(t, newBoot(t), 1, nodes...); second.Number <= first.Number {
			t.Errorf("granted %v after %v", second.Number, first.Number)
		}
	})
}

func TestSnapshotCarriesAFreshServerAndARestart(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		st := openStore(t, dir)
		w.found(st)
		n := w.start(st, fixedClock).run()
		boot := newBoot(t)
		var last idspace.NodeNumber
		for ordinal := range uint32(20) {
			last = grant(t, boot, ordinal+1, n).Number
		}
		if err := n.TakeSnapshot(); err != nil {
			t.Fatal(err)
		}
		_ = n.stop()

		n = w.start(openStore(t, dir), fixedClock).run()
		if got := leader(t, n).Last(); got != last {
			t.Errorf("last is %v after a restart, want %v", got, last)
		}
		joiner := openStore(t, "")
		if err := joiner.Join(w.cluster); err != nil {
			t.Fatal(err)
		}
		j := w.start(joiner, fixedClock).run()
		defer w.stopAll()
		if err := n.AddNonVoter(t.Context(), j.id); err != nil {
			t.Fatal(err)
		}
		await(t, "the joiner to catch up", func() bool { return j.Last() == last })
		if _, lives := j.Lives(); len(lives) != 1 || len(lives[0].Numbers) != 20 {
			t.Errorf("lives of the joiner: %+v", lives)
		}
		if err := n.Promote(t.Context(), j.id); err != nil {
			t.Fatal(err)
		}
		if st := n.State(); len(st.Voters) != 2 || len(st.NonVoters) != 0 {
			t.Errorf("after Promote: %+v", st)
		}
		if err := n.Remove(t.Context(), j.id); err != nil {
			t.Fatal(err)
		}
	})
}

func TestLogWithoutItsSnapshotIsRefused(t *testing.T) {
	dir := t.TempDir()
	st := openStore(t, dir)
	if err := st.LogStore().StoreLog(logEntry(700)); err != nil {
		t.Fatal(err)
	}
	st.Close()
	_, err := consensus.OpenStore(consensus.StoreConfig{Dir: dir, Boot: newBoot(t), Random: zeroes{}})
	if !errors.Is(err, consensus.ErrSnapshotMissing) {
		t.Errorf("OpenStore: %v, want ErrSnapshotMissing", err)
	}
}

func TestEntryOfALaterReleaseStopsRaft(t *testing.T) {
	for name, entry := range map[string][]byte{
		"log format":      {9, 9, 9},
		"kind":            {1, 77},
		"registry format": {1, 3, 200, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				n := w.memoryCluster(1, presentClock)[0]
				leader(t, n)
				if err := n.ApplyRaw(entry); err != nil {
					t.Logf("ApplyRaw: %v", err)
				}
				err := n.ended()
				if !errors.Is(err, consensus.ErrDiverged) || !errors.Is(n.State().Err, consensus.ErrDiverged) {
					t.Errorf("Run: %v, want ErrDiverged", err)
				}
				_ = n.stop()
			})
		})
	}
}

func TestServerInMemoryLeavesTheVoters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var nodes []*node
		nodes = w.memoryCluster(3, presentClock, func(c *consensus.Config) {
			self := c.Store.Identity().Server
			c.AskRemoval = func(ctx context.Context, lead idspace.ServerID) error {
				for _, n := range nodes {
					if n.id == lead {
						return n.Remove(ctx, self)
					}
				}
				return errors.New("no such leader")
			}
		})
		defer w.stopAll()
		lead := leader(t, nodes...)
		last := grant(t, newBoot(t), 1, lead).Number
		await(t, "leaving", func() bool { return lead.Leave(t.Context()) == nil })
		_ = lead.stop()
		rest := w.running()
		if got := leader(t, rest...).State().Voters; len(got) != 2 || slices.Contains(got, lead.id) {
			t.Errorf("voters after one left: %v, want two without %v", got, lead.id)
		}
		if g := grant(t, newBoot(t), 1, rest...); g.Number <= last {
			t.Errorf("granted %v after %v", g.Number, last)
		}
	})
}

func TestRunWaitsForAClusterID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		st := openStore(t, "")
		n := w.start(st, presentClock).run()
		defer w.stopAll()
		synctest.Wait()
		if _, err := n.Grant(t.Context(), newBoot(t), 1, idspace.ServerID{}, 0); !errors.Is(err, consensus.ErrStopped) {
			t.Errorf("Grant before there is a cluster: %v", err)
		}
		if got := n.State().Phase; got != consensus.Waiting {
			t.Errorf("phase %v, want waiting", got)
		}
		w.found(st)
		grant(t, newBoot(t), 1, n)
	})
}

func TestConfigFaultsAreReportedAllAtOnce(t *testing.T) {
	_, err := consensus.New(consensus.Config{Voters: 2, LeaseTimeout: time.Minute, DeadAfter: time.Second, RPCTimeout: -1})
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) || len(joined.Unwrap()) != 5 {
		t.Errorf("New: %v, want five faults", err)
	}
}

func TestSecondProcessIsToldWhichFileIsOpen(t *testing.T) {
	dir := t.TempDir()
	defer openStore(t, dir).Close()
	_, err := consensus.OpenStore(consensus.StoreConfig{Dir: dir, Boot: newBoot(t), Random: zeroes{}})
	if !errors.Is(err, consensus.ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Errorf("second OpenStore: %v, want ErrLocked that names a file in %s", err, dir)
	}
}
