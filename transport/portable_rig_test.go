package transport_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"flamingo/framing"
	"flamingo/idspace"
	"flamingo/transport"

	"go.uber.org/goleak"
)

// patience bounds every wait of these tests; none comes near it when it passes.
const patience = 20 * time.Second

type serials struct {
	n    atomic.Uint64
	fail atomic.Int64 // calls that answer errNoIDs
}

var errNoIDs = errors.New("no ids")

func (s *serials) Next() (idspace.ID, error) {
	if s.fail.Add(-1) >= 0 {
		return 0, errNoIDs
	}
	return idspace.ID(1<<28 | s.n.Add(1)), nil
}

// A portableRig is a running Transport with the portable driver.
type portableRig struct {
	*transport.Transport
	t      testing.TB
	cancel context.CancelFunc
	ended  chan struct{} // closed when Run has returned
}

// startPortable runs a transport with one listener, framed by lines. The end of
// the test stops it and finds no goroutine left.
func startPortable(t *testing.T, change func(*transport.Config)) *portableRig {
	t.Helper()
	leaked := goleak.IgnoreCurrent()
	codec, err := framing.Parse("line", nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg := transport.Config{
		Listeners: []transport.Listener{{Network: "tcp", Address: "127.0.0.1:0", Codec: codec}},
		IDs:       &serials{},
		Portable:  true,
		MaxConns:  1000,
		Logger:    slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&cfg)
	}
	tr, err := transport.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &portableRig{Transport: tr, t: t, cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		_ = tr.Run(ctx)
	}()
	t.Cleanup(func() {
		r.stop()
		goleak.VerifyNone(t, leaked)
	})
	return r
}

// stop cancels Run and waits for it.
func (r *portableRig) stop() {
	r.t.Helper()
	r.cancel()
	wait(r.t, r.ended, "Run to return")
}

func (r *portableRig) dial() *net.TCPConn {
	r.t.Helper()
	a := r.Addrs()[0]
	nc, err := net.Dial(a.Network(), a.String())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		r.t.Fatal(err)
	}
	return nc.(*net.TCPConn)
}

func (r *portableRig) open() *transport.Conn {
	r.t.Helper()
	return await(r.t, "an open", func() (*transport.Conn, bool) { return r.RecvOpen() })
}

func (r *portableRig) message() (data []byte, id idspace.ID) {
	r.t.Helper()
	return await(r.t, "a message", func() (m received, ok bool) {
		m.id, m.data, ok = r.RecvData()
		return m, ok
	}).both()
}

type received struct {
	id   idspace.ID
	data []byte
}

func (m received) both() ([]byte, idspace.ID) { return m.data, m.id }

func (r *portableRig) closed() (why transport.Reason) {
	r.t.Helper()
	return await(r.t, "a close", func() (transport.Reason, bool) {
		_, why, ok := r.RecvClose()
		return why, ok
	})
}

// echo answers every message with itself until the transport is closed.
func (r *portableRig) echo(sent *sync.WaitGroup) {
	sent.Go(func() {
		for {
			id, data, ok := r.RecvData()
			if !ok {
				return
			}
			_ = r.SendData(id, data)
		}
	})
}

func wait(t testing.TB, done <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("waited %v for %s", patience, what)
	}
}

// eventually waits for what nothing tells of.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !cond(); <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// await calls take, which may block, and fails the test if it takes too long.
func await[T any](t testing.TB, what string, take func() (T, bool)) (v T) {
	t.Helper()
	done, ok := make(chan struct{}), false
	go func() {
		defer close(done)
		v, ok = take()
	}()
	wait(t, done, what)
	if !ok {
		t.Fatalf("waited for %s: the transport is closed", what)
	}
	return v
}

func expectLine(t testing.TB, r *bufio.Reader, want string) {
	t.Helper()
	got, err := r.ReadString('\n')
	if err != nil || got != want+"\n" {
		t.Fatalf("read %q, %v; want %q", got, err, want+"\n")
	}
}

func expectEOF(t testing.TB, nc io.Reader) {
	t.Helper()
	if rest, err := io.ReadAll(nc); err != nil || len(rest) != 0 {
		t.Fatalf("read %q, %v; want the end", rest, err)
	}
}

// A lineLog is a log that tells of each line.
type lineLog struct{ lines chan string }

func (l lineLog) Write(p []byte) (int, error) {
	l.lines <- string(p)
	return len(p), nil
}

func (l lineLog) expect(t testing.TB, part string) {
	t.Helper()
	select {
	case line := <-l.lines:
		if !strings.Contains(line, part) {
			t.Errorf("log line %q, want one with %q", line, part)
		}
	case <-time.After(patience):
		t.Errorf("waited %v for a log line with %q", patience, part)
	}
}
