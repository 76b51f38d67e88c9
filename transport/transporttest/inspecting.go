package transporttest

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"flamingo/idspace"
	"flamingo/transport"

	"go.uber.org/goleak"
)

var connTests = []test{
	{"a Conn knows the addresses and sets the options", connWorks},
	{"a Conn is not a stream", connNoStream},
	{"a Conn of an ended connection answers net.ErrClosed and keeps its addresses", connEnded},
	{"a Conn of a client that left before the open was taken answers", connLate},
	{"Close of a Conn flushes and ends it", connClose},
}

func connWorks(t *testing.T, s suite) {
	r := s.start(t)
	c := r.dial()
	conn := r.open()
	if got, want := conn.RemoteAddr().String(), c.LocalAddr().String(); got != want {
		t.Errorf("remote address %s; want %s", got, want)
	}
	if got, want := conn.LocalAddr().String(), c.RemoteAddr().String(); got != want {
		t.Errorf("local address %s; want %s", got, want)
	}
	if !strings.Contains(conn.String(), conn.ID().String()) || !strings.Contains(conn.String(), conn.RemoteAddr().String()) {
		t.Errorf("String %q; want it to name id and client", conn)
	}
	for what, err := range map[string]error{
		"SetNoDelay(false)":  conn.SetNoDelay(false),
		"SetNoDelay(true)":   conn.SetNoDelay(true),
		"SetKeepAlive(30s)":  conn.SetKeepAlive(30 * time.Second),
		"SetKeepAlive(0)":    conn.SetKeepAlive(0),
		"SetLinger(5)":       conn.SetLinger(5),
		"SetLinger(-1)":      conn.SetLinger(-1),
		"SetReadBuffer":      conn.SetReadBuffer(64 << 10),
		"SetWriteBuffer(64)": conn.SetWriteBuffer(64 << 10),
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, err := range map[string]error{
		"SetKeepAlive(-1)":   conn.SetKeepAlive(-1),
		"SetReadBuffer(0)":   conn.SetReadBuffer(0),
		"SetWriteBuffer(-5)": conn.SetWriteBuffer(-5),
	} {
		if !errors.Is(err, transport.ErrBadOption) {
			t.Errorf("%s: %v; want ErrBadOption", what, err)
		}
	}
	c.send("still works\n")
	r.expectMessage(conn.ID(), "still works")
}

func connNoStream(t *testing.T, s suite) {
	r := s.start(t)
	r.dial()
	conn := r.open()
	_, readErr := conn.Read(make([]byte, 1))
	_, writeErr := conn.Write([]byte("x"))
	for what, err := range map[string]error{
		"Read":             readErr,
		"Write":            writeErr,
		"SetDeadline":      conn.SetDeadline(time.Now()),
		"SetReadDeadline":  conn.SetReadDeadline(time.Now()),
		"SetWriteDeadline": conn.SetWriteDeadline(time.Now()),
	} {
		if op := (*net.OpError)(nil); !errors.Is(err, transport.ErrNotStream) || !errors.As(err, &op) {
			t.Errorf("%s: %v; want ErrNotStream in a net.OpError", what, err)
		}
	}
}

func connEnded(t *testing.T, s suite) {
	r := s.start(t)
	c := r.dial()
	conn := r.open()
	local, remote := c.RemoteAddr().String(), c.LocalAddr().String()
	c.Close()
	r.expectClosed(conn.ID(), transport.ReasonClient)
	r.connect() // has the same slot and descriptor, probably
	for what, err := range map[string]error{
		"SetNoDelay":     conn.SetNoDelay(false),
		"SetKeepAlive":   conn.SetKeepAlive(0),
		"SetLinger":      conn.SetLinger(0),
		"SetReadBuffer":  conn.SetReadBuffer(1000),
		"SetWriteBuffer": conn.SetWriteBuffer(1000),
		"Close":          conn.Close(),
	} {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: %v; want net.ErrClosed", what, err)
		}
	}
	if conn.LocalAddr().String() != local || conn.RemoteAddr().String() != remote {
		t.Errorf("addresses %v, %v; want %v, %v", conn.LocalAddr(), conn.RemoteAddr(), local, remote)
	}
}

func connLate(t *testing.T, s suite) {
	r := s.start(t)
	for k := range uint64(20) {
		c := r.dial()
		r.await("an open", func() bool { return r.Stats().Accepted > k })
		c.reset()
	}
	r.await("twenty ends", func() bool {
		n := uint64(0)
		for _, count := range r.Stats().Closed {
			n += count
		}
		return n == 20
	})
	for range 20 {
		conn := r.open()
		if conn.RemoteAddr() == nil || conn.LocalAddr() == nil {
			t.Fatalf("addresses %v, %v; want none to be nil", conn.LocalAddr(), conn.RemoteAddr())
		}
		if err := conn.SetNoDelay(true); !errors.Is(err, net.ErrClosed) {
			t.Errorf("SetNoDelay: %v; want net.ErrClosed", err)
		}
		r.closed()
	}
	r.expectNoMoreEvents()
}

func connClose(t *testing.T, s suite) {
	r := s.start(t)
	c := r.dial()
	conn := r.open()
	if err := r.SendData(conn.ID(), []byte("bye")); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	if err := conn.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("second Close: %v; want net.ErrClosed", err)
	}
	if got := c.rest(); got != "bye\n" {
		t.Errorf("the client read %q; want bye", got)
	}
	c.Close()
	r.expectNoMoreEvents()
}

var inspectionTests = []test{
	{"Describe tells what a connection has moved", describe},
	{"Connections lists each that stays exactly once while others come and go", paging},
	{"Stats add up", statsAddUp},
}

// counts reports whether bytes is the count of so many bytes of framing. What
// clients speak beside it may be counted too.
func (s suite) counts(bytes, framing uint64) bool {
	return bytes == framing || bytes > framing && !s.bare()
}

func describe(t *testing.T, s suite) {
	r := s.start(t)
	c := r.dial()
	conn := r.open()
	c.send("abc\nde\npart")
	r.expectMessage(conn.ID(), "abc")
	if err := r.Send(t.Context(), conn.ID(), []byte("answer")); err != nil {
		t.Fatal(err)
	}
	c.expect("answer\n")
	const in, out = uint64(len("abc\nde\npart")), uint64(len("answer\n"))
	r.await("all bytes", func() bool { return r.Stats().BytesIn >= in && r.Stats().MessagesIn == 2 })
	r.await("nothing to be pending", func() bool { return r.pending(conn.ID()) == 0 }) // it is counted after Send was told
	info, err := r.Describe(conn.ID())
	if err != nil {
		t.Fatal(err)
	}
	if info.ID != conn.ID() || info.Remote.String() != c.LocalAddr().String() || info.Local.String() != c.RemoteAddr().String() ||
		info.MessagesIn != 2 || !s.counts(info.BytesIn, in) || info.MessagesOut != 1 || !s.counts(info.BytesOut, out) ||
		info.PendingBytes != 0 || info.QueuedIn != 1 || !strings.Contains(info.Listener, "://127.0.0.1:") || time.Since(info.Opened) > time.Hour {
		t.Errorf("info %+v", info)
	}
}

func paging(t *testing.T, s suite) {
	r := s.start(t, func(c *transport.Config) { c.Ignore = transport.IgnoreCloses })
	stay := make(map[idspace.ID]bool)
	for k := range 60 {
		c, id := r.connect()
		if k%2 == 0 {
			stay[id] = true
		} else {
			c.Close()
		}
	}
	stop := make(chan struct{})
	var coming sync.WaitGroup
	coming.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				c, _ := r.connect()
				c.Close()
			}
		}
	})
	for range 30 {
		seen := make(map[idspace.ID]int)
		for cursor, more := uint32(0), true; more; more = cursor != 0 {
			var page []transport.ConnInfo
			page, cursor = r.Connections(cursor, 7)
			if len(page) > 7 {
				t.Fatalf("page of %d; want at most 7", len(page))
			}
			for _, info := range page {
				seen[info.ID]++
			}
		}
		for id := range stay {
			if seen[id] != 1 {
				t.Fatalf("%v is listed %d times; want once", id, seen[id])
			}
		}
	}
	close(stop)
	coming.Wait()
}

func statsAddUp(t *testing.T, s suite) {
	r := s.start(t, func(c *transport.Config) { c.Ignore = transport.IgnoreOpens | transport.IgnoreCloses })
	r.echo(2)
	const clients, messages = 50, 20
	var dialing sync.WaitGroup
	for k := range clients {
		dialing.Go(func() {
			c := r.dial()
			for range messages {
				c.send("12345\n")
				c.expect("12345\n")
			}
			if k%2 == 0 {
				c.Close()
			}
		})
	}
	dialing.Wait()
	r.await("half of them to be closed", func() bool { return r.Stats().Connections == clients/2 })
	r.await("every message to be counted", func() bool { // which follows the message
		st := r.Stats()
		return st.BytesOut >= 6*clients*messages && st.MessagesOut >= clients*messages && st.MessagesIn >= clients*messages
	})
	st := r.Stats()
	ended := uint64(0)
	for _, n := range st.Closed {
		ended += n
	}
	if st.Accepted != clients || ended != clients/2 ||
		st.MessagesIn != clients*messages || st.MessagesOut != clients*messages ||
		!s.counts(st.BytesIn, 6*clients*messages) || !s.counts(st.BytesOut, 6*clients*messages) ||
		st.QueuedBytes != 0 || st.QueuedMessages != 0 || st.Undelivered != 0 || st.Partials != 0 {
		t.Errorf("stats %+v", st)
	}
}

var endingTests = []test{
	{"Shutdown writes what was accepted and hands out what is queued", shutdownFlushes},
	{"Shutdown answers when its context is done", shutdownBounded},
	{"cancelling Run leaves no goroutine and no file", runLeavesNothing},
	{"cancelling Run while clients connect leaves no file", runCancelledWhileAccepting},
	{"Shutdown while clients connect ends them all", shutdownWhileAccepting},
	{"Run that is cancelled before it begins closes the listeners", runCancelledFirst},
}

func shutdownFlushes(t *testing.T, s suite) {
	r := s.start(t, func(c *transport.Config) { c.OutputBytes = 32 << 20 })
	c, id := r.connect()
	c.send("one\ntwo\n")
	r.await("two messages", func() bool { return r.Stats().QueuedMessages == 2 })
	want := strings.Repeat("s", 1<<20)
	for range 8 {
		if err := r.SendData(id, []byte(want)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := r.patient()
	defer cancel()
	var stopping sync.WaitGroup
	stopping.Go(func() {
		if err := r.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	if got := c.rest(); got != strings.Repeat(want+"\n", 8) {
		t.Errorf("the client read %d bytes; want %d", len(got), 8<<20+8)
	}
	c.Close()
	r.expectMessage(id, "one")
	if _, _, ok := r.TryRecvClose(); ok {
		t.Error("the end was reported before the last message")
	}
	r.expectMessage(id, "two")
	r.expectClosed(id, transport.ReasonShutdown)
	stopping.Wait()
	r.expectNoMoreEvents()
	if nc, err := net.Dial("tcp", r.Addrs()[0].String()); err == nil {
		nc.Close()
		t.Error("a client could connect after Shutdown")
	}
	for what, err := range map[string]error{
		"SendData":  r.SendData(id, nil),
		"SendClose": r.SendClose(id, transport.ReasonSent),
		"Send":      r.Send(t.Context(), id, nil),
	} {
		if !errors.Is(err, transport.ErrClosed) {
			t.Errorf("%s after Shutdown: %v; want ErrClosed", what, err)
		}
	}
}

func shutdownBounded(t *testing.T, s suite) {
	r := s.start(t)
	r.connect()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errNoID)
	if err := r.Shutdown(ctx); !errors.Is(err, errNoID) {
		t.Errorf("Shutdown: %v; want the cause of its context's end", err)
	}
}

// openFiles counts the descriptors of the process; ok is false where it cannot.
func openFiles() (n int, ok bool) {
	if ln, err := net.Listen("tcp", "127.0.0.1:0"); err == nil { // what Go's poller needs is open from then on
		ln.Close()
	}
	dir, err := os.ReadDir("/proc/self/fd")
	return len(dir), err == nil
}

func runLeavesNothing(t *testing.T, s suite) {
	before := goleak.IgnoreCurrent()
	files, counted := openFiles()
	t.Run("run", func(t *testing.T) {
		r := s.start(t, narrow, func(c *transport.Config) { c.OutputBytes, c.QueueBytes = 8<<20, queueBytes })
		for k := range 40 {
			c, id := r.connect()
			switch k % 5 {
			case 0: // nothing
			case 1: // blocked output
				c.deafen()
				if err := r.SendData(id, make([]byte, 1<<20)); err != nil {
					t.Error(err)
				}
			case 2: // unread input
				c.send(strings.Repeat(strings.Repeat("f", lineBytes)+"\n", 20))
			case 3: // lingering
				if err := r.SendClose(id, transport.ReasonSent); err != nil {
					t.Error(err)
				}
			case 4: // half-closed
				c.send("x\n")
				c.closeWrite()
			}
		}
		r.stop()
		for _, ok := r.TryRecvOpen(); ok; _, ok = r.TryRecvOpen() {
		}
		for _, _, ok := r.RecvData(); ok; _, _, ok = r.RecvData() {
		}
		for _, _, ok := r.RecvClose(); ok; _, _, ok = r.RecvClose() {
		}
		if st := r.Stats(); st.Connections != 0 {
			t.Errorf("%d slots are in use in the end; want none", st.Connections)
		}
	})
	if now, ok := openFiles(); ok && counted && now != files {
		t.Errorf("%d files are open; before there were %d", now, files)
	}
	goleak.VerifyNone(t, before)
}

// storm dials until the listener is gone.
func (r *rig) storm(dialers int) (wait func()) {
	var dialing sync.WaitGroup
	addr := r.Addrs()[0].String()
	for range dialers {
		dialing.Go(func() {
			for {
				nc, err := net.Dial("tcp", addr)
				if err != nil {
					return
				}
				dialing.Go(func() { // stays until it is ended
					defer nc.Close()
					c := nc
					if !r.suite.bare() {
						if c, err = r.suite.Client(nc); err != nil {
							return
						}
					}
					// A kernel whose listener is closed in the middle of a handshake may
					// tell a client nothing before it sends something.
					_, _ = io.WriteString(c, "part of a line")
					_, _ = io.Copy(io.Discard, c)
				})
			}
		})
	}
	return dialing.Wait
}

func runCancelledWhileAccepting(t *testing.T, s suite) {
	for range 20 {
		files, counted := openFiles()
		t.Run("run", func(t *testing.T) {
			r := s.start(t, func(c *transport.Config) {
				c.Ignore, c.Loops, c.MaxConns = transport.IgnoreOpens|transport.IgnoreCloses, 4, 4000
			})
			wait := r.storm(4)
			r.await("some clients", func() bool { return r.Stats().Accepted > 20 })
			r.stop()
			wait()
			if st := r.Stats(); st.Connections != 0 {
				t.Errorf("%d slots are in use in the end; want none", st.Connections)
			}
		})
		if now, ok := openFiles(); ok && counted && now != files {
			t.Fatalf("%d files are open; before there were %d", now, files)
		}
	}
}

func shutdownWhileAccepting(t *testing.T, s suite) {
	for range 20 {
		r := s.start(t, func(c *transport.Config) {
			c.Ignore, c.Loops, c.MaxConns = transport.IgnoreOpens|transport.IgnoreCloses, 4, 4000
		})
		wait := r.storm(4)
		r.await("some clients", func() bool { return r.Stats().Accepted > 20 })
		r.expectNoMoreEvents()
		wait()
		r.stop()
	}
}

func runCancelledFirst(t *testing.T, s suite) {
	cfg := transport.Config{Listeners: []transport.Listener{listener(t, "")}, IDs: newIDs(t), MaxConns: 10}
	s.configure(&cfg)
	tr, err := transport.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := tr.Run(ctx); err != nil {
		t.Error(err)
	}
	if nc, err := net.Dial("tcp", tr.Addrs()[0].String()); err == nil {
		nc.Close()
		t.Error("a client could connect after Run")
	}
	if _, ok := tr.RecvOpen(); ok {
		t.Error("an open after Run")
	}
}
