package transport

import (
	"sort"
	"sync"
	"sync/atomic"
)

// Sizes of the chunks that collect output. The first of a connection is small,
// since most connections are sent one short message at a time; a connection
// that falls behind gets larger ones.
const (
	smallestChunk = 256 // behind a shared payload
	smallChunk    = 4 << 10
	largeChunk    = 64 << 10
)

// shareAbove is the length in bytes from which a message sent to many is
// shared by their chunks instead of being copied into each.
const shareAbove = 512

// A chunk is a run of framed messages on its way to one client, or, without
// ends, something of the protocol's own, which counts against no bound.
type chunk struct {
	data   []byte
	ends   []uint32      // where each message in data ends
	sealed bool          // nothing is appended: shared payload, or somebody waits for it
	ticket *ticket       // somebody waits for the outcome, or nil
	unsent *atomic.Int32 // counts chunks like this one that are not out, or nil
	next   *chunk

	payload *payload // whose data this is, or nil; referred to by the chunk
}

// A ticket is held by a sender that waits for the outcome of one message.
type ticket struct {
	done chan error // receives the outcome once; capacity 1, never closed
	next *ticket    // of those in written
}

// An output is what one connection was sent and has not written. Senders
// append to the list waiting; the driver moves that list to writing and works
// on it without the lock.
type output struct {
	waiting, last *chunk // guarded by the slot's mu
	shared        int32  // guarded by the slot's mu: bytes of its outBytes that are in payloads

	// Owned by the driver.
	writing *chunk
	relief  int // bytes of payloads that are out and still in shared
	written int // bytes of writing that are out
	sealed  int // bytes behind these that are encrypted
	begun   int // bytes behind these that are in a record of which a part is out

	// Tickets of messages that are out, in their order, until the bytes are no
	// longer counted as waiting: who is told may send at once.
	settled, lastSettled *ticket
}

var (
	outputs = sync.Pool{New: func() any { return new(output) }}
	smalls  = sync.Pool{New: func() any { return &chunk{data: make([]byte, 0, smallChunk)} }}
	larges  = sync.Pool{New: func() any { return &chunk{data: make([]byte, 0, largeChunk)} }}
)

// room returns a chunk to append a framed message of about size bytes to: the
// last one, or a fresh one that the caller pushes once the message is in it. o
// may be nil. The memory of chunks stays within a small multiple of what is in
// them: a large one only ever follows one that is full.
func (o *output) room(size int) (c *chunk, fresh bool) {
	var last *chunk
	if o != nil {
		last = o.last
	}
	switch {
	case last != nil && !last.sealed && len(last.data)+size <= cap(last.data):
		return last, false
	case last != nil && last.sealed && size <= smallChunk:
		return &chunk{data: make([]byte, 0, max(size, smallestChunk))}, true
	case last == nil && size <= smallChunk:
		return smalls.Get().(*chunk), true
	case size <= largeChunk:
		return larges.Get().(*chunk), true
	default:
		return &chunk{data: make([]byte, 0, size)}, true
	}
}

func (o *output) push(c *chunk) {
	if o.last == nil {
		o.waiting = c
	} else {
		o.last.next = c
	}
	o.last = c
}

// withdraw takes c, which nobody has begun to write, out of the list waiting.
// It reports whether c was there.
func (o *output) withdraw(c *chunk) bool {
	var before *chunk
	for at := &o.waiting; *at != nil; at = &(*at).next {
		if *at == c {
			*at = c.next
			if o.last == c {
				o.last = before
			}
			return true
		}
		before = *at
	}
	return false
}

// takeLocked moves what is waiting behind what is being written. It reports
// whether there was something.
func (o *output) takeLocked() bool {
	if o.waiting == nil {
		return false
	}
	end := &o.writing
	for *end != nil {
		end = &(*end).next
	}
	*end = o.waiting
	o.waiting, o.last = nil, nil
	return true
}

// putBackLocked returns what nobody has begun to write, or to encrypt, to the
// list waiting, from where it can be withdrawn. It is called by the driver.
func (o *output) putBackLocked() {
	begun := &o.writing
	for keep := o.written + o.sealed; *begun != nil && keep > 0; begun = &(*begun).next {
		keep -= len((*begun).data)
	}
	rest := *begun
	if rest == nil {
		return
	}
	*begun = nil
	end := rest
	for end.next != nil {
		end = end.next
	}
	end.next = o.waiting
	if o.waiting == nil {
		o.last = end
	}
	o.waiting = rest
}

// wrote notes that n further bytes are out: it frees the chunks they complete,
// tells who waited for them and returns how many messages they held, and how
// many of the bytes belong to messages.
func (o *output) wrote(n int) (messages, bytes int) {
	o.sealed = max(o.sealed-n, 0)
	for c := o.writing; c != nil; c = o.writing {
		part := min(n, len(c.data)-o.written)
		if len(c.ends) > 0 {
			bytes += part
		}
		if c.payload != nil {
			o.relief += part
		}
		n -= part
		if o.written += part; o.written < len(c.data) {
			break
		}
		o.writing, o.written = c.next, 0
		messages += len(c.ends)
		o.settle(c.ticket)
		if c.unsent != nil {
			c.unsent.Add(-1)
		}
		c.recycle()
	}
	return messages, bytes
}

func (o *output) settle(t *ticket) {
	switch {
	case t == nil:
		return
	case o.settled == nil:
		o.settled = t
	default:
		o.lastSettled.next = t
	}
	o.lastSettled = t
}

// takeSettled returns the tickets of messages that are out, for tellWritten once
// their bytes are no longer counted.
func (o *output) takeSettled() (first *ticket) {
	first = o.settled
	o.settled, o.lastSettled = nil, nil
	return first
}

// tellWritten tells those who wait for a message that it is written.
func tellWritten(first *ticket) {
	for t := first; t != nil; t = t.next {
		t.done <- nil
	}
}

// idleLocked reports whether nothing is left to write. It is called by the
// driver.
func (o *output) idleLocked() bool { return o.waiting == nil && o.writing == nil }

// dropLocked gives up everything that is not written. messages are those that
// are written and that wrote has not counted, since their chunk is not complete.
// It is called by the driver, with the slot's mu held.
func (o *output) dropLocked() (lost loss, messages int) {
	o.takeLocked()
	begun := o.written + o.begun // from the beginning of a chunk on
	for c := o.writing; c != nil; c = o.writing {
		whole := sort.Search(len(c.ends), func(i int) bool { return int(c.ends[i]) > o.written })
		cut := sort.Search(len(c.ends)-whole, func(i int) bool { return c.start(whole+i) >= begun })
		messages += whole
		if c.ticket == nil {
			lost.gone += len(c.ends) - whole - cut
			lost.uncertain += cut
		}
		outcome := ErrGone // the sender who waits is told, nobody else
		if cut > 0 {
			outcome = ErrUncertain
		}
		c.tell(outcome)
		begun = max(begun-len(c.data), 0)
		o.writing, o.written = c.next, 0
		c.recycle()
	}
	o.sealed, o.begun = 0, 0
	return lost, messages
}

// start is where message k of the chunk begins.
func (c *chunk) start(k int) int {
	if k == 0 {
		return 0
	}
	return int(c.ends[k-1])
}

func (c *chunk) tell(outcome error) {
	if c.ticket != nil {
		c.ticket.done <- outcome
	}
}

// recycle keeps the chunk's memory for another one, if it is of a usual size
// and nobody else refers to it. It gives up the payload.
func (c *chunk) recycle() {
	size := cap(c.data)
	if c.payload != nil {
		c.payload.release()
		*c = chunk{ends: c.ends[:0]}
		sharers.Put(c)
		return
	}
	if c.sealed {
		return
	}
	*c = chunk{data: c.data[:0], ends: c.ends[:0]}
	switch size {
	case smallChunk:
		smalls.Put(c)
	case largeChunk:
		larges.Put(c)
	}
}
