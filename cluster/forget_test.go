package cluster_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"flamingo/cluster"
	"flamingo/cluster/consensus"
)

// promised starts a proposer, a node that promises it to found a cluster, and
// one whose promise it does not get; then the proposer is lost for good.
func promised(w *world, dir string) (lost, held, free *life) {
	plans := w.plans(3, 0)
	plans[0].expect, plans[1].dir = 3, dir
	w.Cut(hostAddr(1).Addr(), hostAddr(3).Addr())
	held, free = w.start(plans[1]), w.start(plans[2])
	lost = w.start(plans[0])
	w.await("a promise", func() bool { return strings.Contains(held.Waiting(), "has promised to join") })
	lost.kill()
	w.Heal()
	return lost, held, free
}

// requireHeldUp checks that a node waits for a proposer that is lost, says what
// to do, and keeps others from founding a cluster with it.
func requireHeldUp(t *testing.T, w *world, lost, held *life, remedy string) (fresh *life) {
	t.Helper()
	fresh = w.start(w.plans(3, 3)[0])
	<-time.After(time.Minute)
	held.requireWaits("server " + lost.server().String() + ", which is not seen, to found the cluster")
	held.requireWaits("sees node1, node3. If that server is lost for good, " + remedy)
	fresh.requireWaits("the promises of 3 nodes")
	return fresh
}

func TestNodeWhosePromiseIsForgottenFoundsAClusterWithOthers(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		dir := w.newDir()
		lost, held, free := promised(w, dir)
		fresh := requireHeldUp(t, w, lost, held, "stop this node and, before it starts again: flamingo raft forget-promise --data "+dir)
		if _, err := cluster.ForgetPromise(dir); !errors.Is(err, consensus.ErrLocked) || !strings.Contains(err.Error(), dir) {
			t.Errorf("while the node runs: %v, want ErrLocked with %s", err, dir)
		}

		if err := held.stop(); err != nil {
			t.Fatal(err)
		}
		if p, err := cluster.ForgetPromise(dir); err != nil || p.Proposer != lost.server() {
			t.Fatalf("ForgetPromise: %+v, %v, want the promise to %v", p, err, lost.server())
		}
		again := w.start(held.plan)
		w.awaitNumbers(fresh, again, free)
		requireOneCluster(t, fresh.member, again.member, free.member)
		if again.server() != held.server() {
			t.Errorf("it is server %v, was %v", again.server(), held.server())
		}
	})
}

// The control: to start the node again is not enough.
func TestPromiseThatIsNotForgottenOutlivesTheNode(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		lost, held, _ := promised(w, w.newDir())
		if err := held.stop(); err != nil {
			t.Fatal(err)
		}
		requireHeldUp(t, w, lost, w.start(held.plan), "stop this node")
	})
}

func TestPromiseInMemoryGoesWithTheNode(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		lost, held, free := promised(w, "")
		fresh := requireHeldUp(t, w, lost, held, "start this node again")
		if err := held.stop(); err != nil {
			t.Fatal(err)
		}
		again := w.start(held.plan)
		w.awaitNumbers(fresh, again, free)
		requireOneCluster(t, fresh.member, again.member, free.member)
	})
}
