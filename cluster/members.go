package cluster

import (
	"context"
	"errors"
	"maps"
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

// A view is what is known of the numbers at one moment: the last granted, the
// life that holds each live one, and those retired last. A number up to last that
// is not live is gone, for ever. It is never written after it is published.
type view struct {
	last    idspace.NodeNumber
	live    map[idspace.NodeNumber]idspace.BootID
	retired map[idspace.NodeNumber]bool
}

func newView(last idspace.NodeNumber) *view {
	return &view{
		last: last, live: make(map[idspace.NodeNumber]idspace.BootID), retired: make(map[idspace.NodeNumber]bool),
	}
}

// viewOf asks for what is retired after lives was asked for: so it has every
// retired number that lives has not.
func viewOf(last idspace.NodeNumber, lives []idspace.Life, retired func() []idspace.NodeNumber) *view {
	v := newView(last)
	for _, n := range retired() {
		v.retired[n] = true
	}
	for _, life := range lives {
		for _, n := range life.Numbers {
			v.live[n] = life.Boot
		}
	}
	return v
}

// anyRetired reports whether one of the numbers was retired.
func (v *view) anyRetired(numbers []idspace.NodeNumber) bool {
	return slices.ContainsFunc(numbers, func(n idspace.NodeNumber) bool { return v.retired[n] })
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
	both := newView(v.last)
	maps.Copy(both.retired, before.retired)
	maps.Copy(both.retired, v.retired)
	for n, boot := range v.live {
		if before.live[n] == boot {
			both.live[n] = boot
		}
	}
	return both
}

// watchMembers keeps the directory, until ctx is done.
func (c *Cluster) watchMembers(ctx context.Context) error {
	told := make(map[idspace.BootID]bool) // of present members that speak another protocol
	for change := range c.gossip.Changes(ctx) {
		m := change.Member
		if change.Kind == gossip.Gone {
			c.dir.gone(m)
			delete(told, m.Boot)
			continue
		}
		c.dir.present(m)
		if !c.understands(m) && !told[m.Boot] {
			told[m.Boot] = true
			c.cfg.Logger.Error("a node of this cluster cannot be reached", "err", c.foreign(m))
		}
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
		if role := c.role(); role != c.notice.role() && !c.leaving.Load() { // who leaves has said so
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
	return newView(0)
}

// refresh takes the view from consensus, if this node takes part in it.
func (c *Cluster) refresh() {
	server := c.seat().server
	if last, lives := server.Lives(); last > 0 {
		c.publish(viewOf(last, lives, server.Retired))
	}
}

// publish takes note of a view, which may be an earlier one, and forgets lives
// that are over: first no stream with them is opened any more, then none is left,
// and then it is told.
func (c *Cluster) publish(v *view) {
	c.publishing.Lock()
	defer c.publishing.Unlock()
	c.views.Lock()
	v = v.after(c.seen.Load())
	c.seen.Store(v)
	c.views.Unlock()
	for boot, numbers := range c.dir.prune(v, c.boot) {
		if boot != c.boot {
			c.mesh.PeerGone(boot)
			continue
		}
		c.endSelf(v.anyRetired(numbers))
	}
	c.settled.Store(v)
	c.cfg.Changed()
}

// over reports whether this life turned out to be over.
func (c *Cluster) over() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// endSelf notes that this life is over, while it runs.
func (c *Cluster) endSelf(retired bool) {
	if c.leaving.Load() {
		return
	}
	c.endOnce.Do(func() {
		c.endErr = ErrLifeEnded
		if retired {
			c.endErr = ErrRetired
		}
		close(c.ended)
	})
}

// askView asks a voter for the live numbers, as far as it has them.
func (c *Cluster) askView(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return c.askNumbers(ctx, idspace.ServerID{}, c.view())
}

// confirmView is a committed read of the live numbers.
func (c *Cluster) confirmView(ctx context.Context) error {
	server := c.seat().server
	last, lives, err := server.Confirm(ctx)
	if err == nil {
		c.publish(viewOf(last, lives, server.Retired))
		return nil
	}
	return c.askNumbers(ctx, leaderOf(err), nil)
}
