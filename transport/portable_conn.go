package transport

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A portableConn is a connection of the portable driver. Its writer owns it:
// run starts the reader, writes, ends the connection and closes the socket.
// Everybody else (senders, the reader, the clock) reviews its state and rouses
// the writer; what must not wait for a blocked write, deadlines and aborting,
// whoever reviews does at once.
type portableConn struct {
	d  *portable
	nc net.Conn
	i  uint32
	s  *slot // ours while not gone

	gone  bool  // guarded by the slot's mu: the socket is given up and the slot may be another's
	phase phase // guarded by the clock's mu: that of its deadline

	roused  chan struct{} // capacity 1; sent by anyone, received by the writer; never closed
	resume  chan struct{} // capacity 1; sent by the clock, received by the reader: there are tokens; never closed
	halt    chan struct{} // closed by the writer: the reader ends
	ended   bool          // owned by the reader: the input has ended behind what is held
	dropped atomic.Bool   // set by drop: not to be lingered with

	buf     []byte      // owned by the reader, by the writer once the reader has ended
	buffers net.Buffers // owned by the writer
}

func newPortableConn(d *portable, nc net.Conn, i uint32) *portableConn {
	return &portableConn{
		d:      d,
		nc:     nc,
		i:      i,
		s:      d.t.table.at(i),
		roused: make(chan struct{}, 1),
		resume: make(chan struct{}, 1),
		halt:   make(chan struct{}),
	}
}

// A step is what a review asks for, at once.
type step struct {
	phase  phase // what begins and has a time of its own; phaseLife: nothing
	abort  bool  // interrupt reading and writing
	finish bool  // the writer ends the connection
}

// reviewLocked decides what is to be done about the connection. Each deadline
// is asked for once. The caller holds the slot's mu and knows that the slot is
// ours.
func (c *portableConn) reviewLocked() step {
	once := func(f slotFlag, p phase) step {
		if c.s.has(f) {
			return step{}
		}
		c.s.flags.Or(f)
		return step{phase: p}
	}
	switch c.d.t.reviewLocked(c.s, c.i) {
	case verdictHalfClose:
		return once(flagHalfClose, phaseAnswer)
	case verdictFlush:
		return once(flagFlushing, phaseFlush)
	case verdictFinish:
		return step{finish: true, abort: c.s.has(flagAbort)}
	case verdictStay:
		return step{}
	default:
		return step{}
	}
}

// obey does what a review asked for, and rouses the writer. The caller holds no
// lock.
func (c *portableConn) obey(now step) {
	c.d.clock.enter(c, now.phase)
	if now.abort {
		// Not Close, which may block for the time of SO_LINGER.
		_ = c.nc.SetDeadline(longAgo)
	}
	if c.s.has(flagUnread) && !c.s.has(flagEOF|flagEnded) {
		_ = c.nc.SetReadDeadline(longAgo)
	}
	select {
	case c.roused <- struct{}{}:
	default:
	}
}

// change applies do, with the slot's mu held, and then does what the new state
// asks for. It does nothing once the connection has given up its slot.
func (c *portableConn) change(do func()) {
	c.s.mu.Lock()
	if c.gone {
		c.s.mu.Unlock()
		return
	}
	do()
	now := c.reviewLocked()
	c.s.mu.Unlock()
	c.obey(now)
}

// condemn ends the connection for reason why, unless it is ending already.
func (c *portableConn) condemn(why Reason) {
	c.change(func() {
		if !c.d.t.condemnLocked(c.s, why) && why.abrupt() {
			c.s.flags.Or(flagAbort)
		}
	})
}

// drop ends the connection without writing or waiting for anything.
func (c *portableConn) drop() {
	c.dropped.Store(true)
	c.change(func() {
		c.d.t.condemnLocked(c.s, ReasonShutdown)
		c.s.flags.Or(flagAbort)
	})
	_ = c.nc.SetDeadline(longAgo) // it may be lingering, about which no review says anything
}

// run serves the connection until it has ended and its socket is closed.
func (c *portableConn) run() {
	var reading sync.WaitGroup
	reading.Go(c.read)
	c.d.clock.watch(c)
	for {
		todo, finish := c.next()
		if finish {
			break
		}
		if todo == (writing{}) {
			<-c.roused
			continue
		}
		if !c.write(todo) {
			c.condemn(ReasonError)
		}
	}
	close(c.halt)
	_ = c.nc.SetReadDeadline(longAgo)
	reading.Wait() // end takes over what the reader has received in part
	lingers := !c.s.has(flagAbort | flagEOF | flagReset)
	c.d.t.end(c.s, c.i)
	if lingers {
		c.linger()
	}
	c.release()
}

// A writing is what a writer has to write.
type writing struct {
	out     *output  // or nil, for what TLS has to say beside it
	session *session // TLS, which encrypts it, or nil
	closing bool     // nothing follows what TLS has to say
}

// next returns what to write, or nothing, to wait for it. finish says that the
// connection is to be ended. While there is output the connection counts as
// blocked, so that senders need not tell us of more.
func (c *portableConn) next() (todo writing, finish bool) {
	s, t := c.s, c.d.t
	var now step
	s.mu.Lock()
	todo.out = c.outputLocked()
	if todo.out == nil {
		s.flags.And(^flagBlocked)
		t.stallLocked(s, c.i, false, 0)
		now = c.reviewLocked()
		todo.out = c.outputLocked() // the review may have added the last words
	}
	stalled := false
	switch {
	case todo.out != nil:
		todo.session = t.sessionOf(c.i)
		stalled = t.stallLocked(s, c.i, true, 0)
	case !s.has(flagAbort) && t.owesLocked(s, c.i):
		todo = writing{session: t.sessionOf(c.i), closing: s.has(flagClosing)}
	}
	s.mu.Unlock()
	c.d.clock.enter(c, now.phase)
	if stalled {
		c.d.clock.watch(c)
	}
	return todo, now.finish
}

// outputLocked returns the output that is to be written next, or nil. The caller
// holds the slot's mu.
func (c *portableConn) outputLocked() *output {
	s, b := c.s, c.d.t.table.buffers(c.i)
	c.d.t.byeLocked(s, c.i)
	if b.out == nil || s.has(flagAbort) {
		return nil
	}
	b.out.takeLocked()
	if b.out.writing == nil {
		outputs.Put(b.out)
		b.out = nil
		return nil
	}
	s.flags.Or(flagBlocked)
	s.flags.And(^flagTouched)
	s.lastActive.Store(c.d.t.tick())
	return b.out
}

// linger shuts the socket for writing and throws input away until the client
// ends too, within bounds, so that our close does not become a reset.
func (c *portableConn) linger() {
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	_ = c.nc.SetReadDeadline(time.Now().Add(min(lingerTime, c.d.t.cfg.CloseTimeout)))
	for discarded := 0; discarded <= lingerBytes && !c.dropped.Load(); {
		n, err := c.nc.Read(c.buf)
		if err != nil {
			return
		}
		discarded += n
	}
}

// release gives up the slot and closes the socket.
func (c *portableConn) release() {
	t, listener := c.d.t, c.d.t.bound[c.s.listener]
	c.d.clock.forget(c)
	c.s.mu.Lock()
	c.s.fd = -1
	c.gone = true
	t.leaveLocked(c.s, c.i)
	c.s.mu.Unlock()
	c.d.conns.remove(c)
	c.nc.Close()
	listener.conns.Add(-1)
	t.unhold(c.s, c.i, holdSocket)
	if listener.paused.Load() { // the slot may be held still, but the listener has room
		c.d.wake()
	}
}
