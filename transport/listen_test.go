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
	"testing"
	"testing/synctest"
	"time"

	"flamingo/transport"
)

// A pipeListener is a listener in memory.
type pipeListener struct {
	conns  chan net.Conn // never closed
	closed chan struct{}
	once   sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *pipeListener) dial() net.Conn {
	near, far := net.Pipe()
	l.conns <- far
	return near
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case nc := <-l.conns:
		return nc, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4100} }

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// piped is the config of a transport whose listeners are opened by listen.
func piped(t *testing.T, listen func(transport.Listener) (net.Listener, error), addresses ...string) transport.Config {
	t.Helper()
	cfg := transport.Config{
		IDs: &serials{}, MaxConns: 10, Logger: slog.New(slog.DiscardHandler),
		Listen: func(_ context.Context, l transport.Listener) (net.Listener, error) { return listen(l) },
	}
	for _, a := range addresses {
		cfg.Listeners = append(cfg.Listeners, transport.Listener{Network: "tcp", Address: a, Codec: lineCodec(t)})
	}
	return cfg
}

// A transport whose sockets are in memory does nothing that a bubble cannot
// see: its timeouts are met on fake time.
func TestSocketsInMemoryAreServedOnFakeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := newPipeListener()
		cfg := piped(t, func(l transport.Listener) (net.Listener, error) {
			if l.Address != "192.0.2.1:0" || l.Codec == nil {
				t.Errorf("asked to open %+v", l)
			}
			return ln, nil
		}, "192.0.2.1:0")
		cfg.ActivityTimeout = time.Hour
		tr, err := transport.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := tr.Listen(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := tr.Addrs(); len(got) != 1 || got[0].String() != ln.Addr().String() {
			t.Errorf("addresses %v, want %v", got, ln.Addr())
		}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = tr.Run(ctx) })
		defer running.Wait()
		defer stop()

		nc := ln.dial()
		c, _ := tr.RecvOpen()
		if _, err := io.WriteString(nc, "ping\n"); err != nil {
			t.Fatal(err)
		}
		if id, data, _ := tr.RecvData(); id != c.ID() || string(data) != "ping" {
			t.Errorf("received %q from %v", data, id)
		}
		begin := time.Now()
		if err := tr.SendData(c.ID(), []byte("pong")); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(nc)
		expectLine(t, in, "pong")
		expectEOF(t, in)
		if took := time.Since(begin); took < time.Hour || took > time.Hour+100*time.Millisecond {
			t.Errorf("an idle client was disconnected after %v, want 1h", took)
		}
		if id, why, _ := tr.RecvClose(); id != c.ID() || why != transport.ReasonIdle {
			t.Errorf("%v ended for reason %v, want %v", id, why, transport.ReasonIdle)
		}
	})
}

func TestListenerThatCannotBeOpenedClosesThoseBefore(t *testing.T) {
	first, broken := newPipeListener(), errors.New("no such network")
	tr, err := transport.New(piped(t, func(l transport.Listener) (net.Listener, error) {
		if l.Address == ":1" {
			return first, nil
		}
		return nil, broken
	}, ":1", ":2"))
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.Listen(t.Context()); !errors.Is(err, broken) || !strings.Contains(err.Error(), "tcp://:2") {
		t.Errorf("Listen = %v, want %v of tcp://:2", err, broken)
	}
	select {
	case <-first.closed:
	default:
		t.Error("the first listener is open still")
	}
}
