package mesh

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
)

// A stream is one TCP connection of a link, whoever dialled it. Its first
// cause to end is its reason.
type stream struct {
	conn    net.Conn
	traffic *traffic
	heard   *atomic.Bool // set whenever bytes are received: a sign of life
	reason  atomic.Uint32
}

// traffic counts what went over the streams of a peer that one end dialled,
// and why they ended.
type traffic struct {
	ends                reasonCounters
	framesIn, framesOut atomic.Uint64
	bytesIn, bytesOut   atomic.Uint64
}

// reasonCounters counts by reason.
type reasonCounters [reasonCount]atomic.Uint64

func (c *reasonCounters) add(r Reason) { c[r].Add(1) }

func newStream(conn net.Conn, t *traffic, heard *atomic.Bool) *stream {
	return &stream{conn: conn, traffic: t, heard: heard}
}

// end closes the stream. Only the first call gives the reason.
func (s *stream) end(r Reason) {
	if s.reason.CompareAndSwap(uint32(ReasonNone), uint32(r)) {
		s.conn.Close()
	}
}

// endFor is end with the reason found in err.
func (s *stream) endFor(err error) { s.end(reasonOf(err)) }

func (s *stream) ended() bool { return s.reason.Load() != uint32(ReasonNone) }

func (s *stream) why() Reason { return Reason(s.reason.Load()) }

func reasonOf(err error) Reason {
	var found reasonError
	switch {
	case errors.As(err, &found):
		return found.Reason
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return ReasonEOF
	default:
		return ReasonIO
	}
}

// awaitBatch is more.Wait for a writer. Woken, it first lets the goroutines run
// that are ready to: a writer is woken by the first frame, and on a busy processor
// would write that one alone, while many that have one too wait for their turn. On
// an idle processor that costs next to nothing.
func awaitBatch(more *sync.Cond) {
	more.Wait()
	more.L.Unlock()
	runtime.Gosched()
	more.L.Lock()
}

// write hands b to the network. frames is how many frames it holds.
func (s *stream) write(b []byte, frames int) bool {
	if len(b) == 0 {
		return !s.ended()
	}
	s.traffic.framesOut.Add(uint64(frames))
	s.traffic.bytesOut.Add(uint64(len(b)))
	if _, err := s.conn.Write(b); err != nil {
		s.end(ReasonIO)
		return false
	}
	return true
}

// Sizes of read buffers, in bytes. A buffer grows to what is announced, which
// met its limit first, and doubles when a read fills it.
const (
	minReadBuffer = 4 << 10
	maxReadBuffer = headerLen + maxFrame
)

// frameReader cuts a stream into the bodies of frames.
type frameReader struct {
	*stream
	buf      []byte
	from, to int
	filled   bool // the last read took all the room there was
	frames   int  // not yet counted: at each read is often enough
}

// next returns the body of the next frame, which is valid until the next call.
// It blocks until there is one, or an error. maxFrame bounds its length.
func (r *frameReader) next() ([]byte, error) {
	for {
		have := r.to - r.from
		need := headerLen
		if have >= headerLen {
			n := binary.BigEndian.Uint32(r.buf[r.from:])
			if n > maxFrame {
				return nil, fmt.Errorf("%w: frame of %d bytes, limit %d", reasonError{ReasonTooLong}, n, maxFrame)
			}
			need += int(n)
		}
		if have >= need && need > headerLen {
			body := r.buf[r.from+headerLen : r.from+need]
			r.from += need
			r.frames++
			return body, nil
		}
		if have >= headerLen && need == headerLen {
			return nil, fmt.Errorf("%w: empty frame", reasonError{ReasonMalformed})
		}
		if err := r.fill(need); err != nil {
			return nil, err
		}
	}
}

// batched reports whether a further frame is here already, so that what is to
// be said about this one can wait for it.
func (r *frameReader) batched() bool {
	have := r.to - r.from
	return have >= headerLen && have-headerLen >= int(binary.BigEndian.Uint32(r.buf[r.from:]))
}

// count counts the frames that were returned since it was last called.
func (r *frameReader) count() {
	r.traffic.framesIn.Add(uint64(r.frames))
	r.frames = 0
}

// fill reads once, after it has made room for need bytes from r.from on.
func (r *frameReader) fill(need int) error {
	r.count()
	if r.from > 0 && (r.from == r.to || r.from+need > len(r.buf)) {
		r.to = copy(r.buf, r.buf[r.from:r.to])
		r.from = 0
	}
	size := max(minReadBuffer, need)
	if r.filled {
		size = max(size, min(2*len(r.buf), maxReadBuffer))
	}
	if size > len(r.buf) {
		b := make([]byte, size)
		r.to = copy(b, r.buf[r.from:r.to])
		r.from, r.buf = 0, b
	}
	n, err := r.conn.Read(r.buf[r.to:])
	if n > 0 {
		r.heard.Store(true)
		r.traffic.bytesIn.Add(uint64(n))
		r.to += n
		r.filled = r.to == len(r.buf)
		return nil
	}
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}
