package websocket_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	coder "github.com/coder/websocket"

	"flamingo/transport/websocket"
)

// A peerServer answers the handshakes and echoes the messages of one
// connection after another, each over a pipe. Fields are set before use.
type peerServer struct {
	upgrade  websocket.UpgradeConfig
	decode   websocket.DecoderConfig
	readSize int // bytes

	mu   sync.Mutex
	seen []websocket.Event // pongs and closes, their payloads copied
}

// dial connects a client of the other library. Both ends are over at the end
// of the test.
func (p *peerServer) dial(t *testing.T, opts coder.DialOptions) (*coder.Conn, *http.Response, error) {
	t.Helper()
	ours, theirs := net.Pipe()
	var served sync.WaitGroup
	served.Go(func() {
		defer ours.Close()
		p.serve(ours)
	})
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return theirs, nil }}
	opts.HTTPClient = &http.Client{Transport: transport}
	conn, resp, err := coder.Dial(t.Context(), "ws://example.com/chat", &opts)
	t.Cleanup(func() {
		if conn != nil {
			_ = conn.CloseNow() // nobody waits for its close frame
		}
		theirs.Close()
		transport.CloseIdleConnections()
		served.Wait()
	})
	return conn, resp, err
}

func (p *peerServer) mustDial(t *testing.T, opts coder.DialOptions) *coder.Conn {
	t.Helper()
	conn, _, err := p.dial(t, opts)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetReadLimit(1 << 20)
	return conn
}

// serve ends when the stream does, or the pipe.
func (p *peerServer) serve(conn net.Conn) {
	u, d := must(websocket.NewUpgrader(p.upgrade)), decoder(p.decode)
	buf := make([]byte, p.readSize)
	var request []byte
	var a *websocket.Answer
	for searched := 0; a == nil; {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		request = append(request, buf[:n]...)
		a = u.Answer(request, searched)
		searched = len(request)
	}
	if _, err := conn.Write(a.Response); err != nil || !a.Accepted() {
		return
	}
	var s websocket.State
	data := request[a.Size:]
	for {
		for len(data) > 0 {
			event, size, err := d.Decode(&s, data)
			data = data[size:]
			out, over := p.reply(event, err)
			if len(out) > 0 { // a pipe waits for the reader of nothing, too
				_, err = conn.Write(out)
			}
			if err != nil || over {
				return
			}
		}
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		data = buf[:n]
	}
}

// reply is what is written for an event, or an error, and whether it is the
// last.
func (p *peerServer) reply(event websocket.Event, err error) (out []byte, over bool) {
	var broken *websocket.ProtocolError
	if errors.As(err, &broken) {
		return must(websocket.AppendClose(nil, broken.Code, broken.Reason)), true
	}
	switch event.Kind {
	case websocket.Text, websocket.Binary:
		return p.replyToMessage(event)
	case websocket.Ping:
		return must(websocket.AppendPong(nil, event.Payload)), false
	case websocket.Pong:
		p.note(event)
	case websocket.Close:
		p.note(event)
		return must(websocket.AppendClose(nil, event.Code, string(event.Payload))), true
	case websocket.None:
	}
	return nil, false
}

// replyToMessage echoes a message, after a ping if it asks for one. It may ask
// for a close instead.
func (p *peerServer) replyToMessage(event websocket.Event) (out []byte, over bool) {
	var code websocket.CloseCode
	var reason string
	if n, _ := fmt.Sscanf(string(event.Payload), "close %d %s", &code, &reason); n == 2 {
		return must(websocket.AppendClose(nil, code, reason)), true
	}
	if data, ok := bytes.CutPrefix(event.Payload, []byte("ping ")); ok {
		out = must(websocket.AppendPing(nil, data))
	}
	return must(websocket.AppendMessage(out, event.Kind, event.Payload)), false
}

func (p *peerServer) note(event websocket.Event) {
	event.Payload = bytes.Clone(event.Payload)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, event)
}

func (p *peerServer) noted() []websocket.Event {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen
}

// readSizes are those with which the tests are run.
var readSizes = []int{1, 7, 4096}

// echo sends a message and fails the test unless it comes back.
func echo(t *testing.T, conn *coder.Conn, kind coder.MessageType, payload string) {
	t.Helper()
	sent := make(chan error, 1)
	go func() { sent <- conn.Write(t.Context(), kind, []byte(payload)) }()
	gotKind, got, err := conn.Read(t.Context())
	if sendErr := <-sent; sendErr != nil || err != nil || gotKind != kind || string(got) != payload {
		t.Errorf("%v of %d bytes: got %v of %d bytes, %v, %v", kind, len(payload), gotKind, len(got), err, sendErr)
	}
}

func TestPeerGetsItsMessagesBack(t *testing.T) {
	for _, size := range readSizes {
		p := &peerServer{readSize: size, upgrade: websocket.UpgradeConfig{Path: "/chat"}}
		for _, mode := range []coder.CompressionMode{coder.CompressionDisabled, coder.CompressionContextTakeover} {
			conn := p.mustDial(t, coder.DialOptions{CompressionMode: mode})
			for _, n := range []int{0, 1, 125, 126, 127, 4096, 65535, 65536, 100_000} {
				if n > 4096*size { // a read for each byte takes its time
					break
				}
				echo(t, conn, coder.MessageText, strings.Repeat("κ", n/2)+xs(n%2))
				echo(t, conn, coder.MessageBinary, strings.Repeat("\xff", n))
			}
		}
	}
}

func TestPeerSendsFragments(t *testing.T) {
	for _, size := range readSizes {
		p := &peerServer{readSize: size}
		conn := p.mustDial(t, coder.DialOptions{})
		sent := make(chan error, 1)
		go func() {
			w, err := conn.Writer(t.Context(), coder.MessageText)
			for _, part := range []string{"He", "", "\xce", "\xba", xs(10_000)} {
				if err == nil {
					_, err = w.Write([]byte(part))
				}
			}
			sent <- errors.Join(err, w.Close())
		}()
		_, got, err := conn.Read(t.Context())
		if sendErr := <-sent; sendErr != nil || err != nil || string(got) != "Heκ"+xs(10_000) {
			t.Errorf("reads of %d bytes: got %.20q, %v, %v", size, got, err, sendErr)
		}
	}
}

func TestPeerAndServerPingEachOther(t *testing.T) {
	p := &peerServer{readSize: 7}
	pinged := make(chan string, 1)
	conn := p.mustDial(t, coder.DialOptions{OnPingReceived: func(_ context.Context, payload []byte) bool {
		pinged <- string(payload)
		return true
	}})
	echo(t, conn, coder.MessageText, "ping you")
	if got := <-pinged; got != "you" {
		t.Errorf("the peer got a ping with %q, want %q", got, "you")
	}
	echo(t, conn, coder.MessageText, "after the pong")

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	conn.CloseRead(ctx) // reads pongs
	if err := conn.Ping(t.Context()); err != nil {
		t.Errorf("the peer's ping: %v", err)
	}
	if seen := p.noted(); len(seen) != 1 || seen[0].Kind != websocket.Pong || string(seen[0].Payload) != "you" {
		t.Errorf("the server has seen %+v, want a pong with %q", seen, "you")
	}
}

func TestPeerCloses(t *testing.T) {
	for _, test := range []struct {
		code   coder.StatusCode
		reason string
	}{
		{coder.StatusNormalClosure, ""},
		{coder.StatusGoingAway, "bye"},
		{coder.StatusNoStatusRcvd, ""},
		{3000, xs(123)},
		{4999, "κόσμε"},
	} {
		p := &peerServer{readSize: 7}
		conn := p.mustDial(t, coder.DialOptions{})
		if err := conn.Close(test.code, test.reason); err != nil {
			t.Errorf("%d %q: %v", test.code, test.reason, err)
		}
		if seen := p.noted(); len(seen) != 1 || seen[0].Code != websocket.CloseCode(test.code) || string(seen[0].Payload) != test.reason {
			t.Errorf("%d %q: the server has seen %+v", test.code, test.reason, seen)
		}
	}
}

func TestServerCloses(t *testing.T) {
	bad := strings.Repeat("\xff", 10)
	for _, test := range []struct {
		sent   string
		code   coder.StatusCode
		reason string
	}{
		{"close 1000 done", coder.StatusNormalClosure, "done"},
		{"close 1001 away", coder.StatusGoingAway, "away"},
		{"close 1013 later", coder.StatusTryAgainLater, "later"},
		{"close 4001 kicked", 4001, "kicked"},
		{xs(lowLimit + 1), coder.StatusMessageTooBig, "message over the limit of 100 bytes"},
		{bad, coder.StatusInvalidFramePayloadData, "text is not UTF-8"},
	} {
		p := &peerServer{readSize: 4096, decode: websocket.DecoderConfig{MaxMessage: lowLimit}}
		conn := p.mustDial(t, coder.DialOptions{})
		if err := conn.Write(t.Context(), coder.MessageText, []byte(test.sent)); err != nil {
			t.Fatal(err)
		}
		_, _, err := conn.Read(t.Context())
		var closed coder.CloseError
		if !errors.As(err, &closed) || closed.Code != test.code || closed.Reason != test.reason {
			t.Errorf("%q: got %v, want %d %q", test.sent, err, test.code, test.reason)
		}
	}
}

func TestPeerIsAnsweredAsItAsks(t *testing.T) {
	p := &peerServer{readSize: 7, upgrade: websocket.UpgradeConfig{Subprotocols: []string{"v2", "v1"}}}
	conn := p.mustDial(t, coder.DialOptions{Subprotocols: []string{"v1", "v2"}})
	if got := conn.Subprotocol(); got != "v2" {
		t.Errorf("subprotocol %q, want v2", got)
	}
	for _, test := range []struct {
		upgrade websocket.UpgradeConfig
		origin  string
		status  int
	}{
		{websocket.UpgradeConfig{}, "http://example.com", http.StatusSwitchingProtocols},
		{websocket.UpgradeConfig{}, "http://evil.example", http.StatusForbidden},
		{websocket.UpgradeConfig{Path: "/talk"}, "", http.StatusNotFound},
	} {
		p := &peerServer{readSize: 7, upgrade: test.upgrade}
		header := http.Header{}
		if test.origin != "" {
			header.Set("Origin", test.origin)
		}
		_, resp, err := p.dial(t, coder.DialOptions{HTTPHeader: header})
		if resp == nil || resp.StatusCode != test.status || (err == nil) != (test.status == http.StatusSwitchingProtocols) {
			t.Errorf("%+v, origin %q: got %+v, %v, want %d", test.upgrade, test.origin, resp, err, test.status)
		}
	}
}
