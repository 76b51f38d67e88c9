package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"flamingo/cmd/flamingo/internal/load"
)

// benchIdleCommand holds connections that do nothing: of a server that runs, or
// of nodes that it starts for each scheme (bench_schemes.go).
type benchIdleCommand struct {
	Addr string `arg:"" optional:"" help:"A server that sends lines back: HOST:PORT, or with tcp://, tls://, ws:// or wss:// before it; a WebSocket may have a path behind. Without it nodes are started and measured."`

	Schemes  []string      `placeholder:"SCHEME" help:"Without ADDR: those to measure, of tcp, ws, tls and wss; else all."`
	Steps    []int         `default:"2000,18000" help:"Numbers of connections to reach, one after the other; the cost of one is what the last two differ by."`
	JSON     bool          `short:"j" help:"Print JSON."`
	Pid      int           `placeholder:"PID" help:"The server's process on this machine, to say what it uses."`
	Insecure bool          `help:"Accept any certificate."`
	Echo     bool          `help:"Have one line echoed on each connection when it is open. Without ADDR both is measured."`
	Hold     time.Duration `placeholder:"TIME" help:"How long to hold each step; without it the last is held until ^C."`
	Pause    bool          `help:"Hold each step until a line comes from standard input instead."`
}

// Help is the end of the help text.
func (*benchIdleCommand) Help() string {
	return `Without an address a node is started for each scheme, in a process of its own. It says what one more ` +
		`connection costs it, of heap, stacks and the runtime's records of them after a garbage collection, and how ` +
		`long a full collection takes. The kernel's share, for both ends, is what the slabs and socket buffers of the ` +
		`whole machine have grown by: it is worth something only while the machine does nothing else. Of a connection ` +
		`the socket alone is held, so a WebSocket server must not end clients that answer no ping (ping=-1s).`
}

// Run measures the server, or nodes if there is none.
func (c *benchIdleCommand) Run(ctx context.Context, con *console) error {
	if c.Addr != "" {
		if len(c.Schemes) > 0 {
			return badUse("--schemes beside ADDR: the address has the scheme")
		}
		return c.measure(ctx, con)
	}
	if c.Pid != 0 || c.Insecure || c.Echo || c.Hold != 0 || c.Pause {
		return badUse("--pid, --insecure, --echo, --hold and --pause are for a server that runs: give ADDR")
	}
	return c.compare(ctx, con)
}

// measure reaches the steps and says what was seen at each.
func (c *benchIdleCommand) measure(ctx context.Context, con *console) error {
	l, err := c.load()
	if err != nil {
		return err
	}
	var seen []load.Step
	input := bufio.NewReader(con.in)
	l.Reached = func(s load.Step) error {
		seen = append(seen, s)
		if err := c.printStep(con, s); err != nil {
			return err
		}
		last := len(seen) == len(c.Steps)
		if last && len(seen) > 1 {
			if err := c.printSlope(con, seen[len(seen)-2], s); err != nil {
				return err
			}
		}
		return c.wait(ctx, con, input, last)
	}
	err = l.Run(ctx)
	if ctx.Err() != nil {
		return nil //nolint:nilerr // it was interrupted, as the user wanted
	}
	if err != nil {
		return benchFailed(c.Addr, err)
	}
	return nil
}

// load is what the address says is to be held. Options of a listener behind it
// are passed over.
func (c *benchIdleCommand) load() (*load.Idle, error) {
	l := &load.Idle{Target: load.Target{Addr: c.Addr, Greeting: greetingPrefix, Pid: c.Pid}, Steps: c.Steps, Echo: c.Echo}
	if strings.Contains(c.Addr, "://") {
		u, err := url.Parse(c.Addr)
		if err != nil {
			return nil, badUse("%w", err)
		}
		l.Scheme, l.Addr, l.Path = u.Scheme, u.Host, u.EscapedPath()
	}
	if c.Insecure {
		l.TLS = &tls.Config{InsecureSkipVerify: true}
	}
	return l, nil
}

// wait returns when a step is held long enough.
func (c *benchIdleCommand) wait(ctx context.Context, con *console, input *bufio.Reader, last bool) error {
	switch {
	case c.Pause:
		if _, err := input.ReadString('\n'); err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("standard input: %w", err)
		}
		return nil
	case c.Hold > 0 || !last:
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(c.Hold):
			return nil
		}
	default:
		fmt.Fprintln(con.talk, hint(con.talk, "holding; ^C ends"))
		<-ctx.Done()
		return context.Cause(ctx)
	}
}

func (c *benchIdleCommand) printStep(con *console, s load.Step) error {
	if c.JSON {
		return json.NewEncoder(con.out).Encode(s)
	}
	fmt.Fprintf(con.out, "%s connections", grouped(int64(s.Conns)))
	if c.Pid != 0 {
		fmt.Fprintf(con.out, ", server %s", count(uint64(max(s.Resident, 0))))
	}
	_, err := fmt.Fprintf(con.out, ", kernel %s\n", count(uint64(max(s.Kernel, 0))))
	return err
}

// A slope is what one more connection costs, in bytes.
type slope struct {
	Resident int64 `json:"resident_bytes_per_connection"`
	Kernel   int64 `json:"kernel_bytes_per_connection"`
}

// printSlope says what one connection costs, from two steps.
func (c *benchIdleCommand) printSlope(con *console, from, to load.Step) error {
	n := int64(to.Conns - from.Conns)
	s := slope{Resident: (to.Resident - from.Resident) / n, Kernel: (to.Kernel - from.Kernel) / n}
	if c.JSON {
		return json.NewEncoder(con.out).Encode(s)
	}
	fmt.Fprint(con.out, "one more costs")
	if c.Pid != 0 {
		fmt.Fprintf(con.out, " the server %d bytes, garbage that it has not collected included, and", s.Resident)
	}
	_, err := fmt.Fprintf(con.out, " the kernel %d bytes for both ends\n", s.Kernel)
	return err
}
