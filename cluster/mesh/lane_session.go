package mesh

import (
	"context"
	"net"
	"slices"
	"sync"
)

// start runs the lane in a goroutine of the mesh.
func (l *lane) start() {
	// If Run is ending, it settles what is queued.
	_ = l.link.mesh.spawn(func() { l.run(l.link.ctx) })
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

// run keeps a session open while there is something to send, and ends when a
// session has ended and nothing is left.
func (l *lane) run(ctx context.Context) {
	l.link.lanesUp.Add(1)
	defer l.link.lanesUp.Add(-1)
	l.link.control.ensure()
	l.contact.wait = 0
	for l.more() {
		c, err := l.contact.connect(ctx)
		if err != nil {
			l.fail(l.link.failure(ctx))
			continue
		}
		before := l.progress()
		reason := l.serve(ctx, c)
		l.interrupted()
		l.contact.ended()
		if l.progress() != before {
			l.contact.wait = 0
		}
		if reason != ReasonIdle {
			l.breaks.Add(1)
		}
	}
}

// more reports whether the goroutine is needed on. If not, the lane is at rest
// by then, and the next send starts it again.
func (l *lane) more() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running = l.wanted || l.entries.count > 0 || len(l.parts.fifos) > 0
	if !l.running {
		l.free, l.queue, l.enc.buf, l.entries.slots = nil, nil, nil, nil
	}
	return l.running
}

// progress is a number that changes when the peer has taken something.
func (l *lane) progress() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.entries.first
}

// greeting is what the handshake says about this lane.
func (l *lane) greeting(h *hello) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h.kind, h.lane = streamLane, l.index
	h.attempt = l.attempts.Add(1)
	h.nextSeq, h.nextOutcome = l.sent+1, 1
}

// serve moves frames until the session ends, and returns why it did.
func (l *lane) serve(ctx context.Context, c net.Conn) Reason {
	s := newStream(c, &l.link.traffic, &l.link.heard)
	defer context.AfterFunc(ctx, func() { s.end(l.link.ending()) })()
	l.mu.Lock()
	l.session, l.closing, l.wanted = s, false, false
	l.outcomes, l.outcomeAck, l.idleTicks = 0, 0, 0
	l.mu.Unlock()

	var writer sync.WaitGroup
	writer.Go(func() { l.write(s) })
	s.endFor(l.read(s))

	l.mu.Lock()
	l.session = nil
	l.work.Broadcast()
	l.mu.Unlock()
	writer.Wait()
	l.link.mesh.ended(s, l.link.peer)
	return s.why()
}

// read takes acknowledgements and outcomes.
func (l *lane) read(s *stream) error {
	r, d, f := frameReader{stream: s}, newDecoder(), frame{}
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
	return l.answered(f.u[0], f.u[1], idOf(f.u[2]), o)
}

// write writes chunks until the session ends.
func (l *lane) write(s *stream) {
	for {
		c := l.take(s)
		if c == nil {
			return
		}
		ok := s.write(c.buf, c.frames)
		l.recycle(c)
		if !ok {
			return
		}
	}
}

// take waits for something to write and hands it over: from here on it may
// have reached the peer. nil means that the session ends.
func (l *lane) take(s *stream) *chunk {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if s.ended() || l.session != s || l.closing {
			return nil
		}
		l.partLocked()
		if len(l.queue) > 0 || l.outcomes != l.outcomeAck {
			break
		}
		awaitBatch(&l.work)
	}
	var c *chunk
	if len(l.queue) > 0 {
		c = l.queue[0]
		l.queue = slices.Delete(l.queue, 0, 1)
		l.sent = c.last
		l.handedLocked()
	} else {
		c = l.freshLocked()
	}
	if l.outcomes != l.outcomeAck {
		l.enc.buf = c.buf
		l.enc.uints(kindOutcomeAck, l.outcomes)
		c.buf = l.enc.buf
		c.frames++
		l.outcomeAck = l.outcomes
	}
	return c
}

// tick counts how long the lane has had nothing to do, and ends the session
// when that is long enough.
func (l *lane) tick(limit int) {
	l.mu.Lock()
	s := l.session
	if s == nil || !l.quietLocked() || l.outcomes != l.outcomeAck || l.idleMark != l.next {
		l.idleTicks, l.idleMark = 0, l.next
		l.mu.Unlock()
		return
	}
	l.idleTicks++
	done := l.idleTicks >= limit
	l.closing = l.closing || done // nothing is handed over from here on
	l.mu.Unlock()
	if done {
		s.end(ReasonIdle)
	}
}

// kill ends the session, if there is one.
func (l *lane) kill(r Reason) {
	l.mu.Lock()
	s := l.session
	l.mu.Unlock()
	if s != nil {
		s.end(r)
	}
}
