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

// A lane carries messages to one peer, in order for each id. What is sent is
// encoded into the journal, numbered as it is; a number is never used twice, not
// even in another session. The states of what is sent:
//
//	behind ──► queued ──────► transmitted ──► acknowledged ──► (waits only)
//	items      seq > sent     seq <= sent     popped           waits
//
// A session outlives its streams: what is transmitted stays in the journal, and
// goes out again behind what the peer has when it is resumed.
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
	log      journal
	next     uint64 // number of the next frame to be queued
	sent     uint64 // the last one handed to a stream
	entries  ring   // from the last acknowledged one + 1 to next - 1
	waits    map[uint64]*ticket
	waiting  int                  // tickets that wait, wherever they are
	timed    []timedFrame         // in the journal, by number
	async    map[*ticket]struct{} // of those that wait, with a deadline and nobody who does
	room     window
	parts    partQueue
	lost     []Undelivered // to be reported once mu is free
	running  bool          // its goroutine runs, or is about to
	wanted   bool          // to be connected though nothing is queued
	probing  bool          // to be so from the next tick on
	stopped  error         // refuses every send: the mesh or the peer is gone
	settling []chan struct{}

	// Of the session. The last outcome taken goes on counting in the next one.
	session    [16]byte
	features   features // of both ends at the last handshake
	resumable  bool     // the peer has taken up session, and nothing has ended it
	outcomes   uint64
	outcomeAck uint64 // the last one acknowledged
	stalled    int64  // by Mesh.clock, when a stream first broke without progress; 0: none has since

	// Of the stream, while there is one.
	stream    *stream
	pressed   pressedIDs
	closing   bool   // ends as idle; nothing more may be handed to it
	handed    uint64 // the last frame handed to it, or that the peer had before
	idleTicks int
	idleMark  uint64

	breaks  atomic.Uint64 // streams that did not end as idle
	resumes atomic.Uint64 // of the session, by a further stream
	losses  atomic.Uint64 // sessions that ended with something unacknowledged
}

func newLane(l *link, index int) *lane {
	n := &lane{
		link: l, index: uint64(index), log: newJournal(maxFree), next: 1,
		waits: make(map[uint64]*ticket), async: make(map[*ticket]struct{}), room: window{limit: l.mesh.cfg.Window},
	}
	n.contact = newContact(l, n.greeting, n.greeted)
	n.entries.first = 1
	n.work.L = &n.mu
	n.parts.fifos = make(map[idspace.ID][]*item)
	return n
}

// send queues m, whose payload and ids it copies. It waits for room for as long
// as patience says.
func (l *lane) send(ctx context.Context, patience time.Duration, m *message, t *ticket) error {
	size := max(len(m.ids), 1)*idCost + len(m.group) + len(m.payload)
	if err := l.enter(ctx, patience, size, m); err != nil {
		return err
	}
	if t.waits() {
		if l.waiting >= l.link.mesh.cfg.MaxWaits {
			l.room.releaseLocked(size)
			l.mu.Unlock()
			return ErrBackpressure
		}
		l.waiting++
		if t.done == nil {
			l.async[t] = struct{}{}
		}
	}
	if len(m.payload) > partSize || l.parts.holdLocked(m) {
		l.standLocked(*m, size, t)
	} else {
		l.appendLocked(m, size, t)
	}
	start := !l.running
	l.running = true
	l.unlock()
	if start {
		l.start()
	}
	return nil
}

// enter locks l and takes size bytes of its window for m. After an error l is not
// locked and nothing is taken.
func (l *lane) enter(ctx context.Context, patience time.Duration, size int, m *message) error {
	l.mu.Lock()
	err := l.refusalLocked()
	if err == nil && l.refusesLocked(m) {
		err = ErrBackpressure
	}
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
	e := l.log.open()
	e.message(l.next, m)
	if m.kind == kindWait {
		l.noteTimeLocked(e.timeAt, t)
	}
	l.queuedLocked(entryOf(m, size, t))
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
	case kindPublish:
		e.kind = entryPublish
	default: // void
		e.kind = entryNone
	}
	return e
}

// queuedLocked numbers the frame that was appended to the journal.
func (l *lane) queuedLocked(e entry) {
	if e.kind == entryWait {
		e.ticket.seq, e.ticket.item = l.next, nil
	}
	l.entries.push(e)
	l.log.close(l.next)
	l.next++
	l.work.Signal()
}

// maxFree is how many segments a lane keeps for another use while it is not at
// rest: as many as fill DefaultWindow.
const maxFree = DefaultWindow / segmentSize

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
	case a := <-t.done:
		return a.Err()
	case <-ctx.Done():
		return l.abandon(t).Err()
	}
}

// abandon ends a wait early: expired if the frame can still be taken out, else
// uncertain. It may come too late for either. A frame that was not taken out
// counts among MaxWaits until its outcome comes.
func (l *lane) abandon(t *ticket) verdict {
	l.mu.Lock()
	defer l.unlock()
	if t.ended {
		return <-t.done
	}
	t.ended = true
	if l.voidLocked(t) {
		l.waiting--
		return only(OutcomeExpired)
	}
	return only(OutcomeUncertain)
}
