package transport

import (
	"sync"
	"sync/atomic"
)

// A bell wakes those who wait for events of any kind. Each queue rings it after
// it has taken something in or was closed, without a lock of its own; while
// nobody listens that costs a load.
type bell struct {
	listening atomic.Bool // somebody looks at the queues, or sleeps

	mu    sync.Mutex
	rings uint64 // guarded by mu
	rung  sync.Cond
}

func newBell() *bell {
	b := &bell{}
	b.rung.L = &b.mu
	return b
}

// ring makes whoever listens look at the queues again.
func (b *bell) ring() {
	if !b.listening.Load() || !b.listening.Swap(false) {
		return
	}
	b.mu.Lock()
	b.rings++
	b.mu.Unlock()
	b.rung.Broadcast()
}

// wait returns once stop says true, which looks at the queues. It sleeps from
// ring to ring.
func (b *bell) wait(stop func() bool) {
	for {
		b.mu.Lock()
		seen := b.rings
		b.mu.Unlock()
		b.listening.Store(true) // from here on what comes rings, and what came before is seen
		if stop() {
			return
		}
		b.mu.Lock()
		for b.rings == seen {
			b.rung.Wait()
		}
		b.mu.Unlock()
	}
}
