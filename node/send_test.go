package node_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"flamingo/idspace"
	"flamingo/node"
	"flamingo/node/nodetest"
)

// founder opens the one node of a cluster, in memory.
func founder(t *testing.T) *node.Node {
	t.Helper()
	opts := lines()
	opts.Cluster, opts.Expect, opts.Name = nodetest.FreeAddrs(t, 1)[0], 1, "founder"
	return openAll(t, []node.Opts{opts})[0]
}

func TestSendManyAsksOnceForEachNumber(t *testing.T) {
	n := founder(t)
	ids := make([]node.ID, 1000)
	for i := range ids {
		ids[i] = mustID(t, n.Number()+1<<20, idspace.Serial(i+1))
	}
	before := node.LogIndex(n)
	for i, err := range n.SendMany(ids, []byte("x")) {
		if !errors.Is(err, node.ErrNeverIssued) {
			t.Fatalf("result %d: %v, want %v", i, err, node.ErrNeverIssued)
		}
	}
	if added := node.LogIndex(n) - before; added > 10 {
		t.Errorf("%d ids of one number added %d entries to the log, want at most 10", len(ids), added)
	}
}

func TestSendManyLetsNoNodeWaitForAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // one after the other would be a deadlock
		for i, err := range node.SendAtOnce(5) {
			var opErr *node.OpError
			if !errors.As(err, &opErr) || opErr.ID != node.ID(i) {
				t.Errorf("result %d is %v", i, err)
			}
		}
	})
}

func TestSendThatEndsWhileTheClusterIsAskedAnswersErrExpired(t *testing.T) {
	n := founder(t)
	cause := errors.New("cause")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	err := n.Send(ctx, mustID(t, n.Number()+1<<20, 1), []byte("x"))
	if !errors.Is(err, node.ErrExpired) || !errors.Is(err, cause) {
		t.Errorf("Send: %v, want %v and the cause", err, node.ErrExpired)
	}
}
