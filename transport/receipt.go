package transport

import (
	"context"
	"fmt"
	"time"

	"flamingo/idspace"
)

// This file waits for the acknowledgement of the TCP at the other end of a
// connection's socket: its system has what was written. Nothing here costs a
// connection for which nobody waits.

// Who waits looks at the socket that often: first after firstLook, then each time
// after twice as long, up to lastLook. An acknowledgement that is delayed takes up
// to 40 ms by itself.
const (
	firstLook = time.Millisecond
	lastLook  = 50 * time.Millisecond
)

// SendAcked is SendAs that waits on, until the TCP of the socket's other end has
// acknowledged the message, with all that was written before it. That end is the
// client's, or that of a proxy before it, see ConnInfo.Proxied. Acknowledged does
// not mean read: the program there may never look.
//
// When ctx is done, or the connection ends, after the message was written and
// before it was seen to be acknowledged, the error is ErrUncertain. ErrNoAck says
// that the connection's socket has no such thing, and nothing was sent.
func (t *Transport) SendAcked(ctx context.Context, id idspace.ID, kind Kind, msg []byte) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", ErrExpired, context.Cause(ctx))
	}
	sent, err := t.TrackAcked(id, kind, msg)
	if err != nil {
		return err
	}
	return sent.WaitAcked(ctx)
}

// TrackAcked is Track for WaitAcked. For a connection whose socket has no
// acknowledgements it is ErrNoAck, and nothing was queued.
func (t *Transport) TrackAcked(id idspace.ID, kind Kind, msg []byte) (Tracked, error) {
	s, i := t.table.find(id)
	if s == nil {
		return Tracked{}, t.missing(id)
	}
	m := Tracked{transport: t, slot: s, index: i, id: id}
	if _, _, err := m.look(); err != nil {
		if !m.holdsSocket() {
			err = t.missing(id)
		}
		return Tracked{}, err
	}
	return t.Track(id, kind, msg)
}

// WaitAcked is Wait that goes on until the other end's TCP has acknowledged the
// message. It is called once, in place of Wait.
func (m Tracked) WaitAcked(ctx context.Context) error {
	if err := m.Wait(ctx); err != nil {
		return err
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	target, known := uint64(0), false
	for pause := firstLook; ; pause = min(2*pause, lastLook) {
		acked, written, err := m.look()
		if err != nil {
			return err
		}
		if !known && written >= acked {
			target, known = written, true
		}
		if known && acked >= target {
			return nil
		}
		timer.Reset(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			return fmt.Errorf("%w: written, not acknowledged: %w", ErrUncertain, context.Cause(ctx))
		}
	}
}

// errUnacked: nobody can be asked any more.
var errUnacked = fmt.Errorf("%w: written, and the connection ended before it was seen to be acknowledged", ErrUncertain)

// look asks the connection's socket how many bytes the other end has acknowledged
// and how many were written. The socket is looked for by way of the slot each
// time: the number of one that is closed may be another connection's.
func (m Tracked) look() (acked, written uint64, err error) {
	m.slot.mu.Lock()
	defer m.slot.mu.Unlock()
	if !m.holdsSocketLocked() {
		return 0, 0, errUnacked
	}
	ctl := m.transport.drivers[m.slot.driver].control(m.slot.fd, func(fd int) { acked, written, err = tcpProgress(fd) })
	if ctl != nil {
		return 0, 0, ctl
	}
	return acked, written, err
}

func (m Tracked) holdsSocket() bool {
	m.slot.mu.Lock()
	defer m.slot.mu.Unlock()
	return m.holdsSocketLocked()
}

// holdsSocketLocked reports whether the slot still is the connection's and has
// its socket, which it keeps for a while after the end.
func (m Tracked) holdsSocketLocked() bool {
	return m.slot.id.Load() == uint64(m.id) && m.slot.has(holdSocket) && m.slot.fd >= 0
}
