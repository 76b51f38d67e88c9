package node

import (
	"context"
	"errors"
	"fmt"

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
func outcomeWithin(ctx context.Context, err error) error {
	o := outcomeOf(err)
	if ctx.Err() != nil && (errors.Is(o, ErrExpired) || errors.Is(o, ErrUncertain)) {
		return fmt.Errorf("%w: %w", o, context.Cause(ctx))
	}
	return o
}
