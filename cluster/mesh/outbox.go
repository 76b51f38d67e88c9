package mesh

import (
	"sync"
	"time"

	"flamingo/idspace"
)

// outboxLimit bounds what waits to be written to a peer that does not read, in
// bytes: the outcomes a lane may owe, 48 bytes each at most. At the bound the
// stream ends.
const outboxLimit = 48 * maxOutcomes

// boxFree is how many free segments an outbox keeps.
const boxFree = 2

// An acknowledgement frees the window of the sender, who has no hurry unless it
// has sent much: one for so many frames, or after so long, spares both ends the
// work of one for each frame where frames come one by one. ackFrames of the
// longest are an eighth of DefaultWindow.
const (
	ackFrames = 16
	ackDelay  = time.Millisecond
)

// An outbox is the queue of small frames towards a peer: answers on an inbound
// stream, everything on a control stream. One goroutine, write, empties it. That of
// a lane belongs to its session, and may be without a stream for a while.
type outbox struct {
	mu       sync.Mutex
	more     sync.Cond
	log      journal // guarded by mu, as all below
	stream   *stream // nil while there is none
	ack      uint64  // the last frame taken, of a lane
	acked    uint64  // the ack that was written
	due      bool    // ack is to be written now, unless it was
	late     *time.Timer
	timing   bool   // late runs: ack is to be written then
	outcomes uint64 // the number of the last outcome
	settled  uint64 // the last outcome the peer acknowledged
	stopped  bool
	broken   bool // an outcome found no room: there is nothing to resume any more
}

// newOutbox returns the outbox of a stream, or for a session one without.
func newOutbox(s *stream) *outbox {
	b := &outbox{log: newJournal(boxFree), stream: s}
	b.more.L = &b.mu
	return b
}

// hurry makes an acknowledgement due that has waited.
func (b *outbox) hurry() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.timing, b.due = false, true
	b.more.Signal()
}

// attach gives the outbox of a session a stream: on it everything up to frame ack
// was taken, and the peer has the outcomes up to settled. It reports false if it
// does not have the others any more.
func (b *outbox) attach(s *stream, ack, settled uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped || b.broken || settled < b.settled || settled > b.outcomes {
		return false
	}
	b.stream, b.ack, b.acked, b.settled = s, ack, 0, settled
	b.due = true
	b.log.rewind(settled + 1)
	return true
}

// detach takes the stream away. It reports whether another one can go on.
func (b *outbox) detach() (whole bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stream = nil
	b.more.Broadcast()
	b.log.free = nil
	if b.settled == b.outcomes {
		b.log.clear()
	}
	return !b.broken
}

// held returns how many bytes the outbox holds, while it has no stream.
func (b *outbox) held() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.room()
}

// put appends a frame by way of add. It reports false, and the frame is lost, when
// the stream has ended; a full outbox ends it. When the stream of a session breaks
// the frame may be lost, and behind outcomes that are sent again it may come twice.
func (b *outbox) put(add func(*encoder)) bool {
	b.mu.Lock()
	s := b.stream
	full := b.log.bytes > outboxLimit
	done := s != nil && !full && !b.stopped
	if done {
		add(b.log.open())
		b.log.close(0)
		b.more.Signal()
	}
	b.mu.Unlock()
	if full && s != nil {
		s.end(ReasonSlow)
	}
	return done
}

// setAck says that everything up to seq was taken. The peer hears of it within
// ackDelay.
func (b *outbox) setAck(seq uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ack = seq
	switch {
	case seq-b.acked >= ackFrames:
		b.due = true
		b.more.Signal()
	case b.timing:
	case b.late == nil:
		b.timing, b.late = true, time.AfterFunc(ackDelay, b.hurry)
	default:
		b.timing = true
		b.late.Reset(ackDelay)
	}
}

// outcome queues the outcome of frame seq for id. It never waits: a peer that
// lets too many go without an acknowledgement loses the session.
func (b *outbox) outcome(seq uint64, id idspace.ID, a verdict) bool {
	b.mu.Lock()
	s := b.stream
	full := b.outcomes-b.settled >= maxOutcomes || b.log.bytes > outboxLimit
	done := !full && !b.stopped
	if done {
		b.outcomes++
		end := a.end.fields()
		b.log.open().uints(kindOutcome, b.outcomes, seq, uint64(id), uint64(a.Outcome), end[0], end[1], end[2])
		b.log.close(b.outcomes)
		b.more.Signal()
	}
	b.broken = b.broken || full
	b.mu.Unlock()
	if full && s != nil {
		s.end(ReasonOutcomes)
	}
	return done
}

// settle takes the peer's acknowledgement of outcomes. In a session that is
// resumed it may say less than it said before.
func (b *outbox) settle(upTo uint64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if upTo > b.outcomes {
		return reasonError{ReasonAck}
	}
	b.settled = max(b.settled, upTo)
	b.log.acknowledge(b.settled)
	return nil
}

// stop ends write, and makes put and outcome refuse.
func (b *outbox) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = true
	if b.late != nil {
		b.late.Stop()
	}
	b.more.Broadcast()
}

// end ends the stream, if there is one.
func (b *outbox) end(r Reason) {
	b.mu.Lock()
	s := b.stream
	b.mu.Unlock()
	if s != nil {
		s.end(r)
	}
}

// write writes to s what is queued, until the outbox is stopped or has another
// stream or none, or s ends.
func (b *outbox) write(s *stream) {
	for {
		p, frames := b.take(s)
		if p == nil {
			return
		}
		ok := s.write(p, frames)
		b.mu.Lock()
		b.log.wrote()
		b.mu.Unlock()
		if !ok {
			return
		}
	}
}

func (b *outbox) take(s *stream) (p []byte, frames int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for !b.log.pending() && (!b.due || b.ack == b.acked) && !b.stopped && b.stream == s {
		awaitBatch(&b.more)
	}
	if b.stopped || b.stream != s {
		return nil, 0
	}
	if b.log.bytes > outboxLimit && b.settled != b.outcomes { // acknowledgements, behind an outcome that the peer does not acknowledge
		b.broken = true
		s.end(ReasonOutcomes)
		return nil, 0
	}
	if b.ack != b.acked {
		// Behind the outcomes of the frames it covers.
		b.log.open().uints(kindAck, b.ack)
		b.log.close(0)
		b.acked = b.ack
	}
	b.due = false
	p, frames, _ = b.log.take()
	return p, frames
}
