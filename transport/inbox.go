package transport

import (
	"context"
	"sync"
	"sync/atomic"

	"flamingo/idspace"
)

// messageOverhead is what a queued message costs beside its bytes: its entry
// in the ring.
const messageOverhead = 48

// minRing is the smallest ring, in messages.
const minRing = 1024

// A Message is what a client sent.
type Message struct {
	ID   idspace.ID
	Data []byte // the receiver's, with capacity = length
	Kind Kind   // how it came over WebSocket

	slot uint32
}

func (m *Message) cost() int64 { return int64(len(m.Data)) + messageOverhead }

// An inbox is the queue of received messages: a locked ring, filled a batch at
// a time and emptied one or many at a time.
//
// It is bounded in bytes by its readers-to-be: drivers read from a socket only
// while hasRoom, so the queue exceeds its limit by at most what one read of
// each driver brings. A message counts until it is done with, not until it is
// taken.
type inbox struct {
	limit int64        // bytes, messageOverhead included
	cost  atomic.Int64 // bytes not yet done with

	// starved is set by a driver that does without reading for want of room;
	// onRoom is called, once, when half of the limit is free again.
	starved atomic.Bool
	onRoom  func()

	mu      sync.Mutex
	ring    []Message // guarded by mu; length a power of two
	head    int       // guarded by mu: position of the first
	count   int       // guarded by mu
	waiting int       // guarded by mu: takers asleep
	waking  bool      // guarded by mu: a taker was woken and has not come yet
	closed  bool      // guarded by mu
	arrived sync.Cond
}

func newInbox(limit int64, onRoom func()) *inbox {
	q := &inbox{limit: limit, onRoom: onRoom}
	q.arrived.L = &q.mu
	return q
}

// hasRoom reports whether a driver may read.
func (q *inbox) hasRoom() bool { return q.cost.Load() < q.limit }

// starve says that a driver has input to read and no room for it. It reports
// false when there is room after all.
func (q *inbox) starve() bool {
	q.starved.Store(true)
	return !q.hasRoom()
}

// put appends a batch. It never blocks. Once the inbox is closed it takes
// nothing and reports false.
func (q *inbox) put(batch []Message) bool {
	var cost int64
	for i := range batch {
		cost += batch[i].cost()
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.cost.Add(cost)
	q.growLocked(len(batch))
	mask := len(q.ring) - 1
	for i := range batch {
		q.ring[(q.head+q.count+i)&mask] = batch[i]
	}
	q.count += len(batch)
	q.wakeLocked()
	return true
}

// take removes up to len(into) messages, waiting until there is one. It
// returns 0 when the inbox is closed and empty.
func (q *inbox) take(into []Message) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.count == 0 {
		if q.closed {
			return 0
		}
		q.waiting++
		q.arrived.Wait()
		q.waiting--
		q.waking = false
	}
	return q.takeLocked(into)
}

// tryTake is take without waiting.
func (q *inbox) tryTake(into []Message) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.takeLocked(into)
}

func (q *inbox) takeLocked(into []Message) int {
	n := min(len(into), q.count)
	mask := len(q.ring) - 1
	for i := range n {
		entry := &q.ring[(q.head+i)&mask]
		into[i] = *entry
		*entry = Message{}
	}
	q.head = (q.head + n) & mask
	q.count -= n
	q.shrinkLocked()
	q.wakeLocked()
	return n
}

// await waits until there is a message. It reports false when ctx is done, or
// the inbox is closed and empty.
func (q *inbox) await(ctx context.Context) bool {
	defer context.AfterFunc(ctx, q.wakeEveryone)()
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.count == 0 {
		if q.closed || ctx.Err() != nil {
			return false
		}
		q.waiting++
		q.arrived.Wait()
		q.waiting--
		q.waking = false
	}
	q.wakeLocked() // whoever else waits; this caller may leave the message to others
	return ctx.Err() == nil
}

func (q *inbox) wakeEveryone() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.arrived.Broadcast()
}

// wakeLocked wakes one sleeping taker if there is work for it and no other one
// is on its way. A woken taker that leaves work behind wakes the next.
func (q *inbox) wakeLocked() {
	if q.count > 0 && q.waiting > 0 && !q.waking {
		q.waking = true
		q.arrived.Signal()
	}
}

// forget returns the room of messages that are done with.
func (q *inbox) forget(cost int64) {
	if q.cost.Add(-cost) < q.limit/2 && q.starved.Load() && q.starved.Swap(false) {
		q.onRoom()
	}
}

// close lets takers have what is left, then 0.
func (q *inbox) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.arrived.Broadcast()
}

func (q *inbox) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.count
}

func (q *inbox) growLocked(by int) {
	if q.count+by <= len(q.ring) {
		return
	}
	size := max(minRing, len(q.ring))
	for size < q.count+by {
		size *= 2
	}
	q.resizeLocked(size)
}

// shrinkLocked gives back the memory of a ring that a burst made large.
func (q *inbox) shrinkLocked() {
	if q.count == 0 && len(q.ring) > 64*minRing {
		q.resizeLocked(minRing)
	}
}

func (q *inbox) resizeLocked(size int) {
	ring := make([]Message, size)
	for i := range q.count {
		ring[i] = q.ring[(q.head+i)&(len(q.ring)-1)]
	}
	q.ring, q.head = ring, 0
}
