package node_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"flamingo/node"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of these tests; none comes near it when it passes.
const patience = time.Minute

// eachDriver runs a test with event loops, and with goroutines.
func eachDriver(t *testing.T, test func(t *testing.T, opts node.Opts)) {
	t.Helper()
	t.Run("loops", func(t *testing.T) { test(t, lines()) })
	t.Run("portable", func(t *testing.T) {
		opts := lines()
		opts.Portable = true
		test(t, opts)
	})
}

// lines are the options of a quiet node on a free port that takes lines.
func lines() node.Opts {
	return node.Opts{
		Listen:  []string{"tcp://127.0.0.1:0"},
		Framing: "line",
		Logger:  slog.New(slog.DiscardHandler),
	}
}

// start opens a node. At the end of the test it is closed, whatever is queued.
func start(t testing.TB, opts node.Opts) *node.Node {
	t.Helper()
	n, err := node.Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, n)
	return n
}

func closeAtEnd(t testing.TB, n *node.Node) {
	t.Cleanup(func() {
		if err := closeNow(n); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("Close: %v", err)
		}
	})
}

// A client is the other end of a connection.
type client struct {
	net.Conn
	t  testing.TB
	in *bufio.Reader
}

// newClient returns the client on nc, which the test closes at its end.
func newClient(t testing.TB, nc net.Conn) *client {
	t.Helper()
	t.Cleanup(func() { nc.Close() })
	c := &client{Conn: nc, t: t, in: bufio.NewReader(nc)}
	c.bound()
	return c
}

// bound gives what the client does next patience from now on. If the connection
// is broken, that will show.
func (c *client) bound() { _ = c.SetDeadline(time.Now().Add(patience)) }

func (c *client) tcp() *net.TCPConn { return c.Conn.(*net.TCPConn) }

// connect connects to the node.
func connect(t testing.TB, n *node.Node) *client {
	t.Helper()
	nc, err := net.DialTimeout("tcp", n.Addrs()[0].String(), patience)
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, nc)
}

// connectID is connect, and takes the open.
func connectID(t testing.TB, n *node.Node) (*client, node.ID) {
	t.Helper()
	c := connect(t, n)
	id := recvOpen(t, n)
	return c, id
}

func (c *client) say(text string) {
	c.t.Helper()
	c.bound()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatalf("write %.20q: %v", text, err)
	}
}

func (c *client) expect(line string) {
	c.t.Helper()
	c.bound()
	got, err := c.in.ReadString('\n')
	if err != nil || got != line+"\n" {
		c.t.Fatalf("client read %.40q, %v; want line %.40q", got, err, line)
	}
}

// expectEnd waits for the node's end of the connection and ends ours.
func (c *client) expectEnd() {
	c.t.Helper()
	defer c.Close()
	c.bound()
	if got, err := io.ReadAll(c.in); err != nil || len(got) > 0 {
		c.t.Fatalf("client read %.40q, %v; want the end", got, err)
	}
}

// reset ends the connection as a crashed client does.
func (c *client) reset() {
	c.t.Helper()
	if err := errors.Join(c.tcp().SetLinger(0), c.Close()); err != nil {
		c.t.Fatal(err)
	}
}

// within returns what get returns, or fails the test after patience.
func within[T any](t testing.TB, what string, get func() T) T {
	t.Helper()
	got := make(chan T, 1)
	go func() { got <- get() }()
	return receive(t, what, got)
}

// receive returns what ch brings, or fails the test after patience.
func receive[T any](t testing.TB, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("waited %v for %s", patience, what)
		panic("unreachable")
	}
}

// until waits for a state that no event tells of.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	end := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

func recvOpen(t testing.TB, n *node.Node) node.ID {
	t.Helper()
	return within(t, "an open", func() node.ID {
		id, _ := n.RecvOpen()
		return id
	})
}

type message struct {
	id   node.ID
	data string
}

func recvData(t testing.TB, n *node.Node) message {
	t.Helper()
	return within(t, "a message", func() message {
		id, data := n.RecvData()
		return message{id, string(data)}
	})
}

func recvClose(t testing.TB, n *node.Node) node.ID {
	t.Helper()
	return within(t, "a close", n.RecvClose)
}

// A logLog is a slog.Handler that hands on what was logged.
type logLog struct{ records chan slog.Record }

func newLog() (*logLog, *slog.Logger) {
	l := &logLog{make(chan slog.Record, 1000)}
	return l, slog.New(l)
}

func (l *logLog) Enabled(context.Context, slog.Level) bool { return true }
func (l *logLog) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *logLog) WithGroup(string) slog.Handler            { return l }

func (l *logLog) Handle(_ context.Context, r slog.Record) error {
	select {
	case l.records <- r:
	default: // the test no longer looks
	}
	return nil
}

// await returns the next record with this message; those before are dropped.
func (l *logLog) await(t testing.TB, msg string) slog.Record {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case r := <-l.records:
			if r.Message == msg {
				return r
			}
		case <-late:
			t.Fatalf("waited %v for the log line %q", patience, msg)
		}
	}
}

// forget drops what was logged so far.
func (l *logLog) forget() {
	for len(l.records) > 0 {
		<-l.records
	}
}

// connectUntil connects, keeps the connections, and closes them at the end.
func connectUntil(n *node.Node, stop <-chan struct{}) {
	var conns []net.Conn
	defer func() {
		for _, nc := range conns {
			nc.Close()
		}
	}()
	for len(conns) < 500 {
		select {
		case <-stop:
			return
		default:
		}
		nc, err := net.DialTimeout("tcp", n.Addrs()[0].String(), time.Second)
		if err != nil {
			break
		}
		conns = append(conns, nc)
	}
	<-stop
}

// closeNow closes the node whatever is queued.
func closeNow(n *node.Node) error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return n.Close(ctx)
}
