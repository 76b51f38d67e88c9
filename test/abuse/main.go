//go:build linux

// Command abuse measures how an honest client fares beside attackers, on
// Flamingo and on a server of package net, in turn. The servers run on one
// processor, attackers and the honest client, in this process, on another.
// scripts/bench-abuse.sh runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "abuse:", err)
		os.Exit(1)
	}
}

// A plan says what is measured.
type plan struct {
	flamingo, peers string // programs
	listen          string // options of Flamingo's listener
	rounds          int
	measure         time.Duration
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var p plan
	flags := flag.NewFlagSet("abuse", flag.ContinueOnError)
	flags.StringVar(&p.flamingo, "flamingo", "", "program flamingo")
	flags.StringVar(&p.peers, "peers", "", "program of test/peers/echo")
	flags.StringVar(&p.listen, "options", "framing=line", "options of Flamingo's listener")
	flags.IntVar(&p.rounds, "rounds", 5, "rounds of each server under each attack")
	flags.DurationVar(&p.measure, "measure", 3*time.Second, "length of a round")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if p.flamingo == "" || p.peers == "" || p.rounds < 1 || p.measure <= 0 {
		return errors.New("-flamingo and -peers are wanted, and -rounds and -measure above 0")
	}
	fmt.Fprintf(out, "| attack | flamingo p99 | net p99 | ratio | flamingo p50 | net p50 |\n|---|---|---|---|---|---|\n")
	for _, a := range attacks {
		if err := p.row(ctx, out, a); err != nil {
			return fmt.Errorf("%s: %w", a.name, err)
		}
	}
	return nil
}

// row measures one attack, in alternating rounds.
func (p *plan) row(ctx context.Context, out io.Writer, a attack) error {
	const servers = 2
	var p50, p99 [servers][]time.Duration
	for range p.rounds {
		for k, command := range [servers][]string{
			{p.flamingo, "run", "--listen", "tcp://" + addr + "?" + p.listen, "--admin", "127.0.0.1:0", "--log-level", "error"},
			{p.peers, "-kind", "net", "-addr", addr},
		} {
			times, err := round(ctx, command, a, p.measure)
			if err != nil {
				return fmt.Errorf("%s: %w", command[0], err)
			}
			p50[k] = append(p50[k], times[len(times)/2])
			p99[k] = append(p99[k], times[len(times)*99/100])
		}
	}
	ours, theirs := median(p99[0]), median(p99[1])
	_, err := fmt.Fprintf(out, "| %s | %v | %v | %.2f | %v | %v |\n", a.name, ours, theirs,
		float64(ours)/float64(theirs), median(p50[0]), median(p50[1]))
	return err
}

func median(of []time.Duration) time.Duration {
	slices.Sort(of)
	return of[len(of)/2].Round(time.Microsecond)
}
