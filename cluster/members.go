package cluster

import (
	"context"
	"errors"
	"slices"
	"time"

	"flamingo/cluster/gossip"
	"flamingo/cluster/mesh"
	"flamingo/idspace"
)

// A node that no leader feeds asks a voter for the live numbers: so often, and
// after failures less and less often.
const (
	viewEvery  = time.Second
	viewSeldom = 15 * time.Second
)

// A view is what is known of the numbers at one moment: the last granted, and
// the life that holds each live one. A number up to last that is not live is
// gone, for ever. It is never written after it is published.
type view struct {
	last idspace.NodeNumber
	live map[idspace.NodeNumber]idspace.BootID
}

func viewOf(last idspace.NodeNumber, lives []idspace.Life) *view {
	v := &view{last: last, live: make(map[idspace.NodeNumber]idspace.BootID)}
	for _, life := range lives {
		for _, n := range life.Numbers {
			v.live[n] = life.Boot
		}
	}
	return v
}

// gone reports whether n is certainly held by nobody any more.
func (v *view) gone(n idspace.NodeNumber) bool {
	_, live := v.live[n]
	return n <= v.last && !live
}

// after returns the later of two views. Within one last number lives only end,
// so what both have is live.
func (v *view) after(before *view) *view {
	switch {
	case before == nil || v.last > before.last:
		return v
	case v.last < before.last:
		return before
	}
	both := &view{last: v.last, live: make(map[idspace.NodeNumber]idspace.BootID)}
	for n, boot := range v.live {
		if before.live[n] == boot {
			both.live[n] = boot
		}
	}
	return both
}

// watchMembers keeps the directory, until ctx is done.
func (c *Cluster) watchMembers(ctx context.Context) error {
	for change := range c.gossip.Changes(ctx) {
		m := change.Member
		if change.Kind == gossip.Gone {
			c.dir.gone(m)
			continue
		}
		c.dir.present(m)
		c.reach([]gossip.Member{m})
	}
	return nil
}

func notVoter(m gossip.Member) bool { return m.Meta.Role != gossip.RoleVoter }

// reach opens the links to members of a cluster.
func (c *Cluster) reach(members []gossip.Member) {
	for _, m := range members {
		if m.Boot == c.boot || m.Meta.Cluster.IsZero() {
			continue
		}
		if err := c.mesh.Connect(m.Boot); err != nil && !errors.Is(err, mesh.ErrClosed) {
			c.cfg.Logger.Debug("no link to a member", "member", m.Meta.Name, "err", err)
		}
	}
}

// watchViews refreshes the view whenever consensus has news, or, while no
// leader feeds this server, by asking. It announces the role that this node has.
func (c *Cluster) watchViews(ctx context.Context) error {
	wait := viewEvery
	due := time.Now()
	for ctx.Err() == nil {
		changed := c.seat().server.Changed()
		c.refresh()
		if role := c.role(); role != c.notice.role() {
			c.announce(func(m *gossip.Meta) { m.Role = role })
		}
		tick := time.NewTimer(time.Until(due))
		select {
		case <-changed:
		case <-c.look:
			due = time.Now()
		case <-tick.C:
			if wait = min(2*wait, viewSeldom); c.fed() || c.askView(ctx) == nil {
				wait = viewEvery
			}
			due = time.Now().Add(wait)
			if c.State().Leading {
				c.reach(slices.DeleteFunc(c.dir.others(c.boot), notVoter)) // it goes by their clocks
			}
		case <-ctx.Done():
		}
		tick.Stop()
	}
	return nil
}

// lookSoon has the view refreshed now rather than in its turn.
func (c *Cluster) lookSoon() {
	select {
	case c.look <- struct{}{}:
	default:
	}
}

// fed reports whether a leader tells this server what it commits.
func (c *Cluster) fed() bool { return !c.State().Leader.IsZero() }

// view returns the newest view.
func (c *Cluster) view() *view {
	if v := c.seen.Load(); v != nil {
		return v
	}
	return &view{}
}

// refresh takes the view from consensus, if this node takes part in it.
func (c *Cluster) refresh() {
	if last, lives := c.seat().server.Lives(); last > 0 {
		c.publish(viewOf(last, lives))
	}
}

// publish takes note of a view, which may be an earlier one, and forgets lives
// that are over.
func (c *Cluster) publish(v *view) {
	c.views.Lock()
	v = v.after(c.seen.Load())
	c.seen.Store(v)
	c.views.Unlock()
	for _, boot := range c.dir.prune(v) {
		if boot != c.boot {
			c.mesh.PeerGone(boot)
			continue
		}
		if !c.leaving.Load() {
			c.endOnce.Do(func() { close(c.ended) })
		}
	}
}

// askView asks a voter for the live numbers, as far as it has them.
func (c *Cluster) askView(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	known := c.view()
	return c.askLeader(ctx, idspace.ServerID{}, mesh.RequestConfirm, knownRequest(known), func(b []byte) error {
		v, err := decodeNumbers(b, known)
		if err == nil && v != nil {
			c.publish(v)
		}
		return err
	})
}

// confirmView is a committed read of the live numbers.
func (c *Cluster) confirmView(ctx context.Context) error {
	last, lives, err := c.seat().server.Confirm(ctx)
	if err == nil {
		c.publish(viewOf(last, lives))
		return nil
	}
	return c.askLeader(ctx, leaderOf(err), mesh.RequestConfirm, nil, func(b []byte) error {
		v, err := decodeNumbers(b, nil)
		if err == nil {
			c.publish(v)
		}
		return err
	})
}
