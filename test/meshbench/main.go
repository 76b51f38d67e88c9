//go:build linux

// Command meshbench measures what it costs to send from one node to the
// connections of another: Flamingo across two nodes, on the owner itself, and
// over the links that a Go program would have instead. scripts/bench-mesh.sh
// runs it.
//
// The driver starts the processes of every design, lets them take turns at each
// load, and reads their processor time from outside.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"flamingo/test/meshbench/worker"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "meshbench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("allowed are drive, node, link, sink")
	}
	name, args := args[0], args[1:]
	if name == "drive" {
		return runDriver(ctx, args)
	}
	flags := flag.NewFlagSet("meshbench "+name, flag.ContinueOnError)
	boardName := flags.String("board", "", "file that the processes of a design share")
	clients := flags.String("clients", "", "where clients connect; empty: this process sends")
	between := flags.String("between", "", "node: its own cluster address; link: where the owner listens")
	join := flags.String("join", "", "node: the cluster address of the other")
	batched := flags.Bool("batched", false, "link: one write for all that waits, in place of one for each message")
	conns := flags.Int("conns", 1, "sink: connections")
	if err := flags.Parse(args); err != nil {
		return err
	}
	board, err := worker.OpenBoard(*boardName)
	if err != nil {
		return err
	}
	p := &worker.Process{Board: board}
	switch name {
	case "node":
		err = openNode(ctx, p, *clients, *between, *join)
	case "link":
		err = openLink(ctx, p, *clients, *between, *batched)
	case "sink":
		return runSink(ctx, *clients, *conns, board, os.Stdout)
	default:
		return fmt.Errorf("%q: allowed are drive, node, link, sink", name)
	}
	if err != nil {
		return err
	}
	return p.Obey(ctx, os.Stdin, os.Stdout)
}

// within retries f until it succeeds or d has passed.
func within(ctx context.Context, d time.Duration, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}
