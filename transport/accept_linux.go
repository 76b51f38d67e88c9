package transport

import (
	"time"

	"golang.org/x/sys/unix"
)

// acceptBudget is how many connections a loop accepts from one listener before
// it turns to its connections.
const acceptBudget = 64

// An acceptor accepts the connections of one listener, on one loop.
type acceptor struct {
	*boundListener
	fd     int32
	place  uint64 // key of its events
	since  uint32 // tick at which accepting stopped; 0 while it goes on
	first  uint32 // since of the first of the pauses that count as one; 0: none
	went   uint32 // tick at which the last of them ended
	retry  uint32 // tick at which to try again; 0: when there is room
	told   bool   // the log says why accepting stands still
	taken  uint64 // connections accepted
	cause  error  // why it stopped
	closed bool
}

// accept takes what waits in the kernel's queue, within the budget. A slot is
// reserved first: with several listeners the last one could go to another, and
// a client be turned away that the kernel has welcomed.
func (a *acceptor) accept(l *loop) {
	for range acceptBudget {
		if a.since != 0 || a.closed {
			return
		}
		if d := a.tooFast(l.t); d > 0 {
			a.slow(l, d)
			return
		}
		i, ok := uint32(0), false
		if !a.full() {
			i, ok = l.t.table.take()
		}
		if !ok {
			a.pause(l, 0, errFull)
			return
		}
		fd, err := acceptQuick(a.fd)
		if err == nil {
			a.admit(l, i, fd)
			continue
		}
		l.t.put(i)
		switch err {
		case unix.EAGAIN:
			return
		case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM:
			a.pause(l, retryAfter, err)
			return
		default: // EINTR, ECONNABORTED and the like concern one connection
			l.t.totals.acceptErrors.Add(1)
		}
	}
}

// admit makes a connection of the socket, in slot i, and gives it to the loop
// that serves the fewest.
func (a *acceptor) admit(l *loop, i uint32, fd int32) {
	to := l.t.quietest()
	to.conns.Add(1)
	l.t.table.at(i).flags.Store(flagNew | holdDirty)
	if err := l.t.occupy(i, a.index, to.index, fd); err != nil {
		to.conns.Add(-1)
		l.doomed = append(l.doomed, fd)
		l.t.totals.rejected.Add(1)
		a.pause(l, retryAfter, err)
		return
	}
	if a.Network == "unix" { // which inherits nothing
		setBuffers(int(fd), &a.Listener)
	}
	a.taken++
	a.accepted(l.t)
	a.flows(l)
	to.attend(i)
}

// pause stops accepting for d, or with d zero until there is room.
func (a *acceptor) pause(l *loop, d time.Duration, cause error) {
	a.since, a.cause, a.retry = l.now, cause, 0
	if d > 0 {
		a.retry = l.after(d)
	}
	if a.first == 0 || l.now > a.went+ticks(retryAfter) {
		a.flows(l)
		a.first = l.now
	}
	l.t.totals.acceptPauses.Add(1)
	a.unplug(l)
	a.paused.Store(true)
}

// slow stops accepting for d, since the rate is reached: no fault, of which the
// log tells once.
func (a *acceptor) slow(l *loop, d time.Duration) {
	a.since, a.retry, a.cause = l.now, l.after(d), errTooFast
	a.unplug(l)
}

// unplug takes the listener out of epoll.
func (a *acceptor) unplug(l *loop) {
	if err := l.poll.remove(a.fd); err != nil {
		l.t.cfg.Logger.Error("listener not paused", "listener", a.String(), "err", err)
	}
}

// mayResume reports whether the cause of the pause may be over.
func (a *acceptor) mayResume(l *loop) bool {
	if a.closed || a.since == 0 {
		return false
	}
	if a.retry != 0 {
		return l.now >= a.retry
	}
	return !l.t.table.full() && !a.full()
}

// deadline is the tick at which the acceptor has something to do; 0: none.
func (a *acceptor) deadline() uint32 {
	switch {
	case a.closed || a.since == 0:
		return 0
	case a.retry != 0:
		return a.retry // one of its retries tells
	case !a.told:
		return a.first + ticks(tellAfter) + 1
	default:
		return 0
	}
}

// resumeAccepting lets listeners accept again whose pause is over, and tells
// of those that stand still.
func (l *loop) resumeAccepting() {
	for _, a := range l.acceptors {
		switch {
		case a.closed || a.since == 0:
		case a.mayResume(l):
			if a.retry != 0 && !a.told && a.cause != errTooFast && l.now > a.first+ticks(tellAfter) {
				a.tell(l)
			}
			a.resume(l)
		case !a.told && a.cause != errTooFast && l.now > a.first+ticks(tellAfter):
			a.tell(l)
		}
	}
}

// resume puts the listener back into epoll. A pause that comes back before a
// connection was accepted goes on counting as the same one in the log.
func (a *acceptor) resume(l *loop) {
	if err := l.poll.listen(a.fd, a.place); err != nil {
		a.retry = l.after(retryAfter)
		l.t.cfg.Logger.Error("listener not resumed", "listener", a.String(), "err", err)
		return
	}
	if a.cause != errTooFast {
		a.went = l.now
	}
	a.since, a.retry = 0, 0
	a.paused.Store(false)
}

// flows notes that accepting does not stand still, or not any more.
func (a *acceptor) flows(l *loop) {
	if a.told {
		l.t.tellResumed(a.boundListener)
	}
	a.first, a.told = 0, false
}

// tell says in the log why accepting stands still.
func (a *acceptor) tell(l *loop) {
	a.told = true
	l.t.tellPaused(a.boundListener, a.cause)
}

func (l *loop) mayResumeAccepting() bool {
	for _, a := range l.acceptors {
		if a.mayResume(l) {
			return true
		}
	}
	return false
}

// lastAccepts bounds how often a loop takes acceptBudget connections more from a
// listener before it closes it: what the system has let in would be reset.
const lastAccepts = 64

// checkDeaf closes the listeners of the loop once the transport accepts no more.
func (l *loop) checkDeaf() {
	if l.deaf || !l.t.deaf.Load() || l.stopped {
		return
	}
	l.deaf = true
	for _, a := range l.acceptors {
		for range lastAccepts {
			before := a.taken
			if a.accept(l); a.taken == before {
				break
			}
		}
	}
	l.stopListening()
}

// stopListening closes the listening sockets of the loop.
func (l *loop) stopListening() {
	for _, a := range l.acceptors {
		if !a.closed {
			a.closed = true
			unix.Close(int(a.fd))
			a.removeSocketFile()
		}
	}
}

// quietest returns the loop that serves the fewest connections.
func (t *Transport) quietest() *loop {
	var best *loop
	for _, d := range t.drivers {
		if l, ok := d.(*loop); ok && (best == nil || l.conns.Load() < best.conns.Load()) {
			best = l
		}
	}
	return best
}
