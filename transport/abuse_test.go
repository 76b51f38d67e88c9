package transport_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"flamingo/transport"
	"flamingo/transport/transporttest"
)

// This file attacks a transport as clients can, while an honest client goes on
// being served, and then looks at the ledger.

// scale returns how large an attack is: long with FLAMINGO_TEST_LONG.
func scale(short, long int) int {
	if os.Getenv("FLAMINGO_TEST_LONG") != "" {
		return long
	}
	return short
}

// A victim is a transport that echoes, under attack.
type victim struct {
	testing.TB
	*transport.Transport
	before  ledger
	honest  net.Conn
	replies atomic.Int64 // that the honest client had
	ended   chan struct{}
}

// attack runs what an attack does in goroutines of its own, of which each gets a
// number, while an honest client has one answer after another; and then asserts
// that nothing is left.
func attack(t *testing.T, options string, goroutines int, do func(v *victim, k int)) {
	for _, driver := range drivers {
		t.Run(driver.name, func(t *testing.T) {
			v := newVictim(t, options, driver.configure)
			var attacking sync.WaitGroup
			for k := range goroutines {
				attacking.Go(func() { do(v, k) })
			}
			attacking.Wait()
			v.settle()
		})
	}
}

func newVictim(t testing.TB, options string, configure func(*transport.Config)) *victim {
	t.Helper()
	l, err := transport.ParseListener("tcp://127.0.0.1:0?"+options, lineCodec(t))
	if err != nil {
		t.Fatal(err)
	}
	tr, stop := serve(t, func(c *transport.Config) {
		configure(c)
		c.Listeners = []transport.Listener{l, c.Listeners[0]}
		c.MaxConns, c.Ignore = 12000, transport.IgnoreOpens|transport.IgnoreCloses
		c.OutputBytes, c.TotalOutputBytes = 4<<20, 64<<20
		c.CloseTimeout = 100 * time.Millisecond
	})
	var answering sync.WaitGroup
	for range 4 {
		answering.Go(func() {
			for {
				id, data, ok := tr.RecvData()
				if !ok {
					return
				}
				_ = tr.SendData(id, data)
			}
		})
	}
	v := &victim{TB: t, Transport: tr, ended: make(chan struct{})}
	v.hello(t) // what comes with the first connection is there
	eventually(t, "its end", func() bool { return tr.Stats().Connections == 0 })
	v.before = openLedger(tr).withHeap()
	if v.honest, err = net.Dial("tcp", tr.Addrs()[1].String()); err != nil {
		t.Fatal(err)
	}
	go v.beHonest()
	t.Cleanup(func() { v.honest.Close(); <-v.ended; stop(); answering.Wait() })
	return v
}

// hello has a client say a line and have it back.
func (v *victim) hello(t testing.TB) {
	t.Helper()
	nc, err := net.Dial("tcp", v.Addrs()[1].String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	fmt.Fprintln(nc, "hello")
	expectLine(t, bufio.NewReader(nc), "hello")
}

func (v *victim) beHonest() {
	defer close(v.ended)
	in := bufio.NewReader(v.honest)
	for n := 0; ; n++ {
		if _, err := fmt.Fprintln(v.honest, n); err != nil {
			return
		}
		got, err := in.ReadString('\n')
		if err != nil {
			return
		}
		if want := fmt.Sprintln(n); got != want {
			v.Errorf("the honest client read %q; want %q", got, want)
			return
		}
		v.replies.Add(1)
	}
}

// settle ends the honest client, which must be served still, and asserts that
// nothing is left.
func (v *victim) settle() {
	v.Helper()
	had := v.replies.Load()
	eventually(v, "answers after the attack", func() bool { return v.replies.Load() > had })
	v.honest.Close()
	<-v.ended
	v.before.settle(v, v.Transport)
}

// dial connects an attacker; nil if it was refused.
func (v *victim) dial() *net.TCPConn {
	nc, err := net.Dial("tcp", v.Addrs()[0].String())
	if err != nil {
		return nil
	}
	_ = nc.SetDeadline(time.Now().Add(3 * patience))
	return nc.(*net.TCPConn)
}

func TestSlowlorisEndsInTime(t *testing.T) {
	n := scale(300, 5000)
	attack(t, "first-message-timeout=300ms", n, func(v *victim, _ int) {
		nc := v.dial()
		if nc == nil {
			v.Error("an attacker was not accepted")
			return
		}
		defer nc.Close()
		var writing sync.WaitGroup
		writing.Go(func() {
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			for ; ; <-tick.C {
				if _, err := nc.Write([]byte("x")); err != nil {
					return
				}
			}
		})
		if data, _ := io.ReadAll(nc); len(data) > 0 {
			v.Errorf("an attacker read %q", data)
		}
		nc.Close()
		writing.Wait()
	})
}

func TestClientsThatNeverReadEnd(t *testing.T) {
	attack(t, "write-timeout=300ms", scale(50, 500), func(v *victim, _ int) {
		nc := v.dial()
		if nc == nil {
			return
		}
		defer nc.Close()
		_ = nc.SetReadBuffer(4 << 10)
		line := strings.Repeat("r", 16<<10-1) + "\n"
		for {
			if _, err := io.WriteString(nc, line); err != nil {
				return
			}
		}
	})
}

func TestResetStormLeavesNothing(t *testing.T) {
	rounds := scale(50, 5000)
	attack(t, "max-conns-per-address=1000", 20, func(v *victim, k int) {
		for n := range rounds {
			nc := v.dial()
			if nc == nil {
				continue
			}
			if (n+k)%3 > 0 {
				fmt.Fprintf(nc, "%d\nand a part", n)
			}
			_ = nc.SetLinger(0)
			nc.Close()
		}
	})
}

func TestConnectFloodIsRefused(t *testing.T) {
	rounds := scale(50, 5000)
	attack(t, "max-conns-per-address=5", 20, func(v *victim, _ int) {
		for range rounds {
			nc := v.dial()
			if nc == nil {
				continue
			}
			fmt.Fprintln(nc, "let me in")
			_, _ = nc.Read(make([]byte, 100))
			nc.Close()
		}
		if n := v.Stats().Unopened[transport.ReasonRefused]; n == 0 {
			v.Error("nobody was refused")
		}
	})
}

func TestOpenCloseCyclesLeaveNothing(t *testing.T) {
	rounds := scale(100, 5000)
	attack(t, "max-lifetime=1h&first-message-timeout=1h&write-timeout=1h&max-conns-per-address=100&messages-per-second=1000000", 20,
		func(v *victim, k int) {
			for n := range rounds {
				nc := v.dial()
				if nc == nil {
					continue
				}
				if n%2 == 0 {
					fmt.Fprintln(nc, k)
					expectLine(v, bufio.NewReader(nc), fmt.Sprint(k))
				}
				nc.Close()
			}
		})
}

// TestInputInAnyPieces sends each framing byte by byte, all at once, and cut off
// at every byte.
func TestInputInAnyPieces(t *testing.T) {
	for name, input := range map[string]string{
		"line":                          "one\ntwo\n\nfour\n",
		"delimiter&delimiter=%3b":       "one;two;;four;",
		"length&length-bytes=2":         "\x00\x03one\x00\x03two\x00\x00\x00\x04four",
		"length&length-bytes=varint":    "\x03one\x03two\x00\x04four",
		"netstring":                     "3:one,3:two,0:,4:four,",
		"fixed&fixed-size=4":            "one.two.    four",
		"line&max-message=5":            "one\nmuch too long a line\n",
		"netstring&max-message=5":       "3:one,99999999999999999999:",
		"length&length-bytes=8":         "\xff\xff\xff\xff\xff\xff\xff\xff",
		"length&max-message=5":          "\x00\x00\x00\x05fives\x00\x00\x00\x06",
		"raw&buffer-size=3":             "onetwofour",
		"delimiter&delimiter=%0d%0a%0d": "one\r\n\rtwo\r\r\n\r",
	} {
		t.Run(name, func(t *testing.T) {
			attack(t, "framing="+name, 2, func(v *victim, k int) {
				for cut := 1; cut <= len(input); cut++ {
					nc := v.dial()
					if nc == nil {
						v.Error("an attacker was not accepted")
						return
					}
					size := cut // pipelined
					if k == 1 {
						size = 1
					}
					for at := 0; at < cut; at += size {
						if _, err := io.WriteString(nc, input[at:min(at+size, cut)]); err != nil {
							break
						}
					}
					_ = nc.CloseWrite()
					_, _ = io.Copy(io.Discard, nc)
					nc.Close()
				}
			})
		})
	}
}

func TestApplicationThatStopsReceivingLosesNothing(t *testing.T) {
	for _, driver := range drivers {
		t.Run(driver.name, func(t *testing.T) {
			const clients, lines = 50, 1000
			tr, stop := serve(t, func(c *transport.Config) {
				driver.configure(c)
				c.QueueBytes, c.Ignore = 64<<10, transport.IgnoreOpens|transport.IgnoreCloses
			})
			connect(t, tr).Close() // what comes with the first connection is there
			eventually(t, "its end", func() bool { st := tr.Stats(); return st.Accepted == 1 && st.Connections == 0 })
			before := openLedger(tr).withHeap()
			var sending sync.WaitGroup
			for range clients {
				nc := connect(t, tr)
				sending.Go(func() {
					defer nc.Close()
					for n := range lines {
						if _, err := fmt.Fprintf(nc, "%0100d\n", n); err != nil {
							t.Errorf("write: %v", err)
							return
						}
					}
				})
			}
			eventually(t, "a full queue", func() bool { return tr.Stats().QueuedBytes >= 64<<10 })
			for n := range clients * lines {
				if _, _, ok := tr.RecvData(); !ok {
					t.Fatalf("closed after %d messages", n)
				}
			}
			sending.Wait()
			before.settle(t, tr)
			stop()
		})
	}
}

func TestCertificateThatTurnsBadLeavesNothing(t *testing.T) {
	for _, driver := range drivers {
		t.Run(driver.name, func(t *testing.T) {
			a := transporttest.NewAuthority(t)
			settings := a.Server("server.test")
			tr, stop := serve(t, func(c *transport.Config) {
				driver.configure(c)
				c.Listeners[0].TLS = settings
				c.Ignore = transport.IgnoreOpens | transport.IgnoreCloses
				c.Logger = slog.New(slog.DiscardHandler)
			})
			var asked uint64
			ask := func() {
				nc := connect(t, tr)
				defer nc.Close()
				c := tls.Client(nc, a.Client("server.test"))
				if _, err := c.Write([]byte("still there?\n")); err != nil {
					t.Fatalf("write: %v", err)
				}
				id, data, ok := tr.RecvData()
				if !ok || string(data) != "still there?" || tr.SendData(id, data) != nil {
					t.Fatalf("message %q of %v", data, id)
				}
				expectLine(t, bufio.NewReader(c), "still there?")
				asked++
			}
			ask() // what comes with the first connection is there
			eventually(t, "its end", func() bool { return tr.Stats().Connections == 0 })
			before := openLedger(tr).withHeap()
			if err := os.WriteFile(settings.Key, []byte("no key"), 0o600); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the fault", func() bool { ask(); return tr.Stats().CertificateFaults == 1 })
			for range 100 {
				ask()
			}
			before.settle(t, tr)
			if st := tr.Stats(); st.Accepted != asked || len(st.Unopened) > 0 {
				t.Errorf("stats %+v; want %d accepted and none turned away", st, asked)
			}
			stop()
		})
	}
}
