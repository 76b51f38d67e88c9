package transport

import (
	"context"
	"sync"
)

// A chain is a queue of connections, linked through their slots: it needs no
// memory of its own, so an open or a close never lacks room in it.
type chain struct {
	link func(i uint32) *uint32 // where slot i keeps its link; guarded by mu
	bell *bell                  // immutable; rung without mu

	mu      sync.Mutex
	first   uint32 // slot + 1, guarded by mu
	last    uint32 // slot + 1, guarded by mu
	count   int    // guarded by mu
	waiting int    // guarded by mu: takers asleep
	closed  bool   // guarded by mu
	arrived sync.Cond
}

func newChain(bell *bell, link func(i uint32) *uint32) *chain {
	c := &chain{link: link, bell: bell}
	c.arrived.L = &c.mu
	return c
}

// put appends connection i. It never blocks. Once the chain is closed it takes
// nothing and reports false.
func (c *chain) put(i uint32) bool {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return false
	}
	*c.link(i) = 0
	if c.last == 0 {
		c.first = i + 1
	} else {
		*c.link(c.last - 1) = i + 1
	}
	c.last = i + 1
	c.count++
	if c.waiting > 0 {
		c.arrived.Signal()
	}
	c.mu.Unlock()
	c.bell.ring()
	return true
}

// take removes the first connection, waiting until there is one. ok is false
// when the chain is closed and empty.
func (c *chain) take() (i uint32, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.count == 0 {
		if c.closed {
			return 0, false
		}
		c.waiting++
		c.arrived.Wait()
		c.waiting--
	}
	return c.takeLocked(), true
}

// tryTake is take without waiting.
func (c *chain) tryTake() (i uint32, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count == 0 {
		return 0, false
	}
	return c.takeLocked(), true
}

func (c *chain) takeLocked() (i uint32) {
	i = c.first - 1
	c.first = *c.link(i)
	if c.first == 0 {
		c.last = 0
	}
	c.count--
	return i
}

// await waits until there is a connection. It reports false when ctx is done,
// or the chain is closed and empty.
func (c *chain) await(ctx context.Context) bool {
	defer context.AfterFunc(ctx, c.wakeEveryone)()
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.count == 0 {
		if c.closed || ctx.Err() != nil {
			return false
		}
		c.waiting++
		c.arrived.Wait()
		c.waiting--
	}
	if c.waiting > 0 { // this caller may leave the connection to others
		c.arrived.Signal()
	}
	return ctx.Err() == nil
}

func (c *chain) wakeEveryone() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.arrived.Broadcast()
}

// close lets takers have what is left, then ok false.
func (c *chain) close() {
	c.mu.Lock()
	c.closed = true
	c.arrived.Broadcast()
	c.mu.Unlock()
	c.bell.ring()
}

func (c *chain) len() int {
	count, _ := c.state()
	return count
}

func (c *chain) state() (count int, closed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count, c.closed
}
