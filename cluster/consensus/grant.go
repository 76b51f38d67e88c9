package consensus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"flamingo/idspace"
)

// maxSkew is how far the leader's clock may be from the median of the voters'
// before it no longer stamps (design, section 3).
const maxSkew = 5 * time.Second

// Granted answers a request for a number.
type Granted struct {
	Boot    idspace.BootID
	Ordinal uint32
	Number  idspace.NodeNumber
	Last    idspace.NodeNumber // granted last, at least Number
}

// Grant has the cluster grant a number to a life: its ordinal-th, on a data
// directory and a start of it, or zero both. It waits for its turn, one grant
// in a tick, until ctx is done.
//
// The error matches ErrNotLeader, ErrBusy, ErrStopped, ErrClockUntrusted or
// one of package idspace: then nothing was granted. Or it matches ErrUncertain
// or is that of ctx: then the grant may have been committed. In each case the
// request can be repeated with the same boot and ordinal; it never gets two
// numbers.
func (s *Server) Grant(ctx context.Context, boot idspace.BootID, ordinal uint32, server idspace.ServerID, start uint64) (Granted, error) {
	g := idspace.Grant{Boot: boot, Ordinal: ordinal, Server: server, Start: start}
	if _, err := idspace.EncodeCommand(g); err != nil {
		return Granted{}, fmt.Errorf("consensus: grant: %w", err)
	}
	t, err := s.leading()
	if err != nil {
		return Granted{}, fmt.Errorf("consensus: grant: %w", err)
	}
	r, err := t.ask(ctx, t.grants, g)
	if err != nil {
		return Granted{}, fmt.Errorf("consensus: grant: %w", err)
	}
	return Granted{Boot: r.res.Boot, Ordinal: r.res.Ordinal, Number: r.res.Number, Last: r.last}, nil
}

// ask queues a request and waits for its answer.
func (t *term) ask(ctx context.Context, queue chan<- *request, g idspace.Grant) (reply, error) {
	req := &request{grant: g, answer: make(chan reply, 1)}
	select {
	case queue <- req:
	default:
		return reply{}, ErrBusy
	}
	select {
	case r := <-req.answer:
		return r, r.err
	case <-ctx.Done():
		return reply{}, ctx.Err()
	case <-t.done:
	}
	select {
	case r := <-req.answer:
		return r, r.err
	default:
		return reply{}, fmt.Errorf("%w: leadership ended", ErrUncertain)
	}
}

// grantLoop grants one number at a time. It waits a tick before the first, as
// the leader before may have used the current one.
func (t *term) grantLoop(ctx context.Context) {
	next := time.Now().Add(idspace.TickDuration)
	for {
		var req *request
		select {
		case <-ctx.Done():
			return
		case req = <-t.grants:
		}
		if !t.fsm.granted(req.grant) {
			if !waitUntil(ctx, next) {
				return
			}
			next = time.Now().Add(idspace.TickDuration)
		}
		res, err := t.grant(ctx, req.grant)
		req.answer <- reply{res: res, last: t.fsm.last(), err: err}
	}
}

// waitUntil goes by the monotonic clock. It reports false when ctx is done.
func waitUntil(ctx context.Context, at time.Time) bool {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func (t *term) grant(ctx context.Context, g idspace.Grant) (idspace.Result, error) {
	g.Tick = t.stamp()
	if g.Tick == 0 && t.fsm.last() == 0 {
		// Without a tick the first number would be 1, and that of a cluster
		// whose state was lost may have been granted before.
		return idspace.Result{}, ErrClockUntrusted
	}
	cmd, err := registryCommand(g)
	if err != nil {
		return idspace.Result{}, err
	}
	return t.apply(ctx, cmd)
}

// stamp returns the tick, or zero if the clock is not to be trusted.
func (t *term) stamp() idspace.Tick {
	tick := idspace.TickAt(t.s.cfg.Now())
	if t.s.cfg.ClockOffset == nil {
		return tick
	}
	offset, known := t.s.cfg.ClockOffset()
	if !known || offset.Abs() <= maxSkew {
		return tick
	}
	t.s.log.Warn("the clock is off, grants go without it", "offset", offset, "limit", maxSkew)
	return 0
}

// EndLife records that a life has ended. Errors are as for Grant, and it can
// be repeated likewise.
func (s *Server) EndLife(ctx context.Context, boot idspace.BootID, cause idspace.EndCause) error {
	cmd, err := registryCommand(idspace.EndLife{Boot: boot, Cause: cause})
	if err != nil {
		return fmt.Errorf("consensus: end life: %w", err)
	}
	t, err := s.leading()
	if err != nil {
		return fmt.Errorf("consensus: end life: %w", err)
	}
	select {
	case t.slots <- struct{}{}:
		defer func() { <-t.slots }()
	default:
		return fmt.Errorf("consensus: end life: %w", ErrBusy)
	}
	if _, err := t.apply(ctx, cmd); err != nil {
		return fmt.Errorf("consensus: end life: %w", err)
	}
	return nil
}

// Confirm is a committed read: it returns the last number granted and all live
// ones, ascending, which hold every grant that was answered before the call.
// Calls that wait together share one round of raft. Errors are as for Grant.
func (s *Server) Confirm(ctx context.Context) (last idspace.NodeNumber, lives []idspace.Life, err error) {
	t, err := s.leading()
	if err != nil {
		return 0, nil, fmt.Errorf("consensus: confirm: %w", err)
	}
	if _, err := t.ask(ctx, t.reads, idspace.Grant{}); err != nil {
		return 0, nil, fmt.Errorf("consensus: confirm: %w", err)
	}
	last, lives = t.fsm.lives()
	return last, lives, nil
}

// confirmLoop answers those that were there before a barrier began.
func (t *term) confirmLoop(ctx context.Context) {
	for {
		var batch []*request
		select {
		case <-ctx.Done():
			return
		case req := <-t.reads:
			batch = append(batch, req)
		}
		for range len(t.reads) {
			batch = append(batch, <-t.reads)
		}
		err := t.barrier(ctx)
		if err != nil {
			err = errors.Join(&NotLeaderError{}, err)
		}
		for _, req := range batch {
			req.answer <- reply{err: err}
		}
	}
}
