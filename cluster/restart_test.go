package cluster_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"flamingo/cluster"
	"flamingo/cluster/mesh"
	"flamingo/idspace"
)

// requireLater checks that a life has a later number than another had.
func requireLater(t *testing.T, n, before *life) {
	t.Helper()
	if n.number <= before.number {
		t.Errorf("%s has number %v after %v, want a later one", n.name, n.number, before.number)
	}
}

func (n *life) server() idspace.ServerID { return n.State().Identity.Server }

// requireLogged checks that a node has said something.
func (n *life) requireLogged(what string) {
	n.w.t.Helper()
	synctest.Wait()
	if !strings.Contains(n.log.String(), what) {
		n.w.t.Errorf("%s does not log %q", n.name, what)
	}
}

const begunAnew = "set aside, begun anew as another server"

func TestKilledNodeIsBackAtOnceUnderALaterNumber(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		lives := w.startAll(w.plans(3, 3))
		for i, before := range lives {
			before.kill()
			lives[i] = w.start(before.plan)
			begin := time.Now()
			w.awaitNumbers(lives[i])
			if took := time.Since(begin); took > 10*time.Second {
				t.Errorf("%s had its number after %v, want at most 10s", before.name, took)
			}
			requireLater(t, lives[i], before)
			for _, n := range lives {
				awaitLocate(t, n.member, before.number, mesh.ErrGone)
			}
		}
		sendAllToAll(t, members(lives)...)
	})
}

func TestNodeThatLeftInOrderIsGone(t *testing.T) {
	for _, dir := range []string{"on disk", "in memory"} {
		t.Run(dir, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				plans := w.plans(4, 3)
				if dir == "in memory" {
					for i := range plans {
						plans[i].dir = ""
					}
				}
				lives := w.startAll(plans)
				begin := time.Now()
				if err := lives[1].stop(); err != nil {
					t.Error(err)
				}
				if took := time.Since(begin); took > 4*time.Second {
					t.Errorf("left after %v, want at most 4s", took)
				}
				for _, n := range []*life{lives[0], lives[2], lives[3]} {
					awaitLocate(t, n.member, lives[1].number, mesh.ErrGone)
				}
				if took := time.Since(begin); took > 6*time.Second {
					t.Errorf("gone everywhere after %v, want at most 6s", took)
				}
			})
		})
	}
}

func TestVoterThatLostItsDirectoryComesBackAsAnother(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		lives := w.startAll(calmly(w.plans(3, 3)))
		lost := lives[2]
		server := lost.server()
		lost.kill()
		lives[2] = w.start(lost.plan.with(func(p *plan) { p.dir = w.newDir() }))
		w.awaitNumbers(lives[2])
		requireLater(t, lives[2], lost)
		sendAllToAll(t, members(lives)...)

		w.await("the new server to vote in place of the lost one", func() bool {
			voters := lives[0].State().Voters
			return len(voters) == 3 && !slices.Contains(voters, server) && slices.Contains(voters, lives[2].server())
		}, 10*time.Minute)
		for _, n := range lives {
			if _, err := n.Locate(t.Context(), lost.number); !errors.Is(err, mesh.ErrUnreachable) {
				t.Errorf("%s locates a life that was lost: %v, want %v", n.name, err, mesh.ErrUnreachable)
			}
		}
	})
}

func TestVoterThatWasReplacedComesBackQuietly(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		lives := w.startAll(calmly(w.plans(4, 3)))
		<-time.After(time.Minute)
		slices.SortFunc(lives, func(a, b *life) int { return len(b.State().Voters) - len(a.State().Voters) })
		away := lives[0] // a voter, perhaps the leader
		away.kill()
		w.await("another voter in its place", func() bool {
			voters := lives[1].State().Voters
			return len(voters) == 3 && !slices.Contains(voters, away.server())
		}, 10*time.Minute)
		before := lives[1].State()
		lives[0] = w.start(away.plan)
		w.awaitNumbers(lives[0])
		requireLater(t, lives[0], away)
		<-time.After(time.Minute)
		if after := lives[1].State(); after.Term != before.Term || after.Leader != before.Leader {
			t.Errorf("term %d led by %v, want %d led by %v as before", after.Term, after.Leader, before.Term, before.Leader)
		}
		for _, n := range lives {
			awaitLocate(t, n.member, away.number, mesh.ErrGone)
		}
		sendAllToAll(t, members(lives)...)
	})
}

func TestRestoredDirectoryBeginsAnew(t *testing.T) {
	for _, end := range []string{"killed", "left"} {
		t.Run(end, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				plans := w.plans(3, 3)
				lives := w.startAll(plans)
				if err := lives[2].stop(); err != nil {
					t.Fatal(err)
				}
				backup := w.copyDir(plans[2].dir)
				later := w.start(plans[2])
				w.awaitNumbers(later)
				// A life that took no part in raft has left nothing behind that the
				// backup lacks, and then its identity may go on.
				w.await("the leader's word", func() bool { return !later.State().Leader.IsZero() })
				server := later.server()
				if end == "left" {
					if err := later.stop(); err != nil {
						t.Fatal(err)
					}
				} else {
					later.kill()
				}

				lives[2] = w.start(plans[2].with(func(p *plan) { p.dir = backup }))
				w.awaitNumbers(lives[2])
				requireLater(t, lives[2], later)
				w.await("another identity", func() bool { return lives[2].server() != server })
				lives[2].requireLogged(begunAnew)
				want := mesh.ErrUnreachable // nobody has ended that life
				if end == "left" {
					want = mesh.ErrGone
				}
				for _, n := range lives {
					awaitLocate(t, n.member, later.number, want)
				}
				sendAllToAll(t, members(lives)...)
				if n, err := lives[2].Grant(t.Context()); err != nil || n <= lives[2].number {
					t.Errorf("a further number is %v, %v, want one after %v", n, err, lives[2].number)
				}
			})
		})
	}
}

// cloned starts a copy of the third node's directory beside it, elsewhere.
func cloned(w *world, edit func(*life)) (lives []*life, clone *life) {
	lives = w.startAll(w.plans(3, 3))
	for _, n := range lives {
		edit(n)
	}
	synctest.Wait() // nobody writes
	clone = w.start(lives[2].plan.with(func(p *plan) {
		p.host, p.name, p.dir = 4, "clone", w.copyDir(p.dir)
	}))
	w.awaitNumbers(clone)
	return lives, clone
}

func TestCloneBeginsAnewAndTheOriginalGoesOn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		lives, clone := cloned(w, func(*life) {})
		clone.requireLogged(begunAnew)
		<-time.After(time.Minute)
		if clone.server() == lives[2].server() {
			t.Errorf("clone and original are both server %v", clone.server())
		}
		all := append(members(lives), clone.member)
		requireOneCluster(t, all...)
		sendAllToAll(t, all...)
		for _, n := range []*life{lives[2], clone} {
			if further, err := n.Grant(t.Context()); err != nil || further <= clone.number {
				t.Errorf("a further number of %s is %v, %v, want one after %v", n.name, further, err, clone.number)
			}
		}
	})
}

// The negative control: what it is good for to ask the original.
func TestCloneEndsTheOriginalUnlessItIsAsked(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		lives, clone := cloned(w, func(n *life) { n.TrustCopies() })
		requireLater(t, clone, lives[2])
		lives[2].awaitEnd(cluster.ErrLifeEnded)
		awaitLocate(t, lives[0].member, lives[2].number, mesh.ErrGone)
	})
}

func TestNumbersOfANewClusterAreAboveThoseOfALostOne(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		plans := w.plans(3, 3)
		before := w.startAll(plans)
		var last idspace.NodeNumber
		for _, n := range before {
			last = max(last, n.number)
			n.kill()
		}
		for i := range plans {
			plans[i].dir = w.newDir()
		}
		after := w.startAll(plans)
		for _, n := range after {
			if n.number <= last {
				t.Errorf("%s has number %v in the new cluster, want one after %v", n.name, n.number, last)
			}
		}
		if after[0].State().Cluster == before[0].State().Cluster {
			t.Error("the new cluster has the id of the lost one")
		}
		sendAllToAll(t, members(after)...)
	})
}

func TestAddressesMayChangeAndBeSwapped(t *testing.T) {
	for name, move := range map[string]func(host int) int{
		"all change": func(host int) int { return host + 10 },
		"swapped":    func(host int) int { return host%3 + 1 },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				before := w.startAll(w.plans(3, 3))
				var plans []plan
				for _, n := range before {
					n.kill()
					plans = append(plans, n.plan.with(func(p *plan) {
						p.host = move(p.host)
						p.join = []int{move(1), move(2), move(3)}
					}))
				}
				after := w.startAll(plans)
				for i := range after {
					requireLater(t, after[i], before[i])
					if after[i].State().Cluster != before[i].State().Cluster || after[i].server() != before[i].server() {
						t.Errorf("%s is another server or in another cluster", after[i].name)
					}
					for _, n := range after {
						awaitLocate(t, n.member, before[i].number, mesh.ErrGone)
					}
				}
				sendAllToAll(t, members(after)...)
			})
		})
	}
}
