package node_test

import (
	"context"
	"errors"
	"testing"

	"flamingo/node"
)

// founder opens the one node of a cluster, in memory.
func founder(t *testing.T) *node.Node {
	t.Helper()
	opts := lines()
	opts.Cluster, opts.Expect, opts.Name = freeAddrs(t, 1)[0], 1, "founder"
	return openAll(t, []node.Opts{opts})[0]
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
