package mesh

import (
	"sync"

	"flamingo/idspace"
)

// outboxLimit bounds what waits to be written to a peer that does not read, in
// bytes: the outcomes a lane may owe, 34 bytes each at most. At the bound the
// stream ends.
const outboxLimit = 34 * maxOutcomes

// An outbox is the queue of small frames towards a peer: answers on an inbound
// stream, everything on a control stream. One goroutine, write, empties it.
type outbox struct {
	*stream

	mu       sync.Mutex
	more     sync.Cond
	enc      *encoder // guarded by mu; buf is what waits
	spare    []byte   // guarded by mu: the other buffer, while none is written
	frames   int      // guarded by mu: in enc.buf
	ack      uint64   // guarded by mu: the last frame taken, of a lane
	acked    uint64   // guarded by mu: the ack that was written
	outcomes uint64   // guarded by mu: the number of the last outcome
	settled  uint64   // guarded by mu: the last outcome the peer acknowledged
	stopped  bool     // guarded by mu
}

func newOutbox(s *stream) *outbox {
	b := &outbox{stream: s, enc: newEncoder()}
	b.more.L = &b.mu
	return b
}

// put appends a frame by way of add. It reports false, and the frame is lost,
// when the stream has ended; a full outbox ends it.
func (b *outbox) put(add func(*encoder)) bool {
	b.mu.Lock()
	full := len(b.enc.buf) > outboxLimit
	if !full && !b.stopped {
		add(b.enc)
		b.frames++
		b.more.Signal()
	}
	done := !full && !b.stopped
	b.mu.Unlock()
	if full {
		b.end(ReasonSlow)
	}
	return done
}

// setAck says that everything up to seq was taken.
func (b *outbox) setAck(seq uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ack = seq
	b.more.Signal()
}

// outcome queues the outcome of frame seq for id. It never waits: a peer that
// lets too many go without an acknowledgement loses the stream.
func (b *outbox) outcome(seq uint64, id idspace.ID, o Outcome) bool {
	b.mu.Lock()
	full := b.outcomes-b.settled >= maxOutcomes || len(b.enc.buf) > outboxLimit
	done := !full && !b.stopped
	if done {
		b.outcomes++
		b.enc.uints(kindOutcome, b.outcomes, seq, uint64(id), uint64(o))
		b.frames++
		b.more.Signal()
	}
	b.mu.Unlock()
	if full {
		b.end(ReasonOutcomes)
	}
	return done
}

// settle takes the peer's acknowledgement of outcomes.
func (b *outbox) settle(upTo uint64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if upTo < b.settled || upTo > b.outcomes {
		return reasonError{ReasonAck}
	}
	b.settled = upTo
	return nil
}

// stop ends write, and makes put and outcome refuse.
func (b *outbox) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopped = true
	b.more.Signal()
}

// write writes what is queued, all of it at a time, until the outbox is
// stopped or the stream ends.
func (b *outbox) write() {
	for {
		buf, frames := b.take()
		if buf == nil || !b.stream.write(buf, frames) {
			return
		}
		b.mu.Lock()
		if cap(buf) <= maxReadBuffer {
			b.spare = buf[:0]
		}
		b.mu.Unlock()
	}
}

func (b *outbox) take() (buf []byte, frames int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.enc.buf) == 0 && b.ack == b.acked && !b.stopped {
		awaitBatch(&b.more)
	}
	if b.stopped {
		return nil, 0
	}
	if b.ack != b.acked {
		// Behind the outcomes of the frames it covers.
		b.enc.uints(kindAck, b.ack)
		b.acked = b.ack
		b.frames++
	}
	buf, frames = b.enc.buf, b.frames
	b.enc.buf, b.spare, b.frames = b.spare, nil, 0
	return buf, frames
}
