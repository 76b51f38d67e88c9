package node_test

import (
	"errors"
	"testing"

	"flamingo/cluster/gossip"
	"flamingo/node"
)

// failed returns how many operations have failed with an outcome.
func failed(n *node.Node, op string, outcome error) (count uint64) {
	for _, f := range n.Failures() {
		if f.Op == op && errors.Is(f.Outcome, outcome) {
			count += f.Count
		}
	}
	return count
}

func TestFailuresAreCountedByOperationAndOutcome(t *testing.T) {
	n := start(t, lines())
	strange := mustID(t, n.Number(), 77)
	_ = n.SendData(strange, []byte("x"))
	_ = n.SendData(0, []byte("x"))
	n.SendMany([]node.ID{strange, strange}, []byte("x"))
	_ = n.SendClose(strange)
	_ = n.SendCloseWith(strange, 1, "")
	_, _ = n.Describe(t.Context(), strange)
	_ = n.JoinGroup(strange, "")
	_ = n.SetMeta(strange, "", "")
	_, _ = n.Groups(strange)
	for _, want := range []struct {
		op      string
		outcome error
		count   uint64
	}{
		{"send", node.ErrNeverIssued, 3},
		{"send", node.ErrBadID, 1},
		{"close", node.ErrNeverIssued, 1},
		{"close", node.ErrBadCloseCode, 1},
		{"describe", node.ErrNeverIssued, 1},
		{"join", node.ErrBadGroup, 1},
		{"set metadata of", node.ErrBadGroup, 1},
		{"groups", node.ErrNeverIssued, 1},
	} {
		if got := failed(n, want.op, want.outcome); got != want.count {
			t.Errorf("%s, %v: %d, want %d", want.op, want.outcome, got, want.count)
		}
	}
	total := uint64(0)
	for _, f := range n.Failures() {
		total += f.Count
	}
	if total != 10 {
		t.Errorf("%d failures in all, want 10: %+v", total, n.Failures())
	}
}

func TestClusterStatsAreThoseOfTheCluster(t *testing.T) {
	alone := start(t, lines())
	if stats, ok := alone.ClusterStats(); ok {
		t.Errorf("a node alone has %+v", stats)
	}
	if s := alone.NumberStats(); s.Numbers != 1 || s.Remaining == 0 || s.Wanting {
		t.Errorf("a node alone has %+v to issue ids from", s)
	}
	n := founder(t)
	s, ok := n.ClusterStats()
	if !ok || s.Members[gossip.StateReady] != 1 || s.Absent != 0 || s.Live != 1 || !s.Raft.Leading || len(s.Raft.Voters) != 1 {
		t.Errorf("the founder of a cluster has %+v, %t", s, ok)
	}
}
