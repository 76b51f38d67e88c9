package transport

import (
	"errors"
	"io"
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
			if !c.feed(c.buf[:n]) {
				return
			}
		}
		if err != nil {
			c.inputEnded(err)
			return
		}
		if n == len(c.buf) && n < maxReadBuffer {
			c.buf = make([]byte, 2*n)
		}
	}
}

// feed puts the messages in data into the inbox once it has room. Until then
// nothing more is read. It reports false if reading is over.
func (c *portableConn) feed(data []byte) bool {
	in := c.awaitIntake()
	if in == nil {
		return false
	}
	if c.s.has(flagClosing) {
		c.d.intakes <- in
		return false
	}
	messages, err := in.feed(c.s, c.i, data)
	c.d.intakes <- in
	c.d.traffic.in(messages, len(data))
	if err != nil {
		c.condemn(reasonFor(err))
		return false
	}
	return true
}

// awaitIntake waits until the inbox has room and returns an intake, or nil if
// the writer halts the reader.
func (c *portableConn) awaitIntake() *intake {
	inbox := c.d.t.inbox
	for {
		in := <-c.d.intakes // whoever has one gives it back without waiting
		if inbox.hasRoom() {
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
