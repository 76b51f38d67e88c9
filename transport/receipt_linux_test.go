package transport_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"flamingo/idspace"
	"flamingo/transport"
	"flamingo/transport/transporttest"

	"golang.org/x/sys/unix"
)

// eachReceiptRig runs test with every driver, in clear text and over TLS: what
// is counted are the bytes of the socket. dial connects a client whose system takes
// a few KiB and no more while it does not read.
func eachReceiptRig(t *testing.T, test func(t *testing.T, tr *transport.Transport, dial func() (net.Conn, idspace.ID))) {
	authority := transporttest.NewAuthority(t)
	for _, driver := range drivers {
		for _, secure := range []bool{false, true} {
			name := driver.name
			if secure {
				name += " over TLS"
			}
			t.Run(name, func(t *testing.T) {
				tr, _ := serve(t, func(c *transport.Config) {
					driver.configure(c)
					c.Listeners[0].WriteBuffer = 1 << 20
					if secure {
						c.Listeners[0].TLS = authority.Server("server.test")
					}
				})
				test(t, tr, func() (net.Conn, idspace.ID) { return dialNarrow(t, tr, authority, secure) })
			})
		}
	}
}

func dialNarrow(t *testing.T, tr *transport.Transport, authority *transporttest.Authority, secure bool) (net.Conn, idspace.ID) {
	t.Helper()
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		ctl := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<10) })
		return errors.Join(ctl, err)
	}}
	d.SetMultipathTCP(false)
	nc, err := d.DialContext(t.Context(), "tcp", tr.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	if secure {
		client := tls.Client(nc, authority.Client("server.test"))
		if err := client.HandshakeContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		nc = client
	}
	return nc, await(t, "the connection", tr.RecvOpen).ID()
}

// sendAcked sends a message in a goroutine, and returns once it is written.
func sendAcked(ctx context.Context, t *testing.T, tr *transport.Transport, id idspace.ID, msg string) <-chan error {
	t.Helper()
	written := tr.Stats().MessagesOut
	outcome := make(chan error, 1)
	go func() { outcome <- tr.SendAcked(ctx, id, transport.KindDefault, []byte(msg)) }()
	eventually(t, "the message to be written", func() bool { return tr.Stats().MessagesOut > written || len(outcome) > 0 })
	return outcome
}

func expectOutcome(t *testing.T, outcome <-chan error, want error) {
	t.Helper()
	got := await(t, "the outcome", func() (error, bool) { return <-outcome, true })
	if !errors.Is(got, want) {
		t.Fatalf("SendAcked: %v; want %v", got, want)
	}
}

// crowd is more than the client's system takes for a client that does not read,
// and less than ours takes from us: it is written, and not acknowledged.
var crowd = strings.Repeat("x", 60<<10)

func TestAcknowledgedIsWhatTheClientsSystemHas(t *testing.T) {
	eachReceiptRig(t, func(t *testing.T, tr *transport.Transport, dial func() (net.Conn, idspace.ID)) {
		nc, id := dial()
		for range 3 { // nobody reads it
			if err := tr.SendAcked(limit(t), id, transport.KindDefault, []byte("short")); err != nil {
				t.Fatalf("SendAcked to a client that does not read: %v", err)
			}
		}
		if err := tr.Send(limit(t), id, []byte(crowd)); err != nil {
			t.Fatalf("Send: %v", err)
		}
		ctx, giveUp := context.WithCancel(t.Context())
		outcome := sendAcked(ctx, t, tr, id, "behind it")
		giveUp()
		expectOutcome(t, outcome, transport.ErrUncertain)

		outcome = sendAcked(limit(t), t, tr, id, "last")
		if got := <-startReading(nc, "last\n"); got != nil {
			t.Fatal(got)
		}
		expectOutcome(t, outcome, nil)
	})
}

// startReading reads until the bytes end with that.
func startReading(r io.Reader, last string) <-chan error {
	done := make(chan error, 1)
	go func() {
		var tail string
		buf := make([]byte, 32<<10)
		for !strings.HasSuffix(tail, last) {
			n, err := r.Read(buf)
			if err != nil {
				done <- err
				return
			}
			tail += string(buf[:n])
			tail = tail[max(len(tail)-len(last), 0):]
		}
		done <- nil
	}()
	return done
}

func TestWhatIsWrittenAndNotAcknowledgedAtTheEndIsUncertain(t *testing.T) {
	eachReceiptRig(t, func(t *testing.T, tr *transport.Transport, dial func() (net.Conn, idspace.ID)) {
		nc, id := dial()
		outcome := sendAcked(limit(t), t, tr, id, crowd)
		if over, ok := nc.(*tls.Conn); ok {
			nc = over.NetConn()
		}
		if err := errors.Join(nc.(*net.TCPConn).SetLinger(0), nc.Close()); err != nil {
			t.Fatal(err)
		}
		got := await(t, "the outcome", func() (error, bool) { return <-outcome, true })
		if !errors.Is(got, transport.ErrUncertain) || errors.Is(got, transport.ErrGone) {
			t.Errorf("SendAcked: %v; want it uncertain, not gone", got)
		}
		if err := tr.SendAcked(limit(t), id, transport.KindDefault, nil); !errors.Is(err, transport.ErrGone) {
			t.Errorf("SendAcked to a connection that has ended: %v; want it gone", err)
		}
	})
}

// The end that we begin waits for the client, and the socket is there until then.
func TestAcknowledgementsArriveAfterOurEndOfTheConnection(t *testing.T) {
	eachReceiptRig(t, func(t *testing.T, tr *transport.Transport, dial func() (net.Conn, idspace.ID)) {
		nc, id := dial()
		outcome := sendAcked(limit(t), t, tr, id, crowd)
		if err := tr.SendClose(id, transport.ReasonSent); err != nil {
			t.Fatal(err)
		}
		if got := <-startReading(nc, "x\n"); got != nil {
			t.Fatal(got)
		}
		expectOutcome(t, outcome, nil)
	})
}

func TestSocketsWithoutAcknowledgementsAreRefused(t *testing.T) {
	for _, driver := range drivers {
		t.Run(driver.name, func(t *testing.T) {
			tr, _ := serve(t, func(c *transport.Config) {
				driver.configure(c)
				c.Listeners[0].Network, c.Listeners[0].Address = "unix", filepath.Join(t.TempDir(), "s")
			})
			nc := connect(t, tr)
			id := await(t, "the connection", tr.RecvOpen).ID()
			err := tr.SendAcked(limit(t), id, transport.KindDefault, []byte("never"))
			if !errors.Is(err, transport.ErrNoAck) || !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("SendAcked: %v; want it not supported", err)
			}
			if err := tr.Send(limit(t), id, []byte("first")); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 6)
			if _, err := io.ReadFull(nc, got); err != nil || string(got) != "first\n" {
				t.Errorf("the client read %q, %v", got, err)
			}
		})
	}
}

func TestDescribeTellsOfTheProxy(t *testing.T) {
	for head, want := range map[string]bool{
		"PROXY TCP4 203.0.113.7 198.51.100.1 40000 443\r\n": true,
		"PROXY UNKNOWN\r\n": true,
		"":                  false,
	} {
		tr, _ := serve(t, func(c *transport.Config) {
			c.Listeners[0].Proxy, c.Listeners[0].ProxyFrom = transport.ProxyOptional, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		})
		nc := connect(t, tr)
		if _, err := io.WriteString(nc, head+"hello\n"); err != nil {
			t.Fatal(err)
		}
		id := await(t, "the connection", tr.RecvOpen).ID()
		if info, err := tr.Describe(id); err != nil || info.Proxied != want {
			t.Errorf("after %q: proxied %t, %v; want %t", head, info.Proxied, err, want)
		}
	}
}
