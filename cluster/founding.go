package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"flamingo/cluster/consensus"
	"flamingo/cluster/gossip"
	"flamingo/cluster/mesh"
	"flamingo/idspace"
)

// joinEvery is how often a blank node looks whether there is a cluster.
const joinEvery = 200 * time.Millisecond

// settleRounds is for how many rounds of gossip the founders must have been the
// same before they propose a cluster: 1 s with the timing of a LAN. Of nodes that
// start at once, twice as many as it takes or more, some do not see the others
// at first, and would found a cluster each.
const settleRounds = 5

// join makes a blank node belong to a cluster: to the one that a member has,
// or to one that it founds with others. It returns when it does, and when ctx
// is done.
func (c *Cluster) join(ctx context.Context) error {
	var founders []idspace.ServerID
	var since time.Time
	for ctx.Err() == nil {
		s := c.seat()
		known, err := s.store.Cluster()
		if err == nil && known.IsZero() {
			known, err = c.adopt(s)
		}
		switch {
		case s.over(): // what it says does not count
			pause(ctx, joinEvery)
			continue
		case err != nil:
			return err
		case !known.IsZero():
			c.known.Store(&known)
			if c.seat() != s { // see takeSeat: one of the two has it join
				continue
			}
			c.announce(func(m *gossip.Meta) { m.Cluster = known })
			c.reach(c.dir.others(c.boot)) // a link of a blank node does not last
			return nil
		}
		if list := c.founders(); !slices.Equal(list, founders) {
			founders, since = list, time.Now()
		}
		if err := c.found(ctx, s, since); err != nil && ctx.Err() == nil {
			c.cfg.Logger.Debug("no cluster founded yet", "err", err)
		}
		pause(ctx, joinEvery)
	}
	return nil
}

// adopt takes the cluster id of a member, if one has any that stays: the cluster
// may be about to end with a member that is leaving, and its id is kept for good.
func (c *Cluster) adopt(s *seat) (idspace.ClusterID, error) {
	for _, m := range c.dir.others(c.boot) {
		if m.Meta.Cluster.IsZero() || m.Meta.State == gossip.StateDraining {
			continue
		}
		if err := s.store.Join(m.Meta.Cluster); err != nil {
			return idspace.ClusterID{}, fmt.Errorf("joining cluster %s of %s: %w", m.Meta.Cluster, m.Meta.Name, err)
		}
		c.cfg.Logger.Info("joined", "cluster", m.Meta.Cluster, "through", m.Meta.Name)
		return m.Meta.Cluster, nil
	}
	return idspace.ClusterID{}, nil
}

// found proposes a cluster while it could be founded, until there is one. The
// founders have been the same since then.
func (c *Cluster) found(ctx context.Context, s *seat, since time.Time) error {
	if c.cfg.Expect == 0 || len(c.founders()) < c.cfg.Expect {
		return nil
	}
	if c.cfg.Expect > 1 && time.Since(since) < settleRounds*c.cfg.Timing.Gossip {
		return nil
	}
	p, err := consensus.NewProposer(consensus.ProposerConfig{
		Store: s.store, Peers: peers{c}, Choose: c.founders, Random: c.cfg.Random, Logger: c.cfg.Logger,
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watch := start(ctx, "adoption", func(ctx context.Context) error { return c.awaitCluster(ctx, s, cancel) })
	defer func() { _ = watch.stop() }() // what went wrong there, join meets again
	err = p.Run(ctx)
	if errors.Is(err, consensus.ErrClusterKnown) {
		return nil
	}
	return err
}

// awaitCluster adopts the cluster of a member once there is one, and then ends
// the founding of another.
func (c *Cluster) awaitCluster(ctx context.Context, s *seat, found func()) error {
	for ctx.Err() == nil {
		if known, err := c.adopt(s); err != nil || !known.IsZero() {
			found()
			return err
		}
		pause(ctx, joinEvery)
	}
	return nil
}

// founders are the servers that this node would propose, itself among them. One
// that founds a cluster alone needs nobody's promise: that others are there which
// only wait, and have lower ids, is no reason to wait with them.
func (c *Cluster) founders() []idspace.ServerID { return c.foundersOf(c.cfg.Expect) }

func (c *Cluster) foundersOf(expect int) []idspace.ServerID {
	self := c.seat().store.Identity().Server
	list := c.lowest(expect)
	switch {
	case expect == 1 && len(list) > 0:
		return []idspace.ServerID{self}
	case !slices.Contains(list, self):
		return nil
	}
	return list
}

// agrees reports whether p lists the servers that this node would. A proposer
// that knows of too few nodes is refused by those who know of more.
func (c *Cluster) agrees(p consensus.Proposal) bool {
	return c.credulous.Load() || slices.Equal(p.Servers, c.lowest(len(p.Servers)))
}

// lowest are the n lowest servers that could found a cluster: none while fewer
// are seen, or once any member belongs to one.
func (c *Cluster) lowest(n int) []idspace.ServerID {
	list := []idspace.ServerID{c.seat().store.Identity().Server}
	for _, m := range c.dir.others(c.boot) {
		if !m.Meta.Cluster.IsZero() {
			return nil
		}
		if !m.Meta.Server.IsZero() {
			list = append(list, m.Meta.Server)
		}
	}
	slices.SortFunc(list, func(a, b idspace.ServerID) int { return slices.Compare(a[:], b[:]) })
	if len(list) < n {
		return nil
	}
	return list[:n]
}

// compare has this node and a server that does not agree with it learn what the
// other one knows.
func (c *Cluster) compare(with idspace.ServerID) {
	if boot, ok := c.dir.bootOf(with); ok {
		if m, ok := c.dir.member(boot); ok {
			c.gossip.Exchange(m.Addr)
		}
	}
}

// peers carries the promise round over the mesh.
type peers struct{ c *Cluster }

func (p peers) AskPromise(ctx context.Context, to idspace.ServerID, proposal consensus.Proposal) (consensus.Answer, error) {
	b, err := p.ask(ctx, to, mesh.RequestPromise, proposal)
	if err != nil {
		return consensus.Answer{}, err
	}
	a, err := decodeAnswer(b)
	if refused := !a.Granted && a.Holding.IsZero() && a.Cluster.IsZero(); err == nil && refused {
		p.c.compare(to)
	}
	return a, err
}

func (p peers) Release(ctx context.Context, to idspace.ServerID, proposal consensus.Proposal) error {
	_, err := p.ask(ctx, to, mesh.RequestRelease, proposal)
	return err
}

func (p peers) ask(ctx context.Context, to idspace.ServerID, kind mesh.RequestKind, proposal consensus.Proposal) ([]byte, error) {
	boot, ok := p.c.dir.bootOf(to)
	if !ok {
		return nil, errNowhere
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return p.c.mesh.Request(ctx, boot, kind, appendProposal(nil, proposal))
}
