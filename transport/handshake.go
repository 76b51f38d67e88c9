package transport

import (
	"container/list"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"

	"flamingo/idspace"
)

// maxShakeInput is how many bytes a connection holds of what its handshake has
// not read: a whole record, and more, fits in. At the bound it is not read from.
const maxShakeInput = 32 << 10

// A handshake is that of TLS on one connection. From the first record of the
// client on it has a goroutine, which needs a turn to compute and gives it up
// while it waits for the client.
type handshake struct {
	t            *Transport    // immutable
	s            *slot         // immutable; the connection's until abandon
	i            uint32        // immutable
	certificates *certificates // immutable
	session      *session      // immutable

	turn chan struct{} // receives the turn that the goroutine waits for; capacity 1, never closed
	done chan struct{} // closed by the goroutine: it is over
	room chan struct{} // receives when a reader that stopped may go on; capacity 1, never closed

	// Guarded by session.mu.
	id        idspace.ID // of the connection, once it has sent something
	phase     shakePhase
	records   recordScan
	stuffed   bool // the reader has stopped
	abandoned bool // the connection has ended
	err       error

	// Guarded by handshakes.mu.
	started bool          // it has a goroutine
	place   *list.Element // among those that wait for a turn, or nil

	since  atomic.Uint32 // tick since which it waits for a turn, or 0; written under handshakes.mu
	waited atomic.Uint32 // ticks that it has waited for turns before; written under handshakes.mu
}

// A shakePhase is how far a handshake is.
type shakePhase uint8

const (
	shakeFresh   shakePhase = iota // the client's first record has not come
	shakeRuns                      // computing, or waiting for a turn
	shakeWaits                     // waiting for the client
	shakeOver                      // the reader is to take the outcome
	shakeSettled                   // the reader has taken it
)

func newHandshake(t *Transport, s *slot, i uint32) *handshake {
	h := &handshake{
		t: t, s: s, i: i, certificates: t.bound[s.listener].certificates,
		turn: make(chan struct{}, 1),
		done: make(chan struct{}),
		room: make(chan struct{}, 1),
	}
	h.session = &session{shake: h}
	return h
}

// feed takes data from the client. over says that the handshake has ended; err
// is why it failed.
func (h *handshake) feed(data []byte) (over bool, err error) {
	se := h.session
	se.mu.Lock()
	se.in = append(se.in, data...)
	if h.phase >= shakeOver {
		defer se.mu.Unlock()
		h.phase = shakeSettled
		return true, h.err
	}
	if h.id == 0 {
		h.id = idspace.ID(h.s.id.Load())
	}
	goesOn := h.records.add(data) && h.goOnLocked()
	se.mu.Unlock()
	if goesOn {
		h.t.handshakes.queue(h)
	}
	return false, nil
}

// goOnLocked decides that the handshake goes on, or begins, if it waits for the
// client. The caller holds the session's mu, and then queues the handshake.
func (h *handshake) goOnLocked() bool {
	if h.phase != shakeWaits && h.phase != shakeFresh {
		return false
	}
	h.phase = shakeRuns
	return true
}

// inputEnds says that the client sends nothing more. It reports whether what it
// has sent may still open the connection.
func (h *handshake) inputEnds() (undecided bool) {
	se := h.session
	se.mu.Lock()
	se.ended = true
	goesOn := (h.phase == shakeWaits || len(se.in) > 0) && h.goOnLocked()
	undecided = h.undecidedLocked()
	se.mu.Unlock()
	if goesOn {
		h.t.handshakes.queue(h)
	}
	return undecided
}

// full reports whether the connection is not to be read from. The reader is
// told when that changes.
func (h *handshake) full() bool {
	h.session.mu.Lock()
	defer h.session.mu.Unlock()
	h.stuffed = h.phase < shakeOver && len(h.session.in) >= maxShakeInput
	return h.stuffed
}

// undecided reports whether what was received may still open the connection.
func (h *handshake) undecided() bool {
	h.session.mu.Lock()
	defer h.session.mu.Unlock()
	return h.undecidedLocked()
}

func (h *handshake) undecidedLocked() bool { return h.phase != shakeFresh && h.phase != shakeSettled }

// abandon ends the handshake of a connection that has ended, of which nothing
// is received any more. It does not wait.
func (h *handshake) abandon() {
	se := h.session
	se.mu.Lock()
	h.abandoned = true
	se.in = nil
	waits := h.phase == shakeWaits
	h.goOnLocked()
	se.mu.Unlock()
	h.t.handshakes.abandon(h, waits)
}

// extra is how many ticks the handshake has waited for turns, which is not the
// client's doing.
func (h *handshake) extra(now uint32) uint32 {
	since := h.since.Load() // before waited, so that no wait is left out
	extra := h.waited.Load()
	if since != 0 && now > since {
		extra += now - since
	}
	return extra
}

// tell makes the connection's reader go on with what waits in the wire.
func (h *handshake) tell() {
	select {
	case h.room <- struct{}{}:
	default:
	}
	h.t.oweReading(h.s, h.i, h.id)
}

// run is the goroutine of the handshake. It begins with a turn.
func (h *handshake) run() {
	runtime.Gosched() // who was ready before goes first, such as an event loop
	se := h.session
	conn := tls.Server(se, h.certificates.config())
	err := conn.Handshake()
	h.t.handshakes.release()
	se.mu.Lock()
	se.conn, se.shake, se.ready = conn, nil, err == nil
	h.phase, h.err = shakeOver, err
	se.mu.Unlock()
	close(h.done)
	h.tell()
}

// awaitInput gives the turn up until the client has sent something and there is
// a turn again, or the connection has ended.
func (h *handshake) awaitInput() {
	h.t.handshakes.release()
	<-h.turn
	runtime.Gosched() // as in run
}

// failed returns why the connection ends whose handshake failed.
func (h *handshake) failed(err error) error {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		err = fmt.Errorf("%w: %w", errRefused, err)
	}
	h.s.mu.Lock()
	_, remote := h.t.addrsLocked(h.s, h.i)
	h.s.mu.Unlock()
	h.t.cfg.Logger.Debug("handshake failed", "listener", h.certificates.listener, "remote", remote, "err", err)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) {
		return errInputEnded
	}
	return err
}

// handshakes gives out turns: so many handshakes compute at once as there are
// turns. Whoever has begun goes before who has not, and otherwise who came first
// goes first. So of a storm of clients the first are served soon, the others in
// their order, and few have a goroutine.
type handshakes struct {
	t       *Transport
	running sync.WaitGroup // goroutines; waited for by Run, once every connection has ended

	mu    sync.Mutex
	free  int       // guarded by mu: turns; below 0 while some that were abandoned end
	begun list.List // guarded by mu: *handshake, each with a goroutine that waits
	fresh list.List // guarded by mu: *handshake, each without a goroutine
}

func newHandshakes(t *Transport) *handshakes {
	return &handshakes{t: t, free: runtime.GOMAXPROCS(0)}
}

// queue gives h a turn, at once or when it is its turn.
func (p *handshakes) queue(h *handshake) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h.since.Store(p.t.tick())
	if h.started {
		h.place = p.begun.PushBack(h)
	} else {
		h.place = p.fresh.PushBack(h)
	}
	p.grantLocked()
}

// release gives a turn back.
func (p *handshakes) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free++
	p.grantLocked()
}

// abandon lets h, whose goroutine waits for the client or for a turn, end at
// once. Without a goroutine it never has one.
func (p *handshakes) abandon(h *handshake, waits bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if h.place != nil {
		waits = h.started
		p.takeLocked(h)
	}
	if waits {
		p.free--
		h.turn <- struct{}{}
	}
}

// grantLocked gives the turns that are free to those that wait.
func (p *handshakes) grantLocked() {
	for p.free > 0 {
		e := p.begun.Front()
		if e == nil {
			e = p.fresh.Front()
		}
		if e == nil {
			return
		}
		h := e.Value.(*handshake)
		p.takeLocked(h)
		p.free--
		if h.started {
			h.turn <- struct{}{} // it has room: there is one turn for each wait
			continue
		}
		h.started = true
		p.running.Go(h.run)
	}
}

// takeLocked takes h from those that wait.
func (p *handshakes) takeLocked(h *handshake) {
	if h.started {
		p.begun.Remove(h.place)
	} else {
		p.fresh.Remove(h.place)
	}
	h.place = nil
	h.waited.Add(p.t.tick() - h.since.Load()) // before since, so that no wait is left out
	h.since.Store(0)
}

// Types of records (RFC 8446, 5.1), and the longest one (RFC 5246, 6.2.3).
const (
	recordHeader   = 5
	recordLowest   = 20 // change_cipher_spec
	recordHighest  = 23 // application_data
	recordLongest  = 16<<10 + 2<<10
	recordLengthAt = 3
)

// A recordScan finds the ends of records in what a client sends, so that a
// handshake is not woken for parts of them, however many these are.
type recordScan struct {
	header [recordHeader]byte
	have   int  // bytes of header
	left   int  // bytes of the record behind its header
	broken bool // these are no records
}

// add takes what follows. It reports whether a record ends in it, or crypto/tls
// should see that it is none.
func (r *recordScan) add(data []byte) (enough bool) {
	for len(data) > 0 && !r.broken {
		if r.have < recordHeader {
			n := copy(r.header[r.have:], data)
			r.have, data = r.have+n, data[n:]
			r.broken = r.header[0] < recordLowest || r.header[0] > recordHighest
			if r.have < recordHeader {
				break
			}
			r.left = int(r.header[recordLengthAt])<<8 | int(r.header[recordLengthAt+1])
			r.broken = r.broken || r.left > recordLongest
		}
		n := min(r.left, len(data))
		r.left, data = r.left-n, data[n:]
		if r.left == 0 {
			r.have, enough = 0, true
		}
	}
	return enough || r.broken
}
