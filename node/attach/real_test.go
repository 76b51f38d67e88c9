package attach_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flamingo/node"
	"flamingo/node/attach"
	"flamingo/node/nodetest"
	"flamingo/transport/websocket"

	"github.com/vmihailenco/msgpack/v5"
)

// Nodes and clients on real sockets.

// patience bounds every wait; none comes near it when the test passes.
const patience = time.Minute

// serveNode runs a node whose application are workers at a Unix socket, until the test
// ends.
func serveNode(t testing.TB, tokens []attach.Token) (n *node.Node, s *attach.Server, path string) {
	t.Helper()
	n, err := node.Open(node.Opts{
		Listen: []string{"tcp://127.0.0.1:0"}, Framing: "line", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err = attach.New(attach.Config{Node: n, Tokens: tokens, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "attach")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(context.Background(), ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = n.Close(ctx) // whatever is queued
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return n, s, path
}

func dialUnix(t testing.TB, path string) net.Conn {
	t.Helper()
	nc, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience)) // if it cannot be set, a read shows it
	return nc
}

// A packed worker speaks msgpack through a library.
type packed struct {
	net.Conn
	t  testing.TB
	in *bufio.Reader
}

func attachPacked(t testing.TB, path string, name string) *packed {
	t.Helper()
	p := &packed{Conn: dialUnix(t, path), t: t}
	p.in = bufio.NewReader(p.Conn)
	if _, err := io.WriteString(p, "flatta/1"); err != nil {
		t.Fatal(err)
	}
	p.say(1, 1, 1, "", name, 1000, 0)
	var magic [8]byte
	if _, err := io.ReadFull(p.in, magic[:]); err != nil || string(magic[:]) != "flatta/1" {
		t.Fatalf("the node begins with %q, %v", magic, err)
	}
	p.expect(16)
	return p
}

func (p *packed) say(fields ...any) {
	p.t.Helper()
	body := ofForm(p.t, fields...)
	if _, err := p.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)); err != nil {
		p.t.Fatal(err)
	}
}

// expect takes a frame of that kind and returns its fields.
func (p *packed) expect(kind int) []any {
	p.t.Helper()
	var length uint32
	if err := binary.Read(p.in, binary.BigEndian, &length); err != nil {
		p.t.Fatal(err)
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(p.in, body); err != nil {
		p.t.Fatal(err)
	}
	var fields []any
	if err := msgpack.Unmarshal(body, &fields); err != nil {
		p.t.Fatalf("%x: %v", body, err)
	}
	if got := fmt.Sprint(fields[0]); got != fmt.Sprint(kind) {
		p.t.Fatalf("frame %v, want kind %d", fields, kind)
	}
	return fields
}

// A line client of the node.
type client struct {
	*net.TCPConn
	t  testing.TB
	in *bufio.Reader
}

func connect(t testing.TB, n *node.Node) *client {
	t.Helper()
	nc, err := net.Dial("tcp", n.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience)) // as above
	return &client{nc.(*net.TCPConn), t, bufio.NewReader(nc)}
}

func (c *client) say(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) expect(line string) {
	c.t.Helper()
	if got, err := c.in.ReadString('\n'); err != nil || got != line+"\n" {
		c.t.Fatalf("client read %.40q, %v; want %q", got, err, line)
	}
}

// A client that ends its input, as printf | nc -N does, gets its answer, however long
// that takes and however many workers die over it.
func TestClientThatHasEndedItsInputIsAnsweredAfterATakeOver(t *testing.T) {
	n, _, path := serveNode(t, nil)
	first := attachPacked(t, path, "first")
	c := connect(t, n)
	c.say("question\n")
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	first.expect(17)
	first.say(2, 0, 1, 1, []any{})
	first.expect(18)
	<-time.After(300 * time.Millisecond) // longer than a connection is kept for an answer to what is done with
	first.Close()
	second := attachPacked(t, path, "second")
	f := second.expect(18)
	if again := fmt.Sprint(f[2]); again != "1" || !bytes.Equal(f[5].([]byte), []byte("question")) {
		t.Fatalf("the event is %v, want the question once again", f)
	}
	second.say(2, 0, 1, 1, []any{[]any{1, f[3], 0, []byte("answer")}})
	c.expect("answer")
	if rest, err := io.ReadAll(c.in); err != nil || len(rest) > 0 {
		t.Errorf("client read %q, %v; want the end", rest, err)
	}
	if f = second.expect(19); f[3] == nil || f[4] != "client" {
		t.Errorf("closed: %v", f)
	}
}

// Everything that a worker does to the connections of a node comes back as its events.
func TestWorkerSpeaksMsgpack(t *testing.T) {
	n, s, path := serveNode(t, nil)
	w := attachPacked(t, path, "w")
	c := connect(t, n)
	open := w.expect(17)
	id := open[3]
	if open[5] != c.LocalAddr().String() || open[4] != c.RemoteAddr().String() {
		t.Errorf("open %v, want %v at %v", open, c.LocalAddr(), c.RemoteAddr())
	}
	w.say(2, 1, 1, 1, []any{[]any{4, id, "room"}, []any{8, id, "user", "42"}, []any{1, id, 0, "welcome"}, []any{6, "room", []any{}, 0, "to all"}})
	c.expect("welcome")
	c.expect("to all")
	if f := w.expect(20); fmt.Sprint(f[1:]) != "[1 [0 0 0 0]]" {
		t.Errorf("result %v", f)
	}
	w.say(4, 2, 2, id, "", 0, 0, "")
	if f := w.expect(21); fmt.Sprint(f[1:3]) != "[2 0]" || !strings.Contains(string(f[3].([]byte)), `"meta":{"user":"42"}`) {
		t.Errorf("description %s", f)
	}
	w.say(3, 3, []any{[]any{3, id, 0, "bye"}})
	w.expect(20)
	if f := w.expect(19); f[3] != id || f[4] != "sent" {
		t.Errorf("closed %v", f)
	}
	w.say(2, 0, 2, 2, []any{})
	w.say(3, 4, []any{[]any{1, id, 0, "too late"}})
	if f := w.expect(20); fmt.Sprint(f[2]) != "[1]" {
		t.Errorf("result %v, want gone", f)
	}
	if st := s.Stats(); st.Sticky != 0 || st.Acknowledged != 2 {
		t.Errorf("stats %+v", st)
	}
}

// Close of a node waits until workers have acknowledged everything.
func TestCloseHandsOutEverything(t *testing.T) {
	n, _, path := serveNode(t, nil)
	w := attachPacked(t, path, "w")
	c := connect(t, n)
	w.expect(17)
	c.say("last words\n")
	f := w.expect(18)
	ended := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		ended <- n.Close(ctx)
	}()
	w.say(2, 0, 1, 2, []any{[]any{1, f[3], 0, "the very last"}})
	if f := w.expect(19); f[4] != "shutdown" {
		t.Errorf("closed %v", f)
	}
	select {
	case err := <-ended:
		t.Fatalf("Close has returned before the last event was acknowledged: %v", err)
	default:
	}
	w.say(2, 0, 3, 3, []any{})
	if err := <-ended; err != nil {
		t.Errorf("Close: %v", err)
	}
	if f := w.expect(23); f[1] != "closed" {
		t.Errorf("end %v", f)
	}
}

func TestWorkersOverWebSocket(t *testing.T) {
	for _, form := range []string{"json", "msgpack"} {
		n, _, path := serveNode(t, nil)
		ws, err := nodetest.OpenWebSocket(dialUnix(t, path), "/", "Sec-WebSocket-Protocol: flamingo-attach-"+form)
		if err != nil {
			t.Fatal(err)
		}
		kind := websocket.Text
		if form == "msgpack" {
			kind = websocket.Binary
		}
		say := func(object string, fields ...any) {
			t.Helper()
			if form == "msgpack" {
				object = string(ofForm(t, fields...))
			}
			if err := ws.Say(kind, object); err != nil {
				t.Fatal(err)
			}
		}
		next := func() map[string]any {
			t.Helper()
			f, err := ws.Next()
			if err != nil || f.Kind != kind {
				t.Fatalf("frame %+v, %v", f, err)
			}
			got := map[string]any{}
			if form == "json" {
				if err := json.Unmarshal([]byte(f.Text), &got); err != nil {
					t.Fatal(err)
				}
				return got
			}
			var r attach.Record
			if err := attach.Decode(form, []byte(f.Text), &r); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(attach.Encode("json", &r), &got); err != nil {
				t.Fatal(err)
			}
			return got
		}
		say(`{"type":"hello","name":"w","events":5}`, 1, 1, 1, "", "w", 5, 0)
		if f := next(); f["type"] != "welcome" {
			t.Fatalf("%v, want a welcome", f)
		}
		c := connect(t, n)
		f := next()
		id := f["id"].(string)
		c.say("hello\n")
		say(`{"type":"done","first":1,"last":1}`, 2, 0, 1, 1, []any{})
		if f = next(); f["text"] != "hello" || f["id"] != id {
			t.Fatalf("%v, want the message", f)
		}
		var num node.ID
		if err := num.UnmarshalText([]byte(id)); err != nil {
			t.Fatal(err)
		}
		if err := ws.Say(websocket.Ping, "you there"); err != nil {
			t.Fatal(err)
		}
		say(`{"type":"done","first":2,"last":2,"actions":[{"do":"send","id":"`+id+`","text":"hi"}]}`, 2, 0, 2, 2, []any{[]any{1, uint64(num), 0, "hi"}})
		c.expect("hi")
		say(`{"type":"leave"}`, 8)
		pong := false
		for {
			f, err := ws.Next()
			if err != nil {
				t.Fatal(err)
			}
			if f.Kind == websocket.Pong && f.Text == "you there" {
				pong = true
			}
			if f.Kind == websocket.Close {
				break
			}
		}
		if !pong {
			t.Error("a ping was not answered")
		}
	}
}

func TestPagesAttachWithATokenAlone(t *testing.T) {
	tokens, err := attach.ParseTokens(strings.NewReader("0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	const protocol = "Sec-WebSocket-Protocol: flamingo-attach-json"
	for _, tt := range []struct {
		tokens []attach.Token
		path   string
		header []string
		ok     bool
	}{
		{nil, "/", []string{protocol}, true},
		{nil, "/", []string{protocol, "Origin: http://127.0.0.1"}, false},
		{tokens, "/", []string{protocol, "Origin: https://example.com"}, true},
		{nil, "/", nil, false},
		{nil, "/other", []string{protocol}, false},
	} {
		_, _, path := serveNode(t, tt.tokens)
		_, err := nodetest.OpenWebSocket(dialUnix(t, path), tt.path, tt.header...)
		if (err == nil) != tt.ok {
			t.Errorf("%q, %d tokens: %v", tt.header, len(tt.tokens), err)
		}
	}
}

func TestStrangersAreClosed(t *testing.T) {
	_, _, path := serveNode(t, nil)
	for _, words := range []string{"POST / HTTP/1.1\r\n\r\n", "flatta/2", "\x00\x00\x00\x01", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"} {
		nc := dialUnix(t, path)
		if _, err := io.WriteString(nc, words); err != nil {
			t.Fatal(err)
		}
		answer, _ := io.ReadAll(nc) // a reset is an end, too
		if len(answer) > 0 && !strings.HasPrefix(string(answer), "HTTP/1.1 4") {
			t.Errorf("%q is answered with %q", words, answer)
		}
	}
}
