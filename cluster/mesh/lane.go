package mesh

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"flamingo/idspace"
)

// idCost is what an id in a frame costs in the window beside the payload, in
// bytes: the frame around it and the entry it is remembered by.
const idCost = 64

// chunkSize is when a chunk of queued frames is full, in bytes: one write.
const chunkSize = 128 << 10

// A chunk is a run of encoded frames that will be one write.
type chunk struct {
	buf    []byte
	last   uint64 // number of the last frame
	frames int
}

// A lane carries messages to one peer, in order for each id. What is sent is
// encoded into chunks, numbered as it is; a number is never used twice, not
// even in another session. The states of what is sent:
//
//	behind ──► queued ──────► transmitted ──► acknowledged ──► (waits only)
//	items      seq > sent     seq <= sent     popped           waits
//
// Lane methods are in four files: lane.go what senders call, lane_parts.go
// long messages and what stands behind them, lane_settle.go how each send
// ends, lane_session.go the stream.
type lane struct {
	link    *link // immutable, as the next two
	contact *contact
	index   uint64

	mu       sync.Mutex
	work     sync.Cond // for the writer
	enc      *encoder
	queue    []*chunk
	free     []*chunk
	next     uint64 // number of the next frame to be queued
	sent     uint64 // the last one handed to a stream
	entries  ring   // from the last acknowledged one + 1 to next - 1
	waits    map[uint64]*ticket
	waiting  int // tickets that wait, wherever they are
	room     window
	parts    partQueue
	lost     []Undelivered // to be reported once mu is free
	running  bool          // its goroutine runs, or is about to
	wanted   bool          // to be connected though nothing is queued
	probing  bool          // to be so from the next tick on
	stopped  error         // refuses every send: the mesh or the peer is gone
	settling []chan struct{}

	// Of the session, while there is one.
	session    *stream
	closing    bool   // ends as idle; nothing more may be handed to it
	outcomes   uint64 // the last outcome taken
	outcomeAck uint64 // the last one acknowledged
	idleTicks  int
	idleMark   uint64

	attempts atomic.Uint64
	breaks   atomic.Uint64 // sessions that did not end as idle
}

func newLane(l *link, index int) *lane {
	n := &lane{
		link: l, index: uint64(index), enc: newEncoder(), next: 1,
		waits: make(map[uint64]*ticket), room: window{limit: l.mesh.cfg.Window},
	}
	n.contact = newContact(l, n.greeting)
	n.entries.first = 1
	n.work.L = &n.mu
	n.parts.fifos = make(map[idspace.ID][]*item)
	return n
}

// send queues m, whose payload and ids it copies. It waits for room for as long
// as patience says.
func (l *lane) send(ctx context.Context, patience time.Duration, m message, t *ticket) error {
	size := max(len(m.ids), 1)*idCost + len(m.payload)
	if err := l.enter(ctx, patience, size); err != nil {
		return err
	}
	if t != nil && t.done != nil {
		if l.waiting >= l.link.mesh.cfg.MaxWaits {
			l.room.releaseLocked(size)
			l.mu.Unlock()
			return ErrBackpressure
		}
		l.waiting++
	}
	if len(m.payload) > partSize || l.parts.holdLocked(&m) {
		l.standLocked(m, size, t)
	} else {
		l.appendLocked(&m, size, t)
	}
	start := !l.running
	l.running = true
	l.unlock()
	if start {
		l.start()
	}
	return nil
}

// enter locks l and takes size bytes of its window. After an error l is not
// locked and nothing is taken.
func (l *lane) enter(ctx context.Context, patience time.Duration, size int) error {
	l.mu.Lock()
	err := l.refusalLocked()
	if err == nil && l.room.tryLocked(size) {
		return nil
	}
	if err == nil {
		err = l.awaitRoomLocked(ctx, patience, size)
	}
	if err != nil {
		l.mu.Unlock()
	}
	return err
}

// awaitRoomLocked unlocks l while it waits.
func (l *lane) awaitRoomLocked(ctx context.Context, patience time.Duration, size int) error {
	if patience <= 0 {
		return ErrBackpressure
	}
	q := l.room.waitLocked(size)
	l.mu.Unlock()
	err := l.awaitGrant(ctx, patience, q)
	l.mu.Lock()
	granted := err == nil || l.room.leaveLocked(q)
	if granted {
		err = l.refusalLocked()
	}
	if granted && err != nil {
		l.room.releaseLocked(size)
	}
	return err
}

// awaitGrant looks every UnreachableAfter whether there is still a peer to wait
// for.
func (l *lane) awaitGrant(ctx context.Context, patience time.Duration, q *waiter) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	look := time.NewTicker(l.link.mesh.cfg.UnreachableAfter)
	defer look.Stop()
	for {
		select {
		case <-q.granted:
			return nil
		case <-timer.C:
			return ErrBackpressure
		case <-ctx.Done():
			return ErrExpired
		case <-look.C:
			if l.unreachable() {
				return ErrUnreachable
			}
		}
	}
}

// refusalLocked says why a send cannot be accepted now.
func (l *lane) refusalLocked() error {
	if l.stopped != nil {
		return l.stopped
	}
	if l.unreachable() {
		l.probing = true // or who is to notice that the peer is back?
		return ErrUnreachable
	}
	return nil
}

// unreachable reports whether the peer is unreachable. A lane that has not tried to
// reach it goes by the control stream.
func (l *lane) unreachable() bool {
	if l.contact.state.Load() == contactNone {
		return l.link.control.contact.unreachable()
	}
	return l.contact.unreachable()
}

// appendLocked encodes m behind what is queued.
func (l *lane) appendLocked(m *message, size int, t *ticket) {
	c := l.tailLocked()
	l.enc.buf = c.buf
	l.enc.message(l.next, m)
	c.buf = l.enc.buf
	l.queuedLocked(c, entryOf(m, size, t))
}

func entryOf(m *message, size int, t *ticket) entry {
	e := entry{id: m.id, size: size, ticket: t}
	switch m.kind { //nolint:exhaustive // every other kind of message is a void
	case kindData:
		e.kind = entryData
	case kindClose:
		e.kind = entryClose
	case kindMany:
		e.kind = entryMany
	case kindWait, kindCloseWait:
		e.kind = entryWait
	default: // void
		e.kind = entryNone
	}
	return e
}

// queuedLocked numbers the frame that was appended to c.
func (l *lane) queuedLocked(c *chunk, e entry) {
	if e.kind == entryWait {
		e.ticket.seq, e.ticket.item = l.next, nil
	}
	l.entries.push(e)
	c.last = l.next
	c.frames++
	l.next++
	l.work.Signal()
}

// tailLocked returns the chunk to append to.
func (l *lane) tailLocked() *chunk {
	if n := len(l.queue); n > 0 && len(l.queue[n-1].buf) < chunkSize {
		return l.queue[n-1]
	}
	c := l.freshLocked()
	l.queue = append(l.queue, c)
	return c
}

func (l *lane) freshLocked() *chunk {
	if n := len(l.free); n > 0 {
		c := l.free[n-1]
		l.free = l.free[:n-1]
		return c
	}
	return &chunk{}
}

// maxFree is how many chunks a lane keeps for another use while it is not at
// rest: as many as fill DefaultWindow.
const maxFree = DefaultWindow / chunkSize

func (l *lane) recycle(c *chunk) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recycleLocked(c)
}

func (l *lane) recycleLocked(c *chunk) {
	if len(l.free) < maxFree {
		*c = chunk{buf: c.buf[:0]}
		l.free = append(l.free, c)
	}
}

// unlock frees mu and then tells what was lost meanwhile.
func (l *lane) unlock() {
	lost := l.lost
	l.lost = nil
	l.mu.Unlock()
	if len(lost) > 0 {
		l.link.mesh.reports.add(lost)
	}
}

// await waits for the outcome of a send or close that was queued with t.
func (l *lane) await(ctx context.Context, t *ticket) error {
	select {
	case o := <-t.done:
		return o.Err()
	case <-ctx.Done():
		return l.abandon(t).Err()
	}
}

// abandon ends a wait early: expired if the frame can still be taken out, else
// uncertain. It may come too late for either. A frame that was not taken out
// counts among MaxWaits until its outcome comes.
func (l *lane) abandon(t *ticket) Outcome {
	l.mu.Lock()
	defer l.unlock()
	if t.ended {
		return <-t.done
	}
	t.ended = true
	if l.voidLocked(t) {
		l.waiting--
		return OutcomeExpired
	}
	return OutcomeUncertain
}
