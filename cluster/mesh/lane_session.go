package mesh

import (
	"context"
	"net"
	"sync"
)

// start runs the lane in a goroutine of the mesh.
func (l *lane) start() {
	// If Run is ending, it settles what is queued.
	_ = l.link.spawn(func() { l.run(l.link.ctx) })
}

// probe connects a lane at rest if a send was refused since the last tick.
func (l *lane) probe() {
	l.mu.Lock()
	start := l.probing && !l.running && l.stopped == nil
	l.probing = false
	l.running, l.wanted = l.running || start, l.wanted || start
	l.mu.Unlock()
	if start {
		l.start()
	}
}

// run keeps a stream open while there is something to send or to wait for, and
// ends when a stream has ended and nothing is left.
func (l *lane) run(ctx context.Context) {
	l.link.lanesUp.Add(1)
	defer l.link.lanesUp.Add(-1)
	l.link.control.ensure()
	l.contact.wait = 0
	for l.more() {
		before := l.progress()
		c, err := l.contact.connect(ctx)
		if err != nil {
			l.fail(l.link.failure(ctx))
			continue
		}
		reason := l.serve(ctx, c)
		l.contact.ended()
		l.broke(reason, l.progress() != before)
	}
}

// broke looks what is left of the session now that its stream has ended. It is
// over when there is nothing to resume or no sense in it: what the peer takes for
// a fault would be one again, and so would be what breaks every stream for
// ReconnectTimeout.
func (l *lane) broke(reason Reason, progress bool) {
	if reason != ReasonIdle {
		l.breaks.Add(1)
	}
	if progress {
		l.contact.wait = 0
	}
	m := l.link.mesh
	l.mu.Lock()
	defer l.unlock()
	switch {
	case progress || l.quietLocked():
		l.stalled = 0
	case l.stalled == 0:
		l.stalled = m.clock()
	}
	stuck := l.stalled != 0 && m.clock()-l.stalled >= int64(m.cfg.ReconnectTimeout)
	if reason == ReasonIdle || reason.isFault() || stuck {
		l.interruptedLocked()
	}
}

// more reports whether the goroutine is needed on. If not, the lane is at rest
// by then, and the next send starts it again.
func (l *lane) more() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running = l.wanted || !l.quietLocked()
	if !l.running {
		l.log.clear()
		l.entries.slots = nil
		l.resumable = false
	}
	return l.running
}

// progress is a number that changes when the peer has taken or answered
// something.
func (l *lane) progress() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.log.acked + l.outcomes
}

// greeting is what the handshake says about this lane.
func (l *lane) greeting(h *hello) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h.kind, h.lane = streamLane, l.index
	h.nextSeq, h.nextOutcome = l.sent+1, l.outcomes+1
	if l.resumable {
		h.session, h.resume, h.nextSeq = l.session, 1, l.log.acked+1
	}
}

// greeted takes the answer to a greeting.
func (l *lane) greeted(h *hello, w *welcome) error {
	l.mu.Lock()
	defer l.unlock()
	if w.refusal == RefusalUnknownSession {
		l.interruptedLocked()
	}
	if w.refusal != RefusalNone {
		return nil
	}
	last := h.nextSeq
	if h.resume != 0 {
		last = l.sent + 1
	}
	if w.nextSeq < h.nextSeq || w.nextSeq > last || w.nextOutcome != h.nextOutcome {
		return reasonError{ReasonSequence}
	}
	l.resumes.Add(h.resume)
	l.session, l.resumable = h.session, true
	l.features = h.features & w.features
	l.handed, l.outcomeAck = w.nextSeq-1, l.outcomes
	l.log.rewind(w.nextSeq)
	return nil
}

// serve moves frames until the stream ends, and returns why it did.
func (l *lane) serve(ctx context.Context, c net.Conn) Reason {
	s := newStream(c, &l.link.traffic, &l.link.heard)
	defer context.AfterFunc(ctx, func() { s.end(l.link.ending()) })()
	l.mu.Lock()
	l.stream, l.closing, l.wanted, l.idleTicks = s, false, false, 0
	l.mu.Unlock()

	var writer sync.WaitGroup
	writer.Go(func() { l.write(s) })
	s.endFor(l.read(s))

	l.mu.Lock()
	l.stream = nil
	l.pressed.until = nil // the peer forgets it, too
	l.work.Broadcast()
	l.mu.Unlock()
	writer.Wait()
	l.link.mesh.ended(s, l.link.peer)
	return s.why()
}

// read takes acknowledgements and outcomes.
func (l *lane) read(s *stream) error {
	r, d, f := frameReader{stream: s}, newDecoder(), frame{}
	defer r.count()
	for {
		body, err := r.next()
		if err != nil {
			return err
		}
		if err := d.frame(body, &f); err != nil {
			return err
		}
		switch f.kind { //nolint:exhaustive // every other kind has no place on this end of a lane
		case kindAck:
			err = l.acknowledged(f.u[0])
		case kindOutcome:
			err = l.answeredFrame(&f)
		case kindPressure:
			err = l.pressure(&f)
		default:
			err = reasonError{ReasonUnexpected}
		}
		if err != nil {
			return err
		}
	}
}

func (l *lane) answeredFrame(f *frame) error {
	o := Outcome(min(f.u[3], 255))
	if !o.Valid() { // of a later release
		o = OutcomeUncertain
	}
	end, err := endFrom(f.u[4], f.u[5], f.u[6])
	if err != nil {
		return err
	}
	return l.answered(f.u[0], f.u[1], idOf(f.u[2]), verdict{o, end})
}

// write writes what is queued until the stream ends.
func (l *lane) write(s *stream) {
	for {
		b, frames := l.take(s)
		if b == nil {
			return
		}
		ok := s.write(b, frames)
		l.mu.Lock()
		l.log.wrote()
		l.mu.Unlock()
		if !ok {
			return
		}
	}
}

// take waits for something to write and hands it over: from here on it may
// have reached the peer. nil means that the stream ends.
func (l *lane) take(s *stream) (b []byte, frames int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if s.ended() || l.stream != s || l.closing {
			return nil, 0
		}
		l.partLocked()
		if l.log.pending() || l.outcomes != l.outcomeAck {
			break
		}
		awaitBatch(&l.work)
	}
	if l.outcomes != l.outcomeAck {
		l.log.open().uints(kindOutcomeAck, l.outcomes)
		l.log.close(0)
		l.outcomeAck = l.outcomes
	}
	l.setTimesLocked(l.handed, l.log.upTo())
	b, frames, last := l.log.take()
	l.handed = max(l.handed, last)
	if last > l.sent {
		l.sent = last
		l.handedLocked()
	}
	return b, frames
}

// restTicks is how many ticks a lane has nothing to do before it gives back what it
// keeps its messages in.
const restTicks = 2

// tick counts how long the lane has had nothing to do, and ends the stream
// when that is long enough.
func (l *lane) tick(limit int) {
	l.mu.Lock()
	s := l.stream
	if s == nil || !l.quietLocked() || l.outcomes != l.outcomeAck || l.idleMark != l.next {
		l.idleTicks, l.idleMark = 0, l.next
		l.mu.Unlock()
		return
	}
	if l.idleTicks++; l.idleTicks == restTicks {
		l.log.rest()
		l.entries.slots = nil
	}
	done := l.idleTicks >= limit
	l.closing = l.closing || done // nothing is handed over from here on
	l.mu.Unlock()
	if done {
		s.end(ReasonIdle)
	}
}

// kill ends the stream, if there is one.
func (l *lane) kill(r Reason) {
	l.mu.Lock()
	s := l.stream
	l.mu.Unlock()
	if s != nil {
		s.end(r)
	}
}
