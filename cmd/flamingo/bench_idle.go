package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"flamingo/cmd/flamingo/internal/load"
)

// benchIdleCommand holds connections that do nothing.
type benchIdleCommand struct {
	benchTarget

	Steps []int         `default:"2000,18000" help:"Numbers of connections to reach, one after the other; the cost of one is what the last two differ by."`
	Echo  bool          `help:"Have one line echoed on each connection when it is open."`
	Hold  time.Duration `placeholder:"TIME" help:"How long to hold each step; without it the last is held until ^C."`
	Pause bool          `help:"Hold each step until a line comes from standard input instead."`
}

// Run reaches the steps and says what was seen at each.
func (c *benchIdleCommand) Run(ctx context.Context, con *console) error {
	var seen []load.Step
	input := bufio.NewReader(con.in)
	l := load.Idle{Target: c.target(), Steps: c.Steps, Echo: c.Echo}
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
	err := l.Run(ctx)
	if ctx.Err() != nil {
		return nil //nolint:nilerr // it was interrupted, as the user wanted
	}
	if err != nil {
		return benchFailed(c.Addr, err)
	}
	return nil
}

// wait returns when a step is held long enough.
func (c *benchIdleCommand) wait(ctx context.Context, con *console, input *bufio.Reader, last bool) error {
	switch {
	case c.Pause:
		if _, err := input.ReadString('\n'); err != nil && err != io.EOF {
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
