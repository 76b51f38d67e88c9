package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"flamingo/cmd/flamingo/internal/client"
	"flamingo/idspace"
	"flamingo/node"
)

// A demoClient is a client of the demonstration.
type demoClient struct {
	client.Client
	id     node.ID     // as the node has told it
	forget func() bool // the context that ends what waits
}

// dialDemo connects a client. When ctx is done, everything that waits for the
// client or its node fails.
func dialDemo(ctx context.Context, addr string, cfg client.Config) (*demoClient, error) {
	c, err := client.Dial(ctx, addr, cfg)
	if err != nil {
		return nil, err
	}
	return &demoClient{Client: c, forget: context.AfterFunc(ctx, func() { c.Close() })}, nil
}

func (c *demoClient) close() {
	c.forget()
	c.Close()
}

func (c *demoClient) send(msg string) error { return c.Send([]byte(msg)) }

// receive waits for the next message.
func (c *demoClient) receive() (string, error) {
	msg, err := c.Receive()
	return string(msg), err
}

func (c *demoClient) expect(want string) error {
	got, err := c.receive()
	if err != nil {
		return fmt.Errorf("client %s waits for %q: %w", c.id, want, err)
	}
	if got != want {
		return fmt.Errorf("client %s got %q, not %q", c.id, got, want)
	}
	return nil
}

// expectEnd checks that the node ends the connection, in order.
func (c *demoClient) expectEnd() error {
	if got, err := c.receive(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("client %s got %q and %w, not the end", c.id, got, err)
	}
	return nil
}

func (c *demoClient) readGreeting() error {
	greeting, err := c.receive()
	if err != nil {
		return fmt.Errorf("greeting: %w", err)
	}
	c.id, err = idspace.ParseID(strings.TrimPrefix(greeting, "flamingo "))
	return err
}

// exchange sends n messages one after the other, each when the one before came
// back, and returns how long each took.
func (c *demoClient) exchange(n int) ([]time.Duration, error) {
	latencies := make([]time.Duration, 0, n)
	for k := range n {
		start := time.Now()
		msg := fmt.Sprintf("%s message %d", c.id, k)
		if err := errors.Join(c.send(msg), c.expect(msg)); err != nil {
			return nil, err
		}
		latencies = append(latencies, time.Since(start))
	}
	return latencies, nil
}

// talk has the client echo with its own node, and get a message from another.
func (c *demoClient) talk(ctx context.Context, from *demoNode) error {
	return errors.Join(
		c.send("a word"), c.expect("a word"),
		from.Send(ctx, c.id, []byte("a word from "+from.name)), c.expect("a word from "+from.name))
}

// everyClient does something with all clients at the same time and returns
// what they measured.
func everyClient(clients []*demoClient, do func(*demoClient) ([]time.Duration, error)) ([]time.Duration, error) {
	all := make([][]time.Duration, len(clients))
	errs := make([]error, len(clients))
	var wg sync.WaitGroup
	for i, c := range clients {
		wg.Go(func() { all[i], errs[i] = do(c) })
	}
	wg.Wait()
	return slices.Concat(all...), firstOf(errs)
}

// firstOf returns the first error, and how many there are beside it.
func firstOf(errs []error) error {
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return errs[0]
	}
	return fmt.Errorf("%w; and %d more", errs[0], len(errs)-1)
}

func percentiles(d []time.Duration) (p50, p99 time.Duration) {
	if len(d) == 0 {
		return 0, 0
	}
	slices.Sort(d)
	return d[len(d)/2].Round(time.Microsecond), d[len(d)*99/100].Round(time.Microsecond)
}
