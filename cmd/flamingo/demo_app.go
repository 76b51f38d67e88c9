package main

import (
	"context"
	"fmt"
	"sync"

	"flamingo/node"
)

// demoWorkers is how many goroutines of the demonstration's application take
// messages.
const demoWorkers = 10

// A demoApp is the application of the demonstration: it greets each client
// with "flamingo <id>", echoes, and remembers how connections ended.
type demoApp struct {
	mu     sync.Mutex
	ended  map[node.ID]node.Reason // guarded by mu
	twice  node.ID                 // guarded by mu: an id whose end was reported twice
	change chan struct{}           // closed and replaced at each end; guarded by mu
}

// startDemoApp serves n until it is closed.
func startDemoApp(n *node.Node) *demoApp {
	a := &demoApp{ended: make(map[node.ID]node.Reason), change: make(chan struct{})}
	go func() {
		for id := range n.Opens() {
			// An error says that the client has left already.
			_ = n.SendData(id, []byte("flamingo "+id.String()))
		}
	}()
	for range demoWorkers {
		go func() {
			for id, msg := range n.Messages() {
				_ = n.SendData(id, msg)
			}
		}()
	}
	go func() {
		for id, why := range n.Closes() {
			a.noteEnd(id, why)
		}
	}()
	return a
}

func (a *demoApp) noteEnd(id node.ID, why node.Reason) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.ended[id]; ok {
		a.twice = id
	}
	a.ended[id] = why
	close(a.change)
	a.change = make(chan struct{})
}

// expectClose waits until the end of id is reported, and checks the reason.
func (a *demoApp) expectClose(ctx context.Context, id node.ID, want node.Reason) error {
	for {
		a.mu.Lock()
		why, ok := a.ended[id]
		twice, change := a.twice, a.change
		a.mu.Unlock()
		switch {
		case twice != 0:
			return fmt.Errorf("the end of %s was reported twice", twice)
		case ok && why != want:
			return fmt.Errorf("the end of %s has the reason %s, not %s", id, why, want)
		case ok:
			return nil
		}
		select {
		case <-change:
		case <-ctx.Done():
			return fmt.Errorf("the end of %s was not reported: %w", id, context.Cause(ctx))
		}
	}
}
