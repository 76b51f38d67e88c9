//go:build linux

// Command meshbench measures what it costs to send from one node to the
// connections of another: Flamingo across two nodes, and what a Go program would
// have instead. scripts/bench-mesh.sh runs it.
//
// The driver starts the processes of every design, lets them take turns at each
// row, and reads their processor time from outside. A row is in rows.go, a design
// in designs.go; node.go, link.go and redis.go are what runs in the processes.
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
	open := map[string]func(context.Context, worker.Args) (*worker.Process, error){
		"node": openNode, "link": openLink, "redis": openRedis,
	}
	name := ""
	if len(args) > 0 {
		name, args = args[0], args[1:]
	}
	switch {
	case name == "drive":
		return drive(ctx, args)
	case name == "sink":
		return runSink(ctx, args)
	case open[name] == nil:
		return fmt.Errorf("%q: allowed are drive, node, link, redis, sink", name)
	}
	a, err := worker.ParseArgs("meshbench "+name, args)
	if err != nil {
		return err
	}
	p, err := open[name](ctx, a)
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
