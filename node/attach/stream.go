package attach

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// A stream carries the frames of one worker, in one of the forms. Its reader and its
// writer may be two goroutines.
type stream interface {
	format() format

	// read returns the body of the next frame, valid until the next call; limit bounds
	// its length in bytes. It waits until there is one. io.EOF is an end in between two.
	read(limit int) ([]byte, error)

	// begin is what goes onto the stream before the first frame.
	begin() []byte

	// seal makes a frame that was appended to b from start on what goes onto the stream.
	seal(b []byte, start int) []byte

	// end is what goes onto the stream behind the last frame.
	end() []byte
}

// A lifeline is a connection whose reads end when nothing comes for too long. How long,
// and an end of all, can be set by others meanwhile.
type lifeline struct {
	net.Conn

	mu    sync.Mutex
	quiet time.Duration // guarded by mu: how long a read waits
	ended bool          // guarded by mu: the deadlines stay what they are
}

func (l *lifeline) Read(p []byte) (int, error) {
	l.mu.Lock()
	if !l.ended {
		_ = l.SetReadDeadline(time.Now().Add(l.quiet)) // if it cannot be, the read fails
	}
	l.mu.Unlock()
	return l.Conn.Read(p)
}

// allow sets how long a read may wait from its next call on.
func (l *lifeline) allow(quiet time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.quiet = quiet
}

// endBy ends every read at one time, whatever comes, and every write at another.
func (l *lifeline) endBy(read, write time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	_ = l.SetReadDeadline(read) // as above, as the next
	_ = l.SetWriteDeadline(write)
}

// allowWrite gives the next write so long, unless the end is set.
func (l *lifeline) allowWrite(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		_ = l.SetWriteDeadline(time.Now().Add(d)) // as above
	}
}

// openStream finds out by its first bytes which form a worker speaks. pages says
// whether web pages may attach.
func openStream(nc *lifeline, pages bool) (stream, error) {
	in := bufio.NewReaderSize(nc, 64<<10)
	first, err := in.Peek(1)
	if err != nil {
		return nil, err
	}
	switch first[0] {
	case magic[0]:
		var begin [len(magic)]byte
		if _, err := io.ReadFull(in, begin[:]); err != nil {
			return nil, err
		}
		if string(begin[:]) != magic {
			return nil, malformed("the stream begins with %q, not with %q", begin, magic)
		}
		return &frames{in: in}, nil
	case '{':
		return &lines{in: in}, nil
	case 'G':
		return upgrade(nc, in, pages)
	default:
		return nil, malformed("the stream begins with %q: allowed are %q, an object of JSON, and GET", first, magic)
	}
}

// frames are msgpack behind lengths.
type frames struct {
	in   *bufio.Reader
	long bytes.Buffer // a frame that does not fit into in
	used int          // of in, by the last frame
}

func (*frames) format() format              { return msgpackForm{header: true} }
func (*frames) begin() []byte               { return []byte(magic) }
func (*frames) seal(b []byte, _ int) []byte { return b }
func (*frames) end() []byte                 { return nil }

func (f *frames) read(limit int) ([]byte, error) {
	if _, err := f.in.Discard(f.used); err != nil {
		return nil, err
	}
	f.used = 0
	head, err := f.in.Peek(headerLen)
	if err != nil {
		return nil, endOf(err, len(head))
	}
	n := int64(binary.BigEndian.Uint32(head))
	if n == 0 || n > int64(limit) {
		return nil, malformed("a frame of %d bytes: allowed are 1 to %d", n, limit)
	}
	if size := headerLen + int(n); size <= f.in.Size() {
		body, err := f.in.Peek(size)
		if err != nil {
			return nil, endOf(err, 1)
		}
		f.used = size
		return body[headerLen:], nil
	}
	_, _ = f.in.Discard(headerLen) // is there
	f.long.Reset()
	if _, err := io.CopyN(&f.long, f.in, n); err != nil { // its memory follows what has come
		return nil, endOf(err, 1)
	}
	return f.long.Bytes(), nil
}

// endOf tells an end between two frames from one within a frame.
func endOf(err error, begun int) error {
	if errors.Is(err, io.EOF) && begun > 0 {
		return fmt.Errorf("within a frame: %w", io.ErrUnexpectedEOF)
	}
	return err
}

// lines are JSON in lines.
type lines struct {
	in   *bufio.Reader
	long []byte // a line that does not fit into in
}

func (*lines) format() format              { return jsonForm{lines: true} }
func (*lines) begin() []byte               { return nil }
func (*lines) seal(b []byte, _ int) []byte { return b }
func (*lines) end() []byte                 { return nil }

func (l *lines) read(limit int) ([]byte, error) {
	l.long = l.long[:0]
	for {
		part, err := l.in.ReadSlice('\n')
		if len(l.long)+len(part) > limit+1 {
			return nil, malformed("a line of more than %d bytes", limit)
		}
		switch {
		case err == nil && len(l.long) == 0:
			return part, nil
		case err == nil:
			l.long = append(l.long, part...)
			return l.long, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, endOf(err, len(l.long)+len(part))
		}
		l.long = append(l.long, part...)
	}
}
