package consensus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

// watchdog commits a no-op every so often. A leader whose disk hangs goes on
// with its heartbeats, so nobody else would take over: when nothing commits it
// gives leadership up, and if that fails it ends raft.
func (t *term) watchdog(ctx context.Context) {
	tick := time.NewTicker(t.s.cfg.WatchdogEvery)
	defer tick.Stop()
	for {
		err := t.beat(ctx)
		switch {
		case ctx.Err() != nil, err != nil && t.lost():
			return
		case errors.Is(err, raft.ErrLeadershipTransferInProgress):
			// Somebody hands over already. Whether that helps, the next beat says.
		case err != nil:
			t.s.log.Warn("leader does not commit, handing over", "error", err)
			if err := t.handOver(ctx); err != nil && ctx.Err() == nil && !t.lost() {
				t.s.stop.set(fmt.Errorf("%w: %w", ErrStalled, err))
				return
			}
			if t.lost() {
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// lost reports whether the term is over without our doing: then there is
// nothing to hand over, and no disk to blame.
func (t *term) lost() bool { return t.node.State() != raft.Leader }

// beat returns nil once a no-op has committed.
func (t *term) beat(ctx context.Context) error {
	return within(ctx, t.s.cfg.WatchdogTimeout, func(ctx context.Context) error {
		_, err := t.apply(ctx, noopCommand())
		return err
	})
}

// handOver asks raft to transfer leadership, if raft takes questions at all: one
// put to a raft that is stuck in a write would never be answered.
func (t *term) handOver(ctx context.Context) error {
	limit := t.s.cfg.WatchdogTimeout
	err := within(ctx, limit, func(ctx context.Context) error {
		return t.s.await(ctx, func() raft.Future { return t.node.Apply(noopCommand(), limit/2) })
	})
	switch {
	case err == nil:
		return nil // it was slow, and commits again
	case errors.Is(err, raft.ErrEnqueueTimeout):
		return err
	}
	return within(ctx, limit, func(ctx context.Context) error {
		return t.s.await(ctx, func() raft.Future { return t.node.LeadershipTransfer() })
	})
}

func within(ctx context.Context, limit time.Duration, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return do(ctx)
}
