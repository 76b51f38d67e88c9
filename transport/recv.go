package transport

import (
	"context"

	"flamingo/idspace"
)

// This file holds how the program takes events. For each kind there is a call
// that waits and takes; and, for a program that must keep the kinds in order,
// one that waits and takes nothing, and one that takes and does not wait.

// RecvOpen waits for the next accepted connection. ok is false once the
// transport is closed.
func (t *Transport) RecvOpen() (c *Conn, ok bool) {
	i, ok := t.opens.take()
	if !ok {
		return nil, false
	}
	return t.opened(i), true
}

// AwaitOpen waits until there is a connection to take. It reports false once
// ctx is done or the transport is closed.
func (t *Transport) AwaitOpen(ctx context.Context) bool { return t.opens.await(ctx) }

// TryRecvOpen is RecvOpen without waiting.
func (t *Transport) TryRecvOpen() (c *Conn, ok bool) {
	i, ok := t.opens.tryTake()
	if !ok {
		return nil, false
	}
	return t.opened(i), true
}

func (t *Transport) opened(i uint32) *Conn {
	s := t.table.at(i)
	c := t.newConn(s)
	t.unhold(s, i, holdOpen)
	return c
}

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
	if s := t.table.at(m.slot); s.queued.Load() == 1 && s.has(flagSent) {
		s.flags.Or(flagAnswered)
	}
	t.release(m)
}

// release lets the connection of m and the inbox go on without m.
func (t *Transport) release(m *Message) {
	t.inbox.forget(m.cost())
	s := t.table.at(m.slot)
	if s.queued.Add(-1) == 0 && s.has(flagEOF|flagEnded) {
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
	id, why = t.closed(i)
	return id, why, true
}

// AwaitClose waits until there is an end to take. It reports false once ctx is
// done, or the transport is closed and everything was taken.
func (t *Transport) AwaitClose(ctx context.Context) bool { return t.closes.await(ctx) }

// TryRecvClose is RecvClose without waiting.
func (t *Transport) TryRecvClose() (id idspace.ID, why Reason, ok bool) {
	i, ok := t.closes.tryTake()
	if !ok {
		return 0, 0, false
	}
	id, why = t.closed(i)
	return id, why, true
}

func (t *Transport) closed(i uint32) (id idspace.ID, why Reason) {
	s := t.table.at(i)
	s.mu.Lock()
	id, why = idspace.ID(s.id.Load()), s.reason
	s.mu.Unlock()
	t.unhold(s, i, holdClose)
	return id, why
}
