package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"flamingo/cluster/consensus"
	"flamingo/cluster/gossip"
	"flamingo/cluster/mesh"
	"flamingo/idspace"
)

// askEvery is the pause between two attempts to have something recorded.
const askEvery = 250 * time.Millisecond

// ErrRefused says that the cluster will not grant this life a number. Usually
// the life has been ended: see ErrLifeEnded.
var ErrRefused = errors.New("no number is granted to this life")

// asking is how far Grant is.
type asking struct {
	begun   atomic.Bool // the cluster may have heard of this life
	ordinal atomic.Uint32
	now     atomic.Bool // a call is under way

	// servers are the data directories under which this life has asked, the
	// newest last: it is granted all its numbers under one of them. Owned by
	// Grant. There is one, and one more for each time the directory was set
	// aside before the first number.
	servers []grantee

	mu  sync.Mutex
	why error // guarded by mu: of the last attempt
}

// A grantee is what a life says of its data directory.
type grantee struct {
	server idspace.ServerID
	start  uint64
}

// Grant obtains the next number of this life. It blocks until the grant is
// committed, asking again whoever leads, until ctx is done; Waiting says what
// it waits for. The error matches ErrRefused or is that of ctx. Calls must not
// overlap.
func (c *Cluster) Grant(ctx context.Context) (idspace.NodeNumber, error) {
	c.asking.now.Store(true)
	defer c.asking.now.Store(false)
	for {
		if err := c.estranged(); err != nil {
			return 0, fmt.Errorf("cluster: %w: %w", ErrRefused, err)
		}
		g, err := c.tryGrant(ctx)
		c.asking.note(err)
		if err == nil {
			return g.Number, nil
		}
		if errors.Is(err, ErrRefused) {
			return 0, fmt.Errorf("cluster: %w", err)
		}
		if c.over() {
			return 0, fmt.Errorf("cluster: %w: %w", ErrRefused, c.endErr)
		}
		pause(ctx, askEvery)
		if ctx.Err() != nil {
			return 0, fmt.Errorf("cluster: waiting for a node number: %w: %w", context.Cause(ctx), err)
		}
	}
}

func (a *asking) note(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.why = err
}

func (a *asking) last() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.why
}

// tryGrant asks once. Before the first number it asks under the seat taken. A
// directory that is refused as stale is given up; and when it turns out that
// an earlier request was granted after all, the life goes on under that one.
func (c *Cluster) tryGrant(ctx context.Context) (consensus.Granted, error) {
	s := c.seat()
	as := &c.asking.servers
	id := s.store.Identity()
	own := grantee{id.Server, id.Start}
	if len(*as) == 0 || c.asking.ordinal.Load() == 0 && !slices.Contains(*as, own) {
		*as = append(*as, own)
	}
	who := (*as)[len(*as)-1]
	q := grantRequest{boot: c.boot, ordinal: c.asking.ordinal.Load() + 1, server: who.server, start: who.start}
	c.asking.begun.Store(true)
	g, err := c.askGrant(ctx, q)
	switch {
	case err == nil:
		c.asking.ordinal.Store(q.ordinal)
		c.granted(g)
	case errors.Is(err, idspace.ErrStaleStart) && who == own:
		s.giveUp(fmt.Errorf("%w: %w", consensus.ErrSuperseded, err))
	case errors.Is(err, idspace.ErrServerChanged) && len(*as) > 1:
		*as = append((*as)[len(*as)-1:], (*as)[:len(*as)-1]...) // the next in turn
	case errors.Is(err, idspace.ErrServerChanged), errors.Is(err, idspace.ErrLifeEnded):
		err = fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return g, err
}

// granted makes a number known.
func (c *Cluster) granted(g consensus.Granted) {
	c.dir.heard(g.Boot, []idspace.NodeNumber{g.Number})
	c.refresh()
	c.announce(func(m *gossip.Meta) {
		m.Numbers++
		m.Number, m.State = g.Number, max(m.State, gossip.StateReady)
	})
	c.mesh.Announce()
	c.lookSoon()
}

// askGrant asks this server if it leads, else each member that may know, one
// hop further at most.
func (c *Cluster) askGrant(ctx context.Context, q grantRequest) (consensus.Granted, error) {
	g, err := c.grantHere(ctx, q)
	if err == nil || ctx.Err() != nil || codeOf(err).final() {
		return g, err
	}
	err = c.askLeader(ctx, leaderOf(err), mesh.RequestGrant, q.encode(), func(b []byte) error {
		answer, err := decodeGranted(b)
		if err == nil && (answer.Boot != q.boot || answer.Ordinal != q.ordinal) {
			err = fmt.Errorf("%w: an answer for another request", errBadRequest)
		}
		if err == nil {
			g = answer
		}
		return err
	})
	return g, err
}

// grantHere grants as the leader. One directory has one life at a time, its
// lock sees to that: so if an earlier life of it still answers, the one that
// asks runs on a copy, and what its grant would end is the original.
func (c *Cluster) grantHere(ctx context.Context, q grantRequest) (consensus.Granted, error) {
	server := c.seat().server
	original, ok := c.earlierLife(q)
	if ok && !c.trustCopies.Load() && server.State().Serving && c.answers(ctx, original) {
		return consensus.Granted{}, fmt.Errorf("%w: its life %v is up", idspace.ErrStaleStart, original)
	}
	return server.Grant(ctx, q.boot, q.ordinal, q.server, q.start)
}

// earlierLife returns the live life on the directory of q, if that is another
// one, and present.
func (c *Cluster) earlierLife(q grantRequest) (boot idspace.BootID, ok bool) {
	_, lives := c.seat().server.Lives()
	for _, life := range lives {
		if life.Server == q.server && life.Boot != q.boot && !q.server.IsZero() {
			_, present := c.dir.member(life.Boot)
			return life.Boot, present
		}
	}
	return boot, false
}

// answerTimeout bounds the question whether a node is up: another life in its
// place says so at once.
const answerTimeout = time.Second

// answers reports whether that very life answers now.
func (c *Cluster) answers(ctx context.Context, boot idspace.BootID) bool {
	if boot == c.boot {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	_, err := c.mesh.Request(ctx, boot, mesh.RequestConfirm, knownRequest(newView(0)))
	return err == nil
}
