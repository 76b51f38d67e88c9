//go:build linux

package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"flamingo/test/bench"
	"flamingo/test/meshbench/worker"
)

// A driver lets the designs take turns.
type driver struct {
	self    string
	dir     string // for files of its own
	rounds  int
	warm    time.Duration
	measure time.Duration
	plans   []plan
	rows    []row
	results *results
}

func drive(ctx context.Context, args []string) (err error) {
	dr := &driver{}
	var (
		p                                        programs
		only, designs, profile, keep, head, page string
	)
	flags := flag.NewFlagSet("meshbench drive", flag.ContinueOnError)
	flags.IntVar(&dr.rounds, "rounds", 3, "rounds")
	flags.DurationVar(&dr.warm, "warm", 500*time.Millisecond, "time before each measurement")
	flags.DurationVar(&dr.measure, "measure", 2*time.Second, "time of each measurement")
	flags.StringVar(&only, "only", "", "only the rows whose name contains this")
	flags.StringVar(&designs, "designs", "", "only these designs, with + between")
	flags.StringVar(&profile, "profile", "", "folder for processor profiles of Flamingo, in place of figures")
	flags.StringVar(&keep, "keep", "", "file that keeps what was measured; rows and designs that are not measured again are read from there")
	flags.StringVar(&head, "head", "", "first line: machine, versions, commit, command")
	flags.StringVar(&page, "page", "", "file of which the part about sends between nodes is replaced; empty: standard output")
	flags.StringVar(&p.nats, "nats", "", "the program natsmesh; empty: without NATS")
	flags.StringVar(&p.redis, "redis", "", "the program redis-server; empty: without Redis")
	flags.StringVar(&p.before, "against", "", "meshbench of another commit, to compare with alone")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if p.self, err = os.Executable(); err != nil {
		return err
	}
	dr.self = p.self
	if dr.rows, err = rowsNamed(only); err != nil {
		return err
	}
	if dr.results, err = loadResults(keep); err != nil {
		return err
	}
	if dr.dir, err = os.MkdirTemp("", "meshbench"); err != nil {
		return err
	}
	defer os.RemoveAll(dr.dir)
	if p.key, err = writeKey(dr.dir); err != nil {
		return err
	}
	if dr.plans, err = p.plans(designs); err != nil {
		return err
	}
	if profile != "" {
		return dr.profileAll(ctx, profile)
	}
	if err := dr.measureAll(ctx); err != nil {
		return err
	}
	part := dr.results.part(head)
	missing := dr.results.missing()
	if page == "" || missing != "" {
		_, err = os.Stdout.Write(part)
		if page != "" {
			fmt.Fprintf(os.Stderr, "%s stays as it is, for want of %s\n", page, missing)
		}
		return err
	}
	return bench.WriteMesh(page, part)
}

// writeKey makes a key for a cluster and returns the file that has it.
func writeKey(dir string) (file string, err error) {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	file = filepath.Join(dir, "key")
	return file, os.WriteFile(file, []byte(base64.StdEncoding.EncodeToString(key)+"\n"), 0o600)
}

func rowsNamed(part string) (some []row, err error) {
	var names []string
	for _, r := range rows() {
		names = append(names, r.name)
		if strings.Contains(r.name, part) {
			some = append(some, r)
		}
	}
	if some == nil {
		return nil, fmt.Errorf("-only %q: no row of that name; there are: %s", part, strings.Join(names, "; "))
	}
	return some, nil
}

func (dr *driver) measureAll(ctx context.Context) error {
	for round := range dr.rounds {
		for i := range dr.rows {
			for k := range dr.plans {
				p := dr.plans[(k+round)%len(dr.plans)] // nobody is always first
				if err := dr.measureOne(ctx, round, p, &dr.rows[i]); err != nil {
					return fmt.Errorf("%s, %s: %w", dr.rows[i].name, p.name, err)
				}
			}
		}
	}
	return nil
}

func (dr *driver) measureOne(ctx context.Context, round int, p plan, r *row) error {
	t, err := dr.startTrial(ctx, p, r)
	if err != nil {
		return err
	}
	defer t.stop()
	s, err := t.take(ctx, dr.warm, dr.measure)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%d: %-32s %-10s", round+1, r.name, p.name)
	for _, f := range r.shows {
		fmt.Fprintf(os.Stderr, " %s %s", f.text(s), f.name)
	}
	fmt.Fprintf(os.Stderr, "; CPU µs a message %.3f + %.3f, clients %.3f, writes %.3f", s.Sender, s.Owner, s.Clients, s.Writes)
	if w := wrongs(s); w != "" {
		fmt.Fprint(os.Stderr, ", ", w)
	}
	fmt.Fprintln(os.Stderr)
	return dr.results.add(round, r.name, p.name, s)
}

// wrongs says what went wrong, if anything did.
func wrongs(s sample) string {
	if s.Lost == 0 && s.Doubled+s.Disordered+s.Foreign == 0 {
		return ""
	}
	return fmt.Sprintf("WRONG of %d: %d lost, %d doubled, %d out of order, %d foreign", s.Messages, s.Lost, s.Doubled, s.Disordered, s.Foreign)
}

// profileAll writes profiles of both processes of the first design in every row.
func (dr *driver) profileAll(ctx context.Context, folder string) error {
	for i := range dr.rows {
		if err := dr.profileOne(ctx, folder, &dr.rows[i]); err != nil {
			return fmt.Errorf("%s: %w", dr.rows[i].name, err)
		}
	}
	return nil
}

func (dr *driver) profileOne(ctx context.Context, folder string, r *row) error {
	t, err := dr.startTrial(ctx, dr.plans[0], r)
	if err != nil {
		return err
	}
	defer t.stop()
	base := filepath.Join(folder, strings.NewReplacer(" ", "-", ",", "").Replace(r.name))
	files := map[*child]string{t.sender: base + ".sender.pprof", t.owner: base + ".owner.pprof"}
	for c, file := range files {
		if _, err := c.ask(worker.Order{Do: "profile", File: file}); err != nil {
			return err
		}
	}
	_, err = t.take(ctx, 0, dr.warm+dr.measure)
	for c := range files {
		_, endErr := c.ask(worker.Order{Do: "profile"})
		err = errors.Join(err, endErr)
	}
	return err
}
