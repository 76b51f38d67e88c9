package transport_test

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flamingo/idspace"
	"flamingo/transport"
	"flamingo/transport/transporttest"
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

func TestConnectionThatIsOpeningIsEndedBeforeAnybodyKnowsOfIt(t *testing.T) {
	eachWebBubble(t, func(t *testing.T, tr *transport.Transport, ln *pipeListener) {
		nc := ln.dial()
		defer nc.Close()
		if _, err := io.WriteString(nc, upgradeRequest[:40]); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := tr.EndOpening(transport.ReasonRetired); n != 1 {
			t.Fatalf("%d ended, want the one that is opening", n)
		}
		if n := tr.EndOpening(transport.ReasonRetired); n != 0 {
			t.Errorf("%d ended again", n)
		}
		_, _ = io.WriteString(nc, upgradeRequest[40:]+textFrame)
		if answer, _ := io.ReadAll(nc); len(answer) > 0 {
			t.Errorf("the client is answered %q", answer)
		}
		synctest.Wait()
		if st := tr.Stats(); st.Accepted != 0 || st.Unopened[transport.ReasonRetired] != 1 || st.MessagesIn != 0 {
			t.Errorf("stats %+v; want nobody accepted and one unopened", st)
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

// The answer is accepted while a write is under way. What follows it is for the
// driver to find out.
func TestWebSocketThatIsAnsweredDuringAWriteCloses(t *testing.T) {
	eachTLS(t, func(c *transport.Config, _ *transporttest.Authority) {
		c.HalfClose, c.CloseTimeout, c.OutputBytes = time.Hour, time.Hour, 64<<20
		clear := c.Listeners[0]
		clear.TLS = nil
		c.Listeners = append(c.Listeners, clear)
		for i := range c.Listeners {
			c.Listeners[i].WebSocket = &transport.WebSocket{}
		}
	}, func(r *tlsRig) {
		encrypted := r.dial(r.client(), nil)
		plain, err := net.Dial("tcp", r.Addrs()[1].String())
		if err != nil {
			r.Fatal(err)
		}
		defer plain.Close()
		if err := plain.SetDeadline(time.Now().Add(patience)); err != nil {
			r.Fatal(err)
		}
		for _, nc := range []net.Conn{plain, encrypted} {
			if _, err := io.WriteString(nc, upgradeRequest); err != nil {
				r.Fatal(err)
			}
			id := r.opened().ID()
			for range 32 { // more than the kernel holds
				if err := r.SendData(id, make([]byte, 1<<20)); err != nil {
					r.Fatal(err)
				}
			}
			if _, err := io.WriteString(nc, textFrame); err != nil {
				r.Fatal(err)
			}
			if err := nc.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
				r.Fatal(err)
			}
			r.RecvData()
			eventually(r, "the end of the input", func() bool { return transport.HasEnded(r.Transport, id) })
			if err := r.SendData(id, []byte("answer")); err != nil {
				r.Fatal(err)
			}
			got, err := io.ReadAll(nc)
			if want := "\x81\x06answer\x88\x02\x03\xe8"; err != nil || !strings.HasSuffix(string(got), want) {
				r.Errorf("the client read %d bytes, at last %q, %v; want at last %q", len(got), got[max(len(got)-20, 0):], err, want)
			}
			if end, why := r.ended(); end != id || why != transport.ReasonClient {
				r.Errorf("%v ended for %v; want %v for client", end, why, id)
			}
		}
	})
}
