package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// demoTimeout bounds the demonstration as a whole: more than ten times what it
// takes on a slow machine.
const demoTimeout = time.Minute

// demoCommand shows three nodes at work as one cluster, with real clients on
// loopback over TCP, TLS and WebSocket, and checks every line that it prints.
type demoCommand struct{}

// Run prints the lines; it returns an error if one of them does not hold.
func (demoCommand) Run(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, demoTimeout)
	defer cancel()
	d := &demo{out: out}
	return d.run(ctx, d.steps())
}

// A demo is one run of the demonstration.
type demo struct {
	out   io.Writer
	dir   string // holds the data directories of the nodes
	nodes []*demoNode
}

// A demoStep makes one claim true, checks it and says what was seen.
type demoStep func(ctx context.Context) (seen string, err error)

func (d *demo) steps() []demoStep {
	return []demoStep{
		d.form,
		d.connect,
		d.echo,
		d.sendAcross,
		d.sendAndWait,
		d.sendMany,
		d.closeByID,
		d.wrongIDs,
		d.halfClose,
		d.leave,
		d.slowClient,
		d.tooLong,
		d.stopNode,
		d.sendToStopped,
		d.restart,
		d.shutDown,
	}
}

// run takes the steps up to the first that fails. Then, or when ctx is done,
// it ends what is left of the nodes and removes their directories.
func (d *demo) run(ctx context.Context, steps []demoStep) (err error) {
	defer func() { err = errors.Join(err, d.cleanUp()) }() //nolint:contextcheck // it drops everything at once
	fmt.Fprintln(d.out, "flamingo demo · three nodes in this process, loopback only, nothing is left behind")
	fmt.Fprintln(d.out)
	for i, step := range steps {
		if err := d.step(ctx, step); err != nil {
			return fmt.Errorf("%d of %d lines hold: %w", i, len(steps), err)
		}
	}
	fmt.Fprintf(d.out, "\n%d of %d. Now try:\n  %-30s a cluster to play with\n  %-30s the whole suite\n",
		len(steps), len(steps), program()+" dev", "go test ./...")
	return nil
}

func (d *demo) step(ctx context.Context, do demoStep) error {
	start := time.Now()
	seen, err := "", context.Cause(ctx)
	if err == nil {
		seen, err = do(ctx)
	}
	if err != nil {
		if ctx.Err() != nil && !errors.Is(err, ctx.Err()) { // the step may know no more than what it did to it
			err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
		fmt.Fprintf(d.out, "  ✗ %v\n", err)
		return err
	}
	fmt.Fprintf(d.out, "  ✓ %-88s %8.1f ms\n", seen, milliseconds(time.Since(start)))
	return nil
}

// cleanUp ends what a step that failed has left: after the last step there is
// nothing.
func (d *demo) cleanUp() error {
	for _, n := range d.nodes {
		n.dropClients()
	}
	at, cancel := context.WithCancel(context.Background())
	cancel()
	_ = d.inTurn(func(n *demoNode) error { return n.close(at) }) // what was dropped is no fault here
	return d.removeDir()
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
