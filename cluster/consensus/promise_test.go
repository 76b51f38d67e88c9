package consensus_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"flamingo/cluster/consensus"
	"flamingo/idspace"
)

func proposal(servers ...idspace.ServerID) consensus.Proposal {
	cluster, err := idspace.NewClusterID(rand.Reader)
	if err != nil {
		panic(err)
	}
	p := consensus.Proposal{Cluster: cluster, Proposer: servers[0], Servers: slices.Clone(servers)}
	slices.SortFunc(p.Servers, func(a, b idspace.ServerID) int { return slices.Compare(a[:], b[:]) })
	return p
}

func TestBlankServerMakesOneDurablePromise(t *testing.T) {
	dir := t.TempDir()
	st := openStore(t, dir)
	self, other, third := st.Identity().Server, newServerID(t), newServerID(t)
	p, q := proposal(other, self), proposal(third, self)
	if ans, err := st.Promise(p); !ans.Granted || err != nil {
		t.Fatalf("Promise: %+v, %v", ans, err)
	}
	st.Close()
	st = openStore(t, dir)
	defer st.Close()
	if ans, err := st.Promise(q); ans.Granted || !ans.Holding.Equal(p) || err != nil {
		t.Errorf("a second promise after a restart: %+v, %v", ans, err)
	}
	altered := p
	altered.Servers = append(slices.Clone(p.Servers), idspace.ServerID{0xff, 0xff, 0xff})
	if ans, _ := st.Promise(altered); ans.Granted {
		t.Error("a longer list under the same cluster id was granted")
	}
	if ans, err := st.Promise(p); !ans.Granted || err != nil {
		t.Errorf("the same promise again: %+v, %v", ans, err)
	}
	if released, _ := st.ReleasePromise(q); released {
		t.Error("released a promise that was not held")
	}
	if released, _ := st.ReleasePromise(p); !released {
		t.Error("the promise was not given back")
	}
	if ans, _ := st.Promise(q); !ans.Granted {
		t.Error("no promise after the first was given back")
	}
	if err := st.Join(p.Cluster); err != nil {
		t.Fatal(err)
	}
	if ans, _ := st.Promise(q); ans.Granted || ans.Cluster != p.Cluster {
		t.Errorf("promise of a server with a cluster: %+v", ans)
	}
	if err := st.Join(q.Cluster); !errors.Is(err, consensus.ErrClusterKnown) {
		t.Errorf("joining a second cluster: %v", err)
	}
}

func TestServerThatDoesNotAgreeMakesNoPromiseAndKeepsThoseMade(t *testing.T) {
	st := openStore(t, "")
	self, other, third := st.Identity().Server, newServerID(t), newServerID(t)
	p, q := proposal(other, self), proposal(third, self)
	if ans, err := st.Answer(p); ans.Granted || !ans.Holding.IsZero() || err != nil {
		t.Errorf("Answer of a free server: %+v, %v", ans, err)
	}
	if ans, err := st.Promise(p); !ans.Granted || err != nil {
		t.Fatalf("Promise: %+v, %v", ans, err)
	}
	if ans, err := st.Answer(p); !ans.Granted || err != nil {
		t.Errorf("Answer to what was promised before: %+v, %v", ans, err)
	}
	if ans, err := st.Answer(q); ans.Granted || !ans.Holding.Equal(p) || err != nil {
		t.Errorf("Answer to another proposal: %+v, %v", ans, err)
	}
}

// peersFunc answers for every other server, and notes the releases.
type peersFunc struct {
	ask      func(consensus.Proposal) consensus.Answer
	released []consensus.Proposal
}

func (p *peersFunc) AskPromise(_ context.Context, _ idspace.ServerID, q consensus.Proposal) (consensus.Answer, error) {
	return p.ask(q), nil
}

func (p *peersFunc) Release(_ context.Context, _ idspace.ServerID, q consensus.Proposal) error {
	p.released = append(p.released, q)
	return nil
}

// Another server comes into view while a promise is asked for.
func TestProposerThatSeesOtherServersGivesItsProposalUp(t *testing.T) {
	st := openStore(t, "")
	list := []idspace.ServerID{st.Identity().Server, newServerID(t)}
	p := &peersFunc{ask: func(q consensus.Proposal) consensus.Answer {
		list = []idspace.ServerID{list[0], newServerID(t)}
		return consensus.Answer{Granted: true, Holding: q}
	}}
	proposer, err := consensus.NewProposer(consensus.ProposerConfig{
		Store: st, Peers: p, Random: rand.Reader, Choose: func() []idspace.ServerID { return list },
	})
	if err != nil {
		t.Fatal(err)
	}
	if founded, err := proposer.Round(t.Context()); founded || err != nil {
		t.Fatalf("a round in which another server came into view: founded %t, %v", founded, err)
	}
	held, err := st.Held()
	if err != nil || held.IsZero() {
		t.Fatalf("it holds %+v, %v; want its proposal until the next round", held, err)
	}
	if err := proposer.Run(t.Context()); !errors.Is(err, consensus.ErrOutdated) {
		t.Errorf("Run with other servers in view: %v, want %v", err, consensus.ErrOutdated)
	}
	if len(p.released) != 1 || !p.released[0].Equal(held) {
		t.Errorf("promises given back: %+v, want one to %+v", p.released, held)
	}
	if held, err := st.Held(); err != nil || !held.IsZero() {
		t.Errorf("it still holds %+v, %v", held, err)
	}
}

func TestPromiseThatIsKnownIsNotWrittenAgain(t *testing.T) {
	st := openStore(t, t.TempDir())
	defer st.Close()
	writes := 0
	st.BeforeCommit(func() error {
		writes++
		return nil
	})
	self, other := st.Identity().Server, newServerID(t)
	p, q := proposal(other, self), proposal(newServerID(t), self)
	for range 3 {
		if ans, err := st.Promise(p); !ans.Granted || err != nil {
			t.Fatalf("Promise: %+v, %v", ans, err)
		}
		if ans, err := st.Promise(q); ans.Granted || err != nil {
			t.Fatalf("Promise of another proposal: %+v, %v", ans, err)
		}
		if released, err := st.ReleasePromise(q); released || err != nil {
			t.Fatalf("ReleasePromise of another proposal: %t, %v", released, err)
		}
	}
	if writes != 1 {
		t.Errorf("one promise was written %d times", writes)
	}
}

func TestBadProposalsAreRefused(t *testing.T) {
	st := openStore(t, "")
	a, b := idspace.ServerID{1}, idspace.ServerID{2}
	good := proposal(a, b)
	for name, edit := range map[string]func(*consensus.Proposal){
		"no cluster":        func(p *consensus.Proposal) { p.Cluster = idspace.ClusterID{} },
		"foreign proposer":  func(p *consensus.Proposal) { p.Proposer = idspace.ServerID{9} },
		"not sorted":        func(p *consensus.Proposal) { p.Servers = []idspace.ServerID{b, a} },
		"twice the same":    func(p *consensus.Proposal) { p.Servers = []idspace.ServerID{a, a} },
		"too many":          func(p *consensus.Proposal) { p.Servers = make([]idspace.ServerID, 6) },
		"none":              func(p *consensus.Proposal) { p.Servers = nil },
		"one without an id": func(p *consensus.Proposal) { p.Servers = []idspace.ServerID{{}, a} },
	} {
		p := good
		edit(&p)
		if ans, err := st.Promise(p); !errors.Is(err, consensus.ErrBadProposal) {
			t.Errorf("%s: %+v, %v, want ErrBadProposal", name, ans, err)
		}
	}
}

// founding is five blank servers whose proposers run in one goroutine: while a
// message is on its way, others may run, and messages are lost, doubled, late.
type founding struct {
	t       *rapid.T
	stores  []*consensus.Store
	ids     []idspace.ServerID
	props   []*consensus.Proposer
	lists   [][]idspace.ServerID
	faults  bool     // messages are lost and servers crash
	busy    [5]bool  // a server runs one round at a time
	late    []func() // messages that may come again
	written map[idspace.ClusterID]bool

	forgetful bool // control: promises do not survive a crash
	sloppy    bool // control: lists are not compared
}

var errLost = errors.New("lost")

// crash unwinds the round of a server.
type crash struct{ server int }

func newFounding(t *rapid.T) *founding {
	f := &founding{t: t, faults: true, written: make(map[idspace.ClusterID]bool)}
	for i := range 5 {
		st, err := consensus.OpenStore(consensus.StoreConfig{Boot: idspace.BootID{byte(i + 1)}, Random: rand.Reader})
		if err != nil {
			t.Fatal(err)
		}
		st.ForceServer(idspace.ServerID{byte(i + 1)})
		f.stores, f.ids = append(f.stores, st), append(f.ids, st.Identity().Server)
		f.props, f.lists = append(f.props, nil), append(f.lists, nil)
	}
	for i := range 5 {
		f.revive(i)
	}
	return f
}

// revive makes server i's proposer, with a random list of three that has i.
func (f *founding) revive(i int) {
	others := rapid.Permutation(slices.DeleteFunc(slices.Clone(f.ids), func(id idspace.ServerID) bool { return id == f.ids[i] })).Draw(f.t, "list")
	f.lists[i] = append([]idspace.ServerID{f.ids[i]}, others[:2]...)
	p, err := consensus.NewProposer(consensus.ProposerConfig{
		Store: f.stores[i], Peers: foundingPeers{f, i}, Random: rand.Reader, GiveUpAfter: 4,
		Choose: func() []idspace.ServerID { return f.lists[i] },
	})
	if err != nil {
		f.t.Fatal(err)
	}
	f.props[i] = p
}

func (f *founding) restart(i int) {
	f.stores[i] = f.stores[i].ClonePromises(!f.forgetful)
	f.revive(i)
}

// round runs one of server i; it may end in a crash.
func (f *founding) round(ctx context.Context, i int) {
	f.busy[i] = true
	defer func() {
		f.busy[i] = false
		if r := recover(); r != nil {
			c, ok := r.(crash)
			if !ok || c.server != i {
				panic(r)
			}
			f.restart(i)
		}
	}()
	_, _ = f.props[i].Round(ctx)
}

// chance is true in about one of n cases, only while there are faults.
func (f *founding) chance(what string, n int) bool {
	return f.faults && rapid.IntRange(0, n-1).Draw(f.t, what) == 0
}

// around lets other things happen while a message of server i is on its way.
func (f *founding) around(ctx context.Context, i int) {
	if f.chance("nested", 3) {
		if j := rapid.IntRange(0, 4).Draw(f.t, "other"); !f.busy[j] {
			f.round(ctx, j)
		}
	}
	if len(f.late) > 0 && f.chance("late", 4) {
		rapid.SampledFrom(f.late).Draw(f.t, "again")()
	}
	if f.chance("crash", 12) {
		panic(crash{i})
	}
}

type foundingPeers struct {
	f *founding
	i int
}

func (p foundingPeers) AskPromise(ctx context.Context, to idspace.ServerID, q consensus.Proposal) (consensus.Answer, error) {
	f, at := p.f, slices.Index(p.f.ids, to)
	f.around(ctx, p.i)
	if f.chance("request lost", 6) {
		return consensus.Answer{}, errLost
	}
	deliver := func() { _, _ = f.stores[at].Promise(q) }
	answer := f.stores[at].Promise
	if f.chance("unwilling", 6) {
		answer = f.stores[at].Answer
	}
	ans, err := answer(q)
	if f.chance("doubled", 4) {
		f.late = append(f.late, deliver)
	}
	if f.sloppy && err == nil && !ans.Holding.IsZero() && len(ans.Holding.Servers) == len(q.Servers) {
		ans.Granted = true
	}
	f.around(ctx, p.i)
	if f.chance("answer lost", 6) {
		return consensus.Answer{}, errLost
	}
	return ans, err
}

func (p foundingPeers) Release(ctx context.Context, to idspace.ServerID, q consensus.Proposal) error {
	f, at := p.f, slices.Index(p.f.ids, to)
	f.around(ctx, p.i)
	if f.chance("release lost", 6) {
		return errLost
	}
	if f.chance("doubled", 4) {
		f.late = append(f.late, func() { _, _ = f.stores[at].ReleasePromise(q) })
	}
	_, err := f.stores[at].ReleasePromise(q)
	return err
}

// clusters counts those whose first configuration was written.
func (f *founding) clusters() int {
	for _, st := range f.stores {
		if c, ok := st.WrittenCluster(); ok {
			f.written[c] = true
		}
	}
	return len(f.written)
}

func (f *founding) disturb(ctx context.Context) {
	for range rapid.IntRange(5, 40).Draw(f.t, "rounds") {
		i := rapid.IntRange(0, 4).Draw(f.t, "server")
		if f.chance("restart", 8) {
			f.restart(i)
		}
		f.round(ctx, i)
	}
}

func TestOverlappingProposalsNeverFoundTwoClusters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := newFounding(t)
		f.disturb(t.Context())
		if n := f.clusters(); n > 1 {
			t.Fatalf("%d clusters", n)
		}
		f.faults = false
		for range 40 {
			for i := range 5 {
				f.round(t.Context(), i)
			}
		}
		if n := f.clusters(); n != 1 {
			t.Fatalf("%d clusters once all messages arrive, want 1", n)
		}
	})
}

// The negative controls: the property is broken by what it is said to need,
// and by nothing else that the same histories do.
func TestFoundingPropertySeesItsFaults(t *testing.T) {
	for seed := range 300 {
		two := false
		if tryFounding(t, seed, func(*founding) {}, &two); two {
			t.Fatalf("two clusters without a fault, seed %d", seed)
		}
	}
	for name, fault := range map[string]func(*founding){
		"promises do not survive a crash": func(f *founding) { f.forgetful = true },
		"lists are not compared":          func(f *founding) { f.sloppy = true },
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range 3000 {
				two := false
				tryFounding(t, seed, fault, &two)
				if two {
					t.Logf("two clusters after %d histories", seed+1)
					return
				}
			}
			t.Error("two clusters were never founded")
		})
	}
}

func tryFounding(t *testing.T, seed int, fault func(*founding), two *bool) {
	t.Helper()
	rapid.Custom(func(t *rapid.T) int {
		f := newFounding(t)
		fault(f)
		f.disturb(t.Context())
		*two = f.clusters() > 1
		return 0
	}).Example(seed)
}

func TestProposersFoundOneClusterAndTheRestJoin(t *testing.T) {
	for _, n := range []int{1, 3, 5} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &founding{}
				done := make(chan error, n)
				for range n {
					st := openStore(t, "")
					f.stores, f.ids = append(f.stores, st), append(f.ids, st.Identity().Server)
				}
				for _, st := range f.stores {
					p, err := consensus.NewProposer(consensus.ProposerConfig{
						Store: st, Peers: foundingPeers{f: f}, Random: rand.Reader,
						Choose: func() []idspace.ServerID { return f.ids },
					})
					if err != nil {
						t.Fatal(err)
					}
					go func() { done <- p.Run(t.Context()) }()
				}
				founders := 0
				for range n {
					if err := <-done; err == nil {
						founders++
					} else if !errors.Is(err, consensus.ErrClusterKnown) {
						t.Errorf("Run: %v", err)
					}
				}
				if founders != 1 {
					t.Errorf("%d of %d servers founded a cluster", founders, n)
				}
			})
		})
	}
}
