package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"flamingo/node"
)

// demoTimeout bounds the demonstration as a whole: more than ten times what it
// takes on a slow machine.
const demoTimeout = time.Minute

// clientsPerFraming is how many clients the demonstration connects in each of
// its framings.
const clientsPerFraming = 100

// demoFramings are the framings of the demonstration's listeners.
var demoFramings = []string{"line", "length", "netstring"}

// demoCommand shows a stand-alone node at work, with real TCP clients on
// loopback, and checks every line that it prints.
type demoCommand struct{}

// Run prints the lines; it returns an error if one of them does not hold.
func (demoCommand) Run(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, demoTimeout)
	defer cancel()
	fmt.Fprintln(out, "flamingo demo · one node in this process, loopback only, nothing is left behind")
	fmt.Fprintln(out)
	d := &demo{out: out}
	defer d.cleanUp() //nolint:contextcheck // it drops everything at once
	steps := d.steps()
	for i, step := range steps {
		if err := d.step(ctx, step); err != nil {
			return fmt.Errorf("%d of %d lines hold: %w", i, len(steps), err)
		}
	}
	fmt.Fprintf(out, "\n%d of %d. Now try:\n  go test ./...    the whole suite\n", len(steps), len(steps))
	return nil
}

// A demo is one run of the demonstration.
type demo struct {
	out     io.Writer
	node    *node.Node
	app     *demoApp
	clients []*demoClient
}

// A demoStep makes one claim true, checks it and says what was seen.
type demoStep func(ctx context.Context) (seen string, err error)

func (d *demo) steps() []demoStep {
	return []demoStep{
		d.open,
		d.connect,
		d.echo,
		d.sendToEach,
		d.sendAndWait,
		d.halfClose,
		d.closeByID,
		d.wrongIDs,
		d.leave,
		d.slowClient,
		d.tooLong,
		d.shutDown,
	}
}

func (d *demo) step(ctx context.Context, do demoStep) error {
	start := time.Now()
	seen, err := do(ctx)
	if err != nil {
		fmt.Fprintf(d.out, "  ✗ %v\n", err)
		return err
	}
	fmt.Fprintf(d.out, "  ✓ %-86s %8.1f ms\n", seen, float64(time.Since(start).Microseconds())/1000)
	return nil
}

// cleanUp ends what a failed step has left running.
func (d *demo) cleanUp() {
	for _, c := range d.clients {
		c.conn.Close()
	}
	if d.node != nil {
		done, cancel := context.WithCancel(context.Background())
		cancel()
		_ = d.node.Close(done) // at once; a no-op after shutDown
	}
}

func (d *demo) open(ctx context.Context) (string, error) {
	var listen []string
	for _, f := range demoFramings {
		listen = append(listen, "tcp://127.0.0.1:0?framing="+f)
	}
	n, err := node.OpenContext(ctx, node.Opts{
		Listen: listen, OutputBytes: 64 << 10, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return "", err
	}
	d.node = n
	d.app = startDemoApp(n)
	return fmt.Sprintf("a node opened with number %s and three listeners", n.Number()), nil
}

func (d *demo) connect(ctx context.Context) (string, error) {
	for i, addr := range d.node.Addrs() {
		for range clientsPerFraming {
			c, err := dialDemo(ctx, addr, demoFramings[i])
			if err != nil {
				return "", err
			}
			d.clients = append(d.clients, c)
		}
	}
	seen := make(map[node.ID]bool)
	for _, c := range d.clients {
		if err := c.readGreeting(); err != nil {
			return "", err
		}
		if seen[c.id] {
			return "", fmt.Errorf("id %s was given to two clients", c.id)
		}
		seen[c.id] = true
	}
	return fmt.Sprintf("%d clients connected, %d a framing, each greeted with its own id", len(seen), clientsPerFraming), nil
}

func (d *demo) echo(context.Context) (string, error) {
	const each = 100
	latencies, err := everyClient(d.clients, func(c *demoClient) ([]time.Duration, error) { return c.exchange(each) })
	if err != nil {
		return "", err
	}
	p50, p99 := percentiles(latencies)
	return fmt.Sprintf("%d messages echoed, each to its sender and in order: p50 %v, p99 %v", len(latencies), p50, p99), nil
}

func (d *demo) sendToEach(context.Context) (string, error) {
	ids := make([]node.ID, len(d.clients))
	for i, c := range d.clients {
		ids[i] = c.id
	}
	for i, err := range d.node.SendMany(ids, []byte("to all of you")) {
		if err != nil {
			return "", fmt.Errorf("send to %s: %w", ids[i], err)
		}
	}
	for _, c := range d.clients {
		if err := d.node.SendData(c.id, []byte("to "+c.id.String())); err != nil {
			return "", err
		}
	}
	_, err := everyClient(d.clients, func(c *demoClient) ([]time.Duration, error) {
		return nil, errors.Join(c.expect("to all of you"), c.expect("to "+c.id.String()))
	})
	return fmt.Sprintf("%d clients got one message sent to all, then one of their own, by id", len(ids)), err
}

func (d *demo) sendAndWait(ctx context.Context) (string, error) {
	c := d.clients[0]
	if err := d.node.Send(ctx, c.id, []byte("written?")); err != nil {
		return "", err
	}
	if err := c.expect("written?"); err != nil {
		return "", err
	}
	return fmt.Sprintf("a send to %s waited until it was written to its socket", c.id), nil
}

func (d *demo) halfClose(ctx context.Context) (string, error) {
	c, err := d.newClient(ctx)
	if err != nil {
		return "", err
	}
	defer c.conn.Close()
	if err := errors.Join(c.send("last words"), c.closeWrite(), c.expect("last words"), c.expectEnd()); err != nil {
		return "", err
	}
	return "a client that sent a message and its end at once got the answer, then the end", d.app.expectClose(ctx, c.id, node.ReasonClient)
}

func (d *demo) closeByID(context.Context) (string, error) {
	c := d.clients[len(d.clients)-1]
	d.clients = d.clients[:len(d.clients)-1]
	defer c.conn.Close()
	if err := errors.Join(d.node.SendData(c.id, []byte("goodbye")), d.node.SendClose(c.id)); err != nil {
		return "", err
	}
	if err := errors.Join(c.expect("goodbye"), c.expectEnd()); err != nil {
		return "", err
	}
	if err := d.node.SendData(c.id, []byte("still there?")); !errors.Is(err, node.ErrGone) {
		return "", fmt.Errorf("a send to %s, which was closed, answers %w", c.id, err)
	}
	return fmt.Sprintf("closed %s by its id after a last message; a send to it says: gone", c.id), nil
}

func (d *demo) wrongIDs(context.Context) (string, error) {
	id := d.clients[0].id
	for _, check := range []struct {
		id   node.ID
		want error
	}{{0, node.ErrBadID}, {id | 1<<27, node.ErrNeverIssued}, {id - 1<<28, node.ErrGone}} {
		if err := d.node.SendData(check.id, []byte("x")); !errors.Is(err, check.want) {
			return "", fmt.Errorf("a send to %s answers %w, not %w", check.id, err, check.want)
		}
	}
	return "the zero id, one of an earlier life and one never issued: each its own answer, at once", nil
}

func (d *demo) leave(ctx context.Context) (string, error) {
	left := d.clients[len(d.clients)-50:]
	for _, c := range left {
		c.conn.Close()
	}
	for _, c := range left {
		if err := d.app.expectClose(ctx, c.id, node.ReasonClient); err != nil {
			return "", err
		}
	}
	d.clients = d.clients[:len(d.clients)-len(left)]
	return fmt.Sprintf("%d clients left; each end was reported once, with its reason", len(left)), nil
}

func (d *demo) slowClient(ctx context.Context) (string, error) {
	c, err := d.newClient(ctx)
	if err != nil {
		return "", err
	}
	defer c.conn.Close()
	sent, big := 0, make([]byte, 32<<10)
	written := true // as long as the kernel takes it, wait for each
	for err == nil {
		wait, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		if written {
			err = d.node.Send(wait, c.id, big)
		} else {
			err = d.node.SendData(c.id, big)
		}
		cancel()
		if errors.Is(err, node.ErrExpired) || errors.Is(err, node.ErrUncertain) {
			written, err = false, ctx.Err()
		}
		sent += len(big)
	}
	if !errors.Is(err, node.ErrGone) {
		return "", fmt.Errorf("a client that never reads: %w", err)
	}
	if err := d.app.expectClose(ctx, c.id, node.ReasonSlow); err != nil {
		return "", err
	}
	other := d.clients[0]
	if err := errors.Join(other.send("and I?"), other.expect("and I?")); err != nil {
		return "", err
	}
	return fmt.Sprintf("a client that reads nothing was cut %d KiB later; others noticed nothing", sent>>10), nil
}

func (d *demo) tooLong(ctx context.Context) (string, error) {
	c, err := d.newClient(ctx)
	if err != nil {
		return "", err
	}
	defer c.conn.Close()
	go func() { _, _ = c.conn.Write(make([]byte, 2<<20)) }() // fails when the node has had enough
	return "a client that sends a line without end was cut at the limit of a message", d.app.expectClose(ctx, c.id, node.ReasonTooLarge)
}

func (d *demo) shutDown(ctx context.Context) (string, error) {
	for _, c := range d.clients {
		if err := d.node.SendData(c.id, []byte("the node closes")); err != nil {
			return "", err
		}
	}
	closed := make(chan error, 1)
	go func() { closed <- d.node.Close(ctx) }()
	_, err := everyClient(d.clients, func(c *demoClient) ([]time.Duration, error) {
		return nil, errors.Join(c.expect("the node closes"), c.expectEnd(), c.conn.Close())
	})
	if err := errors.Join(err, <-closed); err != nil {
		return "", err
	}
	st := d.node.Stats()
	var ended uint64
	for _, n := range st.Closed {
		ended += n
	}
	if st.Connections != 0 || ended != st.Accepted || st.QueuedMessages != 0 {
		return "", fmt.Errorf("the accounts do not balance: %+v", st)
	}
	return fmt.Sprintf("the node closed: last messages arrived, %d connections opened and %d ended", st.Accepted, ended), nil
}

// newClient connects one more client, of the line framing.
func (d *demo) newClient(ctx context.Context) (*demoClient, error) {
	c, err := dialDemo(ctx, d.node.Addrs()[0], demoFramings[0])
	if err != nil {
		return nil, err
	}
	if err := c.readGreeting(); err != nil {
		c.conn.Close()
		return nil, err
	}
	return c, nil
}
