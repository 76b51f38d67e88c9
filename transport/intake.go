package transport

import (
	"errors"
	"slices"

	"flamingo/idspace"
)

// blockSize is how many bytes of messages share one allocation at most. A
// program that keeps one short message keeps its block.
const blockSize = 16 << 10

// batchSize is how many messages go into the inbox at a time at most.
const batchSize = 512

// A partial is the beginning of a message whose rest has not arrived.
type partial struct {
	data []byte
	held bool // there may be whole messages in it, which wait for tokens of the connection's rates
}

// An intake turns what was read from sockets into messages in the inbox. It is
// scratch memory of one goroutine.
type intake struct {
	t        *Transport
	messages [][]byte // decoded, not yet copied
	bytes    int      // their total length
	kind     Kind     // of all of them
	sizes    []uint32 // scratch of flush
	clear    []byte   // what TLS has decrypted; nil until a connection has TLS
	moved    int      // bytes that the last receive has counted
}

// feed cuts data of connection i into messages; the caller keeps data. It
// returns how many messages went into the inbox. An error says that the client
// broke the framing after these.
func (in *intake) feed(s *slot, i uint32, data []byte) (messages int, err error) {
	b := in.t.table.buffers(i)
	searched := 0
	if b.in != nil {
		if b.in.held {
			s.flags.And(^flagHeld)
		} else {
			searched = len(b.in.data)
		}
		b.in.data = append(b.in.data, data...)
		data = b.in.data
	}
	codec := in.t.bound[s.listener].Codec
	used, left := 0, in.t.quota(s, i)
	for used < len(data) && left.messages > 0 && left.bytes > 0 {
		var msg []byte
		var size int
		if msg, size, err = codec.Decode(data[used:], searched); size == 0 || err != nil {
			break
		}
		searched = 0
		used += size
		in.add(s, i, msg)
		messages++
		left.messages--
		left.bytes -= len(msg)
	}
	in.flush(s, i)
	b.keep(data[used:])
	if b.in != nil {
		b.in.held = false
		if left.messages <= 0 || left.bytes <= 0 {
			in.holdBack(s, i)
		}
	}
	return messages, err
}

// hold keeps data until the rates of the listener allow for more.
func (in *intake) hold(s *slot, i uint32, data []byte) {
	in.t.table.buffers(i).keep(data)
	in.holdBack(s, i)
}

// holdBack has what the connection keeps wait for its rates.
func (in *intake) holdBack(s *slot, i uint32) {
	in.t.table.buffers(i).in.held = true
	s.flags.Or(flagHeld)
	in.t.charge(s, i, 0, 0, true)
}

// keep holds rest, the beginning of a message, until more of it arrives. A
// connection in between messages holds no memory for its input.
func (b *slotBuffers) keep(rest []byte) {
	switch {
	case len(rest) == 0:
		b.in = nil
	case b.in == nil || len(rest) < len(b.in.data):
		b.in = &partial{data: append([]byte(nil), rest...)}
	}
}

// add collects one message; a full batch goes into the inbox.
func (in *intake) add(s *slot, i uint32, msg []byte) {
	if len(in.messages) == batchSize || len(in.messages) > 0 && in.bytes+len(msg) > blockSize {
		in.flush(s, i)
	}
	in.messages = append(in.messages, msg)
	in.bytes += len(msg)
}

// flush copies the collected messages into one block and puts them into the
// inbox.
func (in *intake) flush(s *slot, i uint32) {
	n := len(in.messages)
	if n == 0 {
		return
	}
	id := idspace.ID(s.id.Load())
	block := make([]byte, in.bytes)
	sizes := slices.Grow(in.sizes, n)[:n]
	end := 0
	for k, msg := range in.messages {
		end += copy(block[end:], msg)
		sizes[k] = uint32(len(msg))
	}
	s.mu.Lock() // a send in this moment answers earlier messages or these, not both
	if s.messagesIn == 0 {
		s.tally = uint32(s.messagesOut)
	}
	s.messagesIn += uint64(n)
	if s.has(flagSent | flagAnswered) {
		s.flags.And(^(flagSent | flagAnswered))
	}
	s.queued.Add(int32(n))
	s.mu.Unlock()
	if !in.t.inbox.put(id, i, in.kind, block, sizes) {
		s.queued.Add(int32(-n))
	}
	in.t.charge(s, i, n, in.bytes, false)
	clear(in.messages)
	in.messages, in.sizes, in.bytes = in.messages[:0], sizes[:0], 0
}

// reasonFor is why a connection ends whose input was refused.
func reasonFor(err error) Reason {
	var closed *closedError
	switch {
	case errors.As(err, &closed):
		return ReasonClient
	case isTooLarge(err):
		return ReasonTooLarge
	case errors.Is(err, errRefused):
		return ReasonRefused
	default:
		return ReasonProtocol
	}
}
