package transport

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"flamingo/idspace"

	"golang.org/x/sys/unix"
)

// writeBudget is how many bytes a loop writes to one connection before it
// turns to the next.
const writeBudget = 256 << 10

// A loop is an event loop: one goroutine that does all system calls on the
// sockets of its connections. It alternates one round of events with one round
// of the connections that senders have put on its list, so neither starves.
type loop struct {
	t     *Transport
	index int
	poll  *poller
	conns atomic.Int32 // sockets served; read by whoever accepts

	accepting *sync.WaitGroup // loops that may still give connections to others

	parked    atomic.Bool // about to wait, or waiting: wake interrupts
	cancelled atomic.Bool // the context of run is done

	mu    sync.Mutex
	dirty []uint32 // guarded by mu: connections to attend to, each once

	// Owned by the goroutine of run.
	attending []uint32 // the list taken from dirty
	ready     []uint32 // connections with unread input
	paused    []uint32 // connections whose input waits for room in the inbox
	reading   []uint32 // the list taken from ready
	doomed    []int32  // sockets to close at the end of the turn
	now       uint32   // tick at the beginning of the turn
	wheel     wheel
	timer     *time.Timer // wakes the loop for the wheel
	armed     uint32      // tick for which the timer is set; 0: not set
	acceptors []*acceptor
	buf       []byte
	iovecs    [][]byte
	intake    intake
	asked     bool // the last turn began with asking epoll
	delivered bool // messages went into the inbox in this turn
	deaf      bool // the listeners of the loop are closed, the connections are not
	stopped   bool // closing was noticed and every connection condemned
	traffic   traffic
}

func newLoop(t *Transport, index int) (*loop, error) {
	p, err := newPoller()
	if err != nil {
		return nil, err
	}
	l := &loop{t: t, index: index, poll: p, buf: make([]byte, readBudget), intake: intake{t: t}}
	l.wheel.link = func(i uint32) *wheelLink { return &t.table.at(i).wheelLink }
	return l, nil
}

func (l *loop) attend(i uint32) {
	l.mu.Lock()
	l.dirty = append(l.dirty, i)
	l.mu.Unlock()
	l.wake()
}

func (l *loop) counts(st *Stats) { l.traffic.counts(st) }

func (l *loop) wake() {
	if l.parked.Load() && l.parked.CompareAndSwap(true, false) {
		l.poll.interrupt()
	}
}

func (l *loop) run(ctx context.Context) {
	defer l.teardown()
	defer context.AfterFunc(ctx, func() { l.cancelled.Store(true); l.wake() })()
	l.now = l.t.tick()
	l.wheel.now = l.now
	l.timer = time.AfterFunc(time.Hour, l.wake)
	defer l.timer.Stop()
	for !l.cancelled.Load() {
		l.turn()
		if l.delivered {
			// Whoever takes the messages goes first: its answers are then
			// written without the loop being parked and woken in between.
			l.delivered = false
			runtime.Gosched()
		}
		if !l.await() {
			return
		}
	}
}

// turn serves the events at hand and every dirty connection once.
func (l *loop) turn() {
	l.now = l.t.tick()
	for k := range l.poll.ready {
		ev := &l.poll.events[k]
		l.event(key(ev), ev.Events)
	}
	l.poll.ready = 0
	l.readOn()
	l.attendAll()
	l.t.shed()
	l.advance()
	l.resumeAccepting()
	l.checkDeaf()
	l.checkShutdown()
	for _, fd := range l.doomed {
		closeQuick(fd)
	}
	l.doomed = l.doomed[:0]
}

// await fetches the next events. While there is nothing else to do either, it
// parks the loop until something happens. It reports false when the epoll
// descriptor fails, which nothing but a bug of ours brings about.
func (l *loop) await() bool {
	l.parked.Store(true)
	defer l.parked.Store(false)
	if l.hasWork() {
		// Every other turn does without asking epoll: a turn that only writes
		// answers follows each that reads.
		if l.asked = !l.asked; l.asked {
			l.poll.poll()
		}
		return true
	}
	l.asked = true
	l.arm()
	if err := l.poll.wait(); err != nil {
		l.t.cfg.Logger.Error("event loop failed", "loop", l.index, "err", err)
		return false
	}
	return true
}

// hasWork reports whether there is something to do without an event. The
// caller has set parked, so what comes later wakes the loop.
func (l *loop) hasWork() bool {
	l.mu.Lock()
	dirty := len(l.dirty) > 0
	l.mu.Unlock()
	return dirty || l.cancelled.Load() ||
		l.armed != 0 && l.t.tick() >= l.armed || // the timer may have fired during the turn
		len(l.ready) > 0 || len(l.paused) > 0 && !l.t.inbox.starve() ||
		l.t.closing.Load() && !l.stopped || l.t.deaf.Load() && !l.deaf ||
		l.mayResumeAccepting()
}

// arm sets the timer for the next deadline of a connection or a listener.
func (l *loop) arm() {
	tick, ok := l.wheel.next()
	for _, a := range l.acceptors {
		if next := a.deadline(); next != 0 && (!ok || next < tick) {
			tick, ok = next, true
		}
	}
	if !ok || l.armed != 0 && l.armed <= tick {
		return
	}
	l.armed = tick
	l.timer.Reset(time.Until(l.t.start.Add(time.Duration(tick-1) * wheelTick)))
}

func (l *loop) advance() {
	if l.armed != 0 && l.now >= l.armed {
		l.armed = 0
	}
	l.wheel.advance(l.now, l.expire)
}

// after is the tick of a deadline d from now: never early, at most a tick late.
func (l *loop) after(d time.Duration) uint32 { return l.now + ticks(d) + 1 }

// behind are the events of which a short read does not reach the end: the end of
// input, an error, and TCP's urgent data, in front of which a read stops.
const behind = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR | unix.EPOLLPRI

// event serves one event of epoll. A key is the id of a connection, or, below
// the smallest id, the place of a listener.
func (l *loop) event(key uint64, events uint32) {
	if key < uint64(len(l.acceptors)) {
		l.acceptors[key].accept(l)
		return
	}
	s, i := l.t.table.find(idspace.ID(key))
	if s == nil || !serves(s, key) {
		return // of a connection that ended earlier in this turn
	}
	if events&unix.EPOLLOUT != 0 && s.has(flagBlocked) {
		s.flags.And(^flagBlocked)
		l.tend(s, i)
		if !serves(s, key) {
			return // it has ended, and its slot may be another loop's by now
		}
	}
	if events&unix.EPOLLERR != 0 && s.has(flagThrottled) {
		l.condemn(s, i, ReasonError) // what is read no more says nothing of it
		return
	}
	if events&(unix.EPOLLIN|behind) != 0 {
		l.read(s, i, events&behind != 0)
	}
}

// serves reports whether the loop, which is that of connection key, has its
// socket still, in slot s. In this order: once it has not, the slot may become
// another loop's between the two looks.
func serves(s *slot, key uint64) bool { return s.has(holdSocket) && s.id.Load() == key }

// attendedAtOnce is how many connections a loop tends to before it lets others run
// that are ready to. Writing to ten thousand takes tens of milliseconds; whoever
// has more for them meanwhile makes the writes that are still to come larger.
const attendedAtOnce = 64

// attendAll serves the connections that senders have put on the list.
func (l *loop) attendAll() {
	l.mu.Lock()
	l.attending, l.dirty = l.dirty, l.attending[:0]
	l.mu.Unlock()
	for k, i := range l.attending {
		if k%attendedAtOnce == attendedAtOnce-1 {
			runtime.Gosched()
		}
		s := l.t.table.at(i)
		served := s.has(holdSocket)
		if served && s.has(flagNew) {
			l.register(s, i)
		}
		l.t.unhold(s, i, holdDirty)
		if served { // else the slot may be another loop's by now
			l.tend(s, i)
		}
	}
}

// register begins to serve a connection that an acceptor has given to the
// loop. The acceptor's loop cannot do it: by then the connection may have ended
// and the number of its descriptor mean another one.
func (l *loop) register(s *slot, i uint32) {
	s.flags.And(^flagNew)
	if s.has(flagClosing) {
		return // refused
	}
	l.watch(s, i) // not at its first event: one that is blocked before has none
	why := ReasonShutdown
	if err := l.poll.add(s.fd, s.id.Load()); err != nil {
		l.t.cfg.Logger.Error("connection not registered", "id", idspace.ID(s.id.Load()), "err", err)
		why = ReasonError
	} else if !l.stopped {
		return
	}
	s.mu.Lock()
	l.t.condemnLocked(s, why)
	s.mu.Unlock()
}

// watch sets the next deadline of a connection that lives, or that of the phase
// which begins.
func (l *loop) watch(s *slot, i uint32) {
	s.mu.Lock()
	d := l.t.deadlineLocked(s, i, l.now)
	s.mu.Unlock()
	if d.tick == 0 {
		l.wheel.clear(i)
		return
	}
	l.wheel.set(i, d.tick)
}

// enter begins a phase that has a time of its own, once.
func (l *loop) enter(s *slot, i uint32, f slotFlag) {
	if !s.has(f) {
		s.flags.Or(f)
		l.watch(s, i)
	}
}

// tend writes what the connection was sent and does what its state asks for.
func (l *loop) tend(s *slot, i uint32) {
	b := l.t.table.buffers(i)
	s.mu.Lock()
	l.t.byeLocked(s, i)
	out := b.out
	if out != nil && out.takeLocked() || s.has(flagTouched) {
		s.lastActive.Store(l.now)
		s.flags.And(^flagTouched)
	}
	closing := s.has(flagClosing) // then nothing follows what was taken
	s.mu.Unlock()
	wrote, taken, broken := 0, 0, false
	if !s.has(flagBlocked | flagAbort | flagEnded) {
		if se := l.t.sessionOf(i); se != nil {
			wrote, taken, broken = l.writeSealed(s, se, out, closing)
		} else if out != nil {
			wrote, taken, broken = l.write(s, out)
		}
	}
	s.mu.Lock()
	if broken && !l.t.condemnLocked(s, ReasonError) {
		s.flags.Or(flagAbort)
	}
	l.t.wroteLocked(s, out, wrote)
	var written *ticket
	if out != nil {
		written = out.takeSettled()
	}
	if out != nil && out.idleLocked() {
		b.out = nil
		outputs.Put(out)
	}
	stalled := l.t.stallLocked(s, i, b.out != nil, taken)
	v := l.t.reviewLocked(s, i)
	again := false
	switch {
	case b.out == nil:
		again = v == verdictFlush && !s.has(flagBlocked) && l.t.dirtyLocked(s)
	case s.has(flagBlocked):
		b.out.putBackLocked()
	default:
		again = l.t.dirtyLocked(s)
	}
	relieved, id := l.t.relieveLocked(s), idspace.ID(s.id.Load())
	s.mu.Unlock()
	tellWritten(written)
	if relieved {
		l.t.cfg.Relieved(id)
	}
	if again {
		l.mu.Lock()
		l.dirty = append(l.dirty, i)
		l.mu.Unlock()
	}
	if stalled && v == verdictStay {
		l.watch(s, i)
	}
	l.obey(s, i, v)
	if v != verdictFinish && s.has(flagUnread) && s.has(holdSocket) { // else the slot may be another loop's by now
		l.later(s, i, false)
	}
}

// condemn ends the connection for reason why, unless it is ending already.
func (l *loop) condemn(s *slot, i uint32, why Reason) {
	s.mu.Lock()
	if !l.t.condemnLocked(s, why) && why.abrupt() {
		s.flags.Or(flagAbort)
	}
	s.mu.Unlock()
	l.tend(s, i)
}

func (l *loop) obey(s *slot, i uint32, v verdict) {
	switch v {
	case verdictStay:
	case verdictHalfClose:
		l.enter(s, i, flagHalfClose)
	case verdictFlush:
		l.enter(s, i, flagFlushing)
	case verdictFinish:
		l.finish(s, i)
	}
}

// finish ends the connection and closes its socket, at once or, when the
// client may still be sending, after it has had the chance to see our end.
func (l *loop) finish(s *slot, i uint32) {
	lingers := !s.has(flagAbort | flagEOF | flagReset)
	if lingers {
		s.flags.Or(flagLinger)
	}
	l.t.end(s, i)
	if !lingers || unix.Shutdown(int(s.fd), unix.SHUT_WR) != nil {
		l.release(s, i)
		return
	}
	s.tally = 0
	l.watch(s, i)
	l.discard(s, i)
}

// release gives up the socket. It is closed at the end of the turn, so that its
// number cannot come back while an event of this turn may still mean it.
func (l *loop) release(s *slot, i uint32) {
	l.wheel.clear(i)
	listener := l.t.bound[s.listener]
	s.mu.Lock()
	l.doomed = append(l.doomed, s.fd)
	s.fd = -1
	l.t.leaveLocked(s, i)
	s.mu.Unlock()
	l.conns.Add(-1)
	listener.conns.Add(-1)
	if listener.paused.Load() { // its own bound may have room while the slot stays in use
		l.t.drivers[listener.driver].wake()
	}
	l.t.unhold(s, i, holdSocket)
}

// expire meets the deadline of a connection.
func (l *loop) expire(i uint32) {
	s := l.t.table.at(i)
	s.mu.Lock()
	then := l.t.expireLocked(s, i, l.now, phaseOf(s.flags.Load()))
	s.mu.Unlock()
	switch then {
	case nextNone:
	case nextRead:
		l.later(s, i, false)
		l.watch(s, i)
	case nextWatch:
		l.watch(s, i)
	case nextWrite:
		l.watch(s, i)
		l.tend(s, i)
	case nextReview:
		l.tend(s, i)
	case nextRelease:
		l.release(s, i)
	}
}

// checkShutdown ends every connection of the loop once the transport closes.
func (l *loop) checkShutdown() {
	if l.stopped || !l.t.closing.Load() {
		return
	}
	l.stopped = true
	l.stopListening()
	l.eachOwn(func(s *slot, i uint32) { l.condemn(s, i, ReasonShutdown) })
}

// teardown drops every connection. It runs after the last turn.
func (l *loop) teardown() {
	l.t.closing.Store(true)
	l.stopListening()
	l.accepting.Done()
	l.accepting.Wait() // another loop may be about to give us a connection
	l.eachOwn(func(s *slot, i uint32) {
		s.mu.Lock()
		if !l.t.condemnLocked(s, ReasonShutdown) {
			s.flags.Or(flagAbort)
		}
		ended := s.has(flagEnded)
		s.mu.Unlock()
		if !ended {
			l.t.end(s, i)
		}
		l.release(s, i)
	})
	for _, fd := range l.doomed {
		unix.Close(int(fd))
	}
	l.ready = append(l.ready, l.paused...)
	l.paused = nil
	l.readOn()
	l.attendAll()
	l.poll.close()
}

func (l *loop) eachOwn(do func(s *slot, i uint32)) {
	for i := range l.t.table.slots() {
		s := l.t.table.at(i)
		s.mu.Lock()
		own := int(s.driver) == l.index && s.has(holdSocket)
		s.mu.Unlock()
		if own {
			do(s, i)
		}
	}
}
