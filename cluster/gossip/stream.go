package gossip

import (
	"net"
	"sync"
)

// stream is a stream that memberlist uses, or will.
type stream struct {
	net.Conn
	t    *transport
	slot chan struct{} // gets its token back; nil for a dialed stream
	once sync.Once
}

// track returns c as a stream that ends with the transport; nil, with c
// closed, if that has ended. The token of slot passes to the stream.
func (t *transport) track(c net.Conn, slot chan struct{}) *stream {
	s := &stream{Conn: c, t: t, slot: slot}
	t.mu.Lock()
	ok := !t.closed
	if ok {
		t.open[s] = struct{}{}
	}
	t.mu.Unlock()
	if !ok {
		s.Close()
		return nil
	}
	return s
}

// Write closes the stream after an error: memberlist forgets streams whose
// first bytes it could not write.
func (s *stream) Write(b []byte) (int, error) {
	n, err := s.Conn.Write(b)
	if err != nil {
		s.Close()
	}
	return n, err
}

// abort breaks the stream under whoever uses it, who is still to close it.
func (s *stream) abort() { s.Conn.Close() }

// Close is by the user of the stream. It may be called any number of times.
func (s *stream) Close() error {
	err := s.Conn.Close()
	s.once.Do(func() {
		if s.slot != nil {
			<-s.slot
		}
		s.t.mu.Lock()
		delete(s.t.open, s)
		last := s.t.closed && len(s.t.open) == 0
		s.t.mu.Unlock()
		if last {
			s.t.lastClosed.Do(func() { close(s.t.emptied) })
		}
	})
	return err
}
