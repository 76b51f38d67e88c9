package cluster

import (
	"context"
	"fmt"

	"flamingo/cluster/mesh"
	"flamingo/idspace"
)

// endLife has the end of this life recorded, so that its ids answer gone. It
// asks again until ctx is done, or too few voters are there to record anything.
// A node that is still blank asks once: it may have been granted a number that
// it was not told.
func (c *Cluster) endLife(ctx context.Context) error {
	if !c.asking.begun.Load() {
		return nil
	}
	for {
		err := c.seat().server.EndLife(ctx, c.boot, idspace.CauseLeft)
		if err == nil || ctx.Err() != nil {
			return err
		}
		err = c.askLeader(ctx, leaderOf(err), mesh.RequestEndLife, c.boot[:], func([]byte) error { return nil })
		if err == nil {
			return nil
		}
		if c.cluster().IsZero() {
			return nil // this life has no number that anybody knows of
		}
		if voters := c.State().Voters; len(voters) > 0 && c.votersPresent(voters) <= len(voters)/2 {
			return err
		}
		pause(ctx, askEvery)
		if ctx.Err() != nil {
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}
