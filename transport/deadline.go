package transport

// This file holds what a connection has a deadline for, and what becomes of it
// when that comes. A connection has one place on its driver's wheel: that of
// its earliest deadline. Those of a connection that lives move away while it
// waits, of which the wheel is not told: when the place comes up, the driver
// asks again. So a deadline is to be told only when it may be earlier than
// before.

// A phase is how far a connection has come, as far as its deadlines go. It only
// grows.
type phase uint8

const (
	phaseLife   phase = iota // opening, and open
	phaseAnswer              // the client ended its input and may have an answer, for HalfClose
	phaseFlush               // the last output is written, for CloseTimeout
	phaseLinger              // shut for writing, for lingerTime
	phaseOver                // no deadline any more
)

func phaseOf(f slotFlag) phase {
	switch {
	case f&flagLinger != 0:
		return phaseLinger
	case f&flagFlushing != 0:
		return phaseFlush
	case f&flagHalfClose != 0:
		return phaseAnswer
	default:
		return phaseLife
	}
}

// An aim is what a deadline of a connection that lives is for.
type aim uint8

const (
	aimNone     aim = iota
	aimOpening      // a layer of its wire, for its time
	aimFirst        // its first message, for FirstMessageTimeout
	aimActivity     // a byte or a send, for IdleTimeout
	aimWrite        // the kernel to take output, for WriteTimeout
	aimLifetime     // its end, at MaxLifetime
	aimTokens       // tokens of its rates: it is read again
	aimPing         // a byte, for Ping: a ping asks for one
	aimPong         // a byte after a ping, for PongTimeout
)

// A deadline is a tick, or 0 for none, and what is to happen by then.
type deadline struct {
	tick uint32
	aim  aim
}

// sooner makes d the deadline at tick, if that is earlier.
func (d *deadline) sooner(tick uint32, a aim) {
	if d.tick == 0 || tick < d.tick {
		*d = deadline{tick, a}
	}
}

// deadlineLocked returns the next deadline of connection i. In a phase with a
// time of its own it counts from now: the driver asks when that phase begins,
// and leaves the deadline as it is from then on. The caller holds the slot's mu.
func (t *Transport) deadlineLocked(s *slot, i, now uint32) (d deadline) {
	f := s.flags.Load()
	switch phaseOf(f) {
	case phaseLinger:
		d.tick = now + ticks(min(lingerTime, t.cfg.CloseTimeout)) + 1
		return d
	case phaseFlush:
		d.tick = now + ticks(t.cfg.CloseTimeout) + 1
		return d
	case phaseAnswer:
		d.tick = now + ticks(t.cfg.HalfClose) + 1
		return d
	case phaseLife, phaseOver:
	}
	if f&(flagClosing|flagEnded) != 0 {
		return d
	}
	l, w := &t.bound[s.listener].Limits, t.table.wire(i)
	if w != nil && w.opening != nil {
		return deadline{w.opening.until(now), aimOpening}
	}
	if l.IdleTimeout > 0 {
		d.sooner(s.lastActive.Load()+ticks(l.IdleTimeout)+1, aimActivity)
	}
	if w != nil && w.web != nil && f&flagEOF == 0 { // else there can be no sign of life
		w.web.deadline(&d, t.bound[s.listener].WebSocket, now)
	}
	if w == nil || w.meter == nil {
		return d
	}
	m := w.meter
	if l.FirstMessageTimeout > 0 && s.messagesIn == 0 {
		d.sooner(m.opened+ticks(l.FirstMessageTimeout)+1, aimFirst)
	}
	if m.stuck != 0 {
		d.sooner(m.stuck+ticks(l.WriteTimeout)+1, aimWrite)
	}
	if m.until != 0 {
		d.sooner(m.until, aimLifetime)
	}
	if f&flagThrottled != 0 {
		d.sooner(m.resume, aimTokens)
	}
	return d
}

// A next is what the driver does after a deadline.
type next uint8

const (
	nextNone    next = iota // nothing: the deadline was that of an earlier phase
	nextWatch               // give the connection its next deadline
	nextRead                // that, and read from it again
	nextWrite               // that, and write its output
	nextReview              // review it: it ends, or its output is not waited for
	nextRelease             // give the socket up
)

// expireLocked does what the deadline of connection i was for, which had it in
// phase p. The caller holds the slot's mu.
func (t *Transport) expireLocked(s *slot, i, now uint32, p phase) next {
	f := s.flags.Load()
	if phaseOf(f) != p {
		return nextNone
	}
	switch p {
	case phaseLinger:
		return nextRelease
	case phaseFlush:
		s.flags.Or(flagAbort)
		return nextReview
	case phaseAnswer:
		t.condemnLocked(s, ReasonClient)
		return nextReview
	case phaseLife:
		if f&(flagClosing|flagEnded) != 0 {
			return nextNone
		}
		return t.expireLifeLocked(s, i, now)
	case phaseOver:
	}
	return nextNone
}

func (t *Transport) expireLifeLocked(s *slot, i, now uint32) next {
	t.excuseLocked(s, i, now)
	d := t.deadlineLocked(s, i, now)
	if d.tick == 0 || d.tick > now {
		return nextWatch
	}
	why := ReasonNone
	switch d.aim {
	case aimOpening, aimFirst, aimPong:
		why = ReasonTimeout
	case aimActivity:
		why = ReasonIdle
	case aimWrite:
		why = ReasonSlow
	case aimLifetime:
		why = ReasonLifetime
	case aimTokens:
		s.flags.And(^flagThrottled)
		return nextRead
	case aimPing:
		t.pingLocked(s, i, now)
		return nextWrite
	case aimNone:
		return nextNone
	}
	t.condemnLocked(s, why)
	return nextReview
}

// excuseLocked lets time begin anew for a client that was kept from using it:
// we do not read from it, or there was a send that is not written.
func (t *Transport) excuseLocked(s *slot, i, now uint32) {
	f := s.flags.Load()
	if f&(flagTouched|flagPaused|flagThrottled) == 0 {
		return
	}
	s.flags.And(^flagTouched)
	s.lastActive.Store(now)
	w := t.table.wire(i)
	if w == nil || f&(flagPaused|flagThrottled) == 0 {
		return
	}
	if w.meter != nil {
		w.meter.opened = now
	}
	if w.web != nil {
		w.web.excuse(now)
	}
}
