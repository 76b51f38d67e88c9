package cluster

import (
	"context"
	"errors"
	"sync"
	"time"

	"flamingo/cluster/gossip"
)

// spreadTimeout bounds how long one change holds up the next, and the end of
// Run: five rounds of gossip. Those not reached learn it with the next exchange.
const spreadTimeout = time.Second

// A notice is what this node tells of itself. It changes at once; that others
// are told is not waited for.
type notice struct {
	changed chan struct{} // a token after a change; never closed

	mu   sync.Mutex
	meta gossip.Meta // guarded by mu
}

func newNotice() notice { return notice{changed: make(chan struct{}, 1)} }

// announce changes what this node tells of itself.
func (c *Cluster) announce(change func(*gossip.Meta)) {
	c.notice.mu.Lock()
	change(&c.notice.meta)
	c.notice.mu.Unlock()
	select {
	case c.notice.changed <- struct{}{}:
	default:
	}
}

// spread tells others of each change, until ctx is done.
func (c *Cluster) spread(ctx context.Context) error {
	for {
		select {
		case <-c.notice.changed:
		case <-ctx.Done():
			return nil
		}
		c.notice.mu.Lock()
		m := c.notice.meta
		c.notice.mu.Unlock()
		limit, cancel := context.WithTimeout(ctx, spreadTimeout)
		err := c.gossip.Update(limit, m)
		cancel()
		if err != nil && ctx.Err() == nil && !errors.Is(err, gossip.ErrNotSpread) {
			c.cfg.Logger.Warn("announcement failed", "err", err)
		}
	}
}

func (n *notice) role() gossip.Role {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.meta.Role
}
