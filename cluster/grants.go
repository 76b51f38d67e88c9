package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"flamingo/cluster/consensus"
	"flamingo/cluster/gossip"
	"flamingo/cluster/mesh"
	"flamingo/idspace"
)

// grantEvery is the pause between two attempts to be granted a number.
const grantEvery = 250 * time.Millisecond

// ErrRefused says that the cluster will not grant this life a number. Usually
// the data directory is a copy, or was used by a later life.
var ErrRefused = errors.New("no number is granted to this life")

// Grant obtains the next number of this life. It blocks until the grant is
// committed, asking again whoever leads, until ctx is done; the log says what
// it waits for. The error matches ErrRefused or is that of ctx. Calls must not
// overlap.
func (c *Cluster) Grant(ctx context.Context) (idspace.NodeNumber, error) {
	id := c.store.Identity()
	q := grantRequest{boot: id.Boot, ordinal: c.ordinal.Load() + 1, server: id.Server, start: id.Start}
	told := time.Now()
	for {
		g, err := c.askGrant(ctx, q)
		if err == nil {
			c.ordinal.Store(q.ordinal)
			c.granted(ctx, g)
			return g.Number, nil
		}
		if errors.Is(err, ErrRefused) {
			return 0, fmt.Errorf("cluster: %w", err)
		}
		if time.Since(told) > 2*time.Second {
			told = time.Now()
			c.cfg.Logger.Info("waiting for a node number", "err", err, "members", len(c.Members()))
		}
		select {
		case <-time.After(grantEvery):
		case <-ctx.Done():
			return 0, fmt.Errorf("cluster: waiting for a node number: %w: %w", context.Cause(ctx), err)
		}
	}
}

// granted makes a number known.
func (c *Cluster) granted(ctx context.Context, g consensus.Granted) {
	c.dir.heard(g.Boot, []idspace.NodeNumber{g.Number}, g.Last)
	c.refresh()
	c.announce(ctx, func(m *gossip.Meta) {
		c.list++
		m.Number, m.Numbers, m.State = g.Number, c.list, gossip.StateReady
	})
	c.mesh.Announce()
}

// askGrant asks this server if it leads, else each member that may know, one
// hop further at most.
func (c *Cluster) askGrant(ctx context.Context, q grantRequest) (consensus.Granted, error) {
	g, err := c.server.Grant(ctx, q.boot, q.ordinal, q.server, q.start)
	if err == nil || ctx.Err() != nil {
		return g, err
	}
	if codeOf(err) == codeRefused {
		return g, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	err = c.askLeader(ctx, leaderOf(err), mesh.RequestGrant, q.encode(), func(b []byte) error {
		if len(b) != grantedLen-17 {
			return errBadRequest
		}
		g = consensus.Granted{
			Boot: idspace.BootID(b[:16]), Ordinal: binary.BigEndian.Uint32(b[16:]),
			Number: idspace.NodeNumber(binary.BigEndian.Uint64(b[20:])), Last: idspace.NodeNumber(binary.BigEndian.Uint64(b[28:])),
		}
		if g.Boot != q.boot || g.Ordinal != q.ordinal {
			return fmt.Errorf("%w: an answer for another request", errBadRequest)
		}
		return nil
	})
	return g, err
}

// askTimeout bounds one request to one node.
const askTimeout = 3 * time.Second

// errNoLeader: nobody that answers leads, or knows who does.
var errNoLeader = errors.New("no leader answers")

// askLeader sends a request to the leader, if it is known, else to any member,
// which may know it. use gets the answer behind code and leader.
func (c *Cluster) askLeader(ctx context.Context, leader idspace.ServerID, kind mesh.RequestKind, body []byte, use func([]byte) error) error {
	asked := make(map[idspace.BootID]bool)
	err := errNoLeader
	for {
		boot, ok := c.nextToAsk(leader, asked)
		if !ok {
			return err
		}
		asked[boot] = true
		next, e := c.askOne(ctx, boot, kind, body, use)
		if e == nil || errors.Is(e, ErrRefused) {
			return e
		}
		err, leader = fmt.Errorf("%w: %w", errNoLeader, e), next
	}
}

func (c *Cluster) askOne(ctx context.Context, boot idspace.BootID, kind mesh.RequestKind, body []byte, use func([]byte) error) (leader idspace.ServerID, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	b, err := c.mesh.Request(ctx, boot, kind, body)
	if err != nil {
		return leader, err
	}
	if len(b) < 17 {
		return leader, errBadRequest
	}
	switch leader = idspace.ServerID(b[1:17]); code(b[0]) {
	case codeOK:
		return leader, use(b[17:])
	case codeRefused:
		return leader, ErrRefused
	case codeNotLeader, codeBusy, codeUncertain, codeFailed:
		return leader, fmt.Errorf("node %s answers with code %d", boot, b[0])
	default:
		return leader, errBadRequest
	}
}

// nextToAsk is the leader, or a member that was not asked and belongs to the
// cluster.
func (c *Cluster) nextToAsk(leader idspace.ServerID, asked map[idspace.BootID]bool) (idspace.BootID, bool) {
	if boot, ok := c.dir.bootOf(leader); ok && !leader.IsZero() && !asked[boot] && boot != c.Boot() {
		return boot, true
	}
	for _, m := range c.dir.others(c.Boot()) {
		if !asked[m.Boot] && !m.Meta.Cluster.IsZero() {
			return m.Boot, true
		}
	}
	return idspace.BootID{}, false
}

// askRemoval asks the leader to take this server out.
func (c *Cluster) askRemoval(ctx context.Context, leader idspace.ServerID) error {
	boot, ok := c.dir.bootOf(leader)
	if !ok {
		return errNoLeader
	}
	own := c.store.Identity().Server
	_, err := c.mesh.Request(ctx, boot, mesh.RequestJoin, own[:])
	return err
}
