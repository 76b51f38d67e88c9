package test

import (
	"io"
	"net"
	"sync"
	"testing"
)

// A relay stands before the port of a node, for TCP and UDP: it passes on what
// comes, and breaks streams when it is told to.
type relay struct {
	t      testing.TB
	target string
	ln     net.Listener
	pc     net.PacketConn
	wg     sync.WaitGroup

	mu      sync.Mutex
	streams map[*net.TCPConn]bool   // guarded by mu: both ends of each
	sources map[string]*net.UDPConn // guarded by mu: towards the target
	closed  bool                    // guarded by mu
	aborted int                     // guarded by mu: streams broken
}

// newRelay relays what comes to addr until the end of the test.
func newRelay(t testing.TB, addr, target string) *relay {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	pc, err := net.ListenPacket("udp", addr)
	if err != nil {
		ln.Close()
		t.Fatal(err)
	}
	r := &relay{t: t, target: target, ln: ln, pc: pc, streams: map[*net.TCPConn]bool{}, sources: map[string]*net.UDPConn{}}
	r.wg.Go(r.accept)
	r.wg.Go(r.packets)
	t.Cleanup(r.close)
	return r
}

func (r *relay) close() {
	r.ln.Close()
	r.pc.Close()
	r.mu.Lock()
	r.closed = true
	for _, c := range r.sources {
		c.Close()
	}
	r.mu.Unlock()
	r.abort()
	r.wg.Wait()
}

// abort resets every stream there is. What is on its way is lost, in both
// directions.
func (r *relay) abort() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.streams {
		_ = c.SetLinger(0)
		c.Close()
	}
	r.aborted += len(r.streams) / 2
	clear(r.streams)
}

func (r *relay) accept() {
	for {
		from, err := r.ln.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", r.target)
		if err != nil {
			from.Close()
			continue
		}
		ends := [2]*net.TCPConn{from.(*net.TCPConn), to.(*net.TCPConn)}
		r.mu.Lock()
		for _, c := range ends {
			if r.closed {
				c.Close()
			} else {
				r.streams[c] = true
			}
		}
		r.mu.Unlock()
		for i := range ends {
			r.wg.Go(func() { r.pass(ends[i], ends[1-i]) })
		}
	}
}

// pass copies until one end closes, and then closes the other.
func (r *relay) pass(from, to *net.TCPConn) {
	_, _ = io.Copy(to, from)
	r.mu.Lock()
	defer r.mu.Unlock()
	from.Close()
	to.Close()
	delete(r.streams, from)
	delete(r.streams, to)
}

// packets passes on datagrams, those of each source from a socket of its own, and
// the answers back.
func (r *relay) packets() {
	buf := make([]byte, 64<<10)
	for {
		n, source, err := r.pc.ReadFrom(buf)
		if err != nil {
			return
		}
		if to := r.towards(source); to != nil {
			_, _ = to.Write(buf[:n])
		}
	}
}

func (r *relay) towards(source net.Addr) *net.UDPConn {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.sources[source.String()]; c != nil || r.closed {
		return c
	}
	nc, err := net.Dial("udp", r.target)
	if err != nil {
		r.t.Errorf("relay: %v", err)
		return nil
	}
	c := nc.(*net.UDPConn)
	r.sources[source.String()] = c
	r.wg.Go(func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			_, _ = r.pc.WriteTo(buf[:n], source)
		}
	})
	return c
}
