package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"flamingo/cluster"
)

// errBetweenLives: a life was retired, and the next one has not begun.
var errBetweenLives = errors.New("between two lives")

// rebirthRetry is the pause after an attempt to begin another life that failed.
// Usually the port is still in use.
const rebirthRetry = time.Second

// maxPlaces is how many places to look for other nodes there may be.
const maxPlaces = 64

// live takes part in the cluster until ctx is done or that fails. A life that was
// retired is followed by another one (ADR 23).
func (m *member) live(ctx context.Context) error {
	for {
		c := m.cluster()
		stop := context.AfterFunc(m.late, c.Hasten) //nolint:contextcheck // the time to leave goes on when ctx has ended
		err := c.Run(ctx)
		stop()
		if ctx.Err() != nil || !errors.Is(err, cluster.ErrRetired) {
			return err
		}
		m.between.Store(true)
		select {
		case m.retired <- struct{}{}:
		default: // the life before, too, and that is still to be seen to
		}
		if !m.begin(ctx) {
			return nil
		}
		m.between.Store(false)
		m.reborn()
	}
}

// begin begins another life, on the same data directory and port, and looks for
// the cluster where its nodes were last, too. It returns when the port is open. If
// ctx is done first it reports false: the node closes, and there is no life to end.
func (m *member) begin(ctx context.Context) bool {
	old := m.cluster()
	cfg := m.cfg
	cfg.Cluster = old.ID()
	cfg.Join = slices.Clone(cfg.Join)
	for _, n := range old.Nodes() {
		if place := addrText(n.Address); !n.Self && place != "" && len(cfg.Join) < maxPlaces && !slices.Contains(cfg.Join, place) {
			cfg.Join = append(cfg.Join, place)
		}
	}
	if err := old.Close(); err != nil {
		m.logger.Warn("the part of a retired life in the cluster was not closed well", "err", err)
	}
	m.given = true
	for {
		c, err := cluster.New(cfg)
		if err == nil {
			if err = c.Listen(ctx); err == nil {
				m.current.Store(c)
				m.given = false
				if m.draining.Load() {
					c.Drain()
				}
				return true
			}
			err = errors.Join(err, c.Close())
		}
		m.logger.Warn("no other life yet", "err", err)
		if sleep(ctx, rebirthRetry) != nil {
			return false
		}
	}
}

const (
	// sweepEvery is how often it is looked whether a retired number has connections
	// left, and sweepsClean how often there must be none: one that was accepted at
	// that moment has its id and is in no slot yet.
	sweepEvery  = 100 * time.Millisecond
	sweepsClean = 5
)

// endRetired ends every connection, with ReasonRetired, and returns when none is
// open. No id is issued meanwhile.
func (n *Node) endRetired(ctx context.Context) error {
	for clean := 0; clean < sweepsClean; clean++ {
		if n.clients.EndOpening(ReasonRetired) > 0 { // each has its id, and would open under it
			clean = 0
		}
		from := uint32(0)
		for more := true; more; more = from != 0 {
			items, next := n.clients.Connections(from, 1000)
			for _, c := range items {
				_ = n.clients.SendClose(c.ID, ReasonRetired) // it may have ended
				clean = 0
			}
			from = next
		}
		if err := sleep(ctx, sweepEvery); err != nil {
			return err
		}
	}
	return nil
}

// Retire gives up the node that holds number, for good: the cluster exchanges
// nothing with it any more, its ids are gone on every other node, and whoever
// watches one of them is told. It is for a node that does not come back; if it
// does, it ends its connections and takes another number. Until it is reached
// again it serves its clients on.
//
// A node that is there is retired only anyway: drain it instead. Retire waits
// until this is agreed on, at most 10 s, or until ctx is done. The error matches
// ErrPresent, ErrGone if its life has ended, ErrNeverIssued, ErrUnreachable while
// there is nobody to agree, or ErrAlone.
func (n *Node) Retire(ctx context.Context, number NodeNumber, anyway bool) error {
	if n.member == nil {
		return fmt.Errorf("retire node %s: %w", number, ErrAlone)
	}
	err := n.member.cluster().Retire(ctx, number, anyway)
	if err != nil && !errors.Is(err, ErrPresent) {
		err = outcomeOf(err)
	}
	if err != nil {
		return fmt.Errorf("retire node %s: %w", number, err)
	}
	return nil
}
