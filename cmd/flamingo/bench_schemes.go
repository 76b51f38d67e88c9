package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"flamingo/cmd/flamingo/internal/load"
)

// A schemeCost is what idle connections of one scheme cost a node, and what a
// full garbage collection of it does.
type schemeCost struct {
	Scheme string `json:"scheme"`
	From   int    `json:"from_connections"` // between which the cost of one is the slope
	To     int    `json:"to_connections"`
	Fresh  cost   `json:"fresh"`
	Echoed cost   `json:"echoed"` // after one message in each direction

	// Collections are full collections without a connection, and with all.
	Collections [2]collection `json:"collections"`
}

// A cost is what one more connection costs.
type cost struct {
	User    int64   `json:"user_bytes"`   // heap and stacks of the node, as memoryInUse has it
	Objects float64 `json:"objects"`      // of the heap, which a collection visits
	Kernel  int64   `json:"kernel_bytes"` // slabs and socket buffers of the whole machine: both ends
}

// row is what of it stands in a table.
func (c cost) row() []string {
	return []string{signed(c.User), strconv.FormatFloat(max(c.Objects, 0), 'f', 1, 64), signed(c.Kernel)}
}

// A collection is a full garbage collection of the node, as serverFigures has it.
type collection struct {
	Conns   int           `json:"connections"`
	Took    time.Duration `json:"ns"`
	Fastest time.Duration `json:"fastest_ns"`
	Pauses  time.Duration `json:"pauses_ns"`
}

func (c collection) String() string {
	const milli, micro = float64(time.Millisecond), float64(time.Microsecond)
	return fmt.Sprintf("%.1f ms, pauses %.0f µs, fastest %.1f ms", float64(c.Took)/milli, float64(c.Pauses)/micro, float64(c.Fastest)/milli)
}

// benchSchemes are what listeners may begin with, that clients connect to over a
// network.
var benchSchemes = []string{"tcp", "ws", "tls", "wss"}

// compare measures a node for each scheme.
func (c *benchIdleCommand) compare(ctx context.Context, con *console) error {
	chosen := c.Schemes
	if len(chosen) == 0 {
		chosen = benchSchemes
	}
	for _, s := range chosen {
		if !slices.Contains(benchSchemes, s) {
			return badUse("--schemes %s: want some of %s", s, strings.Join(benchSchemes, ", "))
		}
	}
	if len(c.Steps) < 2 {
		return badUse("--steps %v: want two numbers, between which the cost of one is the slope", c.Steps)
	}
	dir, err := os.MkdirTemp("", "flamingo-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	believed, err := makeCertificate(dir)
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	b := &schemeBench{steps: c.Steps, talk: con.talk, dir: dir, tls: believed}
	var costs []schemeCost
	for _, s := range chosen {
		cost, err := b.costOf(ctx, s)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return benchFailed(s, fmt.Errorf("%s: %w", s, err))
		}
		if c.JSON {
			if err := json.NewEncoder(con.out).Encode(cost); err != nil {
				return err
			}
		}
		costs = append(costs, cost)
	}
	if c.JSON {
		return nil
	}
	return printCosts(con, costs)
}

// A schemeBench measures one scheme after the other.
type schemeBench struct {
	steps []int
	talk  io.Writer
	dir   string      // has the certificate of nodes
	tls   *tls.Config // of clients that believe it
}

// costOf measures one scheme: fresh connections of one node, then connections of
// another on which a line was echoed.
func (b *schemeBench) costOf(ctx context.Context, scheme string) (schemeCost, error) {
	got := schemeCost{Scheme: scheme, From: b.steps[len(b.steps)-2], To: b.steps[len(b.steps)-1]}
	fmt.Fprintf(b.talk, "%s: %s fresh connections\n", scheme, grouped(int64(got.To)))
	fresh, err := b.hold(ctx, scheme, false)
	if err != nil {
		return got, err
	}
	fmt.Fprintf(b.talk, "%s: %s after an echo\n", scheme, grouped(int64(got.To)))
	echoed, err := b.hold(ctx, scheme, true)
	if err != nil {
		return got, err
	}
	got.Fresh, got.Echoed = slopeOf(fresh), slopeOf(echoed)
	for i, seen := range []held{fresh[0], fresh[len(fresh)-1]} {
		got.Collections[i] = collection{seen.Conns, seen.Collection, seen.Fastest, seen.Pauses}
	}
	return got, nil
}

// A held is what was seen of a node that held so many connections.
type held struct {
	load.Step
	serverFigures
}

// slopeOf is what the last two differ by, for each connection.
func slopeOf(seen []held) cost {
	from, to := seen[len(seen)-2], seen[len(seen)-1]
	n := int64(to.Conns - from.Conns)
	return cost{
		User:    (to.Memory - from.Memory) / n,
		Objects: float64(to.Objects-from.Objects) / float64(n),
		Kernel:  (to.Kernel - from.Kernel) / n,
	}
}

// hold starts a node and reaches the steps. The first of what it returns was
// seen before there was a connection.
func (b *schemeBench) hold(ctx context.Context, scheme string, echo bool) (seen []held, err error) {
	server, err := startBenchProcess(ctx, benchListener(scheme, b.dir), b.talk)
	if err != nil {
		return nil, err
	}
	defer func() {
		if failed := server.stop(); err == nil && failed != nil {
			err = errors.Join(errServerEnded, failed)
		}
	}()
	look := func(s load.Step) error {
		f, err := server.figures(s.Conns)
		seen = append(seen, held{s, f})
		return err
	}
	if err := look(load.Step{}); err != nil {
		return nil, err
	}
	l := load.Idle{
		Target: load.Target{Addr: server.addr}, Scheme: scheme, TLS: b.tls,
		Steps: b.steps, Echo: echo, Reset: true, Reached: look,
	}
	err = l.Run(ctx)
	return seen, err
}

// benchListener is where a node listens for a scheme, with the certificate in
// dir. Clients of which nothing but the socket is held answer no ping.
func benchListener(scheme, dir string) string {
	options := make(url.Values)
	if strings.HasPrefix(scheme, "ws") {
		options.Set("ping", "-1s")
	}
	if scheme == "tls" || scheme == "wss" {
		options.Set("cert", filepath.Join(dir, certFile))
		options.Set("key", filepath.Join(dir, keyFile))
	}
	return (&url.URL{Scheme: scheme, Host: "127.0.0.1:0", RawQuery: options.Encode()}).String()
}

func printCosts(con *console, costs []schemeCost) error {
	c := costs[0]
	fmt.Fprintf(con.out, "one more idle connection, from the slope between %s and %s: bytes of heap and\n"+
		"stacks of the node after a collection, and objects of its heap; bytes of the kernel\nfor both ends\n\n",
		grouped(int64(c.From)), grouped(int64(c.To)))
	rows := [][]string{{"SCHEME", "FRESH", "OBJECTS", "KERNEL", "ECHOED", "OBJECTS", "KERNEL"}}
	for _, c := range costs {
		rows = append(rows, slices.Concat([]string{c.Scheme}, c.Fresh.row(), c.Echoed.row()))
	}
	if err := printTable(con.out, rows); err != nil {
		return err
	}
	fmt.Fprintln(con.out)
	for _, c := range costs {
		for _, g := range c.Collections {
			fmt.Fprintf(con.out, "full collection: %v; %s, %s connections\n", g, c.Scheme, grouped(int64(g.Conns)))
		}
	}
	return nil
}

// signed is grouped for a number that noise may have made negative.
func signed(n int64) string {
	if n < 0 {
		return "-" + grouped(-n)
	}
	return grouped(n)
}
