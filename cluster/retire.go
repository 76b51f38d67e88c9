package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"flamingo/cluster/mesh"
	"flamingo/idspace"
)

// ErrPresent says that a life is not retired, since it is there: a member, or
// with a stream open. Drain it instead.
var ErrPresent = errors.New("the node is present")

// A Fate is what has become of the life that a number belongs to, as far as is
// known here.
type Fate uint8

// The fates.
const (
	FateOpen    Fate = iota // it is live, or not known, or not granted yet
	FateEnded               // it left in order, or its data directory has a later life
	FateRetired             // it was retired
)

// Fate returns what has become of the life that number n belongs to. From a life
// that has ended nothing is taken any more, and nothing is sent to it, when Fate
// says so. Of more than 1,024 numbers that were retired it has the last ones; the
// others have ended.
func (c *Cluster) Fate(n idspace.NodeNumber) Fate {
	v := c.settled.Load()
	switch {
	case v == nil || !v.gone(n):
		return FateOpen
	case v.retired[n]:
		return FateRetired
	default:
		return FateEnded
	}
}

// Retire has the cluster end the life that number n belongs to: nobody exchanges
// a frame with it any more, and if it comes back it takes another number. anyway
// retires it though it is present, as far as the leader sees.
//
// It blocks until that is recorded and known here, at most 10 s, or until ctx is
// done. The error matches ErrPresent, mesh.ErrGone for a number whose life has
// ended, mesh.ErrNeverIssued for one that was not granted, or mesh.ErrUnreachable
// while nobody leads; then it may have been recorded all the same, and can be
// repeated.
func (c *Cluster) Retire(ctx context.Context, n idspace.NodeNumber, anyway bool) error {
	ctx, cancel := context.WithTimeout(ctx, lastWordTimeout)
	defer cancel()
	for first := true; ; first = false {
		err := c.tryRetire(ctx, n, anyway)
		switch {
		case err == nil:
			return nil
		case !first && errors.Is(err, mesh.ErrGone) && c.confirmView(ctx) == nil && c.view().retired[n]:
			return nil // by an attempt whose answer was lost
		case codeOf(err).final():
			return err
		}
		pause(ctx, askEvery)
		if ctx.Err() != nil {
			return fmt.Errorf("%w: %s", mesh.ErrUnreachable, err.Error()) // whose outcomes are of those that were asked
		}
	}
}

// tryRetire asks once.
func (c *Cluster) tryRetire(ctx context.Context, n idspace.NodeNumber, anyway bool) error {
	err := c.retireHere(ctx, n, anyway)
	if err != nil && ctx.Err() == nil && !codeOf(err).final() {
		body := append(binary.BigEndian.AppendUint64(nil, uint64(n)), 0)
		if anyway {
			body[8] = 1
		}
		err = c.askLeader(ctx, leaderOf(err), mesh.RequestRetire, body, func([]byte) error { return nil })
	}
	if err == nil {
		err = c.confirmView(ctx)
	}
	return err
}

// retire records that an operator gives a life up.
func (r requests) retire(ctx context.Context, body []byte) ([]byte, error) {
	if len(body) != 8+1 || body[8] > 1 {
		return nil, errBadRequest
	}
	return answerHead(r.c.retireHere(ctx, idspace.NodeNumber(binary.BigEndian.Uint64(body)), body[8] == 1)), nil
}

// retireHere retires as the leader.
func (c *Cluster) retireHere(ctx context.Context, n idspace.NodeNumber, anyway bool) error {
	server := c.seat().server
	last, lives, err := server.Confirm(ctx)
	if err != nil {
		return err
	}
	boot, live := viewOf(last, lives, server.Retired).live[n]
	switch {
	case n > last:
		return mesh.ErrNeverIssued
	case !live:
		return mesh.ErrGone
	case !anyway && c.inContact(boot):
		return fmt.Errorf("%w: %v", ErrPresent, boot)
	}
	return c.retireLife(ctx, boot, "an operator said so")
}

func (c *Cluster) retireLife(ctx context.Context, boot idspace.BootID, why string) error {
	err := c.seat().server.EndLife(ctx, boot, idspace.CauseRetired)
	if err == nil {
		c.cfg.Logger.Warn("a life was retired", "boot", boot, "why", why)
	}
	return err
}
