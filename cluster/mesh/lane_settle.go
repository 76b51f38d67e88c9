package mesh

import (
	"context"

	"flamingo/idspace"
)

// acknowledged takes the peer's word that all frames up to seq are done with. In
// a session that is resumed it may say less than it said before.
func (l *lane) acknowledged(seq uint64) error {
	l.mu.Lock()
	defer l.unlock()
	if seq > l.handed {
		return reasonError{ReasonAck}
	}
	freed := 0
	for l.entries.first <= seq {
		e := l.entries.pop()
		freed += e.size
		if e.kind == entryWait {
			l.waits[e.ticket.seq] = e.ticket
		}
	}
	l.log.acknowledge(seq)
	l.trimTimedLocked(seq)
	l.room.releaseLocked(freed)
	l.settledLocked()
	return nil
}

// answered takes outcome number n, which refers to frame seq. id zero stands
// for every id of the frame.
func (l *lane) answered(n, seq uint64, id idspace.ID, a verdict) error {
	l.mu.Lock()
	defer l.unlock()
	if n != l.outcomes+1 {
		return reasonError{ReasonSequence}
	}
	l.outcomes = n
	l.work.Signal()
	if t := l.waits[seq]; t != nil {
		delete(l.waits, seq)
		l.finishLocked(t, a)
		l.settledLocked()
		return nil
	}
	if !l.entries.has(seq) || seq > l.handed {
		return reasonError{ReasonAck}
	}
	e := l.entries.at(seq)
	if id != 0 && e.kind != entryMany && e.kind != entryNone && id != e.id {
		return reasonError{ReasonAck}
	}
	if e.kind == entryMany && id != 0 {
		return l.answeredOneLocked(e.ticket, id, a)
	}
	l.settleLocked(*e, a)
	e.kind, e.ticket = entryNone, nil
	return nil
}

// answeredOneLocked settles one id of a frame with several. The outcomes of a
// frame come in the order of its ids.
func (l *lane) answeredOneLocked(t *ticket, id idspace.ID, a verdict) error {
	for t.cursor < len(t.ids) {
		t.cursor++
		if t.ids[t.cursor-1] == id {
			l.loseLocked(Undelivered{ID: id, Outcome: a.Outcome, End: a.end, Messages: 1})
			return nil
		}
	}
	return reasonError{ReasonAck}
}

// settleLocked ends what e stands for.
func (l *lane) settleLocked(e entry, a verdict) {
	switch e.kind {
	case entryData:
		l.loseLocked(Undelivered{ID: e.id, Outcome: a.Outcome, End: a.end, Messages: 1})
	case entryClose:
		l.loseLocked(Undelivered{ID: e.id, Outcome: a.Outcome, End: a.end, Closes: 1})
	case entryMany:
		for _, id := range e.ticket.ids[e.ticket.cursor:] {
			l.loseLocked(Undelivered{ID: id, Outcome: a.Outcome, End: a.end, Messages: 1})
		}
	case entryWait:
		l.finishLocked(e.ticket, a)
	case entryPublish:
		l.loseLocked(Undelivered{Group: e.ticket.group, Peer: l.link.peer, Outcome: a.Outcome, End: a.end, Messages: 1})
	case entryNone:
	}
}

func (l *lane) loseLocked(u Undelivered) {
	if u.Outcome == OutcomeAccepted { // no owner says that of what it refuses
		u.Outcome = OutcomeUncertain
	}
	l.lost = append(l.lost, u)
}

// finishLocked tells who waits, or, if nobody does, who is told what was not
// written.
func (l *lane) finishLocked(t *ticket, a verdict) {
	l.waiting--
	if t.ended {
		return
	}
	t.ended = true
	if t.done != nil {
		t.done <- a
		return
	}
	delete(l.async, t)
	if a.Outcome != OutcomeAccepted {
		l.loseLocked(Undelivered{ID: t.id, Outcome: a.Outcome, End: a.end, Messages: 1})
	}
}

// interruptedLocked ends the session, and what was handed to it: nobody can say
// what became of that. What was not handed over stays queued. There is no stream.
func (l *lane) interruptedLocked() {
	if l.entries.first <= l.sent || len(l.waits) > 0 {
		l.losses.Add(1)
	}
	l.resumable, l.stalled = false, 0
	l.log.rewind(l.sent + 1)
	l.trimTimedLocked(l.sent)
	freed := 0
	for l.entries.first <= l.sent {
		e := l.entries.pop()
		freed += e.size
		l.settleLocked(e, only(OutcomeUncertain))
	}
	for seq, t := range l.waits {
		delete(l.waits, seq)
		l.finishLocked(t, only(OutcomeUncertain))
	}
	l.restartLocked()
	l.room.releaseLocked(freed)
	l.settledLocked()
}

// fail ends the session as interruptedLocked does, and what is queued with o. There
// is no stream.
func (l *lane) fail(o Outcome) {
	l.mu.Lock()
	defer l.unlock()
	l.interruptedLocked()
	l.failLocked(o)
}

func (l *lane) failLocked(o Outcome) {
	l.wanted = false
	freed := 0
	for l.entries.count > 0 {
		e := l.entries.pop()
		freed += e.size
		l.settleLocked(e, only(o))
	}
	seen := make(map[*item]bool)
	for _, line := range l.parts.fifos {
		for _, it := range line {
			if !seen[it] && it.last == 0 { // else its entry is settled
				freed += it.size
				l.settleLocked(entryOf(&it.message, it.size, it.ticket), only(o))
			}
			seen[it] = true
		}
	}
	clear(l.parts.fifos)
	l.parts.long = nil
	l.log.clear()
	l.sent, l.timed = l.next-1, nil
	l.room.releaseLocked(freed)
	l.settledLocked()
}

// shut makes the lane refuse every send with err from now on.
func (l *lane) shut(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped == nil {
		l.stopped = err
	}
}

// quietLocked reports whether nothing is queued and nothing is owed to anyone.
func (l *lane) quietLocked() bool {
	return l.entries.count == 0 && len(l.parts.fifos) == 0 && len(l.waits) == 0
}

func (l *lane) settledLocked() {
	if len(l.settling) == 0 || !l.quietLocked() {
		return
	}
	for _, c := range l.settling {
		close(c)
	}
	l.settling = nil
}

// flush waits until every send so far has its outcome, or ctx is done.
func (l *lane) flush(ctx context.Context) error {
	l.mu.Lock()
	if l.quietLocked() {
		l.mu.Unlock()
		return nil
	}
	quiet := make(chan struct{})
	l.settling = append(l.settling, quiet)
	l.mu.Unlock()
	select {
	case <-quiet:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
