package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"flamingo/cmd/flamingo/internal/client"
	"flamingo/cmd/flamingo/internal/load"
)

// benchCommand is load for servers that send lines back: nodes with the
// application echo, or any other.
type benchCommand struct {
	Echo    benchEchoCommand    `cmd:"" group:"measure" help:"Lines sent back on connections that stay: rate and latency."`
	Connect benchConnectCommand `cmd:"" group:"measure" help:"Lives sent through: connect, have one line echoed, close."`
	Idle    benchIdleCommand    `cmd:"" group:"measure" help:"Connections that do nothing: what they cost in memory."`
	Server  benchServerCommand  `cmd:"" hidden:"" help:"What idle starts without an address."`
}

// benchTarget is what every load has. The address may be written as connect
// takes it.
type benchTarget struct {
	Addr string `arg:"" optional:"" default:"127.0.0.1:4100" help:"HOST:PORT of a server that sends lines back."`
	Pid  int    `placeholder:"PID" help:"The server's process on this machine, to say what it uses."`
	JSON bool   `short:"j" help:"Print JSON."`
}

func (t *benchTarget) target() load.Target {
	network, address := client.Split(t.Addr)
	if network != "tcp" {
		address = t.Addr // which says what is wrong with it
	}
	return load.Target{Addr: address, Greeting: greetingPrefix, Pid: t.Pid}
}

// benchTimes are the flags of a load that is measured for a time.
type benchTimes struct {
	Duration time.Duration `default:"5s" help:"How long to measure."`
	WarmUp   time.Duration `default:"1s" help:"How long to put load on before that."`
	Rate     float64       `placeholder:"N" help:"How many to begin in a second, at even intervals, late or not; latencies count from when each is due. Without it each begins when one before it is done."`
}

func (t *benchTimes) times() load.Times {
	return load.Times{WarmUp: t.WarmUp, Duration: t.Duration, Rate: t.Rate}
}

// benchEchoCommand measures replies.
type benchEchoCommand struct {
	benchTarget
	benchTimes

	Conns       int  `default:"100" help:"Connections."`
	Outstanding int  `default:"1" help:"Lines under way on each, at most."`
	Size        size `default:"64" help:"Length of a line, with its end."`
}

// Run measures, prints the figures, and fails if a reply is wrong or missing.
func (c *benchEchoCommand) Run(ctx context.Context, con *console) error {
	e := load.Echo{
		Target: c.target(), Times: c.times(),
		Conns: c.Conns, Outstanding: c.Outstanding, Size: int(c.Size),
	}
	fmt.Fprintf(con.talk, "%s with %d outstanding on each, %d bytes, for %v after %v\n",
		plural(c.Conns, "connection"), c.Outstanding, c.Size, c.Duration, c.WarmUp)
	r, err := e.Run(ctx)
	if err != nil {
		return benchFailed(c.Addr, err)
	}
	return c.print(con, &r, "replies")
}

// benchConnectCommand measures lives.
type benchConnectCommand struct {
	benchTarget
	benchTimes

	Conns   int  `default:"64" help:"Lives at the same time, at most."`
	Sources int  `default:"32" help:"Addresses to connect from in turn, from 127.0.0.1 on, if the server is on loopback: one has some 28,000 ports, each taken for a minute."`
	Size    size `default:"64" help:"Length of the line, with its end."`
}

// Run measures, prints the figures, and fails if a life did.
func (c *benchConnectCommand) Run(ctx context.Context, con *console) error {
	l := load.Connect{
		Target: c.target(), Times: c.times(),
		Conns: c.Conns, Sources: c.Sources, Size: int(c.Size),
	}
	fmt.Fprintf(con.talk, "%s at a time, a line of %d bytes, for %v after %v\n",
		plural(c.Conns, "connection"), c.Size, c.Duration, c.WarmUp)
	r, err := l.Run(ctx)
	if err != nil {
		return benchFailed(c.Addr, err)
	}
	return c.print(con, &r, "lives")
}

// print prints what was measured. Errors make it fail.
func (t *benchTarget) print(con *console, r *load.Result, things string) error {
	if t.JSON {
		if err := json.NewEncoder(con.out).Encode(r); err != nil {
			return err
		}
	} else {
		t.printText(con, r, things)
	}
	if r.Errors > 0 {
		return fmt.Errorf("%d connections or replies were lost", r.Errors)
	}
	return nil
}

func (t *benchTarget) printText(con *console, r *load.Result, things string) {
	fmt.Fprintf(con.out, "rate     %s %s a second\n", grouped(int64(r.Rate)), things)
	fmt.Fprintf(con.out, "latency  p50 %s  p90 %s  p99 %s  p99.9 %s  max %s",
		micros(r.Latency.P50), micros(r.Latency.P90), micros(r.Latency.P99), micros(r.Latency.P999), micros(r.Latency.Max))
	if r.Latency.Corrected {
		fmt.Fprint(con.out, "  from when each was due")
	}
	fmt.Fprintf(con.out, "\nerrors   %d", r.Errors)
	if r.Unsent > 0 {
		fmt.Fprintf(con.out, "; %s were due and not begun in time", grouped(r.Unsent))
	}
	fmt.Fprintf(con.out, "\nclient   %.2f processors\n", r.Client)
	if t.Pid != 0 {
		fmt.Fprintf(con.out, "server   %.2f processors, %v for one\n", r.Server, r.ServerTime().Round(10*time.Nanosecond))
	}
}

// micros formats a number of microseconds in at most three digits.
func micros(n float64) string {
	unit := "µs"
	switch {
	case n >= 1e6:
		n, unit = n/1e6, "s"
	case n >= 1e3:
		n, unit = n/1e3, "ms"
	}
	if n < 10 {
		return strconv.FormatFloat(n, 'f', 1, 64) + unit
	}
	return strconv.FormatFloat(n, 'f', 0, 64) + unit
}

// grouped formats a number with commas: 1,234,567.
func grouped(n int64) string {
	digits := strconv.FormatInt(n, 10)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

// benchFailed says what to do about a load that could not be put on.
func benchFailed(addr string, err error) error {
	switch {
	case isRefused(err):
		return unreachable{fmt.Errorf("no server at %s - start one: %s run", addr, program())}
	case errors.Is(err, load.ErrConfig):
		return usageError{error: err, hint: "flamingo bench --help says more"}
	default:
		return err
	}
}
