package mesh

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"flamingo/idspace"
)

// Backoff between attempts to connect.
const (
	firstBackoff = 20 * time.Millisecond
	lastBackoff  = time.Second
)

// States of a contact. Every other value is when the attempts began of which one
// has failed, by Mesh.clock.
const (
	contactNone int64 = 0  // nothing has failed since the last stream
	contactOpen int64 = -1 // its stream is up
	contactLost int64 = -2 // given up, until a probe or another stream succeeds
)

// A contact is how one stream of a link fares in reaching the peer. The
// goroutine of the stream connects; who wants to send asks whether the peer is
// unreachable.
type contact struct {
	link    *link
	state   atomic.Int64
	again   chan struct{}                // room for one: try at once; never closed
	greet   func(*hello)                 // says which stream it is
	greeted func(*hello, *welcome) error // takes the answer, also one that refuses
	wait    time.Duration                // before the next attempt, 0 for none; of the goroutine that connects
}

func newContact(l *link, greet func(*hello), greeted func(*hello, *welcome) error) *contact {
	return &contact{link: l, greet: greet, greeted: greeted, again: make(chan struct{}, 1)}
}

// unreachable reports whether attempts have failed, and for UnreachableAfter none
// has succeeded, or the stream was given up.
func (k *contact) unreachable() bool {
	switch since := k.state.Load(); since {
	case contactNone, contactOpen:
		return false
	case contactLost:
		return true
	default:
		return k.link.mesh.clock()-since >= int64(k.link.mesh.cfg.UnreachableAfter)
	}
}

// begin takes over what the control stream, which is wanted whenever another one
// is, knows of attempts that fail.
func (k *contact) begin() {
	if since := k.link.control.contact.state.Load(); since != contactOpen {
		k.state.CompareAndSwap(contactNone, since)
	}
}

// failed notes that an attempt has failed, of those that began at since. One
// that is under way says nothing yet: on a busy machine a handshake takes long.
func (k *contact) failed(since int64) { k.state.CompareAndSwap(contactNone, since) }

// ended notes that the stream is over.
func (k *contact) ended() { k.state.CompareAndSwap(contactOpen, contactNone) }

// hurry ends the pause before the next attempt.
func (k *contact) hurry() {
	if k.state.Load() == contactOpen {
		return
	}
	select {
	case k.again <- struct{}{}:
	default:
	}
}

// pause waits before another attempt, with jitter from half to the whole of the
// backoff. It reports false when ctx is done.
func (k *contact) pause(ctx context.Context) bool {
	wait := k.wait
	k.wait = min(max(2*k.wait, firstBackoff), lastBackoff)
	if wait == 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(wait/2 + time.Duration(k.link.mesh.random()%uint64(wait/2+1)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-k.again:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// connect dials and shakes hands until it succeeds, ReconnectTimeout is over,
// or there is no hope.
func (k *contact) connect(ctx context.Context) (net.Conn, error) {
	m := k.link.mesh
	begun := m.clock()
	for failed := false; ; failed = true {
		k.begin()
		if !k.pause(ctx) {
			return nil, ErrClosed
		}
		c, err := k.attempt(ctx)
		if err == nil {
			k.state.Store(contactOpen)
			k.link.opened(k, failed)
			return c, nil
		}
		k.failed(begun)
		if k == k.link.control.contact && m.clock()-begun >= int64(m.cfg.UnreachableAfter) {
			k.link.control.lost()
		}
		var refused *RefusedError
		hopeless := errors.As(err, &refused) && refused.Refusal.hopeless()
		if hopeless || m.clock()-begun >= int64(m.cfg.ReconnectTimeout) {
			level := slog.LevelWarn
			if k.state.Swap(contactLost) == contactLost {
				level = slog.LevelDebug // as before
			}
			m.cfg.Logger.Log(ctx, level, "peer is unreachable", "peer", k.link.peer, "err", err)
			if k == k.link.control.contact {
				k.link.control.lost()
			}
			return nil, err
		}
	}
}

// attempt dials and shakes hands once.
func (k *contact) attempt(ctx context.Context) (net.Conn, error) {
	l := k.link
	ctx, cancel := context.WithTimeout(ctx, l.mesh.cfg.HandshakeTimeout)
	defer cancel()
	c, err := l.mesh.cfg.Network.Dial(ctx, l.peer)
	if err != nil {
		l.mesh.counters.add(ReasonIO)
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	err = k.hail(c)
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

// hail says hello on c and judges the answer.
func (k *contact) hail(c net.Conn) error {
	m := k.link.mesh
	h := m.hello(k.link.peer)
	h.attempt = m.attempts.Add(1)
	k.greet(&h)
	if h.resume == 0 {
		if _, err := io.ReadFull(m.cfg.Random, h.session[:]); err != nil {
			return err
		}
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
	return k.judge(&h, &w)
}

func (k *contact) judge(h *hello, w *welcome) error {
	l := k.link
	if w.refusal == RefusalRetired && w.boot == l.peer && w.cluster == h.cluster && !h.cluster.IsZero() {
		l.mesh.cfg.Dismissed(l.peer)
	}
	refusal := w.refusal
	switch {
	case refusal != RefusalNone:
	case w.boot != l.peer && !l.mesh.trusting:
		refusal = RefusalNotMe
	case l.mesh.cfg.Retired(w.numbers):
		refusal = RefusalRetired
	case w.version < l.mesh.min || w.version > l.mesh.max:
		refusal = RefusalVersion
	case !clustersMatch(h.cluster, w.cluster, h.kind):
		refusal = RefusalCluster
	}
	w.refusal = refusal
	if err := k.greeted(h, w); err != nil {
		return err
	}
	if refusal != RefusalNone {
		return &RefusedError{
			Peer: l.peer, Boot: w.boot, Refusal: refusal, Mine: h.cluster, Theirs: w.cluster,
			Speaks: Versions{h.min, h.max}, PeerSpeaks: Versions{w.min, w.max},
		}
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
