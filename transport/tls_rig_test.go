package transport_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"flamingo/idspace"
	"flamingo/transport"
	"flamingo/transport/transporttest"
)

// A tlsRig is a running transport with one listener of lines over TLS.
type tlsRig struct {
	*transport.Transport
	testing.TB
	authority *transporttest.Authority
	stop      func()

	mu     sync.Mutex
	socket net.Conn // guarded by mu: of the last client
}

// eachTLS runs check with either driver. The end of check finds no slot in use.
func eachTLS(t *testing.T, adjust func(*transport.Config, *transporttest.Authority), check func(r *tlsRig)) {
	for _, driver := range []string{"default", "portable"} {
		t.Run(driver, func(t *testing.T) {
			r := &tlsRig{TB: t, authority: transporttest.NewAuthority(t)}
			r.Transport, r.stop = serve(t, func(c *transport.Config) {
				c.Listeners[0].TLS = r.authority.Server("server.test")
				c.Portable = driver == "portable"
				if adjust != nil {
					adjust(c, r.authority)
				}
			})
			check(r)
		})
	}
}

// client returns what a client that trusts the server is configured with.
func (r *tlsRig) client() *tls.Config { return r.authority.Client("server.test") }

// connect returns a socket of a client.
func (r *tlsRig) connect() net.Conn {
	r.Helper()
	nc := connect(r, r.Transport)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.socket = nc
	return nc
}

// dial returns a client whose bytes go through wrap, if that is not nil.
func (r *tlsRig) dial(cfg *tls.Config, wrap func(net.Conn) net.Conn) *tls.Conn {
	r.Helper()
	nc := r.connect()
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		r.Fatal(err)
	}
	if wrap != nil {
		nc = wrap(nc)
	}
	return tls.Client(nc, cfg)
}

// echo answers every message until the transport is closed.
func (r *tlsRig) echo() {
	var answering sync.WaitGroup
	answering.Go(func() {
		for {
			id, data, ok := r.RecvData()
			if !ok {
				return
			}
			_ = r.SendData(id, data)
		}
	})
	r.Cleanup(func() { r.stop(); answering.Wait() })
}

// ask sends a line and expects it back.
func ask(t testing.TB, c net.Conn, in *bufio.Reader, line string) {
	t.Helper()
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		t.Error(err)
		return
	}
	if got, err := in.ReadString('\n'); err != nil || got != line+"\n" {
		t.Errorf("asked %q and read %q, %v", line, got, err)
	}
}

// opened returns the next connection.
func (r *tlsRig) opened() *transport.Conn {
	r.Helper()
	if !r.AwaitOpen(limit(r)) {
		r.Fatalf("no connection arrived; stats %+v", r.Stats())
	}
	c, _ := r.TryRecvOpen()
	return c
}

// ended waits for the next reported end.
func (r *tlsRig) ended() (idspace.ID, transport.Reason) {
	r.Helper()
	if !r.AwaitClose(limit(r)) {
		r.Fatalf("no end was reported; stats %+v", r.Stats())
	}
	id, why, _ := r.TryRecvClose()
	return id, why
}

// unopened waits until so many connections have ended before they were open,
// all for why, the last of them when its client has seen it.
func (r *tlsRig) unopened(why transport.Reason, n uint64) {
	r.Helper()
	r.socket.Close()
	eventually(r, why.String()+" before the open", func() bool {
		return r.Stats().Unopened[why] == n && r.SlotsInUse() == 0
	})
	for other, count := range r.Stats().Unopened {
		if other != why {
			r.Errorf("%d connections ended for %v before they were open; want all %d for %v", count, other, n, why)
		}
	}
	if c, ok := r.TryRecvOpen(); ok {
		r.Errorf("%v was opened", c)
	}
}

// A drip writes one byte at a time.
type drip struct{ net.Conn }

func (d drip) Write(p []byte) (int, error) {
	for k := range p {
		if n, err := d.Conn.Write(p[k : k+1]); err != nil {
			return k + n, err
		}
	}
	return len(p), nil
}

// A cork holds back what is written, from the second write on, until release
// writes all of that at once.
type cork struct {
	*net.TCPConn
	writes int
	held   []byte
}

func (c *cork) Write(p []byte) (int, error) {
	if c.writes++; c.writes > 1 {
		c.held = append(c.held, p...)
		return len(p), nil
	}
	return c.TCPConn.Write(p)
}

func (c *cork) release(t testing.TB) {
	t.Helper()
	if err := c.SetWriteDeadline(time.Now().Add(patience)); err != nil { // which close_notify has ended
		t.Fatal(err)
	}
	if _, err := c.TCPConn.Write(c.held); err != nil {
		t.Fatal(err)
	}
}

// A recordCounter counts the records that are read.
type recordCounter struct {
	net.Conn
	records int
	seen    []byte
}

func (c *recordCounter) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.seen = append(c.seen, p[:n]...)
	for len(c.seen) >= 5 {
		size := 5 + int(c.seen[3])<<8 + int(c.seen[4])
		if len(c.seen) < size {
			break
		}
		c.seen = c.seen[size:]
		c.records++
	}
	return n, err
}

// A tlsBubble is a transport in memory, on fake time.
type tlsBubble struct {
	*transport.Transport
	ln        *pipeListener
	authority *transporttest.Authority
}

// startBubble is called inside a bubble.
func startBubble(t *testing.T, adjust func(*transport.Config)) *tlsBubble {
	t.Helper()
	b := &tlsBubble{ln: newPipeListener(), authority: transporttest.NewAuthority(t)}
	cfg := piped(t, func(transport.Listener) (net.Listener, error) { return b.ln, nil }, "192.0.2.1:0")
	cfg.Listeners[0].TLS = b.authority.Server("server.test")
	if adjust != nil {
		adjust(&cfg)
	}
	tr, err := transport.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.Transport = tr
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = tr.Run(ctx) })
	t.Cleanup(func() { stop(); running.Wait() })
	return b
}

// dial returns a client that is connected.
func (b *tlsBubble) dial(t *testing.T) *tls.Conn {
	t.Helper()
	c := tls.Client(b.ln.dial(), b.authority.Client("server.test"))
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.NetConn().Close() })
	return c
}
