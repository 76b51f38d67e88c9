//go:build linux

// Command echobench measures echo through the pipeline: lines of 64 bytes,
// taken by ten goroutines and sent back, by Flamingo and by the plain designs
// a Go program would have instead. scripts/bench-echo.sh runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/pprof"
	"time"
)

// messageBytes is the length of a message, its line feed included.
const messageBytes = 64

// workers is how many goroutines take messages and send them back.
const workers = 10

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "echobench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("echobench", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:4990", "address of the server")
	kind := flags.String("kind", "flamingo", "serve: flamingo, serve (flamingo's Serve), hop (net and channels) or net (net, no hop)")
	conns := flags.Int("conns", 100, "load, idle: connections")
	outstanding := flags.Int("outstanding", 32, "load: messages under way on each connection")
	profile := flags.String("cpuprofile", "", "serve: file for a CPU profile")
	seconds := flags.Int("seconds", 3, "load: seconds measured, after one of warming up")
	if len(args) == 0 {
		return errors.New("allowed are serve, load, idle")
	}
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	switch args[0] {
	case "serve":
		if *profile != "" {
			f, err := os.Create(*profile)
			if err != nil {
				return err
			}
			defer f.Close()
			if err := pprof.StartCPUProfile(f); err != nil {
				return err
			}
			defer pprof.StopCPUProfile()
		}
		return serve(ctx, *kind, *addr, out)
	case "load":
		rate, err := load(*addr, *conns, *outstanding, time.Duration(*seconds)*time.Second)
		if err == nil {
			fmt.Fprintf(out, "%.0f\n", rate)
		}
		return err
	case "idle":
		return idle(ctx, *addr, *conns, out)
	default:
		return fmt.Errorf("%q: allowed are serve, load, idle", args[0])
	}
}
