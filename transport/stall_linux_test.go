package transport_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"path/filepath"
	"testing"
	"time"

	"flamingo/transport"
	"flamingo/transport/transporttest"
)

// onUnixSocket makes the listener one whose kernel takes what is sent in pieces
// of known sizes.
func onUnixSocket(t *testing.T, l *transport.Listener) {
	t.Helper()
	l.Network, l.Address = "unix", filepath.Join(t.TempDir(), "s")
	l.WriteTimeout = time.Hour
}

func TestMessageThatIsTakenBackStallsNobody(t *testing.T) {
	tr, _ := serve(t, func(c *transport.Config) { onUnixSocket(t, &c.Listeners[0]) })
	connect(t, tr)
	c, _ := tr.RecvOpen()
	for { // until the kernel takes none of a message
		message, err := tr.Track(c.ID(), transport.KindDefault, make([]byte, 1000))
		if err != nil {
			t.Fatal(err)
		}
		ctx, takeBack := context.WithCancel(t.Context())
		defer takeBack()
		outcome := make(chan error, 1)
		go func() { outcome <- message.Wait(ctx) }()
		eventually(t, "the message to be written or to wait", func() bool {
			return len(outcome) > 0 || transport.StuckSince(tr, c.ID()) != 0
		})
		if len(outcome) == 0 {
			takeBack()
		}
		err = <-outcome
		if errors.Is(err, transport.ErrExpired) {
			break
		}
		if err != nil {
			t.Fatalf("Wait: %v; want the message written or taken back", err)
		}
	}
	eventually(t, "no time to run for output that is no more", func() bool {
		return transport.StuckSince(tr, c.ID()) == 0
	})
}

func TestTLSClientThatTakesPartsOfARecordIsNotStuck(t *testing.T) {
	authority := transporttest.NewAuthority(t)
	tr, _ := serve(t, func(c *transport.Config) {
		onUnixSocket(t, &c.Listeners[0])
		c.Listeners[0].TLS = authority.Server("server.test")
		c.Listeners[0].WriteBuffer = 4 << 10
	})
	nc := connect(t, tr)
	if err := tls.Client(nc, authority.Client("server.test")).Handshake(); err != nil {
		t.Fatal(err)
	}
	c, _ := tr.RecvOpen()
	if err := tr.SendData(c.ID(), make([]byte, 64<<10)); err != nil {
		t.Fatal(err)
	}
	since := func() uint32 { return transport.StuckSince(tr, c.ID()) }
	eventually(t, "output to wait", func() bool { return since() != 0 })
	blocked := since()
	eventually(t, "some time to pass", func() bool { return transport.Tick(tr) > blocked })
	if _, err := io.ReadFull(nc, make([]byte, 8<<10)); err != nil { // half of a record
		t.Fatal(err)
	}
	eventually(t, "the client to have taken something", func() bool { return since() > blocked })
}
