//go:build linux

// Command stuckbench measures what clients that never read do to the others. Three
// nodes, each a process, form a cluster; the clients are those of the second one, and
// the first and the third send to them. It shows how long messages take to clients
// that read, with the others and without them in turn; that each send has its answer;
// and, in a memory cgroup, that the second node keeps within its bound.
// scripts/bench-stuck.sh runs it.
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

// exitKilled says that the second node needs more than -limit.
const exitKilled = 3

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	run := drive
	args := os.Args[1:]
	if len(args) > 0 && args[0] == "node" {
		run, args = serve, args[1:]
	}
	if err := run(ctx, args, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "stuckbench:", err)
		if errors.Is(err, errKilled) {
			os.Exit(exitKilled)
		}
		os.Exit(1)
	}
}

// A plan says what is measured.
type plan struct {
	rounds  int
	measure time.Duration
	stuck   int    // clients that do not read
	honest  int    // clients that do
	rate    int    // messages a second from each node to clients that do not read
	size    int    // of these messages, in bytes
	output  int    // OutputBytes
	policy  string // for slow clients
	limit   int64  // of the second node's memory, in bytes; 0: none, -1: its bound
	atMost  float64
}

func drive(ctx context.Context, args []string, out io.Writer) error {
	var p plan
	flags := flag.NewFlagSet("stuckbench", flag.ContinueOnError)
	flags.IntVar(&p.rounds, "rounds", 5, "rounds with and without clients that do not read")
	flags.DurationVar(&p.measure, "measure", 3*time.Second, "length of a round")
	flags.IntVar(&p.stuck, "stuck", 2000, "clients that do not read")
	flags.IntVar(&p.honest, "honest", 100, "clients that read")
	flags.IntVar(&p.rate, "rate", 10000, "messages a second from each node to clients that do not read")
	flags.IntVar(&p.size, "size", 4096, "bytes of such a message")
	flags.IntVar(&p.output, "output", 32<<10, "OutputBytes of the nodes")
	flags.StringVar(&p.policy, "policy", "fail-sender", "close, drop-newest or fail-sender")
	flags.Int64Var(&p.limit, "limit", 0, "memory of the second node in bytes, held by a cgroup (v1); -1 for its bound")
	flags.Float64Var(&p.atMost, "at-most", 3, "fail above this ratio of the 99th percentiles; 0 never")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if _, ok := policies[p.policy]; !ok || p.rounds < 1 || p.measure <= 0 || p.stuck < 1 || p.honest < 1 || p.rate < 1000 || p.size < 1 {
		return errors.New("-policy is close, drop-newest or fail-sender, -rate at least 1000, all other numbers above 0")
	}
	if p.limit < 0 {
		p.limit = p.bound()
	}
	var calm, beside []result
	for range p.rounds {
		for _, stuck := range []int{0, p.stuck} {
			r, err := p.round(ctx, stuck)
			if err != nil {
				return err
			}
			if stuck == 0 {
				calm = append(calm, r)
			} else {
				beside = append(beside, r)
			}
		}
	}
	return p.report(out, calm, beside)
}

// report prints the medians, and what each round has counted.
func (p *plan) report(out io.Writer, calm, beside []result) error {
	fmt.Fprintf(out, "| clients that do not read | p50 | p99 |\n|---|---|---|\n")
	var p99 [2]time.Duration
	for k, rs := range [][]result{calm, beside} {
		p99[k] = median(rs, func(r result) time.Duration { return r.p99 })
		fmt.Fprintf(out, "| %d | %v | %v |\n", k*p.stuck, median(rs, func(r result) time.Duration { return r.p50 }), p99[k])
	}
	ratio := float64(p99[1]) / float64(p99[0])
	fmt.Fprintf(out, "\nratio of the 99th percentiles: %.2f\n\n", ratio)
	fmt.Fprintf(out, "| round | sends | refused at once | accepted | written | reported | bytes on the links | memory at most |\n|---|---|---|---|---|---|---|---|\n")
	var faults []error
	for k, r := range beside {
		fmt.Fprintf(out, "| %d | %d | %d | %d | %d | %d | %d | %d MiB |\n",
			k+1, r.accepted+r.refused, r.refused, r.accepted, r.written, r.reported, r.crossed, r.memory>>20)
	}
	for k, r := range slices.Concat(calm, beside) {
		if r.accepted != r.written+r.reported {
			faults = append(faults, fmt.Errorf("round %d: %d accepted, %d written and %d reported", k, r.accepted, r.written, r.reported))
		}
	}
	if p.limit > 0 {
		fmt.Fprintf(out, "\nlimit of the second node's memory: %d MiB, its bound %d MiB\n", p.limit>>20, p.bound()>>20)
	}
	if p.atMost > 0 && ratio > p.atMost {
		faults = append(faults, fmt.Errorf("ratio %.2f is above %.2f", ratio, p.atMost))
	}
	return errors.Join(faults...)
}

func median(rs []result, of func(result) time.Duration) time.Duration {
	var all []time.Duration
	for _, r := range rs {
		all = append(all, of(r))
	}
	slices.Sort(all)
	return all[len(all)/2].Round(time.Microsecond)
}
