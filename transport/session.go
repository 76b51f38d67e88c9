package transport

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"flamingo/idspace"
)

// A session is TLS on one connection: crypto/tls on a net.Conn in memory. The
// driver puts what it has received into it, and writes what comes out of it
// (sealing.go); it never waits for it. Only the handshake, which crypto/tls does
// not do in pieces, runs on a goroutine of its own (handshake.go); from then on
// a read without input answers errNoInput, after which crypto/tls can go on.
//
// While nothing is under way a session holds no memory beside crypto/tls's own.
type session struct {
	// conn is set by the goroutine of the handshake. It is for the driver once
	// that is over.
	conn *tls.Conn

	// Owned by who writes the connection.
	sealing  *sealing // encrypted and not written; or nil
	relieved bool     // the reader, which has stopped, may go on

	mu      sync.Mutex
	shake   *handshake    // guarded by mu: while it is under way
	in      []byte        // guarded by mu: received, and not read by crypto/tls
	out     []byte        // guarded by mu: encrypted, and not taken by who writes
	room    chan struct{} // guarded by mu: a reader has stopped until out is taken, which closes it; or nil
	ended   bool          // guarded by mu: nothing follows in
	ready   bool          // guarded by mu: the handshake has succeeded
	writing bool          // guarded by mu: sealing is not nil
	parted  bool          // guarded by mu: close_notify is encrypted, or need not be
}

// maxUnwritten is from how many encrypted bytes on, which wait to be written, a
// connection is not read from: a client that makes crypto/tls answer, as by
// requests to change keys, and does not read the answers, is not read either.
// What one read brings about may exceed it.
const maxUnwritten = 64 << 10

// errNoInput: everything received was read.
var errNoInput net.Error = noInputError{}

type noInputError struct{}

func (noInputError) Error() string   { return "no input so far" }
func (noInputError) Timeout() bool   { return true }
func (noInputError) Temporary() bool { return true } // for which crypto/tls looks

// Read gives crypto/tls what was received. During the handshake it waits.
func (se *session) Read(p []byte) (int, error) {
	se.mu.Lock()
	for len(se.in) == 0 {
		h := se.shake
		switch {
		case h != nil && h.abandoned:
			se.mu.Unlock()
			return 0, net.ErrClosed
		case se.ended:
			se.mu.Unlock()
			return 0, io.EOF
		case h == nil:
			se.mu.Unlock()
			return 0, errNoInput
		}
		h.phase = shakeWaits
		se.mu.Unlock()
		h.awaitInput()
		se.mu.Lock()
	}
	n := copy(p, se.in)
	se.in = se.in[n:]
	if len(se.in) == 0 {
		se.in = nil
	}
	h := se.shake
	resume := h != nil && h.stuffed && len(se.in) < maxShakeInput
	if resume {
		h.stuffed = false
	}
	se.mu.Unlock()
	if resume {
		h.tell()
	}
	return n, nil
}

// Write takes what crypto/tls has encrypted. It never waits.
func (se *session) Write(p []byte) (int, error) {
	se.mu.Lock()
	se.out = append(se.out, p...)
	h := se.shake
	se.mu.Unlock()
	if h != nil {
		h.t.owe(h.s, h.i, h.id)
	}
	return len(p), nil
}

// lend gives crypto/tls data to read, behind what is left of the handshake,
// until the caller takes it away.
func (se *session) lend(data []byte) {
	se.mu.Lock()
	defer se.mu.Unlock()
	if len(se.in) == 0 {
		se.in = data
	} else {
		se.in = append(se.in, data...)
	}
}

// takeAway ends lend. It reports whether there is something to write.
func (se *session) takeAway() (owes bool) {
	se.mu.Lock()
	defer se.mu.Unlock()
	se.in = nil
	return len(se.out) > 0
}

// stuffed returns what is closed when there is room for further answers, or nil
// if there is.
func (se *session) stuffed() (room <-chan struct{}) {
	se.mu.Lock()
	defer se.mu.Unlock()
	if !se.writing || len(se.out) <= maxUnwritten {
		return nil
	}
	if se.room == nil {
		se.room = make(chan struct{})
	}
	return se.room
}

// owes reports whether there is something to write; closing says that nothing
// is sent any more, so that our end is to be told.
func (se *session) owes(closing bool) bool {
	se.mu.Lock()
	defer se.mu.Unlock()
	return se.writing || len(se.out) > 0 || closing && se.ready && !se.parted
}

// Close and the rest of net.Conn are of no use to crypto/tls here.

// Close does nothing: the driver ends connections.
func (se *session) Close() error { return nil }

// LocalAddr returns no real address.
func (se *session) LocalAddr() net.Addr { return unknownAddr("tls") }

// RemoteAddr returns no real address.
func (se *session) RemoteAddr() net.Addr { return unknownAddr("tls") }

// SetDeadline does nothing: nothing waits, but in the handshake, which has the
// deadline of the connection.
func (se *session) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing.
func (se *session) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing.
func (se *session) SetWriteDeadline(time.Time) error { return nil }

// clearRead is how many bytes of clear text go on to the framing at a time.
const clearRead = 64 << 10

// decrypt takes data, or with data nil what the handshake has left, and hands
// on the clear text in it. It returns as receive does.
func (in *intake) decrypt(s *slot, i uint32, w *wire, data []byte) (messages int, err error) {
	if in.clear == nil {
		in.clear = make([]byte, clearRead)
	}
	se := w.session
	se.lend(data)
	for err == nil {
		n := 0
		for n < len(in.clear) && err == nil {
			var part int
			part, err = se.conn.Read(in.clear[n:])
			n += part
		}
		if n > 0 {
			in.moved += n
			s.bytesIn.Add(uint64(n))
			taken, refused := in.deliver(s, i, w, in.clear[:n])
			messages += taken
			if refused != nil {
				err = refused
			}
		}
	}
	if se.takeAway() {
		in.t.owe(s, i, idspace.ID(s.id.Load()))
	}
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return messages, errInputEnded
	case !errors.Is(err, errNoInput):
		return messages, err
	default:
		return messages, nil
	}
}
