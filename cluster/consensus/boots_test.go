package consensus_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"flamingo/cluster/consensus"
	"flamingo/idspace"
)

// zeroes is randomness for stores whose id does not matter.
type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { return len(p), nil }

func logEntry(index uint64) *raft.Log {
	return &raft.Log{Index: index, Term: 3, Type: raft.LogCommand, Data: []byte("data")}
}

// wipedVoter plays the loss of one voter's disk: A and B grant three numbers
// while C is away; then A is cut off, B returns empty, and C is back. It
// returns the three numbers and the one granted then, if any.
func wipedVoter(t *testing.T, keepID bool) (before []idspace.NodeNumber, after idspace.NodeNumber) {
	w := newWorld(t)
	defer w.stopAll()
	nodes := w.newCluster(make([]string, 3), fixedClock)
	for _, n := range nodes {
		n.TrustBoots()
		n.run()
	}
	a, b, c := nodes[0], nodes[1], nodes[2]
	leader(t, nodes...)
	await(t, "c to hold the configuration", func() bool { return len(c.State().Voters) == 3 })
	w.partition(c.id)
	for range 3 {
		before = append(before, grant(t, newBoot(t), 1, a, b).Number)
	}
	w.partition(a.id)
	_ = b.stop()
	w.heal(c.id)
	wiped := openStore(t, "")
	if keepID {
		wiped.ForceServer(b.id)
	}
	if err := wiped.Join(w.cluster); err != nil {
		t.Fatal(err)
	}
	back := w.start(wiped, fixedClock)
	back.TrustBoots()
	back.run()
	for range 60 {
		<-time.After(time.Second)
		for _, n := range []*node{c, back} {
			if n.State().Serving {
				return before, grant(t, newBoot(t), 1, n).Number
			}
		}
	}
	return before, 0
}

func TestWipedVoterUnderANewIDRepeatsNoNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if before, after := wipedVoter(t, false); after != 0 {
			t.Errorf("granted %v after %v without a majority of the disks", after, before)
		}
	})
}

// The negative control: what the identity of a directory is good for.
func TestWipedVoterUnderItsOldIDRepeatsANumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if before, after := wipedVoter(t, true); !slices.Contains(before, after) {
			t.Errorf("granted %v after %v, want a repeated number", after, before)
		}
	})
}

// restored runs three voters on disk, starts one of them again and then once
// more from the copy of its directory made before.
func restored(t *testing.T, dirs []string, backup string, trust bool) (*world, *node) {
	w := newWorld(t)
	run := func(n *node) *node {
		if trust {
			n.TrustBoots()
		}
		return n.run()
	}
	nodes := w.newCluster(dirs, presentClock)
	for _, n := range nodes {
		run(n)
	}
	grant(t, newBoot(t), 1, nodes...)
	victim := nodes[2]
	_ = victim.stop()
	if err := os.CopyFS(backup, os.DirFS(dirs[2])); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		again := run(w.start(openStore(t, dirs[2]), presentClock))
		await(t, "the server to be back", func() bool { return !again.State().Leader.IsZero() })
		grant(t, newBoot(t), 1, w.running()...)
		_ = again.stop()
	}
	return w, run(w.start(openStore(t, backup), presentClock))
}

func threeDirs(t *testing.T) []string { return []string{t.TempDir(), t.TempDir(), t.TempDir()} }

func TestRestoredDirectoryIsRefusedAndSetAside(t *testing.T) {
	dirs, backup := threeDirs(t), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w, old := restored(t, dirs, backup, false)
		defer w.stopAll()
		err := old.ended()
		if !errors.Is(err, consensus.ErrSuperseded) {
			t.Fatalf("Run on a restored directory: %v, want ErrSuperseded", err)
		}
		if err := old.store.SetAside(time.Now()); err != nil {
			t.Fatal(err)
		}
		_ = old.stop()
		fresh := openStore(t, backup)
		if id := fresh.Identity(); id.Server == old.id || id.Start != 1 {
			t.Errorf("after SetAside: %+v, before: %v", id, old.id)
		}
		if cluster, err := fresh.Cluster(); err != nil || !cluster.IsZero() {
			t.Errorf("cluster after SetAside: %v, %v", cluster, err)
		}
		if err := fresh.Join(w.cluster); err != nil {
			t.Fatal(err)
		}
		n := w.start(fresh, presentClock).run()
		if err := leader(t, w.running()...).AddNonVoter(t.Context(), n.id); err != nil {
			t.Fatal(err)
		}
		await(t, "the fresh server to catch up", func() bool { return n.Last() != 0 })
	})
}

// The negative control: without the boot counter nobody notices.
func TestRestoredDirectoryIsAcceptedWithoutTheCheck(t *testing.T) {
	dirs, backup := threeDirs(t), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w, old := restored(t, dirs, backup, true)
		defer w.stopAll()
		await(t, "the restored server to follow", func() bool { return !old.State().Leader.IsZero() })
	})
}

// movedIn has one voter of three left, and at the address of another one a server
// that never was a voter. It reports whether the one leads then.
func movedIn(t *testing.T, trust bool) (leads bool) {
	w := newWorld(t)
	defer w.stopAll()
	run := func(n *node) *node {
		if trust {
			n.TrustTargets()
		}
		return n.run()
	}
	voters := w.newCluster(make([]string, 3), presentClock)
	for _, n := range voters {
		run(n)
	}
	grant(t, newBoot(t), 1, voters...)
	left := voters[0]
	for _, n := range voters[1:] {
		_ = n.stop()
	}
	stranger := openStore(t, "")
	if err := stranger.Join(w.cluster); err != nil {
		t.Fatal(err)
	}
	moved := run(w.start(stranger, presentClock))
	w.mu.Lock()
	w.addr[voters[1].id] = w.addr[moved.id]
	w.mu.Unlock()
	<-time.After(time.Minute) // many elections
	return left.State().Serving
}

func TestServerAtTheAddressOfAVoterHasNoVote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if movedIn(t, false) {
			t.Error("one voter of three leads")
		}
	})
}

// The negative control: what the target in the handshake is good for.
func TestServerAtTheAddressOfAVoterVotesWithoutTheCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if !movedIn(t, true) {
			t.Error("one voter of three does not lead; the check seems to be of no use")
		}
	})
}

func TestHighestBootOfEachServerIsKept(t *testing.T) {
	dir := t.TempDir()
	st := openStore(t, dir)
	server, one, two := newServerID(t), newBoot(t), newBoot(t)
	at := func(start uint64, boot idspace.BootID) consensus.Identity {
		return consensus.Identity{Server: server, Start: start, Boot: boot}
	}
	for i, tt := range []struct {
		peer consensus.Identity
		want consensus.Refusal
	}{
		{at(5, one), consensus.Accepted},
		{at(5, one), consensus.Accepted},
		{at(5, two), consensus.RefusedTwin},
		{at(4, one), consensus.RefusedStale},
		{at(6, two), consensus.Accepted},
		{at(5, one), consensus.RefusedStale},
	} {
		if got, err := st.Admit(tt.peer); got != tt.want || err != nil {
			t.Errorf("step %d: Admit(%+v) = %v, %v, want %v", i, tt.peer, got, err, tt.want)
		}
	}
	st.Close()
	st = openStore(t, dir)
	defer st.Close()
	if got, _ := st.Admit(at(5, one)); got != consensus.RefusedStale {
		t.Errorf("after reopening: %v, want %v", got, consensus.RefusedStale)
	}
	for range consensus.MaxSeen {
		if got, err := st.Admit(consensus.Identity{Server: newServerID(t), Start: 1, Boot: one}); got != consensus.Accepted {
			t.Fatal(got, err)
		}
	}
	if got, _ := st.Admit(at(5, one)); got != consensus.Accepted {
		t.Errorf("over the bound: %v, want the oldest forgotten", got)
	}
}

func TestBootsThatCannotBeReadAdmitNobody(t *testing.T) {
	st := openStore(t, "")
	peer := consensus.Identity{Server: newServerID(t), Start: 1, Boot: newBoot(t)}
	for _, record := range [][]byte{{}, {9}, {1, 2}} {
		if err := st.PutSeen(record); err != nil {
			t.Fatal(err)
		}
		if got, err := st.Admit(peer); got == consensus.Accepted || !errors.Is(err, consensus.ErrBadRecord) {
			t.Errorf("record %x: %v, %v, want ErrBadRecord", record, got, err)
		}
	}
}

func TestStrangersStreamIsClosedAndRaftUntouched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		nodes := w.memoryCluster(3, presentClock)
		defer w.stopAll()
		lead := leader(t, nodes...)
		grant(t, newBoot(t), 1, lead)
		before := lead.State()
		stranger := consensus.Identity{Server: newServerID(t), Start: 1, Boot: newBoot(t)}
		for _, tt := range []struct {
			name  string
			bytes []byte
			want  consensus.Refusal
		}{
			{"another cluster", consensus.Hello(idspace.ClusterID{1}, lead.id, stranger), consensus.RefusedCluster},
			{"another target", consensus.Hello(w.cluster, nodes[0].id, stranger), consensus.RefusedTarget},
			{"raft without handshake", bytes.Repeat([]byte{0}, 100), consensus.RefusedFormat},
			{"nothing", nil, consensus.RefusedTimeout},
			{"half a hello", consensus.Hello(w.cluster, lead.id, stranger)[:20], consensus.RefusedTimeout},
		} {
			target := lead
			if tt.name == "another target" && lead == nodes[0] {
				tt.bytes = consensus.Hello(w.cluster, nodes[1].id, stranger)
			}
			counted := target.State().Refused[tt.want]
			near := w.dialRaw(t, target.id)
			go func() { _, _ = near.Write(tt.bytes) }()
			if _, err := io.Copy(io.Discard, near); err != nil {
				t.Errorf("%s: %v, want the stream closed", tt.name, err)
			}
			near.Close()
			await(t, "the refusal to be counted", func() bool { return target.State().Refused[tt.want] == counted+1 })
		}
		after := lead.State()
		if after.Term != before.Term || after.Leader != before.Leader || !after.Serving {
			t.Errorf("raft was touched: %+v, before %+v", after, before)
		}
	})
}

// dialRaw opens a stream without any handshake.
func (w *world) dialRaw(t testing.TB, to idspace.ServerID) net.Conn {
	t.Helper()
	c, err := endpoint{w: w, self: idspace.ServerID{1}}.Dial(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWriteErrorPoisonsTheStoreAndStopsRaft(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		st := openStore(t, dir)
		w.found(st)
		n := w.start(st, presentClock).run()
		grant(t, newBoot(t), 1, n)
		broken := errors.New("no space")
		st.BeforeCommit(func() error { return broken })
		if _, err := n.Grant(t.Context(), newBoot(t), 1, idspace.ServerID{}, 0); err == nil {
			t.Error("Grant on a broken disk succeeded")
		}
		err := n.ended()
		if !errors.Is(err, consensus.ErrStoreFailed) || !errors.Is(err, broken) {
			t.Errorf("Run: %v, want ErrStoreFailed", err)
		}
		st.BeforeCommit(func() error { return nil })
		if got := n.State(); got.Phase != consensus.Stopped || !errors.Is(got.Err, consensus.ErrStoreFailed) {
			t.Errorf("state %+v", got)
		}
		if err := st.LogStore().StoreLog(logEntry(99)); !errors.Is(err, consensus.ErrStoreFailed) {
			t.Errorf("write after the fault: %v", err)
		}
		if _, err := st.Promise(proposal(st.Identity().Server)); !errors.Is(err, consensus.ErrStoreFailed) {
			t.Errorf("promise after the fault: %v", err)
		}
		_ = n.stop()
	})
}

// Raft panics when it cannot save its term; the process must outlive that.
func TestTermThatCannotBeSavedEndsRaftAlone(t *testing.T) {
	dirs := threeDirs(t)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		nodes := w.diskCluster(dirs, presentClock)
		defer w.stopAll()
		lead := leader(t, nodes...)
		follower := nodes[(slices.Index(nodes, lead)+1)%3]
		follower.store.BeforeCommit(func() error { return errors.New("broken") })
		_ = lead.stop() // the election that follows raises the term
		err := follower.ended()
		if !errors.Is(err, consensus.ErrStoreFailed) {
			t.Errorf("Run: %v, want ErrStoreFailed", err)
		}
	})
}

func TestLeaderWhoseDiskHangsGivesUp(t *testing.T) {
	dirs := threeDirs(t)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		nodes := w.diskCluster(dirs, presentClock)
		defer w.stopAll()
		lead := leader(t, nodes...)
		first := grant(t, newBoot(t), 1, lead)
		release := make(chan struct{})
		lead.store.BeforeCommit(func() error { <-release; return nil })
		rest := slices.DeleteFunc(slices.Clone(nodes), func(n *node) bool { return n == lead })
		if second := grant(t, newBoot(t), 1, rest...); second.Number <= first.Number {
			t.Errorf("granted %v after %v", second.Number, first.Number)
		}
		if st := lead.State(); st.Serving || !errors.Is(st.Err, consensus.ErrStalled) {
			t.Errorf("the stalled leader: serving %v, %v, want ErrStalled", st.Serving, st.Err)
		}
		close(release)
		if err := lead.ended(); !errors.Is(err, consensus.ErrStalled) {
			t.Errorf("Run: %v, want ErrStalled", err)
		}
	})
}

func TestLeaderThatHandsOverIsNotTakenForStalled(t *testing.T) {
	dirs := threeDirs(t)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.stopAll()
		nodes := w.diskCluster(dirs, presentClock, func(c *consensus.Config) {
			c.HeartbeatTimeout, c.ElectionTimeout, c.LeaseTimeout = 20*time.Second, 20*time.Second, 20*time.Second
			c.WatchdogEvery, c.WatchdogTimeout = time.Second, time.Minute
		})
		lead := leader(t, nodes...)
		synctest.Wait()
		// Whoever is told to take over accepts that, and cannot save its vote.
		hang := make(chan struct{})
		for _, n := range nodes {
			if n != lead {
				n.store.BeforeCommit(func() error { <-hang; return nil })
			}
		}
		if err := lead.Leave(t.Context()); err == nil {
			t.Error("a server took over that could not save its vote")
		}
		if err := lead.State().Err; err != nil {
			t.Errorf("after an attempt to hand over: %v", err)
		}
		close(hang)
	})
}

func TestStoreKeepsLogAndTermsOverAReopening(t *testing.T) {
	dir := t.TempDir()
	st := openStore(t, dir)
	want := &raft.Log{
		Index: 2, Term: 7, Type: raft.LogConfiguration, Data: []byte("abc"),
		Extensions: []byte("xy"), AppendedAt: time.Unix(5, 6),
	}
	logs := []*raft.Log{logEntry(1), want, logEntry(3), logEntry(4), logEntry(5)}
	if err := st.LogStore().StoreLogs(logs); err != nil {
		t.Fatal(err)
	}
	if err := st.LogStore().DeleteRange(4, 5); err != nil {
		t.Fatal(err)
	}
	if err := st.StableStore().SetUint64([]byte("term"), 9); err != nil {
		t.Fatal(err)
	}
	st.Close()
	st = openStore(t, dir)
	defer st.Close()
	first, _ := st.LogStore().FirstIndex()
	last, _ := st.LogStore().LastIndex()
	if first != 1 || last != 3 {
		t.Errorf("indexes %d to %d, want 1 to 3", first, last)
	}
	var got raft.Log
	if err := st.LogStore().GetLog(2, &got); err != nil || got.Term != 7 || got.Type != want.Type ||
		string(got.Data) != "abc" || string(got.Extensions) != "xy" || !got.AppendedAt.Equal(want.AppendedAt) {
		t.Errorf("GetLog(2) = %+v, %v, want %+v", got, err, want)
	}
	if err := st.LogStore().GetLog(4, &got); !errors.Is(err, raft.ErrLogNotFound) {
		t.Errorf("GetLog(4): %v, want not found", err)
	}
	if term, err := st.StableStore().GetUint64([]byte("term")); term != 9 || err != nil {
		t.Errorf("term %d, %v", term, err)
	}
	if none, err := st.StableStore().GetUint64([]byte("none")); none != 0 || err != nil {
		t.Errorf("missing value %d, %v", none, err)
	}
}
