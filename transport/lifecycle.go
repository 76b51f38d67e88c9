package transport

import (
	"errors"
	"time"

	"flamingo/idspace"
)

// This file holds the transitions of a connection that every driver shares.
// The driver of a connection calls them in this order: occupy; then, whenever
// something happens, review, and do as the verdict says; end; release.

// Bounds of the time after we have shut a connection for writing, in which
// input is thrown away so that our close does not become a reset.
const (
	lingerTime  = 2 * time.Second
	lingerBytes = 1 << 20
)

// errFull: every slot is in use.
var errFull = errors.New("connection limit reached")

// occupy makes a fresh socket a connection, in slot i, which the driver has
// taken from the table and may have given flags to begin with: it gets an id,
// and once its wire is ready, or at once if it has none, its open event is
// queued. On an error the slot is given back.
func (t *Transport) occupy(i uint32, listener, driver int, fd int32) error {
	s := t.table.at(i)
	s.mu.Lock()
	s.fd, s.listener, s.driver = fd, uint16(listener), uint8(driver)
	s.lastActive.Store(t.tick())
	s.flags.Or(holdSocket)
	t.plugLocked(s, i)
	opening := s.has(flagOpening)
	for {
		id, err := t.cfg.IDs.Next()
		if err != nil {
			t.leaveLocked(s, i)
			s.clearLocked()
			s.mu.Unlock()
			t.put(i)
			return err
		}
		if t.table.publish(i, id) {
			break
		}
	}
	s.mu.Unlock()
	t.bound[listener].conns.Add(1)
	if !opening {
		t.announce(s, i)
	}
	return nil
}

// openLocked makes the connection one that can be sent to. The caller holds the
// slot's mu, and calls announce once it has unlocked it.
func (t *Transport) openLocked(s *slot) {
	s.opened = time.Now().UnixNano()
	if t.cfg.Ignore&IgnoreOpens == 0 {
		s.flags.Or(holdOpen)
	}
}

// announce queues the open event of a connection.
func (t *Transport) announce(s *slot, i uint32) {
	t.totals.accepted.Add(1)
	if t.cfg.Ignore&IgnoreOpens == 0 && !t.opens.put(i) {
		t.unhold(s, i, holdOpen)
	}
}

// condemnLocked decides that the connection ends, and why, unless that was
// decided before. The caller holds the slot's mu.
func (t *Transport) condemnLocked(s *slot, why Reason) bool {
	if s.has(flagClosing | flagEnded) {
		return false
	}
	f := flagClosing
	if why.abrupt() {
		f |= flagAbort
	}
	if why == ReasonSent && !t.reportsEnds.Load() || t.cfg.Ignore&IgnoreCloses != 0 || s.has(flagOpening) {
		f |= flagSilent
	}
	s.reason = why
	t.rememberLocked(s, why)
	s.flags.Or(f)
	return true
}

// A verdict is what a driver has to do about a connection.
type verdict uint8

const (
	verdictStay      verdict = iota // nothing; it lives, or has ended
	verdictHalfClose                // give the client HalfClose for an answer
	verdictFlush                    // write what is queued, within CloseTimeout
	verdictFinish                   // end it
)

// reviewLocked decides what becomes of a connection. It is called by the
// driver, with the slot's mu held, after anything that may change the answer,
// and once there is no output that is empty. It may add to the output.
func (t *Transport) reviewLocked(s *slot, i uint32) verdict {
	f := s.flags.Load()
	if f&flagEnded != 0 {
		return verdictStay
	}
	if f&flagClosing == 0 {
		if f&flagEOF == 0 || s.queued.Load() > 0 || f&flagHeld != 0 || f&flagOpening != 0 && t.undecidedLocked(i) {
			return verdictStay
		}
		if !answeredLocked(s) {
			return verdictHalfClose
		}
		t.condemnLocked(s, ReasonClient)
		f = s.flags.Load()
	}
	t.byeLocked(s, i)
	if f&flagAbort != 0 || t.table.buffers(i).out == nil && !t.owesLocked(s, i) {
		return verdictFinish
	}
	return verdictFlush
}

// answeredLocked reports whether a client that ended its input has had its
// answers: it asked nothing; or something was sent to it after its last
// message was taken, and since its first one it was sent as many messages as it
// sent. Without the latter, of two workers that answer two messages the slower
// one would find the connection gone (ADR 4).
func answeredLocked(s *slot) bool {
	in := s.messagesIn
	return in == 0 || s.has(flagAnswered) && int64(s.messagesOut)-int64(s.tally) >= int64(in)
}

// end makes the id gone for good: what is not written is lost and accounted
// for, and the end is reported once the last message was taken.
func (t *Transport) end(s *slot, i uint32) {
	b := t.table.buffers(i)
	s.mu.Lock()
	var lost loss
	if out := b.out; out != nil {
		var messages int
		lost, messages = out.dropLocked()
		t.totals.messagesOut.Add(uint64(messages))
		b.out = nil
		t.countOutputLocked(s, out, int(out.shared-s.outBytes), -int(out.shared))
		out.relief = 0
		outputs.Put(out)
	}
	if w := t.table.wire(i); b.in != nil || w != nil && w.web != nil && w.web.state.Buffered() > 0 {
		b.in = nil
		t.totals.partials.Add(1)
	}
	if !s.has(flagSilent) {
		s.flags.Or(holdClose)
	}
	s.flags.Or(flagEnded)
	relieved := t.relieveLocked(s)
	code := t.closeCodeLocked(s, i)
	shake := t.shakeLocked(i)
	t.table.setWireLocked(i, t.table.wire(i).remains())
	id, why, tied := idspace.ID(s.id.Load()), s.reason, s.has(flagTied)
	count, opened := &t.totals.closed[why], !s.has(flagOpening)
	if !opened {
		count = &t.totals.unopened[why]
	}
	s.mu.Unlock()
	if shake != nil {
		shake.abandon()
	}
	count.Add(1)
	if relieved {
		t.cfg.Relieved(id)
	}
	if tied {
		t.cfg.Ended(id)
	}
	if code != 0 {
		t.ended.setCode(id, code)
	}
	if lost != (loss{}) {
		t.losses.add(id, lost, t.Gone(id))
	}
	if opened {
		t.cfg.Over(id, why)
	}
	t.settle(s, i, id)
}

// settle does what waits for the last message of a connection to be done with:
// the report of its end, the freeing of its slot, or the answer to its EOF.
func (t *Transport) settle(s *slot, i uint32, id idspace.ID) {
	s.mu.Lock()
	if s.id.Load() != uint64(id) || s.queued.Load() != 0 {
		s.mu.Unlock()
		return
	}
	attend := !s.has(flagEnded) && t.dirtyLocked(s)
	report := s.has(holdClose) && !s.has(flagReported)
	if report {
		s.flags.Or(flagReported)
	}
	freed := t.table.retireLocked(s, i)
	driver := s.driver
	s.mu.Unlock()
	switch {
	case attend:
		t.drivers[driver].attend(i)
	case report:
		if !t.closes.put(i) {
			t.unhold(s, i, holdClose)
		}
	case freed:
		t.put(i)
	}
}

// dirtyLocked claims the right to put the connection on its driver's list. The
// caller holds the slot's mu, and calls attend once it has unlocked it.
func (t *Transport) dirtyLocked(s *slot) bool {
	if s.has(holdDirty) {
		return false
	}
	s.flags.Or(holdDirty)
	return true
}

// unhold says that the slot is no longer used for what f stands for.
func (t *Transport) unhold(s *slot, i uint32, f slotFlag) {
	s.mu.Lock()
	s.flags.And(^f)
	freed := t.table.retireLocked(s, i)
	s.mu.Unlock()
	if freed {
		t.put(i)
	}
}

// put gives a cleared slot back and tells who waits for one.
func (t *Transport) put(i uint32) {
	t.table.put(i)
	if t.closing.Load() && t.table.live.Load() == 0 {
		t.empty()
	}
	for _, l := range t.bound {
		if l.paused.Load() {
			t.drivers[l.driver].wake()
		}
	}
}
