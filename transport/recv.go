package transport

import (
	"context"

	"flamingo/idspace"
)

// This file holds how the program takes events. For each kind there is a call
// that waits and takes, and one that waits and takes nothing. A program that must
// keep the kinds in order waits for all of them at once, with ServeEvents, and
// takes with calls that do not wait and let what they took count until the
// program says that it is done with it.

// ServeEvents calls take whenever there is an event of any kind to take, until
// ctx is done, or the transport is closed and everything was taken. take does
// not wait for events, and may leave some.
func (t *Transport) ServeEvents(ctx context.Context, take func()) {
	defer context.AfterFunc(ctx, t.bell.ring)()
	ended, ready := false, false
	look := func() bool {
		ready, ended = t.eventsWait()
		ended = ended || ctx.Err() != nil
		return ready || ended
	}
	for {
		if !look() {
			t.bell.wait(look)
		}
		if ended {
			return
		}
		take()
	}
}

// eventsWait reports whether there is something to take, and whether there
// never will be again.
func (t *Transport) eventsWait() (ready, ended bool) {
	messages, noMessages := t.inbox.state()
	opens, noOpens := t.opens.state()
	closes, noCloses := t.closes.state()
	ready = messages > 0 || opens > 0 || closes > 0
	return ready, !ready && noMessages && noOpens && noCloses
}

// RecvOpen waits for the next accepted connection. ok is false once the
// transport is closed.
func (t *Transport) RecvOpen() (c *Conn, ok bool) {
	i, ok := t.opens.take()
	if !ok {
		return nil, false
	}
	o := t.openedAt(i)
	t.DoneOpen(o)
	return o.Conn, true
}

// AwaitOpen waits until there is a connection to take. It reports false once
// ctx is done or the transport is closed.
func (t *Transport) AwaitOpen(ctx context.Context) bool { return t.opens.await(ctx) }

// TryRecvOpen is RecvOpen without waiting.
func (t *Transport) TryRecvOpen() (c *Conn, ok bool) {
	o, ok := t.TryHoldOpen()
	if !ok {
		return nil, false
	}
	t.DoneOpen(o)
	return o.Conn, true
}

// An Opened is an accepted connection whose open still holds its slot.
type Opened struct {
	Conn *Conn
	slot uint32
}

// TryHoldOpen is TryRecvOpen after which the connection keeps its slot, even if
// it ends, until DoneOpen: so MaxConns bounds the opens under way.
func (t *Transport) TryHoldOpen() (o Opened, ok bool) {
	i, ok := t.opens.tryTake()
	if !ok {
		return Opened{}, false
	}
	return t.openedAt(i), true
}

// HoldOpens is TryHoldOpen for all that wait. It appends them to into.
func (t *Transport) HoldOpens(into []Opened) []Opened {
	for range t.opens.len() {
		if o, ok := t.TryHoldOpen(); ok {
			into = append(into, o)
		}
	}
	return into
}

// DoneOpen says that the handling of o is over. It is called once.
func (t *Transport) DoneOpen(o Opened) { t.unhold(t.table.at(o.slot), o.slot, holdOpen) }

func (t *Transport) openedAt(i uint32) Opened { return Opened{t.newConn(t.table.at(i), i), i} }

// RecvData waits for the next message and takes it. ok is false once the
// transport is closed and everything was taken.
func (t *Transport) RecvData() (id idspace.ID, data []byte, ok bool) {
	m, ok := t.RecvMessage()
	return m.ID, m.Data, ok
}

// RecvMessage is RecvData that says of which kind the message is.
func (t *Transport) RecvMessage() (m Message, ok bool) {
	var one [1]Message
	if t.inbox.take(one[:]) == 0 {
		return Message{}, false
	}
	m = one[0]
	t.release(t.table.at(m.slot), &m, 1, m.Cost())
	return m, true
}

// AwaitData waits until there is a message to take. It reports false once ctx
// is done, or the transport is closed and everything was taken.
func (t *Transport) AwaitData(ctx context.Context) bool { return t.inbox.await(ctx) }

// TryRecvMany takes up to len(into) messages without waiting and returns how
// many. Done is called for each when its handling is over: until then it
// counts as queued.
func (t *Transport) TryRecvMany(into []Message) int { return t.inbox.tryTake(into) }

// Done says that the handling of these messages is over. What was sent to their
// connections meanwhile counts as the answer. Messages of one connection that
// follow one another cost no more than one.
func (t *Transport) Done(messages []Message) {
	for len(messages) > 0 {
		m, n, cost := &messages[0], 1, messages[0].Cost()
		for ; n < len(messages) && messages[n].slot == m.slot; n++ {
			cost += messages[n].Cost()
		}
		messages = messages[n:]
		s := t.table.at(m.slot)
		if !s.has(flagSent) {
			t.release(s, m, n, cost)
			continue
		}
		t.inbox.forget(cost)
		s.mu.Lock() // against the arrival of a message, which clears both flags
		left := s.queued.Add(int32(-n))
		if left == 0 && s.has(flagSent) {
			s.flags.Or(flagAnswered)
		}
		s.mu.Unlock()
		t.released(s, m, left)
	}
}

// QueueBytes is Config.QueueBytes, or its default.
func (t *Transport) QueueBytes() int64 { return t.cfg.QueueBytes }

// release lets connection s of m and the inbox go on without n messages.
func (t *Transport) release(s *slot, m *Message, n int, cost int64) {
	t.inbox.forget(cost)
	t.released(s, m, s.queued.Add(int32(-n)))
}

// released looks after a connection of which left messages wait.
func (t *Transport) released(s *slot, m *Message, left int32) {
	if left == 0 && s.has(flagEOF|flagEnded) {
		t.settle(s, m.slot, m.ID)
	}
}

// RecvClose waits for the next end of a connection that is to be reported. ok
// is false once the transport is closed and everything was taken.
func (t *Transport) RecvClose() (id idspace.ID, why Reason, ok bool) {
	i, ok := t.closes.take()
	if !ok {
		return 0, 0, false
	}
	c := t.closedAt(i)
	t.DoneClose(c)
	return c.ID, c.Why, true
}

// AwaitClose waits until there is an end to take. It reports false once ctx is
// done, or the transport is closed and everything was taken.
func (t *Transport) AwaitClose(ctx context.Context) bool { return t.closes.await(ctx) }

// TryRecvClose is RecvClose without waiting.
func (t *Transport) TryRecvClose() (id idspace.ID, why Reason, ok bool) {
	c, ok := t.TryHoldClose()
	if !ok {
		return 0, 0, false
	}
	t.DoneClose(c)
	return c.ID, c.Why, true
}

// A Closed is the end of a connection whose report still holds its slot.
type Closed struct {
	ID   idspace.ID
	Why  Reason
	slot uint32
}

// TryHoldClose is TryRecvClose after which the connection keeps its slot until
// DoneClose: so MaxConns bounds the closes under way.
func (t *Transport) TryHoldClose() (c Closed, ok bool) {
	i, ok := t.closes.tryTake()
	if !ok {
		return Closed{}, false
	}
	return t.closedAt(i), true
}

// HoldCloses is TryHoldClose for all that wait. It appends them to into.
func (t *Transport) HoldCloses(into []Closed) []Closed {
	for range t.closes.len() {
		if c, ok := t.TryHoldClose(); ok {
			into = append(into, c)
		}
	}
	return into
}

// DoneClose says that the handling of c is over. It is called once.
func (t *Transport) DoneClose(c Closed) { t.unhold(t.table.at(c.slot), c.slot, holdClose) }

func (t *Transport) closedAt(i uint32) Closed {
	s := t.table.at(i)
	s.mu.Lock()
	defer s.mu.Unlock()
	return Closed{ID: idspace.ID(s.id.Load()), Why: s.reason, slot: i}
}
