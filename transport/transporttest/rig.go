package transporttest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"flamingo/framing"
	"flamingo/idspace"
	"flamingo/transport"
)

// patience is how long a wait may take before its test fails: far longer than
// anything here takes on a busy machine.
const patience = 60 * time.Second

// A suite makes the rigs of one variant.
type suite struct {
	Variant
}

// bare reports whether clients use their sockets as they are: then every byte
// of these is one of the framing.
func (s suite) bare() bool { return s.Client == nil }

func (s suite) configure(cfg *transport.Config) {
	if s.Configure != nil {
		s.Configure(cfg)
	}
}

// A rig is a running transport with clients.
type rig struct {
	testing.TB
	*transport.Transport
	suite  suite
	log    logbook
	cancel context.CancelFunc
	ended  chan struct{} // closed when Run has returned
}

// newIDs returns a source of ids like that of a node.
func newIDs(tb testing.TB) *idspace.Sequence {
	tb.Helper()
	ids, err := idspace.NewSequence(77, func() {})
	if err != nil {
		tb.Fatal(err)
	}
	return ids
}

// codec returns the framing of that name, with options as in a URL.
func codec(tb testing.TB, query string) framing.Codec {
	tb.Helper()
	l, err := transport.ParseListener("tcp://127.0.0.1:0?framing="+query, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return l.Codec
}

// listener returns a TCP listener on the loopback, with options as in a URL.
func listener(tb testing.TB, query string) transport.Listener {
	tb.Helper()
	l, err := transport.ParseListener("tcp://127.0.0.1:0?"+query, codec(tb, "line"))
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

// start runs a transport with one listener of lines until the test ends.
func (s suite) start(tb testing.TB, adjust ...func(*transport.Config)) *rig {
	tb.Helper()
	r := &rig{TB: tb, suite: s, log: logbook{records: make(chan slog.Record, 1000)}, ended: make(chan struct{})}
	cfg := transport.Config{
		Listeners:    []transport.Listener{listener(tb, "")},
		IDs:          newIDs(tb),
		Loops:        2,
		MaxConns:     1000,
		CloseTimeout: patience,
		Logger:       slog.New(r.log),
	}
	for _, adj := range adjust {
		adj(&cfg)
	}
	s.configure(&cfg)
	t, err := transport.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	if err := t.Listen(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	r.Transport = t
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	var running sync.WaitGroup
	running.Go(func() {
		defer close(r.ended)
		if err := t.Run(ctx); err != nil {
			tb.Errorf("Run: %v", err)
		}
	})
	tb.Cleanup(func() { cancel(); running.Wait() })
	return r
}

// stop ends Run and waits for it.
func (r *rig) stop() {
	r.cancel()
	<-r.ended
}

func (r *rig) patient() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

// open returns the next connection.
func (r *rig) open() *transport.Conn {
	r.Helper()
	ctx, cancel := r.patient()
	defer cancel()
	for r.AwaitOpen(ctx) {
		if c, ok := r.TryRecvOpen(); ok {
			return c
		}
	}
	r.Fatalf("no connection arrived; stats %+v", r.Stats())
	return nil
}

// message returns the next message.
func (r *rig) message() transport.Message {
	r.Helper()
	ctx, cancel := r.patient()
	defer cancel()
	var one [1]transport.Message
	for r.AwaitData(ctx) {
		if r.TryRecvMany(one[:]) == 1 {
			r.Done(one[:])
			return one[0]
		}
	}
	r.Fatalf("no message arrived; stats %+v", r.Stats())
	return transport.Message{}
}

// expectMessage fails the test unless the next message is want from id.
func (r *rig) expectMessage(id idspace.ID, want string) {
	r.Helper()
	if m := r.message(); m.ID != id || string(m.Data) != want {
		r.Fatalf("message %.80q of %v; want %.80q of %v", m.Data, m.ID, want, id)
	}
}

// closed returns the next reported end.
func (r *rig) closed() (idspace.ID, transport.Reason) {
	r.Helper()
	ctx, cancel := r.patient()
	defer cancel()
	for r.AwaitClose(ctx) {
		if id, why, ok := r.TryRecvClose(); ok {
			return id, why
		}
	}
	r.Fatalf("no end was reported; stats %+v", r.Stats())
	return 0, 0
}

// expectClosed fails the test unless the next end is that of id, for why.
func (r *rig) expectClosed(id idspace.ID, why transport.Reason) {
	r.Helper()
	if gotID, got := r.closed(); gotID != id || got != why {
		r.Fatalf("end of %v for %v; want %v for %v", gotID, got, id, why)
	}
}

// expectNoMoreEvents shuts the transport down and fails the test if an event is
// left, or one of a connection that the test has seen end appears.
func (r *rig) expectNoMoreEvents() {
	r.Helper()
	ctx, cancel := r.patient()
	defer cancel()
	if err := r.Shutdown(ctx); err != nil {
		r.Fatalf("Shutdown: %v; stats %+v", err, r.Stats())
	}
	if c, ok := r.RecvOpen(); ok {
		r.Errorf("unexpected open of %v", c)
	}
	if id, data, ok := r.RecvData(); ok {
		r.Errorf("unexpected message %q of %v", data, id)
	}
	if id, why, ok := r.RecvClose(); ok {
		r.Errorf("unexpected end of %v for %v", id, why)
	}
}

// undelivered returns the next notice.
func (r *rig) undelivered() transport.Undelivered {
	r.Helper()
	got := make(chan transport.Undelivered, 1)
	var taking sync.WaitGroup
	taking.Go(func() {
		if u, ok := r.RecvUndelivered(); ok {
			got <- u
		}
	})
	select {
	case u := <-got:
		taking.Wait()
		return u
	case <-time.After(patience):
		r.Fatal("no notice of undelivered messages arrived")
		return transport.Undelivered{}
	}
}

// pollEvery is how often a state is looked at of which nothing tells.
const pollEvery = 2 * time.Millisecond

// await waits until the transport is in a state of which no event tells.
func (r *rig) await(what string, holds func() bool) {
	r.Helper()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for end := time.Now().Add(patience); !holds(); <-tick.C {
		if time.Now().After(end) {
			r.Fatalf("%s did not come about; stats %+v", what, r.Stats())
		}
	}
}

// settled waits until a number, such as the bytes that a blocked client has not
// taken, changes no more.
func (r *rig) settled(number func() int64) {
	r.Helper()
	last, same := number(), 0
	r.await("a standstill", func() bool {
		n := number()
		if n == last {
			same++
		} else {
			last, same = n, 0
		}
		return same == 25
	})
}

func (r *rig) pending(id idspace.ID) int64 {
	info, err := r.Describe(id)
	if err != nil {
		return -1
	}
	return int64(info.PendingBytes)
}

// echo answers every message with itself, by so many workers, until the
// transport is closed.
func (r *rig) echo(workers int) {
	var answering sync.WaitGroup
	for range workers {
		answering.Go(func() {
			for {
				id, data, ok := r.RecvData()
				if !ok {
					return
				}
				if err := r.SendData(id, data); err != nil && !errors.Is(err, transport.ErrGone) && !errors.Is(err, transport.ErrClosed) {
					r.Errorf("SendData(%v): %v", id, err)
				}
			}
		})
	}
	r.Cleanup(func() { r.stop(); answering.Wait() })
}

// A client is the other end of a connection.
type client struct {
	testing.TB
	net.Conn
	in     *bufio.Reader
	socket net.Conn // that of Conn
	bare   bool     // Conn is the socket
}

// dial connects to the first listener.
func (r *rig) dial() *client { r.Helper(); return r.dialTo(0) }

func (r *rig) dialTo(listener int) *client {
	r.Helper()
	addr := r.Addrs()[listener]
	nc, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		r.Fatal(err)
	}
	c := &client{TB: r, Conn: nc, socket: nc, bare: r.suite.bare()}
	if !c.bare {
		if c.Conn, err = r.suite.Client(nc); err != nil {
			r.Fatal(err)
		}
	}
	c.in = bufio.NewReader(c.Conn)
	return c
}

// connect dials and takes the open event, of which there must be no other.
func (r *rig) connect() (*client, idspace.ID) {
	r.Helper()
	c := r.dial()
	return c, r.open().ID()
}

func (c *client) send(text string) {
	c.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.Errorf("client: write: %v", err)
	}
}

// expect fails the test unless the client reads exactly text.
func (c *client) expect(text string) {
	c.Helper()
	got := make([]byte, len(text))
	if n, err := io.ReadFull(c.in, got); err != nil || string(got) != text {
		c.Errorf("client: read %.80q, %v; want %.80q", got[:n], err, text)
	}
}

// rest reads up to the end of the stream, which must not be a reset.
func (c *client) rest() string {
	c.Helper()
	data, err := io.ReadAll(c.in)
	if err != nil {
		c.Errorf("client: after %d bytes: %v; want the end of the stream", len(data), err)
	}
	return string(data)
}

// ended reads up to the end of the stream, in whichever way it ends, and closes
// the client.
func (c *client) ended() string {
	c.Helper()
	data, err := io.ReadAll(c.in)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.Errorf("client: after %d bytes: %v; want an end", len(data), err)
	}
	c.Close()
	return string(data)
}

// expectNoClose fails the test if the connection ends while it is silent for d.
func (r *rig) expectNoClose(id idspace.ID, d time.Duration) {
	r.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	if r.AwaitClose(ctx) {
		r.Errorf("%v has ended", id)
	}
}

// closeWrite ends the client's output.
func (c *client) closeWrite() {
	c.Helper()
	if err := c.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		c.Errorf("client: close for writing: %v", err)
	}
}

// reset ends the connection with a reset.
func (c *client) reset() {
	c.Helper()
	if err := c.socket.(*net.TCPConn).SetLinger(0); err != nil {
		c.Error(err)
	}
	c.socket.Close()
}

// narrow makes the kernel hold little for a client that does not read.
func narrow(cfg *transport.Config) {
	for i := range cfg.Listeners {
		cfg.Listeners[i].WriteBuffer = 16 << 10
	}
}

// deafen makes the client's kernel take little. What comes in large pieces, such
// as records, does not fit into as little as bytes do: each would wait for a
// timer of TCP.
func (c *client) deafen() {
	c.Helper()
	size := 64 << 10
	if c.bare {
		size = 16 << 10
	}
	if err := c.socket.(*net.TCPConn).SetReadBuffer(size); err != nil {
		c.Error(err)
	}
}

// plug sends the client, which does not read, a message that the kernel does
// not hold, and waits until a part of it is written and no more can be. It
// returns what the client will read.
func (r *rig) plug(id idspace.ID) string {
	r.Helper()
	const size = 1 << 20
	msg, before := strings.Repeat("p", size-1), int64(r.Stats().BytesOut)
	written := func() int64 { return int64(r.Stats().BytesOut) - before }
	if err := r.SendData(id, []byte(msg)); err != nil {
		r.Fatal(err)
	}
	r.await("a standstill of the client", func() bool { return written() > 0 })
	r.settled(written)
	if n := written(); n >= int64(size) {
		r.Fatalf("%d of %d bytes are written; want a part", n, size)
	}
	return msg + "\n"
}

func line(format string, args ...any) string { return fmt.Sprintf(format, args...) + "\n" }

// A logbook collects what the transport logs.
type logbook struct{ records chan slog.Record }

func (l logbook) Enabled(context.Context, slog.Level) bool { return true }
func (l logbook) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l logbook) WithGroup(string) slog.Handler            { return l }

func (l logbook) Handle(_ context.Context, rec slog.Record) error {
	select {
	case l.records <- rec:
	default: // nobody will read that many
	}
	return nil
}

// expectLog waits for a record whose message contains text and returns its
// attributes.
func (r *rig) expectLog(text string) map[string]slog.Value {
	r.Helper()
	for {
		select {
		case rec := <-r.log.records:
			if !strings.Contains(rec.Message, text) {
				continue
			}
			attrs := make(map[string]slog.Value)
			rec.Attrs(func(a slog.Attr) bool { attrs[a.Key] = a.Value; return true })
			return attrs
		case <-time.After(patience):
			r.Fatalf("the log never said %q", text)
			return nil
		}
	}
}
