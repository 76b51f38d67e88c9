package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"flamingo/cluster/consensus"
	"flamingo/cluster/gossip"
)

// A leader whose disk stalls ends its part in consensus, and another leads. When
// the disk works again it begins anew, on the same data directory, as after a start
// of the process (ADR 27). It waits a while before: a disk that stalled again and
// again would cost the cluster its leader as often. The pause doubles with each
// stall, from reseatPause up to reseatSeldom, and is short again after calmAfter
// without one.
const (
	reseatPause  = time.Second
	reseatSeldom = time.Minute
	calmAfter    = 10 * time.Minute

	// reseatTries is how often the data directory is opened, when that fails for
	// another reason than the disk's: usually there are no file descriptors left.
	reseatTries = 10
)

// A backoff is the pause after each of several failures. Owned by its caller.
type backoff struct {
	next time.Duration // zero: reseatPause
	last time.Time     // when the last pause was asked for
}

// pause returns the pause for a failure at this moment.
func (b *backoff) pause(now time.Time) time.Duration {
	if now.Sub(b.last) > calmAfter {
		b.next = reseatPause
	}
	d := b.next
	b.next, b.last = min(2*d, reseatSeldom), now
	return d
}

// retakeSeat opens the store again that a stalled server has left. The caller has
// seen that server end, so the disk has answered every write. It does so only if
// none of them failed: after that the memory may hold what the disk does not, and
// only a start of the process is a way back. It blocks for the pauses, or until ctx
// is done.
func (c *Cluster) retakeSeat(ctx context.Context, old *seat, why error, pauses *backoff) error {
	if !old.store.Durable() { // with memory alone it is another server
		return c.changeSeat(old, why)
	}
	wait := pauses.pause(time.Now())
	c.cfg.Logger.Warn("the disk stalled while this node led in granting numbers: it takes no part in that for now",
		"again in", wait, "dir", c.cfg.Dir, "err", why)
	if pause(ctx, wait); ctx.Err() != nil {
		return ctx.Err()
	}
	if err := old.store.CloseSound(); err != nil {
		return fmt.Errorf("%w: %w", why, err)
	}
	if err := c.reopenSeat(ctx, pauses); err != nil {
		return err
	}
	c.reseated.Add(1)
	id := c.seat().store.Identity()
	c.cfg.Logger.Info("takes part in granting numbers again", "server", id.Server, "start", id.Start)
	c.announce(func(m *gossip.Meta) { m.Server, m.Role = id.Server, gossip.RoleOutside })
	c.lookSoon()
	return nil
}

// reopenSeat takes a seat, and tries again after what is not the disk's fault.
func (c *Cluster) reopenSeat(ctx context.Context, pauses *backoff) (err error) {
	for range reseatTries {
		if err = c.takeSeat(); err == nil || isOfStore(err) {
			return err
		}
		c.cfg.Logger.Warn("the data directory is not opened again yet", "dir", c.cfg.Dir, "err", err)
		if pause(ctx, pauses.pause(time.Now())); ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return fmt.Errorf("opening the data directory again, %d times: %w", reseatTries, err)
}

// isOfStore reports whether an error of opening a store says that the store itself
// is not in order.
func isOfStore(err error) bool {
	return errors.Is(err, consensus.ErrStoreFailed) || errors.Is(err, consensus.ErrBadRecord) ||
		errors.Is(err, consensus.ErrSnapshotMissing)
}
