package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"flamingo/node"
)

// The claims about the ends of connections and nodes.

func (d *demo) closeByID(ctx context.Context) (string, error) {
	owner, closer, other := d.nodes[0], d.nodes[2], d.nodes[1]
	c := owner.takeClient()
	defer c.close()
	if err := errors.Join(closer.SendData(c.id, []byte("goodbye")), closer.SendClose(c.id)); err != nil {
		return "", err
	}
	if err := errors.Join(c.expect("goodbye"), c.expectEnd(), owner.app.expectClose(ctx, c.id, node.ReasonRemote)); err != nil {
		return "", err
	}
	if err := other.expectOutcome(ctx, c.id, node.ErrGone); err != nil {
		return "", err
	}
	err := other.SendData(c.id, []byte("still there?"))
	if err == nil { // accepted for delivery: the answer comes later
		err = other.app.outcomeOf(ctx, c.id)
	}
	if !errors.Is(err, node.ErrGone) {
		return "", fmt.Errorf("%s: %w, not %w", other.name, err, node.ErrGone)
	}
	return fmt.Sprintf("%s closed %s of %s, which heard why; a send from %s says: gone", closer.name, c.id, owner.name, other.name), nil
}

func (d *demo) halfClose(ctx context.Context) (string, error) {
	n := d.nodes[0]
	c, err := n.connect(ctx)
	if err != nil {
		return "", err
	}
	defer c.close()
	if err := errors.Join(c.send("last words"), c.CloseSend(), c.expect("last words"), c.expectEnd()); err != nil {
		return "", err
	}
	return "a client that sent a message and its end at once got the answer, then the end", n.app.expectClose(ctx, c.id, node.ReasonClient)
}

func (d *demo) leave(ctx context.Context) (string, error) {
	const each = 20
	for _, n := range d.nodes {
		var left []*demoClient
		for range each {
			c := n.takeClient()
			c.close()
			left = append(left, c)
		}
		for _, c := range left {
			if err := n.app.expectClose(ctx, c.id, node.ReasonClient); err != nil {
				return "", err
			}
		}
	}
	return fmt.Sprintf("%d clients left; the end of each was reported once, by its node, with its reason", each*len(d.nodes)), nil
}

func (d *demo) slowClient(ctx context.Context) (string, error) {
	owner, from := d.nodes[0], d.nodes[1]
	c, err := owner.connect(ctx)
	if err != nil {
		return "", err
	}
	defer c.close()
	sent, msg := 0, make([]byte, demoOutputBytes/4)
	for err == nil { // one after the other, until the kernel takes no more
		wait, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		err = from.Send(wait, c.id, msg)
		cancel()
		sent += len(msg)
	}
	if !errors.Is(err, node.ErrExpired) && !errors.Is(err, node.ErrUncertain) {
		return "", fmt.Errorf("%s, waiting for a client that never reads: %w", from.name, err)
	}
	// Waiting for none, until that is too much; if the node was late instead of the
	// kernel full, the kernel takes some more first.
	err = await(ctx, func() error {
		if _, ended := owner.app.ends()[c.id]; ended {
			return nil
		}
		if err := from.SendData(c.id, msg); err == nil {
			sent += len(msg)
		} else if !errors.Is(err, node.ErrGone) {
			return fmt.Errorf("%s to a client that never reads: %w", from.name, err)
		}
		return fmt.Errorf("%s still holds a client that never reads", owner.name)
	})
	if err != nil {
		return "", err
	}
	if err := owner.app.expectClose(ctx, c.id, node.ReasonSlow); err != nil {
		return "", err
	}
	if err := owner.clients[0].talk(ctx, from); err != nil {
		return "", err
	}
	return fmt.Sprintf("a client that reads nothing was cut after %d KiB from %s; others noticed nothing", sent>>10, from.name), nil
}

func (d *demo) tooLong(ctx context.Context) (string, error) {
	owner, from := d.nodes[0], d.nodes[2]
	if err := from.Send(ctx, owner.clients[0].id, make([]byte, demoMaxMessage+1)); !errors.Is(err, node.ErrTooLarge) {
		return "", fmt.Errorf("%s, over the limit: %w, not %w", from.name, orWritten(err), node.ErrTooLarge)
	}
	c, err := owner.connect(ctx)
	if err != nil {
		return "", err
	}
	var writing sync.WaitGroup
	writing.Go(func() {
		_, _ = c.Client.(io.Writer).Write(make([]byte, 2*demoMaxMessage)) // a line without end; fails when the node has had enough
	})
	err = owner.app.expectClose(ctx, c.id, node.ReasonTooLarge)
	c.close()
	writing.Wait()
	return fmt.Sprintf("over %d KiB: a send from %s was refused, and a client that sent such a line was cut", demoMaxMessage>>10, from.name), err
}

// stopNode ends the last node as abruptly as a node can be from inside its
// process, while the clients of the others talk: it waits for no client, though
// it tells the others that it leaves.
func (d *demo) stopNode(ctx context.Context) (string, error) {
	last, stay := d.lastNode()
	ended := len(stay[0].app.ends()) + len(stay[1].app.ends())
	at, cancel := context.WithCancel(ctx)
	cancel()
	latencies, err := whileTalking(ctx, stay, func() error {
		err := last.close(at)
		if errors.Is(err, context.Canceled) {
			err = nil // it says that it has waited for nobody
		}
		return err
	})
	if err != nil {
		return "", err
	}
	if now := len(stay[0].app.ends()) + len(stay[1].app.ends()); now != ended {
		return "", fmt.Errorf("%d clients of the other nodes have ended", now-ended)
	}
	if _, err := last.balance(); err != nil {
		return "", err
	}
	p50, p99 := percentiles(latencies)
	return fmt.Sprintf("%s stopped at once; %d clients of the others talked on: p50 %v, p99 %v",
		last.name, len(stay[0].clients)+len(stay[1].clients), p50, p99), nil
}

// sendToStopped checks that the former clients of the last node have seen their
// end, and that a send to any of them soon has a final answer.
func (d *demo) sendToStopped(ctx context.Context) (string, error) {
	last, stay := d.lastNode()
	answers := make(map[string]int)
	for _, c := range last.clients {
		if got, err := c.receive(); err == nil {
			return "", fmt.Errorf("client %s of the stopped node got %q", c.id, got)
		}
		for _, from := range stay {
			answer, err := finalAnswer(ctx, from, c.id)
			if err != nil {
				return "", err
			}
			answers[answer]++
		}
	}
	return fmt.Sprintf("%d sends to the ids of %s: %s", len(last.clients)*len(stay), last.name, inWords(answers)), nil
}

// finalAnswer sends until the answer is that id cannot be reached or is gone. For
// a moment it may be uncertain, since the end of a node has to be noticed.
func finalAnswer(ctx context.Context, from *demoNode, id node.ID) (string, error) {
	err := from.sendUntil(ctx, id, func(err error) bool { return !errors.Is(err, node.ErrUncertain) })
	switch {
	case errors.Is(err, node.ErrGone):
		return "gone", nil
	case errors.Is(err, node.ErrUnreachable):
		return "unreachable", nil
	default:
		return "", fmt.Errorf("a send from %s to %s of a stopped node: %w", from.name, id, orWritten(err))
	}
}

func (d *demo) restart(ctx context.Context) (string, error) {
	last, stay := d.lastNode()
	former, left := last.Number(), last.clients
	last.dropClients()
	if err := last.open(ctx); err != nil {
		return "", err
	}
	if last.Number() <= former {
		return "", fmt.Errorf("%s has the number %s after %s", last.name, last.Number(), former)
	}
	for _, n := range d.nodes {
		if err := await(ctx, func() error { return n.sees(d.nodes) }); err != nil {
			return "", err
		}
		for _, c := range left {
			if err := n.expectOutcome(ctx, c.id, node.ErrGone); err != nil {
				return "", err
			}
		}
	}
	c, err := last.connect(ctx)
	if err != nil {
		return "", err
	}
	last.clients = append(last.clients, c)
	for _, from := range stay {
		if err := c.talk(ctx, from); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%s is back as %s: its %d former ids are gone, a new client is reached", last.name, last.Number(), len(left)), nil
}

// shutDown ends the nodes in order, one after the other.
func (d *demo) shutDown(ctx context.Context) (string, error) {
	for _, n := range d.nodes {
		for _, c := range n.clients {
			if err := n.SendData(c.id, []byte("the node closes")); err != nil {
				return "", err
			}
		}
	}
	var closing sync.WaitGroup
	var closed error
	closing.Go(func() { closed = d.inTurn(func(n *demoNode) error { return n.close(ctx) }) })
	_, err := everyClient(d.clients(), func(c *demoClient) ([]time.Duration, error) {
		defer c.close() // as clients do at the end; the node waits for it a while
		return nil, errors.Join(c.expect("the node closes"), c.expectEnd())
	})
	closing.Wait()
	if err := errors.Join(err, closed); err != nil {
		return "", err
	}
	var total uint64
	for _, n := range d.nodes {
		n.dropClients()
		accepted, err := n.balance()
		if err != nil {
			return "", err
		}
		total += accepted
	}
	dir := d.dir
	if err := d.removeDir(); err != nil {
		return "", err
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("%s is left: %w", dir, err)
	}
	return fmt.Sprintf("all closed in turn: last messages arrived, %d connections opened and ended", total), nil
}

// lastNode returns the node that stops and comes back, and the others.
func (d *demo) lastNode() (last *demoNode, stay []*demoNode) {
	return d.nodes[len(d.nodes)-1], d.nodes[:len(d.nodes)-1]
}

// whileTalking runs do while the clients of nodes talk with their own node and
// with the one after it, and returns how long each of them took.
func whileTalking(ctx context.Context, nodes []*demoNode, do func() error) ([]time.Duration, error) {
	done := make(chan struct{})
	var doing sync.WaitGroup
	var failed error
	doing.Go(func() {
		defer close(done)
		failed = do()
	})
	from := make(map[*demoClient]*demoNode)
	var clients []*demoClient
	for i, n := range nodes {
		for _, c := range n.clients {
			from[c] = nodes[(i+1)%len(nodes)]
		}
		clients = append(clients, n.clients...)
	}
	latencies, err := everyClient(clients, func(c *demoClient) (latencies []time.Duration, err error) {
		for last := false; !last && err == nil; {
			select {
			case <-done:
				last = true // once more: with the nodes that are left
			case <-time.After(pauseBetweenTalks):
			}
			start := time.Now()
			err = c.talk(ctx, from[c])
			latencies = append(latencies, time.Since(start))
		}
		return latencies, err
	})
	doing.Wait()
	return latencies, errors.Join(failed, err)
}

// pauseBetweenTalks keeps hundreds of clients from measuring nothing but how
// they wait for each other.
const pauseBetweenTalks = 10 * time.Millisecond

// takeClient removes a client from those that the demonstration counts on.
func (n *demoNode) takeClient() *demoClient {
	c := n.clients[len(n.clients)-1]
	n.clients = n.clients[:len(n.clients)-1]
	return c
}

// inWords says how often there was which answer.
func inWords(answers map[string]int) string {
	var words []string
	for _, answer := range slices.Sorted(maps.Keys(answers)) {
		words = append(words, fmt.Sprintf("%d %s", answers[answer], answer))
	}
	return strings.Join(words, ", ")
}
