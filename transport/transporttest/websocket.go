package transporttest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"flamingo/framing"
	"flamingo/idspace"
	"flamingo/transport"
)

var webSocketTests = []test{
	{"what a client asks for is what the open event and a description show", webSocketFacts},
	{"messages keep their kind in both directions", webSocketKinds},
	{"a message that is not text is refused as text", webSocketNotText},
	{"a request may arrive in any pieces, with messages behind it", webSocketInPieces},
	{"a request that is refused is told why, and nobody learns of it", webSocketRefused},
	{"a request that does not come ends the connection in time", webSocketLate},
	{"fragments are one message, and pings between them are answered", webSocketFragments},
	{"a client that breaks the protocol is told the code", webSocketViolations},
	{"a client that closes gets its code back, and its messages are taken", webSocketClientCloses},
	{"the program closes with a code and a reason, behind what was sent", webSocketProgramCloses},
	{"a shutdown tells clients that the server goes away", webSocketShutdown},
	{"a code that a program must not send is refused", webSocketBadCode},
	{"pings of a client that does not read cost bounded memory", webSocketPingFlood},
	{"pings of a client that reads are answered, though output always waits", webSocketPingsInTraffic},
	{"a client that has ended its input is not pinged", webSocketNoPingAfterEnd},
	{"one message to clients of all kinds of listeners", webSocketMany},
	{"a client that is gone without a close frame is gone", webSocketVanishes},
	{"a silent client is pinged, and stays if it answers", webSocketPinged},
	{"a client that answers no ping ends", webSocketNoPong},
	{"a client that was not read is not late with its pong", webSocketPongExcused},
}

// A webClient speaks RFC 6455 by hand, so that it can break it.
type webClient struct{ *client }

const upgradeHead = "GET %s HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n"

// upgradeRequest is a request for a path, with further header lines.
func upgradeRequest(path string, lines ...string) string {
	var further strings.Builder
	for _, l := range lines {
		further.WriteString(l + "\r\n")
	}
	return fmt.Sprintf(upgradeHead, path, further.String())
}

// Opcodes.
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xa
	fin            = 0x80
)

// frame builds a frame of a client, with the mask that §5.3 demands.
func frame(first byte, payload string) string {
	mask := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	f := []byte{first}
	switch n := len(payload); {
	case n < 126:
		f = append(f, 0x80|byte(n))
	case n < 1<<16:
		f = binary.BigEndian.AppendUint16(append(f, 0x80|126), uint16(n))
	default:
		f = binary.BigEndian.AppendUint64(append(f, 0x80|127), uint64(n))
	}
	f = append(f, mask[:]...)
	for k := range len(payload) {
		f = append(f, payload[k]^mask[k%4])
	}
	return string(f)
}

func closePayload(code uint16, reason string) string {
	return string(binary.BigEndian.AppendUint16(nil, code)) + reason
}

// webSockets starts a transport with a WebSocket listener.
func (s suite) webSockets(t *testing.T, options string, adjust ...func(*transport.Config)) *rig {
	t.Helper()
	l, err := transport.ParseListener("ws://127.0.0.1:0"+options, codec(t, "line"))
	if err != nil {
		t.Fatal(err)
	}
	return s.start(t, append([]func(*transport.Config){func(c *transport.Config) {
		c.Listeners = []transport.Listener{l}
	}}, adjust...)...)
}

// upgrade connects a client and takes its open event.
func (r *rig) upgrade() (webClient, idspace.ID) {
	r.Helper()
	c := webClient{r.dial()}
	c.send(upgradeRequest("/"))
	c.expectUpgrade()
	return c, r.open().ID()
}

// expectUpgrade reads the response that accepts the request.
func (c webClient) expectUpgrade() {
	c.Helper()
	status, err := c.in.ReadString('\n')
	if err != nil || !strings.HasPrefix(status, "HTTP/1.1 101 ") {
		c.Fatalf("client: read %q, %v; want the status 101", status, err)
	}
	accepted := false
	for l := ""; l != "\r\n"; {
		if l, err = c.in.ReadString('\n'); err != nil {
			c.Fatal(err)
		}
		accepted = accepted || strings.EqualFold(l, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n")
	}
	if !accepted {
		c.Fatal("client: the key was not answered as in §1.3")
	}
}

// frame reads a frame of the server, which has no mask.
func (c webClient) frame() (first byte, payload string) {
	c.Helper()
	head := make([]byte, 2)
	if _, err := io.ReadFull(c.in, head); err != nil {
		c.Fatalf("client: frame: %v", err)
	}
	n := uint64(head[1])
	if size := map[uint64]int{126: 2, 127: 8}[n]; size > 0 {
		length := make([]byte, 8)
		if _, err := io.ReadFull(c.in, length[8-size:]); err != nil {
			c.Fatalf("client: length of a frame: %v", err)
		}
		n = binary.BigEndian.Uint64(length)
	}
	data := make([]byte, n)
	if _, err := io.ReadFull(c.in, data); err != nil {
		c.Fatalf("client: payload: %v", err)
	}
	return head[0], string(data)
}

func (c webClient) expectFrame(first byte, payload string) {
	c.Helper()
	if gotFirst, got := c.frame(); gotFirst != first || got != payload {
		c.Errorf("client: frame %#x of %.80q; want %#x of %.80q", gotFirst, got, first, payload)
	}
}

// expectClose reads a close frame, and the end behind it.
func (c webClient) expectClose(code uint16, reason string) {
	c.Helper()
	c.expectFrame(fin|opClose, closePayload(code, reason))
	if rest := c.rest(); rest != "" {
		c.Errorf("client: %q after the close frame", rest)
	}
	c.Close()
}

func (r *rig) expectKind(id idspace.ID, kind transport.Kind, want string) {
	r.Helper()
	if m := r.message(); m.ID != id || m.Kind != kind || string(m.Data) != want {
		r.Fatalf("%v message %.80q of %v; want %v %.80q of %v", m.Kind, m.Data, m.ID, kind, want, id)
	}
}

func webSocketFacts(t *testing.T, s suite) {
	r := s.webSockets(t, "/live?origin=https://app.example&subprotocol=chat.v2,chat.v1")
	c := webClient{r.dial()}
	c.send(upgradeRequest("/live?token=abc", "Origin: https://app.example", "Sec-WebSocket-Protocol: chat.v1, chat.v2", "Cookie: a=b"))
	c.expectUpgrade()
	conn := r.open()
	if q := conn.WebSocket(); q == nil || q.Path != "/live" || q.Query != "token=abc" || q.Host != "example.com" ||
		q.Origin != "https://app.example" || q.Subprotocol != "chat.v2" || strings.Join(q.Values("cookie"), ";") != "a=b" {
		t.Errorf("request %+v", q)
	}
	info, err := r.Describe(conn.ID())
	want := transport.WebSocketInfo{Path: "/live", Host: "example.com", Origin: "https://app.example", Subprotocol: "chat.v2"}
	if err != nil || info.WebSocket == nil || *info.WebSocket != want {
		t.Errorf("description %+v, %v; want %+v", info.WebSocket, err, want)
	}
	if !strings.HasPrefix(info.Listener, "ws://") {
		t.Errorf("listener %s", info.Listener)
	}
}

func webSocketKinds(t *testing.T, s suite) {
	for _, test := range []struct {
		options string
		first   byte
	}{{"", opText}, {"?send=text", opText}, {"?send=binary", opBinary}} {
		r := s.webSockets(t, test.options)
		c, id := r.upgrade()
		c.send(frame(fin|opText, "grüß") + frame(fin|opBinary, "\xff\x00") + frame(fin|opText, ""))
		r.expectKind(id, transport.KindText, "grüß")
		r.expectKind(id, transport.KindBinary, "\xff\x00")
		r.expectKind(id, transport.KindText, "")
		for _, err := range []error{
			r.SendData(id, []byte("one")),
			r.SendDataAs(id, transport.KindText, []byte("two")),
			r.SendDataAs(id, transport.KindBinary, []byte("\xff")),
			r.SendAs(t.Context(), id, transport.KindBinary, []byte(strings.Repeat("x", 70000))),
		} {
			if err != nil {
				t.Error(err)
			}
		}
		c.expectFrame(fin|test.first, "one")
		c.expectFrame(fin|opText, "two")
		c.expectFrame(fin|opBinary, "\xff")
		c.expectFrame(fin|opBinary, strings.Repeat("x", 70000))
	}
}

func webSocketNotText(t *testing.T, s suite) {
	r := s.webSockets(t, "?max-message=100")
	c, id := r.upgrade()
	if err := r.SendData(id, []byte("\xff")); !errors.Is(err, framing.ErrUnframeable) {
		t.Errorf("SendData: %v; want ErrUnframeable", err)
	}
	if err := r.SendData(id, make([]byte, 101)); !errors.Is(err, framing.ErrTooLarge) {
		t.Errorf("SendData: %v; want ErrTooLarge", err)
	}
	results := make([]error, 1)
	if r.SendMany([]idspace.ID{id}, []byte("\xff"), results); !errors.Is(results[0], framing.ErrUnframeable) {
		t.Errorf("SendMany: %v; want ErrUnframeable", results[0])
	}
	if err := r.SendData(id, []byte("fine")); err != nil {
		t.Error(err)
	}
	c.expectFrame(fin|opText, "fine")
}

func webSocketInPieces(t *testing.T, s suite) {
	r := s.webSockets(t, "")
	c := webClient{r.dial()}
	text := upgradeRequest("/") + frame(fin|opText, "first") + frame(fin|opBinary, strings.Repeat("b", 300))
	for k := range len(text) {
		c.send(text[k : k+1])
	}
	c.expectUpgrade()
	id := r.open().ID()
	r.expectKind(id, transport.KindText, "first")
	r.expectKind(id, transport.KindBinary, strings.Repeat("b", 300))

	const messages = 3000
	c = webClient{r.dial()}
	text = upgradeRequest("/")
	for k := range messages {
		text += frame(fin|opText, fmt.Sprint(k))
	}
	c.send(text)
	c.expectUpgrade()
	id = r.open().ID()
	for k := range messages {
		r.expectKind(id, transport.KindText, fmt.Sprint(k))
	}
}

func webSocketRefused(t *testing.T, s suite) {
	r := s.webSockets(t, "/live?origin=https://app.example")
	plain := "GET /live HTTP/1.1\r\nHost: example.com\r\n\r\n"
	requests := []struct{ request, status string }{
		{upgradeRequest("/other"), "404"},
		{upgradeRequest("/live", "Origin: https://evil.example"), "403"},
		{plain, "426"},
		{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "400"},
		{upgradeRequest("/live", "X: "+strings.Repeat("x", 9000)), "431"},
	}
	for k, test := range requests {
		c := r.dial()
		c.send(test.request)
		if got := c.ended(); !strings.HasPrefix(got, "HTTP/1.1 "+test.status+" ") {
			t.Errorf("%.60q was answered %.60q; want %s", test.request, got, test.status)
		}
		r.await("an end", func() bool { return r.Stats().Unopened[transport.ReasonRefused] == uint64(k+1) })
	}
	r.expectNoMoreEvents()
}

func webSocketLate(t *testing.T, s suite) {
	r := s.webSockets(t, "?handshake-timeout=100ms")
	c := r.dial()
	c.send("GET / HTTP/1.1\r\n")
	c.ended()
	r.await("an end", func() bool { return r.Stats().Unopened[transport.ReasonTimeout] == 1 })
	_, id := r.upgrade()
	r.expectNoClose(id, 300*time.Millisecond)
}

func webSocketFragments(t *testing.T, s suite) {
	r := s.webSockets(t, "")
	c, id := r.upgrade()
	c.send(frame(opText, "gr\xc3"))
	c.send(frame(fin|opPing, "still there?"))
	c.expectFrame(fin|opPong, "still there?")
	c.send(frame(opContinuation, "\xbc"))
	c.send(frame(fin|opPong, "unasked"))
	c.send(frame(fin|opContinuation, "ße"))
	r.expectKind(id, transport.KindText, "grüße")
	c.send(frame(fin|opPing, ""))
	c.expectFrame(fin|opPong, "")
}

func webSocketViolations(t *testing.T, s suite) {
	r := s.webSockets(t, "?max-message=1000")
	for _, test := range []struct {
		name, bytes string
		code        uint16
		why         transport.Reason
	}{
		{"no mask", "\x81\x02hi", 1002, transport.ReasonProtocol},
		{"a reserved bit", frame(fin|0x40|opText, "hi"), 1002, transport.ReasonProtocol},
		{"not UTF-8", frame(fin|opText, "\xff"), 1007, transport.ReasonProtocol},
		{"too long", frame(fin|opBinary, strings.Repeat("x", 1001)), 1009, transport.ReasonTooLarge},
		{"too long in all", frame(opBinary, strings.Repeat("x", 600)) + frame(opContinuation, strings.Repeat("x", 600)), 1009, transport.ReasonTooLarge},
	} {
		c, id := r.upgrade()
		c.send(frame(fin|opText, "before") + test.bytes)
		r.expectKind(id, transport.KindText, "before")
		first, payload := c.frame()
		if first != fin|opClose || len(payload) < 2 || binary.BigEndian.Uint16([]byte(payload)) != test.code {
			t.Errorf("%s: frame %#x of %q; want a close with %d", test.name, first, payload, test.code)
		}
		c.ended()
		r.expectClosed(id, test.why)
	}
}

func webSocketClientCloses(t *testing.T, s suite) {
	r := s.webSockets(t, "")
	for _, payload := range []string{"", closePayload(1000, ""), closePayload(4711, "enough")} {
		c, id := r.upgrade()
		c.send(frame(fin|opText, "last words") + frame(fin|opClose, payload) + frame(fin|opText, "not heard"))
		c.expectFrame(fin|opClose, payload[:min(len(payload), 2)])
		c.ended()
		r.expectKind(id, transport.KindText, "last words")
		r.expectClosed(id, transport.ReasonClient)
		if err := r.SendData(id, []byte("x")); !errors.Is(err, transport.ErrGone) {
			t.Errorf("SendData: %v; want ErrGone", err)
		}
	}
	r.expectNoMoreEvents()
}

func webSocketProgramCloses(t *testing.T, s suite) {
	r := s.webSockets(t, "")
	for _, test := range []struct {
		code   int
		reason string
		seen   uint16
	}{{0, "", 1000}, {4001, "bye", 4001}, {0, "bye", 1000}} {
		c, id := r.upgrade()
		if err := r.SendData(id, []byte("before")); err != nil {
			t.Error(err)
		}
		if err := r.SendCloseWith(id, transport.ReasonRemote, test.code, test.reason); err != nil {
			t.Error(err)
		}
		c.expectFrame(fin|opText, "before")
		c.expectClose(test.seen, test.reason)
		r.expectClosed(id, transport.ReasonRemote)
	}
}

func webSocketShutdown(t *testing.T, s suite) {
	r := s.webSockets(t, "", func(c *transport.Config) { c.Ignore = transport.IgnoreCloses })
	c, _ := r.upgrade()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.expectClose(1001, "")
	}()
	ctx, cancel := r.patient()
	defer cancel()
	if err := r.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	<-ended
}

func webSocketBadCode(t *testing.T, s suite) {
	r := s.webSockets(t, "")
	c, id := r.upgrade()
	for _, code := range []int{-1, 1, 999, 1002, 1004, 1005, 1006, 1010, 1015, 2999, 5000, 1000 + 1<<16} {
		if err := r.SendCloseWith(id, transport.ReasonSent, code, ""); !errors.Is(err, transport.ErrBadCloseCode) {
			t.Errorf("code %d: %v; want ErrBadCloseCode", code, err)
		}
	}
	c.send(frame(fin|opText, "still here"))
	r.expectKind(id, transport.KindText, "still here")
	if err := r.SendCloseWith(id, transport.ReasonSent, 1000, strings.Repeat("ü", 100)); err != nil {
		t.Error(err)
	}
	c.expectClose(1000, strings.Repeat("ü", 61))
}

func webSocketPingFlood(t *testing.T, s suite) {
	r := s.webSockets(t, "", narrow)
	c, id := r.upgrade()
	ping := []byte(strings.Repeat(frame(fin|opPing, strings.Repeat("p", 125)), 500))
	for flooded := 0; r.Stats().PongsDropped == 0; flooded += len(ping) {
		if flooded > 256<<20 {
			t.Fatal("no answer was dropped")
		}
		if _, err := c.Write(ping); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.pending(id); n != 0 {
		t.Errorf("%d bytes of answers count against the bound of messages", n)
	}
	if err := r.SendData(id, []byte("after")); err != nil {
		t.Error(err)
	}
	for {
		first, payload := c.frame()
		if first == fin|opText && payload == "after" {
			break
		}
		if first != fin|opPong {
			t.Fatalf("frame %#x of %q among the answers", first, payload)
		}
	}
}

func webSocketPingsInTraffic(t *testing.T, s suite) {
	const pings = 20
	r := s.webSockets(t, "", narrow, func(c *transport.Config) { c.OutputBytes = 16 << 20 })
	c, id := r.upgrade()
	c.deafen()
	big := strings.Repeat("x", 1<<20-100) // more than the kernel holds
	send := func() {
		if err := r.SendData(id, []byte(big)); err != nil {
			t.Fatal(err)
		}
	}
	send()
	pongs := 0
	until := func(what string) {
		for {
			switch first, payload := c.frame(); {
			case first == fin|opPong:
				pongs++
			case payload == what:
				return
			default:
				t.Fatalf("frame %#x of %.80q", first, payload)
			}
		}
	}
	for range pings {
		send() // waits until the next but one is read
		c.send(frame(fin|opPing, ""))
		until(big)
	}
	c.send(frame(fin|opText, "that was all"))
	r.expectKind(id, transport.KindText, "that was all")
	if err := r.SendData(id, []byte("end")); err != nil {
		t.Fatal(err)
	}
	until(big)
	until("end")
	if n := r.Stats().PongsDropped; pongs != pings || n != 0 {
		t.Errorf("%d of %d pings were answered, %d not", pongs, pings, n)
	}
}

func webSocketNoPingAfterEnd(t *testing.T, s suite) {
	r := s.webSockets(t, "?ping=200ms&pong-timeout=200ms")
	c, id := r.upgrade()
	c.send(frame(fin|opText, "question"))
	c.closeWrite()
	var held [1]transport.Message
	r.await("the question", func() bool { return r.TryRecvMany(held[:]) == 1 })
	_, silentID := r.upgrade()
	r.expectClosed(silentID, transport.ReasonTimeout) // so the time has passed
	if err := r.SendData(id, []byte("answer")); err != nil {
		t.Error(err)
	}
	r.Done(held[:])
	c.expectFrame(fin|opText, "answer")
	c.expectClose(1000, "")
	r.expectClosed(id, transport.ReasonClient)
}

func webSocketMany(t *testing.T, s suite) {
	r := s.webSockets(t, "", func(c *transport.Config) { c.Listeners = append(c.Listeners, listener(t, "")) })
	w, webID := r.upgrade()
	plain := r.dialTo(1)
	ids := []idspace.ID{webID, r.open().ID()}
	results := make([]error, 2)
	for _, msg := range []string{"short", strings.Repeat("long ", 1000)} {
		r.SendMany(ids, []byte(msg), results)
		if err := errors.Join(results...); err != nil {
			t.Error(err)
		}
		w.expectFrame(fin|opText, msg)
		plain.expect(msg + "\n")
	}
}

func webSocketVanishes(t *testing.T, s suite) {
	r := s.webSockets(t, "")
	c, id := r.upgrade()
	c.send(frame(opText, "half of a mess"))
	c.Close()
	r.expectClosed(id, transport.ReasonClient)
	r.await("the count of a message in part", func() bool { return r.Stats().Partials == 1 })
	c, id = r.upgrade()
	c.reset()
	r.expectClosed(id, transport.ReasonError)
}

func webSocketPinged(t *testing.T, s suite) {
	r := s.webSockets(t, "?ping=50ms&pong-timeout=1m")
	c, id := r.upgrade()
	for range 3 {
		c.expectFrame(fin|opPing, "")
		c.send(frame(fin|opPong, ""))
	}
	c.expectFrame(fin|opPing, "")
	c.send(frame(fin|opText, "any byte will do"))
	r.expectKind(id, transport.KindText, "any byte will do")
	c.expectFrame(fin|opPing, "")
	if n := r.Stats().Pings; n < 5 {
		t.Errorf("%d pings were counted; want 5 at least", n)
	}

	r = s.webSockets(t, "?ping=-1s")
	_, id = r.upgrade()
	r.expectNoClose(id, 200*time.Millisecond)
	if n := r.Stats().Pings; n != 0 {
		t.Errorf("%d pings were counted; want none", n)
	}
}

func webSocketNoPong(t *testing.T, s suite) {
	r := s.webSockets(t, "?ping=50ms&pong-timeout=100ms")
	c, id := r.upgrade()
	c.expectFrame(fin|opPing, "")
	r.expectClosed(id, transport.ReasonTimeout)
	c.expectClose(1008, "")
}

func webSocketPongExcused(t *testing.T, s suite) {
	const queue = 64 << 10
	r := s.webSockets(t, "?ping=50ms&pong-timeout=100ms", func(c *transport.Config) { c.QueueBytes = queue })
	c, id := r.upgrade()
	msg := strings.Repeat("x", 1<<10)
	for range 2 * queue / len(msg) {
		c.send(frame(fin|opText, msg))
	}
	r.await("a full queue", func() bool { return r.Stats().QueuedBytes >= queue })
	r.expectNoClose(id, 500*time.Millisecond) // its pongs are not read
	if err := r.SendClose(id, transport.ReasonRemote); err != nil {
		t.Errorf("SendClose: %v; the connection should go on", err)
	}
}
