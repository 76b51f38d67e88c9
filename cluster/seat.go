package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"flamingo/cluster/consensus"
	"flamingo/cluster/gossip"
)

// A seat is this node's place in consensus: a store and the server on it. When
// its identity is used up, the node takes another one.
type seat struct {
	store  *consensus.Store
	server *consensus.Server

	once   sync.Once
	usedUp chan struct{} // closed by giveUp, before the store is
	why    error         // set before usedUp is closed
}

// giveUp says that the identity turned out to be used up.
func (s *seat) giveUp(why error) {
	s.once.Do(func() {
		s.why = why
		close(s.usedUp)
	})
}

// over reports whether the seat was given up: another one takes its place, or is
// about to.
func (s *seat) over() bool {
	select {
	case <-s.usedUp:
		return true
	default:
		return false
	}
}

func (c *Cluster) seat() *seat { return c.seats.Load() }

// takeSeat opens the store in the data directory, which makes one if none is
// there.
func (c *Cluster) takeSeat() error {
	store, err := consensus.OpenStore(consensus.StoreConfig{
		Dir: c.cfg.Dir, Boot: c.boot, Random: c.cfg.Random, Logger: c.cfg.Logger,
	})
	if err != nil {
		return err
	}
	s := &seat{store: store, usedUp: make(chan struct{})}
	if err := c.prepare(s); err != nil {
		store.Close()
		return err
	}
	c.seats.Store(s)
	if known := c.cluster(); !known.IsZero() { // from a seat before, or this one
		return store.Join(known)
	}
	return nil
}

func (c *Cluster) prepare(s *seat) error {
	known, err := s.store.Cluster()
	if err != nil {
		return err
	}
	if !known.IsZero() {
		c.known.Store(&known)
	}
	s.server, err = consensus.New(consensus.Config{
		Store: s.store, Network: &raftNetwork{c: c}, Voters: max(c.cfg.Expect, 3),
		Candidates: c.candidates, AskRemoval: c.askRemoval, ClockOffset: c.clockOffset,
		Now: c.cfg.Now, Logger: c.cfg.Logger,
		HeartbeatTimeout: c.cfg.Election, ElectionTimeout: c.cfg.Election, LeaseTimeout: c.cfg.Election / 2,
	})
	return err
}

// takePart runs consensus until ctx is done or it has failed. A server whose
// identity is used up is set aside, and the node begins anew as another one; one
// whose disk stalled begins anew as the same.
func (c *Cluster) takePart(ctx context.Context) error {
	var stalls backoff
	for ctx.Err() == nil {
		s := c.seat()
		err := s.run(ctx)
		switch {
		case ctx.Err() != nil || err == nil:
			return err
		case errors.Is(err, consensus.ErrSuperseded), errors.Is(err, consensus.ErrRemoved):
			err = c.changeSeat(s, err)
		case errors.Is(err, consensus.ErrStalled):
			err = c.retakeSeat(ctx, s, err, &stalls)
		}
		if err != nil && ctx.Err() == nil {
			c.cfg.Logger.Error("consensus has failed; everything else goes on without it", "err", err)
			return err
		}
	}
	return nil
}

// run is the server's, and ends when the seat is given up, too.
func (s *seat) run(ctx context.Context) error {
	server := start(ctx, "server", s.server.Run)
	select {
	case <-server.ended:
		return server.stop()
	case <-s.usedUp:
		return errors.Join(s.why, server.stop())
	}
}

// changeSeat sets the store aside and opens a new one.
func (c *Cluster) changeSeat(old *seat, why error) error {
	old.giveUp(why)
	before := old.store.Identity().Server
	if err := old.store.SetAside(c.cfg.Now()); err != nil {
		return err
	}
	if err := c.takeSeat(); err != nil {
		return fmt.Errorf("beginning anew: %w", err)
	}
	now := c.seat().store.Identity().Server
	c.cfg.Logger.Warn("the identity in the data directory is used up: set aside, begun anew as another server",
		"dir", c.cfg.Dir, "before", before, "now", now, "why", why)
	c.announce(func(m *gossip.Meta) { m.Server, m.Role = now, gossip.RoleOutside })
	c.lookSoon()
	return nil
}
