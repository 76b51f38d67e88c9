package transport

import (
	"context"
	"sync"
	"sync/atomic"

	"flamingo/idspace"
)

// messageOverhead is what a queued message costs beside its bytes: no less than
// its place in the inbox, and about its Message once it is taken.
const messageOverhead = 48

// A Message is what a client sent.
type Message struct {
	ID   idspace.ID
	Data []byte // the receiver's, with capacity = length
	Kind Kind   // how it came over WebSocket

	slot uint32
}

// Cost is what the message counts against Config.QueueBytes.
func (m *Message) Cost() int64 { return int64(len(m.Data)) + messageOverhead }

// A run is messages of one connection that follow one another in one block: one
// entry of the inbox, so that a queue of many short messages is short, to the
// garbage collector too.
type run struct {
	id   idspace.ID
	data []byte // of the messages, without gaps
	slot uint32
	left uint16 // messages, whose lengths are kept apart; never 0
	kind Kind
}

// An inbox is the queue of received messages: it is filled a run at a time and
// emptied one message or many at a time.
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

	bell *bell // immutable; rung without mu

	mu      sync.Mutex
	runs    ring[run]    // guarded by mu
	sizes   ring[uint32] // guarded by mu: the lengths of the messages in runs
	waiting int          // guarded by mu: takers asleep
	waking  bool         // guarded by mu: a taker was woken and has not come yet
	closed  bool         // guarded by mu
	arrived sync.Cond
}

func newInbox(limit int64, bell *bell, onRoom func()) *inbox {
	q := &inbox{limit: limit, bell: bell, onRoom: onRoom}
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

// put appends messages of connection id, in slot i, all of one kind: their
// lengths, of which there are one to batchSize, and the block that they fill. It never blocks. Once the
// inbox is closed it takes nothing and reports false.
func (q *inbox) put(id idspace.ID, i uint32, kind Kind, block []byte, sizes []uint32) bool {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return false
	}
	q.cost.Add(int64(len(block)) + int64(len(sizes))*messageOverhead)
	q.runs.push(run{id: id, data: block, slot: i, left: uint16(len(sizes)), kind: kind})
	q.sizes.push(sizes...)
	q.wakeLocked()
	q.mu.Unlock()
	q.bell.ring()
	return true
}

// take removes up to len(into) messages, waiting until there is one. It
// returns 0 when the inbox is closed and empty.
func (q *inbox) take(into []Message) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.runs.count == 0 {
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

func (q *inbox) takeLocked(into []Message) (taken int) {
	for taken < len(into) && q.runs.count > 0 {
		taken += q.cutLocked(into[taken:])
	}
	q.runs.shrink()
	q.sizes.shrink()
	q.wakeLocked()
	return taken
}

// cutLocked takes messages of the first run.
func (q *inbox) cutLocked(into []Message) (taken int) {
	r := q.runs.at(0)
	taken = min(len(into), int(r.left))
	data := r.data
	for k := range taken {
		size := *q.sizes.at(k)
		m := &into[k] // field by field: a literal is put together elsewhere and then copied
		m.ID, m.Data, m.Kind, m.slot = r.id, data[:size:size], r.kind, r.slot
		data = data[size:]
	}
	q.sizes.drop(taken)
	r.data = data
	if r.left -= uint16(taken); r.left == 0 {
		q.runs.drop(1)
	}
	return taken
}

// await waits until there is a message. It reports false when ctx is done, or
// the inbox is closed and empty.
func (q *inbox) await(ctx context.Context) bool {
	defer context.AfterFunc(ctx, q.wakeEveryone)()
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.runs.count == 0 {
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
	if q.runs.count > 0 && q.waiting > 0 && !q.waking {
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
	q.closed = true
	q.arrived.Broadcast()
	q.mu.Unlock()
	q.bell.ring()
}

func (q *inbox) len() int {
	count, _ := q.state()
	return count
}

func (q *inbox) state() (count int, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.sizes.count, q.closed
}
