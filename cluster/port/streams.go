package port

import (
	"fmt"
	"net"
	"sync"
)

// Streams is the consumer of the incoming streams of one protocol. It is a
// net.Listener. Its methods are safe for concurrent use.
type Streams struct {
	port  *Port    // immutable
	proto Protocol // immutable

	mu     sync.Mutex
	closed bool
	queue  chan net.Conn // sent to by offer under mu; never closed
	done   chan struct{} // closed by Close
}

var _ net.Listener = (*Streams)(nil)

// Streams claims the incoming streams of a protocol, until its Close; those
// that come while nobody has claimed them are closed. The error matches
// ErrTaken, ErrUnknownProtocol or, after the end, net.ErrClosed.
func (p *Port) Streams(proto Protocol) (*Streams, error) {
	if err := proto.check(); err != nil {
		return nil, fmt.Errorf("port: streams: %w", err)
	}
	s := &Streams{
		port:  p,
		proto: proto,
		queue: make(chan net.Conn, p.cfg.QueueLen),
		done:  make(chan struct{}),
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.stage == ended:
		return nil, fmt.Errorf("port: streams of %v: %w", proto, net.ErrClosed)
	case p.streams[proto] != nil:
		return nil, fmt.Errorf("port: streams of %v: %w", proto, ErrTaken)
	}
	p.streams[proto] = s
	return s, nil
}

// offer puts c into the queue without blocking, or says why not.
func (s *Streams) offer(c net.Conn) (bool, Reason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false, Stopping
	}
	select {
	case s.queue <- c:
		return true, 0
	default:
		return false, Full
	}
}

// Accept returns the next stream, behind its preamble. It blocks until there
// is one, or until Close or the end of the port; the error then matches
// net.ErrClosed.
func (s *Streams) Accept() (net.Conn, error) {
	select {
	case c := <-s.queue:
		select {
		case <-s.done:
			s.port.refuse(c, Stopping)
		default:
			return c, nil
		}
	case <-s.done:
	}
	return nil, fmt.Errorf("port: accept %v: %w", s.proto, net.ErrClosed)
}

// Close gives the protocol up and closes the streams that wait. Neither the
// port nor other consumers notice. It may be called any number of times.
func (s *Streams) Close() error {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	s.mu.Unlock()
	if !first {
		return nil
	}
	s.port.mu.Lock()
	if s.port.streams[s.proto] == s {
		s.port.streams[s.proto] = nil
	}
	s.port.mu.Unlock()
	close(s.done) // whoever it wakes may claim the protocol again
	for {
		select {
		case c := <-s.queue:
			s.port.refuse(c, Stopping)
		default:
			return nil
		}
	}
}

// Addr returns the address of the port.
func (s *Streams) Addr() net.Addr { return net.TCPAddrFromAddrPort(s.port.Addr()) }
