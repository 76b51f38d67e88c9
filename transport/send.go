package transport

import (
	"context"
	"errors"
	"fmt"

	"flamingo/framing"
	"flamingo/idspace"
)

// SendData queues msg for connection id. It never waits. It returns nil once
// the message is accepted; ErrGone, ErrBackpressure, ErrClosed, or an error of
// the listener's framing. msg is copied.
//
// A message that SlowDropNewest drops is accepted and reported as undelivered.
func (t *Transport) SendData(id idspace.ID, msg []byte) error {
	return t.SendDataAs(id, KindDefault, msg)
}

// SendDataAs is SendData of a message of that kind.
func (t *Transport) SendDataAs(id idspace.ID, kind Kind, msg []byte) error {
	return t.accepted(id, t.Deliver(id, kind, msg))
}

// Deliver is SendDataAs for a sender elsewhere, who reports what is undelivered:
// to it a message that SlowDropNewest drops is ErrBackpressure.
func (t *Transport) Deliver(id idspace.ID, kind Kind, msg []byte) error {
	if err := checkSize(msg); err != nil {
		return err
	}
	s, i := t.table.find(id)
	if s == nil {
		return t.missing(id)
	}
	b := t.table.buffers(i)
	s.mu.Lock()
	attend, err := t.appendLocked(s, b, id, t.encoderLocked(s, kind), msg)
	t.sent(s, i, attend)
	return err
}

// sent unlocks the slot after a send, and tells the driver if need be.
func (t *Transport) sent(s *slot, i uint32, attend bool) {
	driver := s.driver
	s.mu.Unlock()
	if attend {
		t.drivers[driver].attend(i)
	}
}

// errDropped: SlowDropNewest has dropped the message. To a sender that waits
// for the outcome it is ErrBackpressure, to others it is nil and a loss.
var errDropped = fmt.Errorf("%w: message dropped", ErrBackpressure)

// accepted makes a loss of a message that was dropped.
func (t *Transport) accepted(id idspace.ID, err error) error {
	if err == nil || !errors.Is(err, errDropped) {
		return err
	}
	t.losses.add(id, loss{full: 1}, nil)
	return nil
}

// checkSize refuses a message over the limit of every framing, also of one
// that passes everything through: sizes of output are kept in 32 bits.
func checkSize(msg []byte) error {
	if len(msg) > framing.MaxMessageLimit {
		return fmt.Errorf("%w: %d bytes, limit %d", framing.ErrTooLarge, len(msg), framing.MaxMessageLimit)
	}
	return nil
}

// missing is the outcome of a send to an id that no connection has.
func (t *Transport) missing(id idspace.ID) error {
	if t.closing.Load() {
		return ErrClosed
	}
	return t.Gone(id)
}

// encoderLocked returns what frames messages of that kind for the connection.
func (t *Transport) encoderLocked(s *slot, kind Kind) encoder {
	b := t.bound[s.listener]
	if b.web == nil {
		return b.Codec
	}
	return &b.web.encoders[min(kind, KindBinary)]
}

// appendLocked frames msg behind the output of connection id and applies the
// bound. attend says that the driver is to be told. The caller holds the
// slot's mu.
func (t *Transport) appendLocked(s *slot, b *slotBuffers, id idspace.ID, codec encoder, msg []byte) (attend bool, err error) {
	if !s.isOpenLocked(id, !t.table.unguarded) {
		return false, t.missing(id)
	}
	c, fresh := b.out.room(len(msg) + framingRoom)
	before := len(c.data)
	// Before the bound: what cannot be framed says nothing of the client.
	data, err := codec.Encode(c.data, msg)
	added := len(data) - before
	switch {
	case err != nil || t.overflowsLocked(s, added) || added == 0:
		if fresh {
			c.recycle()
		}
		if err != nil || added == 0 { // nothing to write: it is as good as written
			return false, err
		}
		return t.overflowLocked(s)
	case fresh:
		b.pushLocked(c)
	}
	c.data = data
	c.ends = append(c.ends, uint32(len(data)))
	return t.acceptedLocked(s, b.out, added, 0), nil
}

// overflowsLocked reports whether size more bytes are over the bound of the
// connection's output.
func (t *Transport) overflowsLocked(s *slot, size int) bool {
	return s.outBytes > 0 && int(s.outBytes)+size > t.cfg.OutputBytes
}

// pushLocked puts a chunk behind the output. The caller holds the slot's mu.
func (b *slotBuffers) pushLocked(c *chunk) {
	if b.out == nil {
		b.out = outputs.Get().(*output)
	}
	b.out.push(c)
}

// An encoder is the half of a codec that sends need.
type encoder interface {
	Encode(dst, msg []byte) ([]byte, error)
}

// framingRoom is what most framings add to a message, in bytes. A framing that
// adds more costs a reallocation.
const framingRoom = 16

// acceptedLocked accounts for a message that was put into the output, of which
// so many bytes are the connection's own or shared with others. It reports
// whether the driver is to be told.
func (t *Transport) acceptedLocked(s *slot, out *output, own, shared int) (attend bool) {
	over := t.countOutputLocked(s, out, own, shared)
	s.messagesOut++
	s.bytesOut += uint64(own + shared)
	f := s.flags.Load()
	if f&flagAnswered == 0 {
		answer := flagSent
		if s.queued.Load() == 0 {
			answer |= flagAnswered
		}
		if f&answer != answer {
			s.flags.Or(answer)
		}
	}
	if f&flagBlocked != 0 { // the driver waits for the kernel, not for us
		s.flags.Or(flagTouched)
		if !over {
			return false
		}
	}
	return t.dirtyLocked(s)
}

// overflowLocked applies the policy for slow clients to a message that was not
// accepted.
func (t *Transport) overflowLocked(s *slot) (attend bool, err error) {
	switch t.cfg.Slow {
	case SlowDropNewest:
		t.totals.dropped.Add(1)
		return false, errDropped
	case SlowFailSender:
		t.totals.refused.Add(1)
		return false, ErrBackpressure
	case SlowClose:
		fallthrough
	default:
		t.condemnLocked(s, ReasonSlow)
		return t.dirtyLocked(s), t.Gone(idspace.ID(s.id.Load()))
	}
}

// Send queues msg for connection id and waits until it is written to the
// socket, or until ctx is done. Then it takes the message back and returns
// ErrExpired if nothing of it was written, else ErrUncertain. If the
// connection ends first, it returns ErrGone or ErrUncertain.
func (t *Transport) Send(ctx context.Context, id idspace.ID, msg []byte) error {
	return t.SendAs(ctx, id, KindDefault, msg)
}

// SendAs is Send of a message of that kind.
func (t *Transport) SendAs(ctx context.Context, id idspace.ID, kind Kind, msg []byte) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", ErrExpired, context.Cause(ctx))
	}
	sent, err := t.Track(id, kind, msg)
	if err != nil {
		return err
	}
	return sent.Wait(ctx)
}

// Tracked is a message that was accepted, whose outcome can be waited for.
type Tracked struct {
	transport *Transport
	slot      *slot
	index     uint32
	id        idspace.ID
	chunk     *chunk
}

// Track queues msg for connection id as SendDataAs does, and returns what to wait
// with for its outcome. It never waits itself.
func (t *Transport) Track(id idspace.ID, kind Kind, msg []byte) (Tracked, error) {
	if err := checkSize(msg); err != nil {
		return Tracked{}, err
	}
	s, i := t.table.find(id)
	if s == nil {
		return Tracked{}, t.missing(id)
	}
	c := &chunk{sealed: true, ticket: &ticket{done: make(chan error, 1)}}
	if err := t.sendChunk(s, i, id, c, kind, msg); err != nil {
		return Tracked{}, err
	}
	return Tracked{transport: t, slot: s, index: i, id: id, chunk: c}, nil
}

// Wait returns once the message is written to the socket, or with what became
// of it instead: ErrGone or ErrUncertain when the connection ended, and when
// ctx is done first, ErrExpired if the message was taken back or ErrUncertain if
// it was too late for that. It is called once.
func (m Tracked) Wait(ctx context.Context) error {
	select {
	case outcome := <-m.chunk.ticket.done:
		return m.transport.detailed(m.id, outcome)
	case <-ctx.Done():
		return m.transport.detailed(m.id, m.transport.takeBack(ctx, m.slot, m.index, m.id, m.chunk))
	}
}

// detailed says of an ErrGone what is remembered of the end.
func (t *Transport) detailed(id idspace.ID, err error) error {
	if errors.Is(err, ErrGone) {
		return t.Gone(id)
	}
	return err
}

// sendChunk frames msg into c and queues it.
func (t *Transport) sendChunk(s *slot, i uint32, id idspace.ID, c *chunk, kind Kind, msg []byte) (err error) {
	b := t.table.buffers(i)
	s.mu.Lock()
	attend := false
	if !s.isOpenLocked(id, !t.table.unguarded) {
		err = t.missing(id)
	} else if c.data, err = t.encoderLocked(s, kind).Encode(nil, msg); err == nil {
		attend, err = t.pushLocked(s, b, c)
	}
	driver := s.driver
	s.mu.Unlock()
	if attend {
		t.drivers[driver].attend(i)
	}
	return err
}

// pushLocked queues a chunk that holds one framed message. The caller holds
// the slot's mu and knows that the connection is open.
func (t *Transport) pushLocked(s *slot, b *slotBuffers, c *chunk) (attend bool, err error) {
	if t.overflowsLocked(s, len(c.data)) {
		return t.overflowLocked(s)
	}
	c.ends = append(c.ends, uint32(len(c.data)))
	b.pushLocked(c)
	return t.acceptedLocked(s, b.out, len(c.data), 0), nil
}

// takeBack withdraws a message whose sender waits no longer.
func (t *Transport) takeBack(ctx context.Context, s *slot, i uint32, id idspace.ID, c *chunk) error {
	if t.withdraw(s, i, id, c) {
		return fmt.Errorf("%w: %w", ErrExpired, context.Cause(ctx))
	}
	select {
	case outcome := <-c.ticket.done: // it was decided in this moment
		return outcome
	default:
		return fmt.Errorf("%w: %w", ErrUncertain, context.Cause(ctx))
	}
}

// withdraw takes a message out of the output of which no byte is written, and
// reports whether there was one.
func (t *Transport) withdraw(s *slot, i uint32, id idspace.ID, c *chunk) (withdrawn bool) {
	s.mu.Lock()
	b := t.table.buffers(i)
	withdrawn = s.id.Load() == uint64(id) && b.out != nil && b.out.withdraw(c)
	if withdrawn {
		t.countOutputLocked(s, b.out, -len(c.data), 0)
		s.messagesOut--
		s.bytesOut -= uint64(len(c.data))
	}
	// Its end may have waited for this alone, or time runs for nothing else.
	attend := withdrawn && (s.has(flagClosing) || b.out.waiting == nil) && t.dirtyLocked(s)
	driver := s.driver
	relieved := withdrawn && t.relieveLocked(s)
	s.mu.Unlock()
	if relieved {
		t.cfg.Relieved(id)
	}
	if attend {
		t.drivers[driver].attend(i)
	}
	if withdrawn {
		t.totals.expired.Add(1)
	}
	return withdrawn
}

// SendMany queues msg for each of ids. results[k] is the outcome for ids[k], as
// SendData would return it; the two slices have one length. msg is framed once
// for each listener, and above 512 bytes the connections
// share that one copy.
func (t *Transport) SendMany(ids []idspace.ID, msg []byte, results []error) {
	t.SendManyAs(ids, KindDefault, msg, results)
}

// SendManyAs is SendMany of a message of that kind.
func (t *Transport) SendManyAs(ids []idspace.ID, kind Kind, msg []byte, results []error) {
	t.DeliverMany(ids, kind, msg, results)
	for k, id := range ids {
		results[k] = t.accepted(id, results[k])
	}
}

// DeliverMany is SendMany as Deliver is SendData.
func (t *Transport) DeliverMany(ids []idspace.ID, kind Kind, msg []byte, results []error) {
	m := t.Broadcast(kind, msg)
	defer m.Done()
	for k, id := range ids {
		results[k] = m.Deliver(id)
	}
}

// SendClose ends connection id once what was accepted for it before is
// written. It never waits. ErrGone says that something else ended it first.
// why is ReasonSent, whose end is not reported, or ReasonRemote.
func (t *Transport) SendClose(id idspace.ID, why Reason) error {
	return t.SendCloseWith(id, why, 0, "")
}

// SendCloseWith is SendClose that gives the client of a WebSocket a code and a
// reason of at most 123 bytes, longer ones are cut. Zero is the code of a normal
// end. Other connections have no such thing. A code that a program must not
// send is ErrBadCloseCode.
func (t *Transport) SendCloseWith(id idspace.ID, why Reason, code int, reason string) error {
	end, err := newEnding(code, reason)
	if err != nil {
		return err
	}
	s, i := t.table.find(id)
	if s == nil {
		return t.missing(id)
	}
	s.mu.Lock()
	if !s.isOpenLocked(id, !t.table.unguarded) {
		s.mu.Unlock()
		return t.missing(id)
	}
	if w := t.table.wire(i); w != nil && w.web != nil && end != nil {
		w.web.end = end
	}
	t.condemnLocked(s, why)
	attend := t.dirtyLocked(s)
	driver := s.driver
	s.mu.Unlock()
	if attend {
		t.drivers[driver].attend(i)
	}
	return nil
}
