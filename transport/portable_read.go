package transport

import (
	"errors"
	"io"
	"os"
	"time"
)

// Sizes in bytes of a reader's buffer. Each connection has one, so it begins
// small; it doubles when a read fills it.
const (
	minReadBuffer = 2 << 10
	maxReadBuffer = 64 << 10
)

// read is the reader: it turns what the client sends into messages until the
// input ends or the writer halts it.
func (c *portableConn) read() {
	c.buf = make([]byte, minReadBuffer)
	for {
		n, err := c.nc.Read(c.buf)
		if n > 0 {
			c.s.lastActive.Store(c.d.t.tick())
			if !c.receive(c.buf[:n]) || !c.awaitWire() {
				return
			}
		}
		if errors.Is(err, os.ErrDeadlineExceeded) || err == nil && c.s.has(flagUnread) {
			if !c.receiveUnread() {
				return
			}
			continue
		}
		if err != nil {
			if !errors.Is(err, io.EOF) || c.endHandshake() {
				c.inputEnded(err)
			}
			return
		}
		if n == len(c.buf) && n < maxReadBuffer && !c.s.has(flagOpening) {
			c.buf = make([]byte, 2*n)
		}
	}
}

// receiveUnread takes what waits in the wire, for which the reader was
// interrupted. It reports false if reading is over.
func (c *portableConn) receiveUnread() bool {
	c.s.flags.And(^flagUnread)
	_ = c.nc.SetReadDeadline(time.Time{})
	select {
	case <-c.halt: // whoever halts us sets the deadline after that
		return false
	default:
		return c.receive(nil)
	}
}

// awaitWire waits until the wire takes more. It reports false if the writer halts
// the reader.
func (c *portableConn) awaitWire() bool {
	for room := c.d.t.stuffed(c.i); room != nil; room = c.d.t.stuffed(c.i) {
		select {
		case <-room:
		case <-c.halt:
			return false
		}
	}
	return true
}

// endHandshake lets the handshake of TLS, if it is under way, have what was
// received before the input ended. It reports false if reading is over.
func (c *portableConn) endHandshake() bool {
	h := c.d.t.inputEnds(c.i)
	if h == nil {
		return true
	}
	select {
	case <-h.done:
		return c.receiveUnread()
	case <-c.halt:
		return false
	}
}

// receive takes what was read, or with data nil what waits in the wire, and
// returns when more may be read. It reports false if reading is over.
func (c *portableConn) receive(data []byte) bool {
	for c.receiveOnce(data) {
		switch {
		case c.s.has(flagThrottled) && !c.awaitTokens():
			return false
		case c.s.has(flagHeld):
			data = nil
		case c.ended:
			c.inputEnded(io.EOF)
			return false
		default:
			return true
		}
	}
	return false
}

// receiveOnce puts the messages in data, or with data nil in what waits in the
// wire, into the inbox once it has room, as far as the connection's rates allow.
// Until then nothing more is read. It reports false if reading is over.
func (c *portableConn) receiveOnce(data []byte) bool {
	in := c.awaitIntake()
	if in == nil {
		return false
	}
	if c.s.has(flagClosing) {
		c.d.intakes <- in
		return false
	}
	opening := c.s.has(flagOpening)
	messages, err := in.receive(c.s, c.i, data)
	moved := in.moved
	c.d.intakes <- in
	c.d.traffic.in(messages, moved)
	ended := errors.Is(err, errInputEnded)
	if (err == nil || ended) && (opening || c.s.has(flagThrottled)) {
		c.d.clock.watch(c)
	}
	switch {
	case err == nil:
		return true
	case ended:
		if c.s.has(flagHeld) {
			c.ended = true
			return true
		}
		c.inputEnded(io.EOF)
	default:
		c.condemn(reasonFor(err))
	}
	return false
}

// awaitTokens waits until the connection may be read again. It reports false if
// reading is over.
func (c *portableConn) awaitTokens() bool {
	for c.s.has(flagThrottled) {
		select {
		case <-c.resume:
		case <-c.halt:
			return false
		}
	}
	return true
}

// awaitIntake waits until the inbox has room and returns an intake, or nil if
// the writer halts the reader.
func (c *portableConn) awaitIntake() *intake {
	inbox := c.d.t.inbox
	for {
		in := <-c.d.intakes // whoever has one gives it back without waiting
		if inbox.hasRoom() || c.s.has(flagOpening) {
			if c.s.has(flagPaused) {
				c.s.flags.And(^flagPaused)
			}
			return in
		}
		c.d.intakes <- in
		c.s.flags.Or(flagPaused)
		room := c.d.room.passage()
		if !inbox.starve() {
			continue
		}
		select {
		case <-room:
		case <-c.halt:
			return nil
		}
	}
}

// inputEnded notes the end of the input, or the error that took its place.
func (c *portableConn) inputEnded(err error) {
	switch {
	case c.s.has(flagClosing): // we were interrupted, or the writer will see it
	case errors.Is(err, io.EOF) && !wasReset(c.nc):
		c.change(func() { c.s.flags.Or(flagEOF) })
	default:
		c.condemn(ReasonError)
	}
}
