package main

import (
	"context"
	"fmt"
	"maps"
	"sync"

	"flamingo/node"
)

// demoWorkers is how many goroutines of a node's application take messages.
const demoWorkers = 10

// A demoApp is the application of one node of the demonstration: it greets each
// client with "flamingo <id>", echoes, and remembers how connections ended and
// which messages were not delivered.
type demoApp struct {
	running sync.WaitGroup

	mu          sync.Mutex
	ended       map[node.ID]node.Reason // guarded by mu
	undelivered map[node.ID]error       // guarded by mu: the last outcome
	twice       node.ID                 // guarded by mu: an id whose end was reported twice
	change      chan struct{}           // closed and replaced at each report; guarded by mu
}

// startDemoApp serves n until it is closed.
func startDemoApp(n *node.Node) *demoApp {
	a := &demoApp{
		ended:       make(map[node.ID]node.Reason),
		undelivered: make(map[node.ID]error),
		change:      make(chan struct{}),
	}
	a.running.Go(func() {
		for id := range n.Opens() {
			// An error says that the client has left already.
			_ = n.SendData(id, []byte("flamingo "+id.String()))
		}
	})
	for range demoWorkers {
		a.running.Go(func() {
			for id, msg := range n.Messages() {
				_ = n.SendData(id, msg)
			}
		})
	}
	a.running.Go(func() {
		for id, why := range n.Closes() {
			a.note(func() {
				if _, ok := a.ended[id]; ok {
					a.twice = id
				}
				a.ended[id] = why
			})
		}
	})
	a.running.Go(func() {
		for id, outcome := range n.Undelivered() {
			a.note(func() { a.undelivered[id] = outcome })
		}
	})
	return a
}

// wait waits for the application to end, which it does when its node is closed.
func (a *demoApp) wait() { a.running.Wait() }

// note makes a report known; take runs under mu.
func (a *demoApp) note(take func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	take()
	close(a.change)
	a.change = make(chan struct{})
}

// expectClose waits until the end of id is reported, and checks the reason.
func (a *demoApp) expectClose(ctx context.Context, id node.ID, want node.Reason) error {
	why, err := awaitReport(ctx, a, func() (node.Reason, bool) { why, ok := a.ended[id]; return why, ok })
	if err != nil {
		return fmt.Errorf("the end of %s: %w", id, err)
	}
	if why != want {
		return fmt.Errorf("the end of %s has the reason %s, not %s", id, why, want)
	}
	return nil
}

// outcomeOf waits until a message to id is reported as not delivered.
func (a *demoApp) outcomeOf(ctx context.Context, id node.ID) error {
	outcome, err := awaitReport(ctx, a, func() (error, bool) { e, ok := a.undelivered[id]; return e, ok })
	if err != nil {
		return fmt.Errorf("the outcome of a send to %s: %w", id, err)
	}
	return outcome
}

// ends returns the ends that were reported.
func (a *demoApp) ends() map[node.ID]node.Reason {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.ended)
}

// awaitReport waits until look, which is called under a.mu, finds something.
func awaitReport[T any](ctx context.Context, a *demoApp, look func() (T, bool)) (T, error) {
	for {
		a.mu.Lock()
		found, ok := look()
		twice, change := a.twice, a.change
		a.mu.Unlock()
		switch {
		case twice != 0:
			return found, fmt.Errorf("the end of %s was reported twice", twice)
		case ok:
			return found, nil
		}
		select {
		case <-change:
		case <-ctx.Done():
			return found, fmt.Errorf("was not reported: %w", context.Cause(ctx))
		}
	}
}
