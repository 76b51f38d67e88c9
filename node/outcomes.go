package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"flamingo/cluster/mesh"
)

// carried joins the outcomes of this package to those that go from node to
// node. The first line that matches counts.
var carried = [...]struct {
	here  error
	there mesh.Outcome
}{
	{ErrGone, mesh.OutcomeGone},
	{ErrNeverIssued, mesh.OutcomeNeverIssued},
	{ErrBackpressure, mesh.OutcomeBackpressure},
	{ErrExpired, mesh.OutcomeExpired},
	{ErrUncertain, mesh.OutcomeUncertain},
	{ErrTooLarge, mesh.OutcomeTooLarge},
	{ErrUnframeable, mesh.OutcomeUnframeable},
	{ErrNoAck, mesh.OutcomeNoAck},
	{ErrUnreachable, mesh.OutcomeUnreachable},
	{ErrUnreachable, mesh.OutcomeNotMine}, // what we know of the peer's numbers is out of date
	{ErrClosed, mesh.OutcomeClosed},       // this node is: an owner that closes answers gone
}

// codeOf returns how an outcome of this node's connections goes to another
// node.
func codeOf(err error) mesh.Outcome {
	if err == nil {
		return mesh.OutcomeAccepted
	}
	for _, c := range carried {
		if errors.Is(err, c.here) {
			return c.there
		}
	}
	return mesh.OutcomeUncertain
}

// endOf is what the owner tells of an ErrGone.
func endOf(err error) mesh.End {
	g, ok := errors.AsType[*GoneError](err)
	if !ok {
		return mesh.End{}
	}
	return mesh.End{At: g.At.UnixMilli(), Reason: uint8(g.Reason), Code: uint16(g.Code)}
}

// goneAt is the ErrGone for which another node has told end of connection id.
func goneAt(id ID, end mesh.End) error {
	if end == (mesh.End{}) {
		return ErrGone
	}
	return &GoneError{ID: id, At: time.UnixMilli(end.At), Reason: Reason(end.Reason), Code: int(end.Code)}
}

// lostTo is the outcome of an asynchronous send to another node.
func lostTo(u mesh.Undelivered) error {
	if u.Outcome == mesh.OutcomeGone {
		return goneAt(u.ID, u.End)
	}
	return outcomeOf(u.Outcome.Err())
}

// outcomeFor is outcomeOf for an operation on connection id.
func outcomeFor(id ID, err error) error {
	if errors.Is(err, mesh.ErrGone) {
		return goneAt(id, mesh.EndOf(err))
	}
	return outcomeOf(err)
}

// outcomeOf returns the outcome that an error of the mesh stands for.
func outcomeOf(err error) error {
	if err == nil {
		return nil
	}
	for _, c := range carried {
		if errors.Is(err, c.there.Err()) {
			return c.here
		}
	}
	return ErrUncertain
}

// outcomeWithin is outcomeOf for an operation bounded by ctx, whose cause the
// error names if ctx has ended it.
func outcomeWithin(ctx context.Context, id ID, err error) error {
	o := outcomeFor(id, err)
	deadline, ok := ctx.Deadline()
	switch {
	case !errors.Is(o, ErrExpired) && !errors.Is(o, ErrUncertain):
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w", o, context.Cause(ctx))
	case errors.Is(o, ErrExpired) && ok && time.Until(deadline) <= 0: // the link was a moment before the context
		return fmt.Errorf("%w: %w", o, context.DeadlineExceeded)
	}
	return o
}
