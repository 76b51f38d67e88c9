package cluster_test

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flamingo/cluster"
	"flamingo/cluster/gossip"
	"flamingo/cluster/mesh"
	"flamingo/idspace"
)

func TestCallersOfLocateShareReads(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		lives := w.startAll(w.plans(4, 3))
		<-time.After(10 * time.Second)
		before := lives[0].State().Index
		var wg sync.WaitGroup
		for _, n := range lives {
			for k := range idspace.NodeNumber(500) {
				wg.Go(func() {
					if _, err := n.Locate(t.Context(), n.number+1<<20+k); !errors.Is(err, mesh.ErrNeverIssued) {
						t.Errorf("a number to come: %v, want %v", err, mesh.ErrNeverIssued)
					}
				})
			}
		}
		wg.Wait()
		<-time.After(time.Second)
		// Who comes while a read is under way shares the next one.
		if added := lives[0].State().Index - before; added > 200 {
			t.Errorf("2000 callers added %d entries to the log, want at most 200", added)
		}
	})
}

func TestReadUnderWayIsNotForWhoComesLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reads := cluster.NewReads()
		done := make(chan int, 3)
		wait := func(caller int) {
			if !reads.Wait(t.Context()) {
				t.Errorf("caller %d: the read failed", caller)
			}
			done <- caller
		}
		go wait(1)
		first := reads.Begin()
		go wait(2)
		go wait(3)
		synctest.Wait()
		first.End()
		if caller := <-done; caller != 1 {
			t.Errorf("caller %d got a read that began before it came", caller)
		}
		second := reads.Begin()
		synctest.Wait()
		if len(done) > 0 {
			t.Errorf("caller %d did not wait for its read", <-done)
		}
		second.End()
		if a, b := <-done, <-done; a+b != 5 {
			t.Errorf("callers %d and %d got the second read, want 2 and 3", a, b)
		}
	})
}

func TestReadThatTakesTooLongIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		if cluster.NewReads().Wait(t.Context()) { // nobody reads
			t.Error("a read that was never made has succeeded")
		}
		if took := time.Since(begin); took != 3*time.Second {
			t.Errorf("given up after %v, want 3s", took)
		}
	})
}

func TestNodesListsMembersAndThoseThatAreLost(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		lives := w.startAll(w.plans(3, 3))
		further, err := lives[1].Grant(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		lives[2].kill()
		<-time.After(time.Minute)
		nodes := lives[0].Nodes()
		if len(nodes) != 3 {
			t.Fatalf("%d nodes, want 3: %+v", len(nodes), nodes)
		}
		self, other, lost := nodes[0], nodes[1], nodes[2]
		if lost.Present || lost.Name != "node3" || lost.Boot != lives[2].Boot() || !slices.Equal(lost.Numbers, []idspace.NodeNumber{lives[2].number}) {
			t.Errorf("the lost node is listed as %+v", lost)
		}
		if !self.Self || !self.Present || self.Name != "node1" || self.Role != gossip.RoleVoter {
			t.Errorf("this node is listed as %+v", self)
		}
		want := []idspace.NodeNumber{lives[1].number, further}
		if other.Self || !other.Present || other.Name != "node2" || other.Address != hostAddr(2) ||
			other.State != gossip.StateReady || !slices.Equal(other.Numbers, want) {
			t.Errorf("the other node is listed as %+v", other)
		}
	})
}

func TestLifeIsEndedByItselfAlone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		lives := w.startAll(w.plans(3, 3))
		victim := lives[2].Boot()
		for _, n := range lives[:2] {
			for _, to := range lives {
				if to == n {
					continue
				}
				_, err := n.Mesh().Request(t.Context(), to.Boot(), mesh.RequestEndLife, victim[:])
				if !errors.Is(err, mesh.ErrRequestFailed) {
					t.Errorf("%s ends the life of another at %s: %v, want %v", n.name, to.name, err, mesh.ErrRequestFailed)
				}
			}
		}
		<-time.After(10 * time.Second)
		sendAllToAll(t, members(lives)...)
	})
}

func TestClockIsComparedWithTheMedianOfTheVoters(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		lives := w.startAll(w.plans(3, 3))
		<-time.After(10 * time.Second)
		for _, tt := range []struct {
			second, third time.Duration // ahead of ours; an hour is unknown
			offset        time.Duration
			known         bool
		}{
			{0, 0, 0, true},
			{time.Minute, time.Minute, -time.Minute, true}, // ours lags
			{-time.Minute, -2 * time.Minute, time.Minute, true},
			{time.Minute, -time.Minute, 0, true},
			{20 * time.Second, time.Hour, -10 * time.Second, true},
			{time.Hour, time.Hour, 0, false},
		} {
			lives[0].SetClocks(func(boot idspace.BootID) (time.Duration, bool) {
				ahead := tt.second
				if boot == lives[2].Boot() {
					ahead = tt.third
				}
				return ahead, ahead != time.Hour
			})
			if offset, known := lives[0].ClockOffset(); offset != tt.offset || known != tt.known {
				t.Errorf("%v and %v ahead: offset %v, %t, want %v, %t", tt.second, tt.third, offset, known, tt.offset, tt.known)
			}
		}
	})
}

func TestCloseReleasesAClusterThatNeverRan(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p := w.plans(1, 1)[0]
		for _, listens := range []bool{false, true, false} {
			c, err := cluster.New(w.config(p))
			if err != nil {
				t.Fatal(err)
			}
			if listens {
				if err := c.Listen(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if got := c.Members(); len(got) > 0 {
				t.Errorf("before Run there are members %v", got)
			}
			if why := c.Waiting(); why == "" {
				t.Error("before Run it waits for nothing")
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
		w.awaitNumbers(w.start(p))
	})
}

func TestNodeThatHasANumberListsIt(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		lives := w.startAll(w.plans(3, 3))
		p := plan{host: 4, name: "node4", join: []int{1, 2, 3}, dir: w.newDir()}
		lives = append(lives, w.start(p))
		w.awaitNumbers(lives...)
		for _, n := range lives {
			nodes := n.Nodes()
			self := slices.IndexFunc(nodes, func(n cluster.Node) bool { return n.Self })
			if self < 0 || !slices.Contains(nodes[self].Numbers, n.number) {
				t.Errorf("%s holds %v and lists %+v", n.name, n.number, nodes)
			}
		}
	})
}
