package mesh

import (
	"context"
	"net"
	"sync"
	"sync/atomic"

	"flamingo/idspace"
)

// maxHandshakes bounds the inbound streams that are not done with their
// handshake, so that strangers do not take the places of peers.
const maxHandshakes = 128

// An inPeer is what a peer has dialled here.
type inPeer struct {
	traffic traffic
	heard   atomic.Bool

	// Guarded by Mesh.inMu.
	streams map[streamKey]*inStream
	missed  int // ticks without bytes
}

type streamKey struct {
	kind streamKind
	lane uint64
}

// An inStream is one of them.
type inStream struct {
	*stream
	mesh  *Mesh
	peer  idspace.BootID
	key   streamKey
	hello hello
	box   *outbox       // of the session, if this is a lane
	lane  *inLane       // the session; nil for a control stream
	done  chan struct{} // closed once nothing of this stream is delivered any more
}

// Serve takes a stream that a peer has dialled, from its first byte on, and
// returns at once. The Mesh closes c; over a bound it does so unread.
func (m *Mesh) Serve(c net.Conn) {
	over := m.inbound.Add(1) > int64(m.cfg.MaxInbound)
	over = m.handshakes.Add(1) > maxHandshakes || over
	if !over && m.spawn(func() { m.accept(c) }) {
		return
	}
	m.inbound.Add(-1)
	m.handshakes.Add(-1)
	m.counters.add(ReasonFull)
	c.Close()
}

// accept shakes hands and then serves the stream to its end.
func (m *Mesh) accept(c net.Conn) {
	defer m.inbound.Add(-1)
	defer c.Close()
	s, err := m.handshake(c)
	m.handshakes.Add(-1)
	if err != nil {
		m.counters.add(handshakeReason(err))
		m.cfg.Logger.Debug("inbound handshake", "remote", remoteOf(c), "err", err)
	}
	if s == nil {
		return
	}
	defer m.uninstall(s)
	defer close(s.done)
	defer m.leave(s)
	if err == nil {
		s.serve(m.ctx)
		m.ended(s.stream, s.peer)
	}
}

func remoteOf(c net.Conn) string {
	if a := c.RemoteAddr(); a != nil {
		return a.String()
	}
	return ""
}

// handshake returns the installed stream. With an error it may return one too,
// which is to be taken out again.
func (m *Mesh) handshake(c net.Conn) (s *inStream, err error) {
	ctx, cancel := context.WithTimeout(m.ctx, m.cfg.HandshakeTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer func() {
		if !stop() { // c was closed, whatever that looked like to the reader
			err = reasonError{ReasonHandshake}
		}
	}()
	body, err := readGreeting(c)
	if err != nil {
		return nil, err
	}
	h, err := newDecoder().hello(body)
	if err != nil {
		return nil, err
	}
	refusal := m.admit(&h)
	if refusal == RefusalNone {
		s, refusal = m.install(ctx, c, h)
	}
	if refusal == RefusalNone && m.cfg.Retired(h.numbers) {
		refusal = RefusalRetired // since admit, and PeerGone may not have seen s
	}
	w := m.welcome(refusal, &h, s)
	e := newEncoder()
	e.buf = append(e.buf, Magic...)
	e.welcome(&w)
	if _, err := c.Write(e.buf); err != nil {
		return s, err
	}
	if refusal != RefusalNone {
		if s != nil {
			s.end(ReasonGone) // and its session with it
		}
		return s, &RefusedError{
			Peer: h.boot, Boot: w.boot, Refusal: refusal, Mine: w.cluster, Theirs: h.cluster,
			Speaks: Versions{w.min, w.max}, PeerSpeaks: Versions{h.min, h.max},
		}
	}
	m.cfg.Heard(h.boot, h.numbers, h.last)
	return s, nil
}

// admit judges a hello by what it says.
func (m *Mesh) admit(h *hello) Refusal {
	own := m.cfg.Identity
	switch {
	case !(Versions{h.min, h.max}).Meet(Versions{m.min, m.max}):
		return RefusalVersion
	case h.boot == own.Boot():
		return RefusalSelf
	case h.expected != own.Boot() && !m.trusting:
		return RefusalNotMe
	case m.cfg.Retired(h.numbers):
		return RefusalRetired
	case h.kind > streamLane, h.kind == streamControl && h.lane != 0, h.lane >= maxLanes:
		return RefusalLane
	case !clustersMatch(h.cluster, own.Cluster(), h.kind):
		if h.cluster.IsZero() || own.Cluster().IsZero() {
			return RefusalBlank
		}
		return RefusalCluster
	default:
		return RefusalNone
	}
}

func (m *Mesh) welcome(refusal Refusal, h *hello, s *inStream) welcome {
	w := welcome{
		refusal: refusal, min: m.min, max: m.max, features: m.features,
		cluster: m.cfg.Identity.Cluster(), boot: m.cfg.Identity.Boot(),
		maxMessage: uint64(m.cfg.MaxMessage),
	}
	if refusal != RefusalNone {
		return w
	}
	w.version = min(h.max, m.max)
	w.nextSeq, w.nextOutcome = h.nextSeq, h.nextOutcome
	if s.lane != nil {
		w.nextSeq = s.lane.next
	}
	w.last, w.numbers = m.cfg.Identity.Last(), m.newestNumbers()
	return w
}

// install makes c the stream of its kind from its peer. A stream in its place
// ends first, and nothing of it is delivered after this returns.
func (m *Mesh) install(ctx context.Context, c net.Conn, h hello) (*inStream, Refusal) {
	key := streamKey{h.kind, h.lane}
	for {
		m.inMu.Lock()
		old := m.in[h.boot].stream(key)
		if old == nil {
			s, refusal, former := m.seatLocked(c, h)
			m.inMu.Unlock()
			former.forget()
			if refusal == RefusalNone && s.lane != nil && !s.lane.attach(s.stream, &h) {
				m.forget(s.lane)
				close(s.done)
				m.uninstall(s)
				return nil, RefusalUnknownSession
			}
			return s, refusal
		}
		m.inMu.Unlock()
		if old.hello.attempt >= h.attempt {
			return nil, RefusalStale
		}
		old.end(ReasonSuperseded)
		select {
		case <-old.done:
			m.uninstall(old)
		case <-ctx.Done():
			return nil, RefusalFull
		}
	}
}

// seatLocked gives c the place of its kind, which is free. former is a session
// that gives way to a new one; nil for none.
func (m *Mesh) seatLocked(c net.Conn, h hello) (s *inStream, refusal Refusal, former *inLane) {
	var n *inLane
	if h.kind == streamLane {
		n, refusal, former = m.sessionLocked(&h)
	}
	if refusal != RefusalNone {
		return nil, refusal, nil
	}
	p := m.in[h.boot]
	if p == nil {
		p = &inPeer{streams: make(map[streamKey]*inStream)}
		m.in[h.boot] = p
	}
	s = m.newInStream(c, h, p, n)
	p.streams[s.key] = s
	return s, RefusalNone, former
}

func (m *Mesh) newInStream(c net.Conn, h hello, p *inPeer, n *inLane) *inStream {
	p.missed = 0
	s := &inStream{
		stream: newStream(c, &p.traffic, &p.heard), mesh: m, peer: h.boot,
		key: streamKey{h.kind, h.lane}, hello: h, lane: n, done: make(chan struct{}),
	}
	if n == nil {
		s.box = newOutbox(s.stream)
		return s
	}
	s.box, n.stream = n.box, s
	return s
}

// stream returns the stream of that key, nil if there is none.
func (p *inPeer) stream(key streamKey) *inStream {
	if p == nil {
		return nil
	}
	return p.streams[key]
}

// uninstall forgets s. It may be called twice.
func (m *Mesh) uninstall(s *inStream) {
	m.inMu.Lock()
	defer m.inMu.Unlock()
	p := m.in[s.peer]
	if p == nil || p.streams[s.key] != s {
		return
	}
	delete(p.streams, s.key)
	if len(p.streams) == 0 {
		delete(m.in, s.peer)
	}
}

// list returns every stream from this peer.
func (p *inPeer) list(m *Mesh) (all []*inStream) {
	m.inMu.Lock()
	defer m.inMu.Unlock()
	for _, s := range p.streams {
		all = append(all, s)
	}
	return all
}

// tickInbound ends the streams of peers that have fallen silent: a peer pings
// on its control stream as long as it has a lane open.
func (m *Mesh) tickInbound() {
	var silent []*inStream
	m.inMu.Lock()
	for _, p := range m.in {
		if p.heard.Swap(false) {
			p.missed = 0
		} else if p.missed++; p.missed > m.deadTicks {
			for _, s := range p.streams {
				silent = append(silent, s)
			}
		}
	}
	m.inMu.Unlock()
	for _, s := range silent {
		s.end(ReasonDead)
	}
}

func (m *Mesh) inboundControls() (boxes []*outbox) {
	m.inMu.Lock()
	defer m.inMu.Unlock()
	for _, p := range m.in {
		if s := p.streams[streamKey{kind: streamControl}]; s != nil {
			boxes = append(boxes, s.box)
		}
	}
	return boxes
}

// serve moves frames until the stream ends.
func (s *inStream) serve(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { s.end(ReasonClosed) })()
	var writer sync.WaitGroup
	writer.Go(func() { s.box.write(s.stream) })
	if s.lane != nil {
		s.endFor(s.lane.read(s.stream))
		s.lane.detach()
	} else {
		s.serveControl(ctx, cancel)
		s.box.stop()
	}
	writer.Wait()
}
