package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"flamingo/cluster/gossip"
	"flamingo/cluster/mesh"
	"flamingo/idspace"
)

// viewEvery is how often a node that is not a voter asks for the live numbers.
const viewEvery = time.Second

// A view is what is known of the numbers: the last granted, and the life that
// holds each live one. It is never written after it is published.
type view struct {
	last idspace.NodeNumber
	live map[idspace.NodeNumber]idspace.BootID
}

// announce changes what this node tells of itself.
func (c *Cluster) announce(ctx context.Context, change func(*gossip.Meta)) {
	c.meta.Lock()
	defer c.meta.Unlock()
	m := c.gossip.Meta()
	change(&m)
	if err := c.gossip.Update(ctx, m); err != nil && !errors.Is(err, gossip.ErrNotSpread) {
		c.cfg.Logger.Warn("announcement failed", "err", err)
	}
}

// watchMembers keeps the directory, and the view of live numbers, until ctx is
// done.
func (c *Cluster) watchMembers(ctx context.Context) error {
	views := start(ctx, "views", c.watchViews)
	defer func() { _ = views.stop() }() // which returns nil
	for change := range c.gossip.Changes(ctx) {
		m := change.Member
		if change.Kind == gossip.Gone {
			c.dir.gone(m)
			continue
		}
		c.dir.present(m)
		if m.Boot != c.Boot() && !m.Meta.Cluster.IsZero() {
			if err := c.mesh.Connect(m.Boot); err != nil && !errors.Is(err, mesh.ErrClosed) {
				c.cfg.Logger.Debug("no link to a member", "member", m.Meta.Name, "err", err)
			}
		}
	}
	return nil
}

// watchViews refreshes the view whenever consensus has news, or, on a node
// that takes no part in it, now and then.
func (c *Cluster) watchViews(ctx context.Context) error {
	tick := time.NewTicker(viewEvery)
	defer tick.Stop()
	for {
		changed := c.server.Changed()
		c.refresh()
		select {
		case <-changed:
		case <-tick.C:
			if c.server.Last() == 0 {
				c.askView(ctx)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// view returns the newest view.
func (c *Cluster) view() *view {
	if v := c.seen.Load(); v != nil {
		return v
	}
	return &view{}
}

// refresh takes the view from consensus, if this node takes part in it.
func (c *Cluster) refresh() {
	last, lives := c.server.Lives()
	if last == 0 {
		return
	}
	v := &view{last: max(last, c.dir.greatest()), live: make(map[idspace.NodeNumber]idspace.BootID)}
	for _, life := range lives {
		for _, n := range life.Numbers {
			v.live[n] = life.Boot
		}
	}
	c.publish(v)
}

// publish replaces the view by a later one, and forgets lives that are over.
func (c *Cluster) publish(v *view) {
	before := c.seen.Swap(v)
	if before == nil {
		return
	}
	alive := make(map[idspace.BootID]bool)
	for _, boot := range v.live {
		alive[boot] = true
	}
	for _, boot := range before.live {
		if !alive[boot] && boot != c.Boot() {
			c.dir.forget(boot)
			c.mesh.PeerGone(boot)
		}
	}
}

// askView asks the leader for the live numbers. It reports whether the answer
// is committed.
func (c *Cluster) askView(ctx context.Context) bool {
	last, lives, err := c.server.Confirm(ctx)
	if err == nil {
		_ = lives // applied here by now
		c.refresh()
		return last > 0
	}
	err = c.askLeader(ctx, leaderOf(err), mesh.RequestConfirm, nil, func(b []byte) error {
		if len(b) < 12 || len(b) != 12+24*int(binary.BigEndian.Uint32(b[8:])) {
			return errBadRequest
		}
		v := &view{last: idspace.NodeNumber(binary.BigEndian.Uint64(b)), live: make(map[idspace.NodeNumber]idspace.BootID)}
		for b = b[12:]; len(b) > 0; b = b[24:] {
			v.live[idspace.NodeNumber(binary.BigEndian.Uint64(b[16:]))] = idspace.BootID(b[:16])
		}
		c.publish(v)
		return nil
	})
	return err == nil
}

// Locate returns the life that holds number n, by the rule for outcomes:
// mesh.ErrGone for a number that was granted and is not live, or was passed
// over; mesh.ErrNeverIssued for one that is to come, after a committed read;
// mesh.ErrUnreachable if that cannot be had, or if the life is live and no
// member. It asks the leader only for a number greater than every one known,
// for at most 3 s; otherwise it returns at once.
func (c *Cluster) Locate(ctx context.Context, n idspace.NodeNumber) (*Peer, error) {
	if p, ok := c.dir.route(n); ok {
		return p, nil
	}
	return c.locateAbsent(ctx, n)
}

// locateAbsent is Locate for a number that no present member holds, as far as
// known.
func (c *Cluster) locateAbsent(ctx context.Context, n idspace.NodeNumber) (*Peer, error) {
	v := c.view()
	if n > max(v.last, c.dir.greatest()) {
		ask, cancel := context.WithTimeout(ctx, askTimeout)
		defer cancel()
		if !c.askView(ask) {
			return nil, mesh.ErrUnreachable
		}
		if v = c.view(); n > v.last {
			return nil, mesh.ErrNeverIssued
		}
	}
	boot, live := v.live[n]
	_, present := c.dir.member(boot)
	switch {
	case !live && n <= v.last:
		return nil, mesh.ErrGone
	case !live: // heard of, and not in our view yet
		return nil, mesh.ErrUnreachable
	case present || c.mesh.Up(boot): // a live link outranks a gossiped death
		return &Peer{mesh: c.mesh, boot: boot}, nil
	default:
		return nil, mesh.ErrUnreachable
	}
}
