package transport

import (
	"errors"

	"golang.org/x/sys/unix"
)

// readBudget is how many bytes a loop reads from one connection before it
// turns to the next: one system call, and at most two batches of long lines.
const readBudget = 64 << 10

// readOn reads from the connections that had unread input when their last turn
// ended, and once there is room from those that waited for it.
func (l *loop) readOn() {
	if len(l.paused) > 0 && l.t.inbox.hasRoom() {
		l.ready = append(l.ready, l.paused...)
		l.paused = l.paused[:0]
	}
	l.reading, l.ready = l.ready, l.reading[:0]
	for _, i := range l.reading {
		s := l.t.table.at(i)
		more, served := s.has(flagReadEnd), s.has(holdSocket)
		l.t.unhold(s, i, holdReady)
		if served { // else the slot may be another loop's by now
			l.read(s, i, more)
		}
	}
}

// later leaves the connection's input for the next turn. ending says that there
// is something behind it which edge-triggered epoll will not tell of again.
func (l *loop) later(s *slot, i uint32, ending bool) { l.hold(s, i, ending, &l.ready) }

// hold puts the connection on a list of those with unread input, unless it is
// on one.
func (l *loop) hold(s *slot, i uint32, ending bool, list *[]uint32) {
	if ending {
		s.flags.Or(flagReadEnd)
	}
	if !s.has(holdReady) {
		s.flags.Or(holdReady)
		*list = append(*list, i)
	}
}

// read takes one budget of input from the connection. ending says that the
// input has an end or an error behind what is there.
func (l *loop) read(s *slot, i uint32, ending bool) {
	switch f := s.flags.Load(); {
	case f&holdSocket == 0:
		return
	case f&flagLinger != 0:
		l.discard(s, i)
		return
	case f&holdReady != 0:
		l.later(s, i, ending)
		return
	case f&flagClosing != 0, f&flagEOF != 0 && f&(flagHeld|flagUnread) == 0:
		return
	case f&flagThrottled != 0, f&flagUnread == 0 && l.t.stuffed(i) != nil:
		if ending {
			s.flags.Or(flagReadEnd)
		}
		return
	case f&flagOpening == 0 && !l.t.inbox.hasRoom():
		s.flags.Or(flagPaused)
		l.hold(s, i, ending, &l.paused)
		return
	case f&flagPaused != 0:
		s.flags.And(^flagPaused)
	}
	if s.has(flagUnread | flagHeld) {
		s.flags.And(^flagUnread)
		if !l.receive(s, i, nil) {
			return
		}
		if s.has(flagThrottled) {
			l.later(s, i, ending)
			return
		}
	}
	if s.has(flagEOF) { // and what was held is taken
		l.tend(s, i)
		return
	}
	buf := l.buf
	if s.has(flagOpening) {
		buf = buf[:openingRead]
	}
	n, err := readQuick(s.fd, buf)
	switch {
	case n > 0:
		s.lastActive.Store(l.now)
		if l.receive(s, i, buf[:n]) && (ending || n == len(buf)) {
			l.later(s, i, ending)
		}
	case n == 0:
		l.t.inputEnds(i)
		s.flags.Or(flagEOF)
		l.tend(s, i)
	case err == unix.EINTR:
		l.later(s, i, ending)
	case err != unix.EAGAIN:
		l.condemn(s, i, ReasonError)
	}
}

// receive takes what was read, or with data nil what waits in the connection's
// wire. It reports false if nothing more is to be read.
func (l *loop) receive(s *slot, i uint32, data []byte) bool {
	opening := s.has(flagOpening)
	messages, err := l.intake.receive(s, i, data)
	l.traffic.in(messages, l.intake.moved)
	l.delivered = l.delivered || messages > 0
	ended := errors.Is(err, errInputEnded)
	if (err == nil || ended) && (opening || s.has(flagThrottled)) {
		l.watch(s, i)
	}
	switch {
	case err == nil:
		return true
	case ended:
		s.flags.Or(flagEOF)
		l.tend(s, i)
	default:
		l.condemn(s, i, reasonFor(err))
	}
	return false
}

// discard throws input away after our end of the connection was shut.
func (l *loop) discard(s *slot, i uint32) {
	for {
		n, err := readQuick(s.fd, l.buf)
		switch {
		case n > 0:
			s.tally += uint32(n)
			if s.tally > lingerBytes {
				l.release(s, i)
				return
			}
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return
		default:
			l.release(s, i)
			return
		}
	}
}
