package transport

import (
	"sync"
	"sync/atomic"

	"flamingo/idspace"
)

// A Broadcast is one message on its way to many connections. It is framed once
// for each listener; above 512 bytes the connections share that one copy, which
// is never written again, and at or below they get copies. A connection's bound
// counts a shared copy as its own, the bound of all connections together counts
// it once, until the last of them has written it or given it up.
//
// Done is called at the end. One goroutine at a time uses a Broadcast.
type Broadcast struct {
	t      *Transport
	kind   Kind
	msg    []byte
	framed []framedMessage // by listener
}

// framedMessage is the message as one listener frames it.
type framedMessage struct {
	made    bool
	err     error
	data    []byte
	payload *payload // nil for what is copied
}

// Broadcast begins the sending of msg, which the caller leaves alone until Done.
func (t *Transport) Broadcast(kind Kind, msg []byte) *Broadcast {
	return &Broadcast{t: t, kind: kind, msg: msg, framed: make([]framedMessage, len(t.bound))}
}

// Deliver queues the message for connection id, as Transport.Deliver does.
func (m *Broadcast) Deliver(id idspace.ID) error {
	t := m.t
	s, i := t.table.find(id)
	if s == nil {
		return t.missing(id)
	}
	b := t.table.buffers(i)
	s.mu.Lock()
	attend, err := m.deliverLocked(s, b, id)
	t.sent(s, i, attend)
	return err
}

func (m *Broadcast) deliverLocked(s *slot, b *slotBuffers, id idspace.ID) (attend bool, err error) {
	t := m.t
	if !s.isOpenLocked(id, !t.table.unguarded) {
		return false, t.missing(id)
	}
	f := &m.framed[s.listener]
	if !f.made {
		m.frameLocked(s, f)
	}
	switch {
	case f.err != nil:
		return false, f.err
	case f.payload != nil:
		return t.shareLocked(s, b, f.payload)
	default:
		return t.appendLocked(s, b, id, asIs{}, f.data)
	}
}

func (m *Broadcast) frameLocked(s *slot, f *framedMessage) {
	f.made = true
	if f.err = checkSize(m.msg); f.err != nil {
		return
	}
	f.data, f.err = m.t.encoderLocked(s, m.kind).Encode(make([]byte, 0, len(m.msg)+framingRoom), m.msg)
	if f.err == nil && len(f.data) > shareAbove {
		f.payload = m.t.shedder.newPayload(f.data)
	}
}

// Done says that the message goes to no further connection.
func (m *Broadcast) Done() {
	for i := range m.framed {
		if p := m.framed[i].payload; p != nil {
			p.release()
		}
	}
	m.framed = nil
}

// asIs is the codec of a message that is framed already.
type asIs struct{}

func (asIs) Encode(dst, msg []byte) ([]byte, error) { return append(dst, msg...), nil }

// A payload is a framed message that the output of several connections has in
// common. Its memory counts in the shedder while somebody refers to it.
type payload struct {
	data  []byte // immutable
	units int64  // of the shedder
	owner *shedder
	refs  atomic.Int32
}

// newPayload returns a payload with one reference, the caller's.
func (o *shedder) newPayload(data []byte) *payload {
	p := &payload{data: data, units: int64(len(data)+1<<outputUnit-1) >> outputUnit, owner: o}
	p.refs.Store(1)
	o.shared.Add(p.units)
	o.pending.Add(p.units)
	return p
}

func (p *payload) release() {
	if p.refs.Add(-1) == 0 {
		p.owner.shared.Add(-p.units)
		p.owner.pending.Add(-p.units)
	}
}

// sharers are chunks for payloads. They have no memory of their own but for the
// one end that they note.
var sharers = sync.Pool{New: func() any { return &chunk{ends: make([]uint32, 0, 1)} }}

// shareLocked queues p for a connection that is open. The caller holds the
// slot's mu and a reference to p.
func (t *Transport) shareLocked(s *slot, b *slotBuffers, p *payload) (attend bool, err error) {
	size := len(p.data)
	if t.overflowsLocked(s, size) {
		return t.overflowLocked(s)
	}
	p.refs.Add(1)
	c := sharers.Get().(*chunk)
	c.data, c.ends, c.sealed, c.payload = p.data, append(c.ends, uint32(size)), true, p
	b.pushLocked(c)
	return t.acceptedLocked(s, b.out, 0, size), nil
}
