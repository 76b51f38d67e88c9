package mesh

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"

	"flamingo/idspace"
)

// A link is what leads from here to one peer: lanes and a control stream, each
// with a goroutine of its own while it is needed.
type link struct {
	mesh    *Mesh
	peer    idspace.BootID
	ctx     context.Context // done when the mesh stops or the peer is gone
	cancel  context.CancelFunc
	lanes   []*lane
	control *control

	down    atomic.Bool // the last attempt to connect failed for good
	probing atomic.Bool // somebody wanted to send while down
	gone    atomic.Bool
	lanesUp atomic.Int32 // lanes whose goroutine runs
	heard   atomic.Bool  // bytes were received since the last tick
	rtt     atomic.Int64 // smoothed, in nanoseconds; 0 before the first pong
	traffic traffic

	missed int // ticks without bytes; of the goroutine that ticks
}

func newLink(m *Mesh, peer idspace.BootID) *link {
	l := &link{mesh: m, peer: peer}
	l.ctx, l.cancel = context.WithCancel(m.ctx)
	for i := range m.cfg.Lanes {
		l.lanes = append(l.lanes, newLane(l, i))
	}
	l.control = newControl(l)
	return l
}

// laneOf returns the lane of an id, always the same one.
func (l *link) laneOf(id idspace.ID) *lane { return l.lanes[laneIndex(id, len(l.lanes))] }

// laneIndex spreads ids by their serials, which count up.
func laneIndex(id idspace.ID, lanes int) int { return int(uint64(id) % uint64(lanes)) }

// ending is the reason of a stream that ends because ctx is done.
func (l *link) ending() Reason {
	if l.gone.Load() {
		return ReasonGone
	}
	return ReasonClosed
}

// failure is the outcome of what is queued when connect has given up.
func (l *link) failure(ctx context.Context) Outcome {
	switch {
	case l.gone.Load():
		return OutcomeGone
	case ctx.Err() != nil:
		return OutcomeClosed
	default:
		return OutcomeUnreachable
	}
}

// shut ends everything of the link; sends are refused with err from now on.
func (l *link) shut(err error) {
	for _, n := range l.lanes {
		n.shut(err)
	}
	l.control.shut(err)
	l.cancel()
}

// tick is called every PingEvery.
func (l *link) tick() {
	if l.heard.Swap(false) {
		l.missed = 0
	} else if l.missed++; l.missed >= l.mesh.deadTicks {
		l.missed = 0
		for _, n := range l.lanes {
			n.kill(ReasonDead)
		}
		l.control.kill(ReasonDead)
		return
	}
	for _, n := range l.lanes {
		n.tick(l.mesh.idleTicks)
	}
	l.control.tick(l.mesh.idleTicks)
}

// idle reports whether the link has no goroutine.
func (l *link) idle() bool {
	for _, n := range l.lanes {
		n.mu.Lock()
		running := n.running
		n.mu.Unlock()
		if running {
			return false
		}
	}
	return !l.control.isRunning()
}

// Backoff between attempts to connect.
const (
	firstBackoff = 20 * time.Millisecond
	lastBackoff  = time.Second
)

// A pace spaces the attempts of one stream. It belongs to its goroutine.
type pace struct {
	link  *link
	wait  time.Duration // before the next attempt; 0 for none
	since time.Time     // when the attempts began, without a handshake since
}

func (l *link) newPace() *pace { return &pace{link: l} }

func (p *pace) reset() { p.wait = 0 }

// pause waits before another attempt, with jitter from half to the whole of the
// backoff. It reports false when ctx is done.
func (p *pace) pause(ctx context.Context) bool {
	wait := p.wait
	p.wait = min(max(2*p.wait, firstBackoff), lastBackoff)
	if wait == 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(wait/2 + time.Duration(p.link.mesh.random()%uint64(wait/2+1)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// connect dials and shakes hands until it succeeds, ReconnectTimeout is over,
// or there is no hope. After it has given up the link is down.
func (l *link) connect(ctx context.Context, p *pace, greet func(*hello)) (net.Conn, error) {
	p.since = l.mesh.cfg.Now()
	for {
		if !p.pause(ctx) {
			return nil, ErrClosed
		}
		c, err := l.attempt(ctx, greet)
		if err == nil {
			l.down.Store(false)
			return c, nil
		}
		var refused *RefusedError
		hopeless := errors.As(err, &refused) && refused.Refusal.hopeless()
		if hopeless || l.mesh.cfg.Now().Sub(p.since) >= l.mesh.cfg.ReconnectTimeout {
			l.down.Store(true)
			l.mesh.cfg.Logger.Warn("peer is unreachable", "peer", l.peer, "err", err)
			return nil, err
		}
	}
}

// attempt dials and shakes hands once.
func (l *link) attempt(ctx context.Context, greet func(*hello)) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, l.mesh.cfg.HandshakeTimeout)
	defer cancel()
	c, err := l.mesh.cfg.Network.Dial(ctx, l.peer)
	if err != nil {
		l.mesh.counters.add(ReasonIO)
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	err = l.greet(c, greet)
	if !stop() { // c was closed, whatever that looked like to the reader
		err = reasonError{ReasonHandshake}
	}
	if err != nil {
		c.Close()
		l.mesh.counters.add(handshakeReason(err))
		return nil, err
	}
	l.heard.Store(true)
	return c, nil
}

func handshakeReason(err error) Reason {
	if errors.Is(err, ErrRefused) {
		return ReasonRefused
	}
	return reasonOf(err)
}

// greet says hello on c and judges the answer.
func (l *link) greet(c net.Conn, add func(*hello)) error {
	h := l.mesh.hello(l.peer)
	add(&h)
	if _, err := io.ReadFull(l.mesh.cfg.Random, h.session[:]); err != nil {
		return err
	}
	e := newEncoder()
	e.buf = append(e.buf, Magic...)
	e.hello(&h)
	if _, err := c.Write(e.buf); err != nil {
		return err
	}
	body, err := readGreeting(c)
	if err != nil {
		return err
	}
	w, err := newDecoder().welcome(body)
	if err != nil {
		return err
	}
	return l.judge(&h, &w)
}

func (l *link) judge(h *hello, w *welcome) error {
	refusal := w.refusal
	switch {
	case refusal != RefusalNone:
	case w.boot != l.peer && !l.mesh.trusting:
		refusal = RefusalNotMe
	case w.version < minVersion || w.version > maxVersion:
		refusal = RefusalVersion
	case !clustersMatch(h.cluster, w.cluster, h.kind):
		refusal = RefusalCluster
	case h.kind == streamLane && w.nextSeq != h.nextSeq:
		return reasonError{ReasonSequence}
	}
	if refusal != RefusalNone {
		return &RefusedError{Peer: l.peer, Boot: w.boot, Refusal: refusal, Mine: h.cluster, Theirs: w.cluster}
	}
	if h.kind == streamControl {
		l.control.greeted(h.cluster.IsZero() || w.cluster.IsZero())
	}
	l.mesh.cfg.Heard(l.peer, w.numbers, w.last)
	return nil
}

// clustersMatch reports whether two ends may open a stream: of one cluster, or
// a control stream with an end that has none.
func clustersMatch(a, b idspace.ClusterID, kind streamKind) bool {
	if kind == streamControl && (a.IsZero() || b.IsZero()) {
		return true
	}
	return a == b && !a.IsZero()
}

// readGreeting reads the magic and one frame, and not a byte more. It
// allocates at most maxHello bytes.
func readGreeting(c io.Reader) ([]byte, error) {
	var head [len(Magic) + headerLen]byte
	if _, err := io.ReadFull(c, head[:len(Magic)]); err != nil {
		return nil, err
	}
	if string(head[:len(Magic)]) != Magic {
		return nil, reasonError{ReasonHandshake}
	}
	if _, err := io.ReadFull(c, head[len(Magic):]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[len(Magic):])
	if n == 0 || n > maxHello {
		return nil, reasonError{ReasonTooLong}
	}
	body := make([]byte, n)
	_, err := io.ReadFull(c, body)
	return body, err
}

func idOf(v uint64) idspace.ID { return idspace.ID(v) }
