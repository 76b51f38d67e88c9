package cluster_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"flamingo/cluster"
	"flamingo/cluster/mesh"
	"flamingo/idspace"
)

// parted starts three nodes and parts the third from the others, which retire it.
func parted(t *testing.T, w *world, before func(lives []*life)) (lives []*life) {
	t.Helper()
	lives = w.startAll(w.plans(3, 3))
	sendAllToAll(t, members(lives)...)
	before(lives)
	w.Partition(hosts(1, 2), hosts(3, 3))
	<-time.After(time.Minute)
	if fate := lives[0].Fate(lives[2].number); fate != cluster.FateOpen {
		t.Fatalf("fate %v of a node that is behind a partition, want it open", fate)
	}
	if err := lives[0].Retire(t.Context(), lives[2].number, false); err != nil {
		t.Fatal(err)
	}
	for _, n := range lives[:2] {
		w.await("the retirement at "+n.name, func() bool { return n.Fate(lives[2].number) == cluster.FateRetired })
		if _, err := n.Locate(t.Context(), lives[2].number); !errors.Is(err, mesh.ErrGone) {
			t.Errorf("%s locates a retired number: %v, want %v", n.name, err, mesh.ErrGone)
		}
	}
	return lives
}

func TestRetiredNodeLearnsItAndBeginsAnotherLife(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		lives := parted(t, w, func([]*life) {})
		lost := lives[2]
		<-time.After(10 * time.Minute)
		select {
		case <-lost.ended:
			t.Fatal("the retired node has ended before it could know")
		default:
		}
		w.Heal()
		lost.awaitEnd(cluster.ErrRetired)
		again := w.start(lost.plan)
		w.awaitNumbers(again)
		requireLater(t, again, lost)
		sendAllToAll(t, lives[0].member, lives[1].member, again.member)
	})
}

// framesAfterRetirement counts the messages that the others take from a node after
// they know that it was retired, and it from them, if it does not mind.
func framesAfterRetirement(t *testing.T, w *world, before func(lives []*life)) int {
	lives := parted(t, w, before)
	lost := lives[2]
	w.Heal()
	for i := range 600 {
		for k, n := range lives[:2] {
			id, _ := idspace.NewID(n.number, 99)
			back, _ := idspace.NewID(lost.number, 99)
			_ = lost.Mesh().To(n.Boot()).SendData(id, mesh.KindDefault, fmt.Append(nil, i))
			_ = n.Mesh().To(lost.Boot()).SendData(back, mesh.KindDefault, fmt.Append(nil, k, i))
		}
		<-time.After(100 * time.Millisecond)
	}
	count := 0
	for _, n := range lives[:2] {
		id, _ := idspace.NewID(n.number, 99)
		count += len(n.inbox.take(id))
	}
	back, _ := idspace.NewID(lost.number, 99)
	return count + len(lost.inbox.take(back))
}

func TestNoFrameIsExchangedWithARetiredNode(t *testing.T) {
	for _, tc := range []struct {
		name    string
		before  func(lives []*life)
		reaches bool
	}{
		{"refused", func(lives []*life) { lives[2].LiveOn() }, false},
		{"trusted", func(lives []*life) {
			lives[0].TrustRetired()
			lives[1].TrustRetired()
			lives[2].LiveOn()
		}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				if n := framesAfterRetirement(t, w, tc.before); n > 0 != tc.reaches {
					t.Errorf("%d messages were exchanged with a retired node, any: %t, want %t", n, n > 0, tc.reaches)
				}
			})
		})
	}
}

// Gossip buries a node late: whoever is asked first may be its former life.
func TestPeerThatIsGoneHasNotSaidThatTheNumberIs(t *testing.T) {
	if !cluster.IsFinal(mesh.ErrGone) {
		t.Error("a leader that says that the number is gone is not taken at its word")
	}
	for _, err := range []error{mesh.ErrGone, mesh.ErrNeverIssued, mesh.ErrUnreachable} {
		if cluster.IsFinal(cluster.NoAnswer(err)) {
			t.Errorf("%v of a request to a node is taken for what that node says", err)
		}
	}
}

func TestOnlyTheAbsentAreRetiredUnlessAnyway(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		lives := w.startAll(w.plans(3, 3))
		n := lives[2].number
		if err := lives[1].Retire(t.Context(), n, false); !errors.Is(err, cluster.ErrPresent) {
			t.Errorf("a node that is there is retired: %v, want %v", err, cluster.ErrPresent)
		}
		if err := lives[1].Retire(t.Context(), idspace.MaxNumber, true); !errors.Is(err, mesh.ErrNeverIssued) {
			t.Errorf("a number that is to come is retired: %v, want %v", err, mesh.ErrNeverIssued)
		}
		if err := lives[1].Retire(t.Context(), n, true); err != nil {
			t.Fatal(err)
		}
		lives[2].awaitEnd(cluster.ErrRetired)
		if err := lives[0].Retire(t.Context(), n, true); !errors.Is(err, mesh.ErrGone) {
			t.Errorf("a number is retired twice: %v, want %v", err, mesh.ErrGone)
		}
	})
}

func TestLostNodeIsRetiredInTime(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		plans := calmly(w.plans(4, 3))
		for i := range plans {
			plans[i].lostAfter = 20 * time.Minute
		}
		lives := w.startAll(plans)
		w.Partition(hosts(1, 3), hosts(4, 4))
		<-time.After(19 * time.Minute)
		if fate := lives[0].Fate(lives[3].number); fate != cluster.FateOpen {
			t.Errorf("after 19m of 20 the fate of a lost node is %v, want it open", fate)
		}
		<-time.After(3 * time.Minute)
		for _, n := range lives[:3] {
			if fate := n.Fate(lives[3].number); fate != cluster.FateRetired {
				t.Errorf("%s: after 22m of 20 the fate of a lost node is %v, want it retired", n.name, fate)
			}
		}
		lives[3].fails = true
	})
}

func TestNodeThatOneVoterSeesIsNotRetired(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		plans := calmly(w.plans(4, 3))
		for i := range plans {
			plans[i].lostAfter = 5 * time.Minute
		}
		lives := w.startAll(plans)
		w.Partition(hosts(1, 2), hosts(4, 4)) // 3 has contact with all
		<-time.After(30 * time.Minute)
		for _, n := range lives[:3] {
			if fate := n.Fate(lives[3].number); fate != cluster.FateOpen {
				t.Errorf("%s: the fate of a node that one voter sees is %v, want it open", n.name, fate)
			}
		}
	})
}

func TestMinorityRetiresNobody(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		plans := calmly(w.plans(3, 3))
		for i := range plans {
			plans[i].lostAfter = 5 * time.Minute
		}
		lives := w.startAll(plans)
		w.Partition(hosts(1, 1), hosts(2, 2))
		w.Partition(hosts(1, 2), hosts(3, 3)) // each alone
		<-time.After(30 * time.Minute)
		for _, n := range lives {
			for _, other := range lives {
				if fate := n.Fate(other.number); fate != cluster.FateOpen {
					t.Errorf("%s: the fate of %s is %v though there was no quorum", n.name, other.name, fate)
				}
			}
		}
	})
}
