package transport

import (
	"context"

	"flamingo/idspace"
)

// This file holds how the program takes events. For each kind there is a call
// that waits and takes; and, for a program that must keep the kinds in order,
// one that waits and takes nothing, and one that takes, does not wait, and lets
// what it took count until the program says that it is done with it.

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

// DoneOpen says that the handling of o is over. It is called once.
func (t *Transport) DoneOpen(o Opened) { t.unhold(t.table.at(o.slot), o.slot, holdOpen) }

func (t *Transport) openedAt(i uint32) Opened { return Opened{t.newConn(t.table.at(i), i), i} }

// RecvData waits for the next message and takes it. ok is false once the
// transport is closed and everything was taken.
func (t *Transport) RecvData() (id idspace.ID, data []byte, ok bool) {
	var one [1]Message
	if t.inbox.take(one[:]) == 0 {
		return 0, nil, false
	}
	t.release(&one[0])
	return one[0].ID, one[0].Data, true
}

// AwaitData waits until there is a message to take. It reports false once ctx
// is done, or the transport is closed and everything was taken.
func (t *Transport) AwaitData(ctx context.Context) bool { return t.inbox.await(ctx) }

// TryRecvMany takes up to len(into) messages without waiting and returns how
// many. Done is called for each when its handling is over: until then it
// counts as queued.
func (t *Transport) TryRecvMany(into []Message) int { return t.inbox.tryTake(into) }

// Done says that the handling of m is over. What was sent to its connection
// meanwhile counts as the answer.
func (t *Transport) Done(m *Message) {
	s := t.table.at(m.slot)
	if !s.has(flagSent) {
		t.release(m)
		return
	}
	t.inbox.forget(m.cost())
	s.mu.Lock() // against the arrival of a message, which clears both flags
	left := s.queued.Add(-1)
	if left == 0 && s.has(flagSent) {
		s.flags.Or(flagAnswered)
	}
	s.mu.Unlock()
	t.released(s, m, left)
}

// release lets the connection of m and the inbox go on without m.
func (t *Transport) release(m *Message) {
	t.inbox.forget(m.cost())
	s := t.table.at(m.slot)
	t.released(s, m, s.queued.Add(-1))
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

// DoneClose says that the handling of c is over. It is called once.
func (t *Transport) DoneClose(c Closed) { t.unhold(t.table.at(c.slot), c.slot, holdClose) }

func (t *Transport) closedAt(i uint32) Closed {
	s := t.table.at(i)
	s.mu.Lock()
	defer s.mu.Unlock()
	return Closed{ID: idspace.ID(s.id.Load()), Why: s.reason, slot: i}
}
