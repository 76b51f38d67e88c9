//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"flamingo/test/bench"
)

// warmUp is the load before each measurement.
const warmUp = 500 * time.Millisecond

// The cores of a measurement that is not on both.
const (
	serverCore = "0"
	clientCore = "1"
	bothCores  = "0,1"
)

// A driver measures kinds of servers in turn.
type driver struct {
	self, client, peers, c string // programs
	against                string
	only                   string
	rounds                 int
	measure                time.Duration
	head                   string
	progress               io.Writer
}

// results are what all rounds have measured.
type results struct {
	head     string
	rows     []row
	measured map[string]map[string][]sample // by row and kind
	idle     map[string]idleCost            // by kind
	syscalls map[string]float64             // a message, by kind
}

// A sample is one measurement.
type sample struct {
	Rate    float64 `json:"rate"`
	Done    float64 `json:"done"`
	Total   float64 `json:"total"`
	Seconds float64 `json:"seconds"`
	Server  float64 `json:"server_cpus"`
}

// serverTime is what one message or life costs the server, in microseconds.
func (s sample) serverTime() float64 { return s.Server * s.Seconds / max(s.Done, 1) * 1e6 }

// idleCost is what one more idle connection costs, in bytes.
type idleCost struct {
	fresh, echoed int64 // user space
	kernel        int64 // both ends
}

func (d *driver) run(ctx context.Context) (*results, error) {
	var err error
	if d.self, err = os.Executable(); err != nil {
		return nil, err
	}
	r := &results{
		head: d.head, measured: make(map[string]map[string][]sample),
		idle: make(map[string]idleCost), syscalls: make(map[string]float64),
	}
	for _, row := range rows() {
		if !strings.Contains(row.name, d.only) {
			continue
		}
		if d.against != "" {
			row.kinds = []string{row.kinds[0], before}
			row.goals = []goal{{name: before, to: before, want: 1}}
		}
		r.rows = append(r.rows, row)
		r.measured[row.name] = make(map[string][]sample)
	}
	for round := range d.rounds {
		for i := range r.rows {
			if err := d.round(ctx, r, &r.rows[i]); err != nil {
				return nil, err
			}
		}
		fmt.Fprintf(d.progress, "round %d of %d\n", round+1, d.rounds)
	}
	if d.against != "" {
		return r, nil
	}
	if strings.Contains("idle", d.only) {
		if err := d.measureIdle(ctx, r); err != nil {
			return nil, err
		}
	}
	if strings.Contains("system calls", d.only) {
		return r, d.measureSyscalls(ctx, r)
	}
	return r, nil
}

// round measures every kind of a row once.
func (d *driver) round(ctx context.Context, r *results, row *row) error {
	for _, kind := range row.kinds {
		s, err := d.once(ctx, kind, row)
		if err != nil {
			return fmt.Errorf("%s, %s: %w", row.name, kind, err)
		}
		r.measured[row.name][kind] = append(r.measured[row.name][kind], s)
		fmt.Fprintf(d.progress, "%-24s %-14s %12.0f/s %8.2f µs\n", row.name, kind, s.Rate, s.serverTime())
	}
	return nil
}

// once measures one kind under the load of a row.
func (d *driver) once(ctx context.Context, kind string, row *row) (sample, error) {
	on, from := serverCore, clientCore
	if row.both {
		on, from = bothCores, bothCores
	}
	s, err := d.startServer(ctx, kind, on)
	if err != nil {
		return sample{}, err
	}
	defer s.stop()
	return d.load(ctx, s, from, row.bench)
}

// load puts load on a server and returns what was measured.
func (d *driver) load(ctx context.Context, s *server, core string, load []string) (sample, error) {
	args := slices.Concat([]string{d.client, "bench"}, load, []string{
		"--json", "--pid=" + s.pid(), "--duration=" + d.measure.String(), "--warm-up=" + warmUp.String(), s.addr,
	})
	cmd := bench.Command(ctx, core, args...)
	var told bytes.Buffer
	cmd.Stderr = &told
	out, err := cmd.Output()
	if err != nil {
		return sample{}, fmt.Errorf("%w: %s", err, told.Bytes())
	}
	var got sample
	if err := json.Unmarshal(out, &got); err != nil {
		return sample{}, fmt.Errorf("%s: %w", out, err)
	}
	return got, nil
}

// measureIdle measures what an idle connection costs each kind that hands on.
func (d *driver) measureIdle(ctx context.Context, r *results) error {
	for _, kind := range append(slices.Clone(hops), theirC) {
		fresh, kernel, err := d.idleSlope(ctx, kind)
		if err != nil {
			return fmt.Errorf("idle, %s: %w", kind, err)
		}
		echoed, _, err := d.idleSlope(ctx, kind, "--echo")
		if err != nil {
			return fmt.Errorf("idle after an echo, %s: %w", kind, err)
		}
		r.idle[kind] = idleCost{fresh: fresh, echoed: echoed, kernel: kernel}
		fmt.Fprintf(d.progress, "%-24s %-14s %12d fresh %8d after an echo, %d kernel\n", "idle", kind, fresh, echoed, kernel)
	}
	return nil
}

// idleSlope returns what one more idle connection costs in user space, and in
// the kernel for both ends.
func (d *driver) idleSlope(ctx context.Context, kind string, flags ...string) (user, kernel int64, err error) {
	s, err := d.startServer(ctx, kind, serverCore)
	if err != nil {
		return 0, 0, err
	}
	defer s.stop()
	args := slices.Concat([]string{d.client, "bench", "idle", "--json", "--pause"}, flags, []string{
		fmt.Sprintf("--steps=%d,%d", idleSteps[0], idleSteps[1]), s.addr,
	})
	cmd := bench.Command(ctx, clientCore, args...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return 0, 0, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	defer func() {
		in.Close()
		_ = cmd.Wait() // what matters was read
	}()
	steps := bufio.NewScanner(out)
	var memory, slabs [2]int64
	for k := range idleSteps {
		if !steps.Scan() {
			return 0, 0, io.ErrUnexpectedEOF
		}
		var step struct {
			Kernel int64 `json:"kernel_bytes"`
		}
		if err := json.Unmarshal(steps.Bytes(), &step); err != nil {
			return 0, 0, err
		}
		slabs[k] = step.Kernel
		if memory[k], err = s.memory(); err != nil {
			return 0, 0, err
		}
		fmt.Fprintln(in)
	}
	n := int64(idleSteps[1] - idleSteps[0])
	return (memory[1] - memory[0]) / n, (slabs[1] - slabs[0]) / n, nil
}

// measureSyscalls counts the system calls of a server with 100 × 32 under
// strace, from before the first connection to after the last, which are few
// beside the messages.
func (d *driver) measureSyscalls(ctx context.Context, r *results) error {
	for _, kind := range append(slices.Clone(hops), theirC) {
		n, err := d.syscalls(ctx, kind)
		if err != nil {
			return fmt.Errorf("system calls, %s: %w", kind, err)
		}
		r.syscalls[kind] = n
		fmt.Fprintf(d.progress, "%-24s %-14s %12.4f\n", "system calls", kind, n)
	}
	return nil
}

func (d *driver) syscalls(ctx context.Context, kind string) (float64, error) {
	s, err := d.startServer(ctx, kind, serverCore)
	if err != nil {
		return 0, err
	}
	defer s.stop()
	trace := exec.CommandContext(ctx, "strace", "-c", "-f", "-p", s.pid())
	report, err := trace.StderrPipe()
	if err != nil {
		return 0, err
	}
	if err := trace.Start(); err != nil {
		return 0, err
	}
	lines := bufio.NewScanner(report)
	if !lines.Scan() || !strings.Contains(lines.Text(), "attached") {
		return 0, fmt.Errorf("strace: %q", lines.Text())
	}
	load, err := d.load(ctx, s, clientCore, []string{"echo", "--conns=100", "--outstanding=32"})
	if err != nil {
		return 0, err
	}
	if err := trace.Process.Signal(os.Interrupt); err != nil {
		return 0, err
	}
	// 100.00    1.234567          12    102874      1234 total
	total := regexp.MustCompile(`^ *100\.00 +\S+ +(?:\d+ +)?(\d+) .*total$`)
	calls := 0.0
	for lines.Scan() {
		if m := total.FindStringSubmatch(lines.Text()); m != nil {
			calls, _ = strconv.ParseFloat(m[1], 64)
		}
	}
	_ = trace.Wait() // it says that it was interrupted
	if calls == 0 {
		return 0, fmt.Errorf("strace tells no total")
	}
	return calls / load.Total, nil
}

// median returns the middle one by rate.
func median(samples []sample) sample {
	sorted := slices.SortedFunc(slices.Values(samples), func(a, b sample) int {
		switch {
		case a.Rate < b.Rate:
			return -1
		case a.Rate > b.Rate:
			return 1
		default:
			return 0
		}
	})
	return sorted[len(sorted)/2]
}
