//go:build linux

package worker

import "errors"

// A Tally counts what clients were sent.
type Tally struct {
	Messages   uint64 // all, with those below
	Doubled    uint64
	Disordered uint64 // came after a later one
	Foreign    uint64 // for another connection
}

// Add adds t.
func (t *Tally) Add(other Tally) {
	t.Messages += other.Messages
	t.Doubled += other.Doubled
	t.Disordered += other.Disordered
	t.Foreign += other.Foreign
}

// A Receiver checks what one client is sent. The zero value is ready.
type Receiver struct {
	rest []byte // the beginning of a message
	to   uint32 // whose messages it gets, plus one; 0: not known yet
	run  uint32

	// Messages before next have come, or not: bit k of seen is that of
	// next-1-k.
	next, seen uint64
}

// maxSize bounds the length of a message.
const maxSize = 1 << 20

// ErrMalformed says that what came is no message of this program.
var ErrMalformed = errors.New("not a message")

// Take checks what was received next and counts it in t. timed is called with
// the time at which each timed message was sent; it may be nil.
func (r *Receiver) Take(b []byte, t *Tally, timed func(at uint64)) error {
	for len(r.rest) > 0 && len(b) > 0 {
		need := HeaderBytes
		if len(r.rest) >= HeaderBytes {
			need = int(headerOf(r.rest).size)
		}
		n := min(need-len(r.rest), len(b))
		r.rest, b = append(r.rest, b[:n]...), b[n:]
		if len(r.rest) < need {
			return nil
		}
		took, err := r.whole(r.rest, t, timed)
		if err != nil {
			return err
		}
		if took > 0 {
			r.rest = r.rest[:0]
		}
	}
	for b = r.expected(b, t); len(b) > 0; b = r.expected(b, t) {
		took, err := r.whole(b, t, timed)
		if err != nil {
			return err
		}
		if took == 0 {
			r.rest = append(r.rest, b...)
			return nil
		}
		b = b[took:]
	}
	return nil
}

// expected takes messages that are as they should be and not timed, and returns
// the rest. It does what whole does, only faster: the clients have their share of a
// core.
func (r *Receiver) expected(b []byte, t *Tally) []byte {
	if r.to == 0 {
		return b
	}
	from := r.next
	for len(b) >= HeaderBytes {
		h := headerOf(b)
		if h.run != r.run || h.to != r.to-1 || h.seq != r.next || h.at != 0 || h.size < HeaderBytes || uint32(len(b)) < h.size {
			break
		}
		r.next++
		b = b[h.size:]
	}
	n := r.next - from
	t.Messages += n
	r.seen = r.seen<<n | (1<<n - 1)
	return b
}

// whole takes the message at the beginning of b and returns its length, or 0 if
// not all of it is there.
func (r *Receiver) whole(b []byte, t *Tally, timed func(uint64)) (int, error) {
	if len(b) < HeaderBytes {
		return 0, nil
	}
	h := headerOf(b)
	if h.size < HeaderBytes || h.size > maxSize {
		return 0, ErrMalformed
	}
	if uint32(len(b)) < h.size {
		return 0, nil
	}
	t.Messages++
	if h.to != toAll {
		if r.to == 0 {
			r.to = h.to + 1
		}
		if r.to != h.to+1 {
			t.Foreign++
			return int(h.size), nil
		}
	}
	r.order(h, t)
	if h.at != 0 && timed != nil {
		timed(h.at)
	}
	return int(h.size), nil
}

// order judges the place of a message among the others. One that is more than
// 64 behind counts as doubled.
func (r *Receiver) order(h header, t *Tally) {
	if h.run > r.run {
		r.run, r.next, r.seen = h.run, 0, 0
	}
	if h.run == r.run && h.seq == r.next {
		r.next++
		r.seen = r.seen<<1 | 1
		return
	}
	behind := r.next - 1 - h.seq
	switch {
	case h.run < r.run:
		t.Disordered++
	case h.seq > r.next: // those between are lost, or come later
		r.seen = r.seen<<(h.seq-r.next+1) | 1
		r.next = h.seq + 1
	case behind < 64 && r.seen>>behind&1 == 0:
		r.seen |= 1 << behind
		t.Disordered++
	default:
		t.Doubled++
	}
}
