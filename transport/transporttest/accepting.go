package transporttest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"flamingo/idspace"
	"flamingo/transport"
)

var acceptingTests = []test{
	{"accepting pauses at MaxConns and goes on when an end was taken", pausesAtLimit},
	{"the log tells how many ends are not taken and what helps", tellsOfCloses},
	{"the log tells of opens that are not taken", tellsOfOpens},
	{"events that are ignored never pause accepting", ignoredNeverPause},
	{"accepting goes on when there are ids again", idsRunOut},
}

func pausesAtLimit(t *testing.T, s suite) {
	const limit, clients = 4, 40
	r := s.start(t, func(c *transport.Config) { c.MaxConns = limit })
	var waiting []*client
	for range clients {
		waiting = append(waiting, r.dial()) // the kernel's queue takes the rest
	}
	open := make(map[idspace.ID]bool)
	for k := range clients {
		id := r.open().ID()
		open[id] = true
		if n := r.Stats().Connections; n > limit {
			t.Errorf("%d connections; want at most %d", n, limit)
		}
		if k >= limit-1 {
			if _, ok := r.TryRecvOpen(); ok {
				t.Errorf("a connection beyond the limit of %d", limit)
			}
			waiting[k-limit+1].Close()
			id, _ := r.closed()
			if !open[id] {
				t.Errorf("end of %v, which is not open", id)
			}
			delete(open, id)
		}
	}
	if st := r.Stats(); st.AcceptPauses == 0 || st.Rejected != 0 {
		t.Errorf("stats %+v; want pauses, and nobody turned away", st)
	}
}

func tellsOfCloses(t *testing.T, s suite) {
	r := s.start(t, func(c *transport.Config) { c.MaxConns = 3 })
	for range 3 {
		c, _ := r.connect()
		c.Close()
	}
	r.await("three ends", func() bool { return r.Stats().ClosesWaiting == 3 })
	r.dial()
	attrs := r.expectLog("ends of connections are not taken")
	if n := attrs["closes_waiting"].Int64(); n != 3 {
		t.Errorf("closes_waiting %d; want 3", n)
	}
	if help := attrs["remedy"].String(); !strings.Contains(help, "RecvClose") || !strings.Contains(help, "IgnoreCloses") {
		t.Errorf("remedy %q; want it to name RecvClose and IgnoreCloses", help)
	}
	r.closed()
	r.open()
	r.expectLog("accepting again")
}

func tellsOfOpens(t *testing.T, s suite) {
	r := s.start(t, func(c *transport.Config) { c.MaxConns, c.Ignore = 2, transport.IgnoreCloses })
	for range 3 {
		r.dial().Close()
	}
	attrs := r.expectLog("connections are not taken")
	if help := attrs["remedy"].String(); attrs["opens_waiting"].Int64() != 2 || !strings.Contains(help, "RecvOpen") || !strings.Contains(help, "IgnoreOpens") {
		t.Errorf("attributes %v; want 2 waiting, RecvOpen and IgnoreOpens", attrs)
	}
	for range 3 {
		r.open()
	}
}

func ignoredNeverPause(t *testing.T, s suite) {
	r := s.start(t, func(c *transport.Config) {
		c.MaxConns, c.Ignore = 4, transport.IgnoreOpens|transport.IgnoreCloses
	})
	r.echo(2)
	for k := range 100 {
		c := r.dial()
		c.send(line("%d", k))
		c.expect(line("%d", k))
		c.Close()
	}
	r.await("no connection", func() bool { return r.Stats().Connections == 0 })
	if st := r.Stats(); st.OpensWaiting+st.ClosesWaiting != 0 || st.Accepted != 100 {
		t.Errorf("stats %+v; want 100 accepted and no event waiting", st)
	}
}

// scarce issues ids while it has some.
type scarce struct {
	mu   sync.Mutex
	ids  *idspace.Sequence
	left int // guarded by mu
}

var errNoID = errors.New("no id left")

func (s *scarce) Next() (idspace.ID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left == 0 {
		return 0, errNoID
	}
	s.left--
	return s.ids.Next()
}

func (s *scarce) grant(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left += n
}

func idsRunOut(t *testing.T, s suite) {
	ids := &scarce{ids: newIDs(t), left: 2}
	r := s.start(t, func(c *transport.Config) { c.IDs = ids })
	r.connect()
	r.connect()
	refused := r.dial()
	if rest := refused.rest(); rest != "" {
		t.Errorf("the client read %q", rest)
	}
	r.await("a pause", func() bool { return r.Stats().AcceptPauses > 0 })
	ids.grant(1)
	c, id := r.connect()
	c.send("x\n")
	r.expectMessage(id, "x")
}

var listenerTests = []test{
	{"a listener at its own limit pauses alone and goes on when the socket is closed", listenerLimit},
	{"a listener at its own limit goes on however long it has waited", listenerWaits},
	{"listeners with different framings serve at once", differentFramings},
	{"a Unix socket serves and its file is removed in the end", unixSocket},
	{"a stale Unix socket file is replaced", unixStale},
	{"a Unix socket that another listens on is left alone", unixLive},
	{"a file that is no socket is left alone", unixFile},
	{"a listener that cannot be opened is named and leaves none open", listenFails},
}

func listenerLimit(t *testing.T, s suite) {
	r := s.start(t, func(c *transport.Config) {
		c.Listeners = []transport.Listener{listener(t, "max-conns=1"), listener(t, "")}
		c.Loops = 4
	})
	first := r.dial()
	held := r.open().ID()
	for k := range 20 {
		second := r.dial()
		r.dialTo(1)
		other := r.open()
		if other.LocalAddr().String() != r.Addrs()[1].String() {
			t.Fatalf("round %d: %v is of the full listener", k, other)
		}
		first.Close()
		// The end is not taken, so the slot stays in use.
		next := r.open()
		if next.LocalAddr().String() != r.Addrs()[0].String() {
			t.Fatalf("round %d: %v is not of the first listener", k, next)
		}
		r.expectClosed(held, transport.ReasonClient)
		if err := next.Close(); err != nil {
			t.Fatal(err)
		}
		second.Close()
		first = r.dial()
		held = r.open().ID()
	}
}

func listenerWaits(t *testing.T, s suite) {
	r := s.start(t, func(c *transport.Config) {
		c.Listeners = []transport.Listener{listener(t, ""), listener(t, "max-conns=1")}
		c.Loops = 4 // the connection is not on the loop that accepts
	})
	first := r.dialTo(1)
	r.open()
	r.dialTo(1)
	r.expectLog("accepting is paused")
	first.Close()
	r.open() // although the end of the first is not taken
	r.expectLog("accepting again")
}

func differentFramings(t *testing.T, s suite) {
	names := []string{"line", "netstring", "length", "raw"}
	r := s.start(t, func(c *transport.Config) {
		c.Listeners, c.Ignore = nil, transport.IgnoreOpens
		for _, name := range names {
			c.Listeners = append(c.Listeners, listener(t, "framing="+name))
		}
	})
	r.echo(3)
	var dialing sync.WaitGroup
	for k, name := range names {
		framed, err := codec(t, name).Encode(nil, []byte("hello"))
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			c := r.dialTo(k)
			dialing.Go(func() {
				for range 20 {
					c.send(string(framed))
					c.expect(string(framed))
				}
			})
		}
	}
	dialing.Wait()
}

func unixListener(t *testing.T) transport.Listener {
	return transport.Listener{Network: "unix", Address: filepath.Join(t.TempDir(), "s"), Codec: codec(t, "line")}
}

func unixSocket(t *testing.T, s suite) {
	l := unixListener(t)
	r := s.start(t, func(c *transport.Config) { c.Listeners = []transport.Listener{l} })
	c := r.dial()
	conn := r.open()
	if conn.LocalAddr().String() != l.Address || conn.LocalAddr().Network() != "unix" {
		t.Errorf("local address %v; want %s", conn.LocalAddr(), l.Address)
	}
	c.send("hello\n")
	r.expectMessage(conn.ID(), "hello")
	if err := r.SendData(conn.ID(), []byte("there")); err != nil {
		t.Fatal(err)
	}
	c.expect("there\n")
	if err := conn.SetNoDelay(true); !errors.Is(err, transport.ErrUnsupported) {
		t.Errorf("SetNoDelay: %v; want ErrUnsupported", err)
	}
	c.Close()
	r.expectClosed(conn.ID(), transport.ReasonClient)
	r.expectNoMoreEvents()
	r.stop()
	if _, err := os.Lstat(l.Address); !os.IsNotExist(err) {
		t.Errorf("the socket file after Run: %v; want it removed", err)
	}
}

func unixStale(t *testing.T, s suite) {
	l := unixListener(t)
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: l.Address, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()
	r := s.start(t, func(c *transport.Config) { c.Listeners = []transport.Listener{l} })
	c, id := r.connect()
	c.send("hello\n")
	r.expectMessage(id, "hello")
}

// listen returns what Listen of a transport with these listeners answers.
func (s suite) listen(t *testing.T, listeners ...transport.Listener) error {
	t.Helper()
	cfg := transport.Config{Listeners: listeners, IDs: newIDs(t), MaxConns: 10}
	s.configure(&cfg)
	tr, err := transport.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return tr.Listen(t.Context())
}

func unixLive(t *testing.T, s suite) {
	l := unixListener(t)
	r := s.start(t, func(c *transport.Config) { c.Listeners = []transport.Listener{l} })
	if err := s.listen(t, l); err == nil || !strings.Contains(err.Error(), l.Address) {
		t.Errorf("Listen beside a live listener: %v; want an error that names %s", err, l.Address)
	}
	r.open().Close() // that was a look whether somebody listens
	c, id := r.connect()
	c.send("still served\n")
	r.expectMessage(id, "still served")
}

func unixFile(t *testing.T, s suite) {
	l := unixListener(t)
	if err := os.WriteFile(l.Address, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.listen(t, l); !errors.Is(err, transport.ErrBadOption) {
		t.Errorf("Listen: %v; want ErrBadOption", err)
	}
	if data, err := os.ReadFile(l.Address); err != nil || string(data) != "precious" {
		t.Errorf("the file holds %q, %v", data, err)
	}
}

func listenFails(t *testing.T, s suite) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	good, bad := listener(t, ""), listener(t, "")
	bad.Address = taken.Addr().String()
	file := unixListener(t)
	err = s.listen(t, file, good, bad)
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("tcp://%s", bad.Address)) {
		t.Errorf("Listen: %v; want an error that names tcp://%s", err, bad.Address)
	}
	if _, err := os.Lstat(file.Address); !os.IsNotExist(err) {
		t.Errorf("the socket file: %v; want it removed", err)
	}
}
