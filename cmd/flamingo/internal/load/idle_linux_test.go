package load

import (
	"bytes"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// A webPeer is a server of WebSockets by hand. It answers each message with what
// reply says, frames and all.
type webPeer struct {
	path     string
	greeting []byte
	reply    func(text []byte) []byte
	held     sync.WaitGroup
}

func (p *webPeer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != p.path || r.Header.Get("Upgrade") != "websocket" {
		http.NotFound(w, r)
		return
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	p.held.Add(1) // of a handler: the server does not wait for connections that are hijacked
	defer p.held.Done()
	defer conn.Close()
	digest := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n%s",
		base64.StdEncoding.EncodeToString(digest[:]), p.greeting)
	for {
		var head [6]byte
		if _, err := io.ReadFull(rw, head[:]); err != nil {
			return
		}
		text := make([]byte, head[1]&0x7f)
		if _, err := io.ReadFull(rw, text); err != nil {
			return
		}
		for i := range text {
			text[i] ^= head[2+i%4]
		}
		if _, err := conn.Write(p.reply(text)); err != nil {
			return
		}
	}
}

// start serves until the test ends, with TLS or without.
func (p *webPeer) start(t *testing.T, encrypted bool) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(p)
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	if encrypted {
		srv.StartTLS()
	} else {
		srv.Start()
	}
	t.Cleanup(p.held.Wait)
	t.Cleanup(srv.Close)
	return srv
}

func addrOf(srv *httptest.Server) string { return srv.Listener.Addr().String() }

// textFrame is the frame of a server for a text.
func textFrame(text []byte) []byte {
	if len(text) < 126 {
		return append([]byte{0x81, byte(len(text))}, text...)
	}
	return append([]byte{0x81, 126, byte(len(text) >> 8), byte(len(text))}, text...)
}

// believing is what a client needs to believe srv.
func believing(srv *httptest.Server) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	return &tls.Config{RootCAs: roots}
}

func TestIdleHoldsConnectionsOfEveryScheme(t *testing.T) {
	ping := []byte{0x89, 0}
	greeting := append(ping, textFrame(bytes.Repeat([]byte("hello "), 30))...)
	peer := &webPeer{path: "/here", greeting: greeting, reply: textFrame}
	web, secure := peer.start(t, false), peer.start(t, true)
	lines := serveLinesOn(t, tls.NewListener(listen(t), &tls.Config{Certificates: secure.TLS.Certificates}), same)
	for _, l := range []Idle{
		{Scheme: "tcp", Target: Target{Addr: serveLines(t, same)}},
		{Scheme: "tls", Target: Target{Addr: lines}, TLS: believing(secure)},
		{Scheme: "ws", Target: Target{Addr: addrOf(web), Greeting: "hello "}, Path: "/here"},
		{Scheme: "wss", Target: Target{Addr: addrOf(secure), Greeting: "hello "}, Path: "/here", TLS: believing(secure)},
	} {
		for _, l.Echo = range []bool{false, true} {
			var seen []int
			l.Steps = []int{3, 10}
			l.Reset = l.Echo
			l.Reached = func(s Step) error { seen = append(seen, s.Conns); return nil }
			if err := l.Run(t.Context()); err != nil || len(seen) != 2 {
				t.Errorf("%s, echo %v: %v after %v", l.Scheme, l.Echo, err, seen)
			}
		}
	}
}

func TestWebSocketThatAnswersWrongFailsTheLoad(t *testing.T) {
	for name, reply := range map[string]func(text []byte) []byte{
		"answers something else": func([]byte) []byte { return textFrame([]byte("no")) },
		"masks":                  func(text []byte) []byte { return frameOf(text) },
		"answers in parts":       func(text []byte) []byte { return append([]byte{0x01, byte(len(text))}, text...) },
		"answers with too much":  func([]byte) []byte { return []byte{0x81, 126, 0xff, 0xff} },
		"answers with far more":  func([]byte) []byte { return []byte{0x81, 127, 0, 0, 0, 1, 0, 0, 0, 0} },
	} {
		srv := (&webPeer{path: "/", reply: reply}).start(t, false)
		l := Idle{Scheme: "ws", Target: Target{Addr: addrOf(srv)}, Steps: []int{1}, Echo: true}
		if err := l.Run(t.Context()); !errors.Is(err, ErrWrongReply) {
			t.Errorf("a server that %s: %v; want ErrWrongReply", name, err)
		}
	}
	srv := (&webPeer{path: "/", reply: func([]byte) []byte { return []byte{0x88, 0} }}).start(t, false)
	l := Idle{Scheme: "ws", Target: Target{Addr: addrOf(srv)}, Steps: []int{1}, Echo: true}
	if err := l.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "ended by the server") {
		t.Errorf("a server that closes: %v", err)
	}
	l.Path = "/elsewhere"
	if err := l.Run(t.Context()); !errors.Is(err, ErrWrongReply) || !strings.Contains(err.Error(), "404") {
		t.Errorf("no WebSocket: %v; want ErrWrongReply with the status", err)
	}
}

func TestIdleBelievesNoStrangeCertificate(t *testing.T) {
	srv := (&webPeer{path: "/", reply: textFrame}).start(t, true)
	l := Idle{Scheme: "wss", Target: Target{Addr: addrOf(srv)}, Steps: []int{1}}
	var unknown x509.UnknownAuthorityError
	if err := l.Run(t.Context()); !errors.As(err, &unknown) {
		t.Errorf("%v; want an unknown authority", err)
	}
	l.TLS = &tls.Config{InsecureSkipVerify: true}
	if err := l.Run(t.Context()); err != nil {
		t.Errorf("any certificate: %v", err)
	}
}

func TestIdleFindsConnectionsThatEnd(t *testing.T) {
	ln := listen(t)
	l := Idle{Target: Target{Addr: ln.Addr().String()}, Steps: []int{2}}
	l.Reached = func(Step) error {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		return c.Close() // on loopback the end is there at once
	}
	if err := l.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "is ended by the server") {
		t.Errorf("%v; want the end of a connection", err)
	}
}

func TestSchemeThatIsNotKnownIsRefused(t *testing.T) {
	l := Idle{Scheme: "udp", Target: Target{Addr: "127.0.0.1:1"}, Steps: []int{1}}
	if err := l.Run(t.Context()); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "scheme: udp") {
		t.Errorf("%v; want ErrConfig with the scheme", err)
	}
}
