package transport

import (
	"errors"
	"slices"
	"sync"

	"flamingo/idspace"
)

// lossesLimit bounds the notices that wait to be taken. A notice covers
// messages of one connection that share an outcome, as long as no other notice
// comes between. When it is reached the newest notices are dropped and counted.
const lossesLimit = 4096

// A loss is what was accepted for a connection and will not, or not surely,
// arrive: numbers of messages.
type loss struct {
	gone      int // no byte was written before the connection ended
	uncertain int // written in part when the connection ended
	full      int // dropped by SlowDropNewest
	late      int // its deadline passed before a byte was written
}

// Undelivered tells of messages that SendData or SendMany accepted and that
// were not delivered after all.
type Undelivered struct {
	ID      idspace.ID
	Outcome error // ErrGone, ErrUncertain, ErrBackpressure or ErrExpired; any from AddUndelivered
	Count   int   // messages, at least 1
}

// losses is the queue of notices about undelivered messages.
type losses struct {
	mu       sync.Mutex
	notices  []Undelivered // guarded by mu
	closed   bool          // guarded by mu
	messages uint64        // guarded by mu: lost in all
	dropped  uint64        // guarded by mu: notices that found no room
	own      loss          // guarded by mu: of messages, those for connections of this transport
	arrived  sync.Cond
}

func newLosses() *losses {
	q := &losses{}
	q.arrived.L = &q.mu
	return q
}

// add notes what was lost of connection id; gone is its ErrGone.
func (q *losses) add(id idspace.ID, l loss, gone error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.own.gone += l.gone
	q.own.uncertain += l.uncertain
	q.own.late += l.late
	q.addLocked(Undelivered{id, gone, l.gone})
	q.addLocked(Undelivered{id, ErrUncertain, l.uncertain})
	q.addLocked(Undelivered{id, ErrBackpressure, l.full})
	q.addLocked(Undelivered{id, ErrExpired, l.late})
}

func (q *losses) addLocked(u Undelivered) {
	if u.Count == 0 {
		return
	}
	q.messages += uint64(u.Count)
	if n := len(q.notices); n > 0 && q.notices[n-1].ID == u.ID && errors.Is(u.Outcome, q.notices[n-1].Outcome) {
		q.notices[n-1].Count += u.Count
		return
	}
	if len(q.notices) == lossesLimit {
		q.dropped++
		return
	}
	q.notices = append(q.notices, u)
	q.arrived.Signal()
}

func (q *losses) take() (u Undelivered, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.notices) == 0 {
		if q.closed {
			return Undelivered{}, false
		}
		q.arrived.Wait()
	}
	u = q.notices[0]
	q.notices = q.notices[1:]
	if len(q.notices) == 0 {
		q.notices = nil
	}
	return u, true
}

// putBack makes u, which was taken, the next to be taken again.
func (q *losses) putBack(u Undelivered) {
	if u.Count == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if newest := len(q.notices) - 1; newest+1 == lossesLimit {
		q.notices = q.notices[:newest]
		q.dropped++
	}
	q.notices = slices.Insert(q.notices, 0, u)
	q.arrived.Signal()
}

func (q *losses) counts(st *Stats) {
	q.mu.Lock()
	defer q.mu.Unlock()
	st.Undelivered, st.NoticesDropped = q.messages, q.dropped
	st.LostGone, st.LostUncertain, st.LostExpired = uint64(q.own.gone), uint64(q.own.uncertain), uint64(q.own.late)
}

func (q *losses) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.arrived.Broadcast()
}

// RecvUndelivered waits for the next notice about messages that were accepted
// and not delivered. ok is false once the transport is closed and every notice
// was taken.
func (t *Transport) RecvUndelivered() (u Undelivered, ok bool) { return t.losses.take() }

// AddUndelivered puts a notice from elsewhere behind those of this transport,
// as if the message had been lost here. It never blocks.
func (t *Transport) AddUndelivered(u Undelivered) {
	t.losses.mu.Lock()
	defer t.losses.mu.Unlock()
	t.losses.addLocked(u)
}

// PutBackUndelivered gives back what is left of a notice that was taken, for
// the next RecvUndelivered, also one that waits. A Count of zero is nothing.
func (t *Transport) PutBackUndelivered(u Undelivered) { t.losses.putBack(u) }
