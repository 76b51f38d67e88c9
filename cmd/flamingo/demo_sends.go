package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"flamingo/node"
)

// The claims about nodes, clients and sends.

// clientsPerNode is how many clients the demonstration connects to each node.
const clientsPerNode = 100

func (d *demo) form(ctx context.Context) (string, error) {
	if err := d.found(ctx); err != nil {
		return "", err
	}
	held := make(map[node.NodeNumber]bool)
	var names []string
	for _, n := range d.nodes {
		held[n.Number()] = true
		names = append(names, n.name+" "+n.Number().String())
		if err := await(ctx, func() error { return n.sees(d.nodes) }); err != nil {
			return "", err
		}
	}
	if len(held) != len(d.nodes) {
		return "", fmt.Errorf("two nodes have the same number: %s", names)
	}
	return "three nodes formed a cluster: " + strings.Join(names, ", "), nil
}

func (d *demo) connect(ctx context.Context) (string, error) {
	for i, n := range d.nodes {
		for k := range clientsPerNode {
			c, err := n.connectBy(ctx, (i+k)%len(demoSchemes))
			if err != nil {
				return "", err
			}
			n.clients = append(n.clients, c)
		}
	}
	seen := make(map[node.ID]bool)
	for _, n := range d.nodes {
		for _, c := range n.clients {
			if c.id.Node() != n.Number() {
				return "", fmt.Errorf("a client of %s was given the id %s, which is not of number %s", n.name, c.id, n.Number())
			}
			if seen[c.id] {
				return "", fmt.Errorf("id %s was given to two clients", c.id)
			}
			seen[c.id] = true
		}
	}
	return fmt.Sprintf("%d clients connected, as many over TCP, TLS and WebSocket, each greeted with its own id", len(seen)), nil
}

func (d *demo) echo(context.Context) (string, error) {
	const each = 100
	latencies, err := everyClient(d.clients(), func(c *demoClient) ([]time.Duration, error) { return c.exchange(each) })
	if err != nil {
		return "", err
	}
	p50, p99 := percentiles(latencies)
	return fmt.Sprintf("%d messages echoed, each to its sender and in order: p50 %v, p99 %v", len(latencies), p50, p99), nil
}

func (d *demo) sendAcross(context.Context) (string, error) {
	const each = 25
	var sending sync.WaitGroup
	var sent error
	sending.Go(func() {
		sent = d.eachNode(func(from *demoNode) error {
			for k := range each {
				for _, c := range d.clientsBeside(from) {
					if err := from.SendData(c.id, fmt.Appendf(nil, "%s %d", from.name, k)); err != nil {
						for _, c := range d.clients() {
							c.close() // or they wait for their messages
						}
						return fmt.Errorf("%s: %w", from.name, err)
					}
				}
			}
			return nil
		})
	})
	clients := d.clients()
	_, err := everyClient(clients, func(c *demoClient) ([]time.Duration, error) {
		next := make(map[string]int) // by the name of the sender
		for range each * (len(d.nodes) - 1) {
			msg, err := c.receive()
			if err != nil {
				return nil, fmt.Errorf("client %s, after %v: %w", c.id, next, err)
			}
			name, _, _ := strings.Cut(msg, " ")
			if want := fmt.Sprintf("%s %d", name, next[name]); msg != want {
				return nil, fmt.Errorf("client %s got %q, not %q", c.id, msg, want)
			}
			next[name]++
		}
		if len(next) != len(d.nodes)-1 {
			return nil, fmt.Errorf("client %s heard of %v, not of each other node", c.id, next)
		}
		return nil, nil
	})
	sending.Wait()
	if err := errors.Join(sent, err); err != nil {
		return "", err
	}
	total := each * (len(d.nodes) - 1) * len(clients)
	return fmt.Sprintf("%d messages, every one from another node: all arrived, in order and once", total), nil
}

func (d *demo) sendAndWait(ctx context.Context) (string, error) {
	const each = 50
	var latencies []time.Duration
	for _, from := range d.nodes {
		for _, to := range d.nodes {
			if to == from {
				continue
			}
			for _, c := range to.clients[:each] {
				start := time.Now()
				if err := from.Send(ctx, c.id, []byte("written?")); err != nil {
					return "", err
				}
				latencies = append(latencies, time.Since(start))
				if err := c.expect("written?"); err != nil {
					return "", err
				}
			}
		}
	}
	p50, p99 := percentiles(latencies)
	return fmt.Sprintf("%d sends that wait until another node has written them: p50 %v, p99 %v", len(latencies), p50, p99), nil
}

func (d *demo) sendMany(context.Context) (string, error) {
	clients := d.clients()
	ids := make([]node.ID, len(clients))
	for i, c := range clients {
		ids[i] = c.id
	}
	from := d.nodes[1]
	for _, err := range from.SendMany(ids, []byte("to all of you")) {
		if err != nil {
			return "", err
		}
	}
	_, err := everyClient(clients, func(c *demoClient) ([]time.Duration, error) { return nil, c.expect("to all of you") })
	return fmt.Sprintf("one call on %s sent to all %d clients of the three nodes, and each got it", from.name, len(ids)), err
}

func (d *demo) wrongIDs(ctx context.Context) (string, error) {
	for i, from := range d.nodes {
		there := d.nodes[(i+1)%len(d.nodes)]
		id := there.clients[0].id
		for _, check := range []struct {
			id   node.ID
			want error
		}{
			{0, node.ErrBadID},
			{id | 1<<27, node.ErrNeverIssued}, // a serial that its node has not come to
			{id + 1<<48, node.ErrNeverIssued}, // a number to come
			{id - 1<<48, node.ErrGone},        // a number of long ago
		} {
			if err := from.expectOutcome(ctx, check.id, check.want); err != nil {
				return "", err
			}
		}
	}
	return "from each node: id zero is bad, ids to come were never issued, one of long ago is gone", nil
}

// clients returns the clients of all nodes.
func (d *demo) clients() []*demoClient { return d.clientsBeside(nil) }

// clientsBeside returns the clients of all nodes but one.
func (d *demo) clientsBeside(but *demoNode) (clients []*demoClient) {
	for _, n := range d.nodes {
		if n != but {
			clients = append(clients, n.clients...)
		}
	}
	return clients
}
