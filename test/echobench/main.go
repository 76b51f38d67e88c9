//go:build linux

// Command echobench measures echo through the pipeline: lines taken by ten
// goroutines and sent back, by Flamingo and by others that do the same, side by
// side under the load of flamingo bench. scripts/bench-peers.sh runs it.
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

	"flamingo/test/bench"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "echobench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	if len(args) == 0 {
		return errors.New("allowed are serve, drive")
	}
	switch args[0] {
	case "serve":
		return runServe(ctx, args[1:], in, out)
	case "drive":
		return runDrive(ctx, args[1:], out)
	default:
		return fmt.Errorf("%q: allowed are serve, drive", args[0])
	}
}

func runServe(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:4990", "where to listen")
	kind := flags.String("kind", "flamingo", "flamingo (RecvData and SendData) or flamingo-serve (Serve with one worker)")
	profile := flags.String("cpuprofile", "", "file for a CPU profile, until standard input ends")
	if err := flags.Parse(args); err != nil {
		return err
	}
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
	return serve(ctx, *kind, *addr, in, out)
}

func runDrive(ctx context.Context, args []string, out io.Writer) error {
	d := &driver{progress: os.Stderr}
	flags := flag.NewFlagSet("drive", flag.ContinueOnError)
	flags.StringVar(&d.client, "client", "", "the program flamingo")
	flags.StringVar(&d.peers, "peers", "", "the program of test/peers/echo")
	flags.StringVar(&d.c, "c", "", "the program of test/peers/cecho")
	flags.StringVar(&d.only, "only", "", "take only rows of whose name this is a part")
	flags.StringVar(&d.against, "against", "", "echobench of another commit, beside this one")
	flags.IntVar(&d.rounds, "rounds", 3, "rounds")
	flags.DurationVar(&d.measure, "measure", 3*time.Second, "how long to measure, each time")
	flags.StringVar(&d.head, "head", "", "first line of the page: machine, versions, commit, command")
	page := flags.String("page", "", "file for the page, in Markdown; empty: standard output")
	chart := flags.String("chart", "", "file for the chart, in SVG")
	if err := flags.Parse(args); err != nil {
		return err
	}
	r, err := d.run(ctx)
	if err != nil {
		return err
	}
	if *chart != "" {
		if err := os.WriteFile(*chart, r.svg(), 0o600); err != nil {
			return err
		}
	}
	if *page == "" {
		_, err = out.Write(r.page())
		return err
	}
	return bench.WriteEcho(*page, r.page())
}
