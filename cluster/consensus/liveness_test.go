package consensus_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"flamingo/cluster/consensus"
)

// slowElections are timeouts of an election that show who waits for one.
func slowElections(c *consensus.Config) {
	c.HeartbeatTimeout, c.ElectionTimeout, c.LeaseTimeout = 20*time.Second, 20*time.Second, 20*time.Second
}

// A leader on a disk comes back, so it stays a voter; but nobody is to wait for its
// silence. The control stops without a word.
func TestLeaderOnDiskHandsOverBeforeItLeaves(t *testing.T) {
	for name, leaves := range map[string]bool{"leaves": true, "stops without a word": false} {
		t.Run(name, func(t *testing.T) {
			dirs := threeDirs(t)
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				defer w.stopAll()
				nodes := w.diskCluster(dirs, presentClock, slowElections)
				lead := leader(t, nodes...)
				last := grant(t, newBoot(t), 1, lead).Number
				begin := time.Now()
				if leaves {
					if err := lead.Leave(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				_ = lead.stop()
				rest := slices.DeleteFunc(slices.Clone(nodes), func(n *node) bool { return n == lead })
				next := leader(t, rest...)
				if soon := time.Since(begin) < 5*time.Second; soon != leaves {
					t.Errorf("another leads after %v: soon is %v, want %v", time.Since(begin), soon, leaves)
				}
				if voters := next.State().Voters; len(voters) != 3 || !slices.Contains(voters, lead.id) {
					t.Errorf("voters are %v, want three with %v", voters, lead.id)
				}
				if g := grant(t, newBoot(t), 1, rest...); g.Number <= last {
					t.Errorf("granted %v after %v", g.Number, last)
				}
			})
		})
	}
}

func TestLeaderWhoseDiskHangsLosesTheLeadWithin15Seconds(t *testing.T) {
	dirs := threeDirs(t)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.stopAll()
		lead := leader(t, w.diskCluster(dirs, presentClock)...)
		release := make(chan struct{})
		defer close(release)
		lead.store.BeforeCommit(func() error { <-release; return nil })
		begin := time.Now()
		for lead.State().Err == nil && time.Since(begin) < time.Minute {
			<-time.After(100 * time.Millisecond)
		}
		<-time.After(100 * time.Millisecond)
		st := lead.State()
		if d := time.Since(begin).Truncate(time.Second); d > 15*time.Second || st.Leading || st.Serving || !errors.Is(st.Err, consensus.ErrStalled) {
			t.Errorf("%v after its disk hung: leads %v, serves %v, %v; want neither after 15s, and %v", d, st.Leading, st.Serving, st.Err, consensus.ErrStalled)
		}
	})
}

// Raft's pipelines of entries can wedge replication: see raft_transport.go.
func TestEntriesAreNotPipelined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.stopAll()
		n := w.memoryCluster(1, presentClock)[0]
		if err := n.Pipeline(); !errors.Is(err, raft.ErrPipelineReplicationNotSupported) {
			t.Errorf("a pipeline: %v, want %v", err, raft.ErrPipelineReplicationNotSupported)
		}
	})
}
