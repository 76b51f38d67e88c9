//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"flamingo/test/meshbench/worker"
)

// A driver lets the designs take turns.
type driver struct {
	self    string
	rounds  int
	warm    time.Duration
	measure time.Duration
	cpus    pins
	only    string // loads: those whose name contains it
	profile string // folder for profiles; empty: none
	designs []*design
	results results
}

func runDriver(ctx context.Context, args []string) (err error) {
	dr := &driver{results: make(results)}
	flags := flag.NewFlagSet("meshbench drive", flag.ContinueOnError)
	flags.IntVar(&dr.rounds, "rounds", 3, "rounds")
	flags.DurationVar(&dr.warm, "warm", 500*time.Millisecond, "time before each measurement")
	flags.DurationVar(&dr.measure, "measure", 2*time.Second, "time of each measurement")
	flags.StringVar(&dr.only, "load", "", "only the loads whose name contains this")
	flags.StringVar(&dr.profile, "profile", "", "folder for processor profiles of Flamingo, in place of figures")
	pin := flags.Bool("pin", true, "sender on core 0; owner and clients on core 1")
	var more others
	flags.StringVar(&more.nats, "nats", "", "the program natsmesh; empty: without NATS")
	flags.StringVar(&more.build, "against", "", "meshbench of another commit, to compare with alone")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *pin {
		dr.cpus = pins{"0", "1"}
	}
	if dr.self, err = os.Executable(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "meshbench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	defer dr.stop()
	if err := dr.start(ctx, dir, more); err != nil {
		return err
	}
	if dr.profile != "" {
		return dr.profileAll(ctx)
	}
	if err := dr.measureAll(ctx); err != nil {
		return err
	}
	dr.print(os.Stdout, *pin)
	return nil
}

// others are programs that run further designs.
type others struct{ nats, build string }

// plans lists the designs; the first is what the others are compared with.
func (dr *driver) plans(more others) []plan {
	all := []plan{nodes("flamingo", dr.self)}
	if more.build != "" {
		return append(all, nodes("against", more.build))
	}
	if dr.profile != "" {
		return all
	}
	all = append(all, links("write each", dr.self), links("batched", dr.self, "-batched"))
	if more.nats != "" {
		all = append(all, plan{
			name:   "nats",
			owner:  func(between, _ string) []string { return []string{more.nats, "-route", between} },
			sender: func(between, _ string) []string { return []string{more.nats, "-join", between} },
		})
	}
	return all
}

func nodes(name, program string) plan {
	return plan{
		name:   name,
		owner:  func(a, _ string) []string { return []string{program, "node", "-between", a} },
		sender: func(a, b string) []string { return []string{program, "node", "-between", b, "-join", a} },
	}
}

func links(name, program string, more ...string) plan {
	args := func(between, _ string) []string {
		return append([]string{program, "link", "-between", between}, more...)
	}
	return plan{name: name, owner: args, sender: args}
}

func (dr *driver) start(ctx context.Context, dir string, more others) error {
	for i, p := range dr.plans(more) {
		d, err := p.start(ctx, dr.self, dir, dr.cpus)
		if err != nil {
			return err
		}
		dr.designs = append(dr.designs, d)
		if i > 0 || more.build != "" {
			continue
		}
		local, err := d.atOwner(ctx, "local")
		if err != nil {
			return err
		}
		dr.designs = append(dr.designs, local)
	}
	return nil
}

func (dr *driver) stop() {
	for _, d := range dr.designs {
		if d.sink != nil {
			d.stop()
		}
	}
}

// A job is a load with its name.
type job struct {
	name string
	load worker.Load
	wait bool // each send waits until it is written
}

func (dr *driver) jobs() (jobs []job) {
	for _, goroutines := range []int{1, 10} {
		for _, conns := range []int{1, 100, 1000} {
			jobs = append(jobs, job{
				name: fmt.Sprintf("SendData, %d to %d", goroutines, conns),
				load: worker.Load{Goroutines: goroutines, Conns: conns},
			})
		}
	}
	jobs = append(
		jobs,
		job{name: "SendMany to 1000", load: worker.Load{Goroutines: 1, Conns: 1000, Many: true}},
		job{name: "Send, 1 outstanding", load: worker.Load{Goroutines: 1, Conns: 100}, wait: true},
		job{name: "Send, 100 outstanding", load: worker.Load{Goroutines: 100, Conns: 100}, wait: true},
	)
	kept := jobs[:0]
	for _, j := range jobs {
		if strings.Contains(j.name, dr.only) {
			kept = append(kept, j)
		}
	}
	return kept
}

func (dr *driver) measureAll(ctx context.Context) error {
	for round := range dr.rounds {
		for _, j := range dr.jobs() {
			for _, d := range dr.designs {
				s, err := dr.sample(ctx, d, j)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", d.name, j.name, err)
				}
				dr.results.add(j.name, d.name, s)
			}
		}
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round+1, dr.rounds)
	}
	return nil
}

// sample runs one load once.
func (dr *driver) sample(ctx context.Context, d *design, j job) (s sample, err error) {
	if j.wait {
		if _, err := d.sender.ask(worker.Order{Do: "wait", Load: j.load, For: dr.warm}); err != nil {
			return s, err
		}
		from, err := d.mark()
		if err != nil {
			return s, err
		}
		a, err := d.sender.ask(worker.Order{Do: "wait", Load: j.load, For: dr.measure})
		if err != nil {
			return s, err
		}
		if s, err = d.since(from); err != nil {
			return s, err
		}
		s.p50, s.p99 = a.P50, a.P99
		return s, nil
	}
	if _, err := d.sender.ask(worker.Order{Do: "start", Load: j.load}); err != nil {
		return s, err
	}
	rest(ctx, dr.warm)
	from, err := d.mark()
	if err == nil {
		rest(ctx, dr.measure)
		s, err = d.since(from)
	}
	_, stopErr := d.sender.ask(worker.Order{Do: "stop"})
	return s, errors.Join(err, stopErr)
}

// profileAll writes profiles of both processes of the first design under every
// load, and of the owner when it sends itself.
func (dr *driver) profileAll(ctx context.Context) error {
	for _, j := range dr.jobs() {
		for _, d := range dr.designs {
			if err := dr.profileOne(ctx, d, j); err != nil {
				return fmt.Errorf("%s, %s: %w", d.name, j.name, err)
			}
		}
	}
	return nil
}

func (dr *driver) profileOne(ctx context.Context, d *design, j job) error {
	ends := []*child{d.owner, d.sender}
	if d.owner == d.sender {
		ends = ends[:1]
	}
	all := func(file func(end int) string) error {
		for i, c := range ends {
			if _, err := c.ask(worker.Order{Do: "profile", File: file(i)}); err != nil {
				return err
			}
		}
		return nil
	}
	order := worker.Order{Do: "start", Load: j.load}
	if !j.wait {
		if _, err := d.sender.ask(order); err != nil {
			return err
		}
	}
	base := strings.NewReplacer(" ", "-", ",", "").Replace(d.name + " " + j.name)
	err := all(func(end int) string {
		return filepath.Join(dr.profile, base+[]string{".owner", ".sender"}[end]+".pprof")
	})
	if err != nil {
		return err
	}
	if j.wait {
		_, err = d.sender.ask(worker.Order{Do: "wait", Load: j.load, For: dr.measure})
	} else {
		rest(ctx, dr.measure)
	}
	err = errors.Join(err, all(func(int) string { return "" }))
	if !j.wait {
		_, stopErr := d.sender.ask(worker.Order{Do: "stop"})
		err = errors.Join(err, stopErr)
	}
	return err
}

func rest(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-ctx.Done()
}
