package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"flamingo/node"
)

// patience bounds every wait of these tests; none comes near it when it passes.
const patience = 60 * time.Second

// serveOnce listens, and serves one connection; it returns the address.
func serveOnce(t *testing.T, serve func(*net.TCPConn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		if err := nc.SetDeadline(time.Now().Add(patience)); err == nil {
			serve(nc.(*net.TCPConn))
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return ln.Addr().String()
}

// greetAndClose ends the connection in order: what is not read would make a reset
// of the end.
func greetAndClose(nc *net.TCPConn, greeting string) {
	_, _ = io.WriteString(nc, greeting)
	_, _ = bufio.NewReader(nc).ReadString('\n')
}

// connectTo runs flamingo connect with an input of one line that does not end.
func connectTo(ctx context.Context, t *testing.T, addr string) (out, talk string, err error) {
	t.Helper()
	in, typed := io.Pipe()
	go func() { _, _ = io.WriteString(typed, "hello\n") }()
	t.Cleanup(func() { typed.Close() })
	var o, e bytes.Buffer
	err = runIn(ctx, []string{"connect", addr}, newConsole(in, &o, &e))
	return o.String(), e.String(), err
}

func TestConnectSaysThatTheNodeHasClosed(t *testing.T) {
	addr := serveOnce(t, func(nc *net.TCPConn) { greetAndClose(nc, "flamingo 01adc9000000002a\nhello\n") })
	out, talk, err := connectTo(t.Context(), t, addr)
	if err != nil || out != "01adc9000000002a\nhello\n" || !strings.HasSuffix(talk, "\nclosed by the node\n") {
		t.Errorf("connect prints %q, says %q, returns %v", out, talk, err)
	}
}

func TestConnectSaysThatTheConnectionHasFailed(t *testing.T) {
	addr := serveOnce(t, func(nc *net.TCPConn) {
		_, _ = io.WriteString(nc, "flamingo 01adc9000000002a\n")
		_, _ = bufio.NewReader(nc).ReadString('\n') // it has connected
		_ = nc.SetLinger(0)                         // close with a reset
	})
	_, _, err := connectTo(t.Context(), t, addr)
	if err == nil || codeOf(err) != exitFailed {
		t.Errorf("after a reset: %v, exit code %d, want %d", err, codeOf(err), exitFailed)
	}
}

func TestConnectPrintsWhatIsNoGreetingAsItIs(t *testing.T) {
	addr := serveOnce(t, func(nc *net.TCPConn) { greetAndClose(nc, "welcome\n") })
	out, talk, err := connectTo(t.Context(), t, addr)
	if err != nil || out != "welcome\n" || !strings.Contains(talk, "does not tell") {
		t.Errorf("connect prints %q, says %q, returns %v", out, talk, err)
	}
}

func TestConnectEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	addr := serveOnce(t, func(nc *net.TCPConn) {
		_, _ = io.WriteString(nc, "flamingo 01adc9000000002a\n")
		in := bufio.NewReader(nc)
		_, _ = in.ReadString('\n') // it has connected
		cancel(errors.New("enough"))
		_, _ = in.ReadString('\n') // the end
	})
	_, talk, err := connectTo(ctx, t, addr)
	if err != nil || !strings.HasSuffix(talk, "closed: enough\n") {
		t.Errorf("connect says %q, returns %v", talk, err)
	}
}

func TestConnectRefusesALineWithoutEnd(t *testing.T) {
	addr := serveOnce(t, func(nc *net.TCPConn) { _, _ = nc.Write(make([]byte, 2*maxLine)) })
	if _, _, err := connectTo(t.Context(), t, addr); err == nil || !strings.Contains(err.Error(), "line of more than") {
		t.Errorf("a line without end: %v", err)
	}
}

func TestConnectWithoutNodeIsUnreachable(t *testing.T) {
	_, _, err := connectTo(t.Context(), t, "nowhere.invalid:1")
	if !errors.Is(err, node.ErrUnreachable) || strings.Contains(err.Error(), node.ErrUnreachable.Error()) {
		t.Errorf("no node: %v", err)
	}
}
