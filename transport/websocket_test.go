package transport_test

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"

	"flamingo/idspace"
	"flamingo/transport"
)

const (
	upgradeRequest = "GET / HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	textFrame = "\x81\x82\x00\x00\x00\x00hi"
	pingFrame = "\x89\x80\x00\x00\x00\x00"
)

// eachWebBubble runs check in a bubble, with a WebSocket listener in memory.
func eachWebBubble(t *testing.T, check func(t *testing.T, tr *transport.Transport, ln *pipeListener)) {
	synctest.Test(t, func(t *testing.T) {
		ln := newPipeListener()
		cfg := piped(t, func(transport.Listener) (net.Listener, error) { return ln, nil }, "192.0.2.1:0")
		cfg.Listeners[0].WebSocket = &transport.WebSocket{}
		tr, err := transport.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := tr.Listen(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		var running sync.WaitGroup
		running.Go(func() { _ = tr.Run(ctx) })
		check(t, tr, ln)
		stop()
		running.Wait()
	})
}

func TestWebSocketThatEndsBeforeItIsOpenBringsNothing(t *testing.T) {
	eachWebBubble(t, func(t *testing.T, tr *transport.Transport, ln *pipeListener) {
		nc := ln.dial()
		defer nc.Close()
		synctest.Wait()
		if n := transport.ReceiveDuringEnd(tr, 0, []byte(upgradeRequest+textFrame)); n != 0 {
			t.Errorf("%d messages of a connection that nobody knows of", n)
		}
		if st := tr.Stats(); st.Accepted != 0 {
			t.Errorf("stats %+v; want nobody accepted", st)
		}
	})
}

func TestWebSocketSaysNothingBehindItsClose(t *testing.T) {
	eachWebBubble(t, func(t *testing.T, tr *transport.Transport, ln *pipeListener) {
		nc := ln.dial()
		defer nc.Close()
		if _, err := io.WriteString(nc, upgradeRequest); err != nil {
			t.Fatal(err)
		}
		var id idspace.ID
		go func() {
			c, _ := tr.RecvOpen()
			id = c.ID()
		}()
		answer := make([]byte, len("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
			"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"))
		if _, err := io.ReadFull(nc, answer); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		transport.ReceiveDuringEnd(tr, id, []byte(pingFrame))
		if got, err := io.ReadAll(nc); string(got) != "\x88\x02\x03\xe9" {
			t.Errorf("the client read %q, %v; want the close frame alone", got, err)
		}
	})
}
