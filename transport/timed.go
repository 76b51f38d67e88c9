package transport

import (
	"context"
	"errors"
	"sync"
	"time"

	"flamingo/idspace"
)

// MaxTimed bounds the messages of SendBefore that are neither written nor given
// up: each has a goroutine that waits. One more is ErrBackpressure.
const MaxTimed = 16 << 10

// A timing owns the goroutines of SendBefore.
type timing struct {
	mu     sync.Mutex
	count  int  // guarded by mu
	closed bool // guarded by mu
	wg     sync.WaitGroup
}

// enter makes room for one more, which leave gives back.
func (w *timing) enter() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.closed:
		return ErrClosed
	case w.count == MaxTimed:
		return ErrBackpressure
	}
	w.count++
	w.wg.Add(1)
	return nil
}

func (w *timing) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count--
	w.wg.Done()
}

// close refuses further ones, and waits for those there are: once every
// connection has ended, each has its outcome.
func (w *timing) close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.wg.Wait()
}

// SendBefore is SendDataAs of a message that is of no use after deadline: if no
// byte of it was written by then none ever is, and it is reported as undelivered
// with ErrExpired. A deadline that has passed is ErrExpired at once.
func (t *Transport) SendBefore(deadline time.Time, id idspace.ID, kind Kind, msg []byte) error {
	if time.Until(deadline) <= 0 {
		return ErrExpired
	}
	if err := t.timing.enter(); err != nil {
		return err
	}
	sent, err := t.Track(id, kind, msg)
	if err != nil {
		t.timing.leave()
		return t.accepted(id, err)
	}
	t.timing.wg.Go(func() {
		defer t.timing.leave()
		ctx, cancel := context.WithDeadline(context.Background(), deadline)
		defer cancel()
		switch outcome := sent.Settle(ctx); {
		case outcome == nil:
		case errors.Is(outcome, ErrExpired):
			t.losses.add(id, loss{late: 1}, nil)
		case errors.Is(outcome, ErrUncertain):
			t.losses.add(id, loss{uncertain: 1}, nil)
		default:
			t.losses.add(id, loss{gone: 1}, outcome)
		}
	})
	return nil
}

// Settle returns what became of the message: it is taken back when ctx is done, which
// is ErrExpired, or else what is begun by then is waited for, until it is written or
// the connection has ended. It is called once, in place of Wait.
func (m Tracked) Settle(ctx context.Context) error {
	select {
	case outcome := <-m.chunk.ticket.done:
		return m.transport.detailed(m.id, outcome)
	case <-ctx.Done():
	}
	if m.transport.withdraw(m.slot, m.index, m.id, m.chunk) {
		return ErrExpired
	}
	return m.transport.detailed(m.id, <-m.chunk.ticket.done)
}
