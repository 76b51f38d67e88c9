package transport_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flamingo/transport"
	"flamingo/transport/transporttest"
)

func TestTLSServesClientThatSendsByteByByte(t *testing.T) {
	eachTLS(t, nil, func(r *tlsRig) {
		r.echo()
		c := r.dial(r.client(), func(nc net.Conn) net.Conn { return drip{nc} })
		ask(r, c, bufio.NewReader(c), "slowly")
	})
}

func TestTLSSettlesVersionAndTellsOfIt(t *testing.T) {
	eachTLS(t, nil, func(r *tlsRig) {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			cfg := r.client()
			cfg.MaxVersion = version
			c := r.dial(cfg, nil)
			if err := c.Handshake(); err != nil {
				r.Fatal(err)
			}
			conn := r.opened()
			want := transport.TLSInfo{
				Version: tls.VersionName(version), CipherSuite: tls.CipherSuiteName(c.ConnectionState().CipherSuite), ServerName: "server.test",
			}
			if got := conn.TLS(); got == nil || *got != want {
				r.Errorf("TLS %v; want %v", got, &want)
			}
			info, err := r.Describe(conn.ID())
			if err != nil || info.TLS == nil || *info.TLS != want || !strings.HasPrefix(info.Listener, "tls://") {
				r.Errorf("described %+v, %v; want %+v at a listener tls://", info, err, want)
			}
			c.Close()
			if id, why := r.ended(); id != conn.ID() || why != transport.ReasonClient {
				r.Errorf("%v ended for %v; want client", id, why)
			}
			eventually(r, "free slots", func() bool { return r.SlotsInUse() == 0 })
		}
	})
}

func TestTLSRefusesWhatIsNotAllowed(t *testing.T) {
	foreign := transporttest.NewAuthority(t)
	for name, open := range map[string]func(r *tlsRig) error{
		"TLS 1.1": func(r *tlsRig) error {
			cfg := r.client()
			cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
			return r.dial(cfg, nil).Handshake()
		},
		"clear text": func(r *tlsRig) error {
			nc := r.connect()
			if _, err := io.WriteString(nc, "GET / HTTP/1.1\r\n\r\n"); err != nil {
				return err
			}
			if rest, err := io.ReadAll(nc); err != nil || len(rest) > 0 {
				r.Errorf("read %q, %v; want the end", rest, err)
			}
			return io.EOF
		},
		"a record beyond the limit": func(r *tlsRig) error {
			nc := r.connect()
			if _, err := nc.Write(append([]byte{22, 3, 1, 255, 255}, make([]byte, 100)...)); err != nil {
				return err
			}
			_, _ = io.Copy(io.Discard, nc)
			return io.EOF
		},
		"a client that does not trust us": func(r *tlsRig) error {
			err := r.dial(foreign.Client("server.test"), nil).Handshake()
			_, _ = io.Copy(io.Discard, r.socket) // what is unread when it closes would reset the connection
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachTLS(t, nil, func(r *tlsRig) {
				if err := open(r); err == nil {
					r.Error("the handshake succeeded")
				}
				r.unopened(transport.ReasonProtocol, 1)
				if err := r.dial(r.client(), nil).Handshake(); err != nil { // the control
					r.Error(err)
				}
				r.opened()
			})
		})
	}
}

func TestTLSClientThatLeavesInItsHandshakeIsForgotten(t *testing.T) {
	eachTLS(t, nil, func(r *tlsRig) {
		for _, sent := range []string{"", "\x16\x03", "\x16\x03\x01\x00\x01", "\x16\x03\x01\x40\x00" + strings.Repeat("\x01", 100)} {
			nc := r.connect()
			if _, err := io.WriteString(nc, sent); err != nil {
				r.Fatal(err)
			}
			nc.Close()
		}
		hello := r.dial(r.client(), func(nc net.Conn) net.Conn { return &cork{TCPConn: nc.(*net.TCPConn)} })
		if err := hello.Handshake(); err != nil { // of which the server has the first record alone
			r.Fatal(err)
		}
		hello.NetConn().Close()
		eventually(r, "five ends", func() bool {
			st := r.Stats()
			return st.Unopened[transport.ReasonClient]+st.Unopened[transport.ReasonError] == 5 && r.SlotsInUse() == 0
		})
	})
}

func TestTLSAsksClientsForCertificates(t *testing.T) {
	foreign := transporttest.NewAuthority(t).Issue("client.test")
	const none, refused, protocol = transport.ReasonNone, transport.ReasonRefused, transport.ReasonProtocol
	for _, c := range []struct {
		policy transport.ClientCertPolicy
		ca     bool
		shows  string
		want   transport.Reason
	}{
		{transport.ClientCertOff, false, "nothing", none},
		{transport.ClientCertOff, false, "own", none},
		{transport.ClientCertOptional, true, "nothing", none},
		{transport.ClientCertOptional, true, "own", none},
		{transport.ClientCertOptional, true, "foreign", refused},
		{transport.ClientCertRequired, true, "own", none},
		{transport.ClientCertRequired, true, "nothing", protocol},
		{transport.ClientCertRequired, true, "foreign", refused},
		{transport.ClientCertOff, true, "nothing", protocol}, // required
		{transport.ClientCertOff, true, "own", none},
	} {
		t.Run(fmt.Sprintf("%v/ca=%t/%s", c.policy, c.ca, c.shows), func(t *testing.T) {
			eachTLS(t, func(cfg *transport.Config, a *transporttest.Authority) {
				s := cfg.Listeners[0].TLS
				if s.ClientCert = c.policy; c.ca {
					s.ClientCA = a.File()
				}
			}, func(r *tlsRig) {
				cfg := r.client()
				own := r.authority.Issue("client.test")
				cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					return map[string]*tls.Certificate{"nothing": {}, "own": &own, "foreign": &foreign}[c.shows], nil
				}
				client := r.dial(cfg, nil)
				err := client.Handshake()
				if c.want != none {
					if err == nil { // in TLS 1.3 the client learns of it by its first read
						_, err = client.Read(make([]byte, 1))
					}
					if err == nil || err == io.EOF { //nolint:errorlint // EOF itself would be an end in peace
						r.Errorf("the client was told %v; want an alert", err)
					}
					r.unopened(c.want, 1)
					return
				}
				if err != nil {
					r.Fatal(err)
				}
				who := r.opened().TLS().Client
				if asked := c.ca && c.shows == "own"; !asked {
					if who != nil {
						r.Errorf("client %+v; want none", who)
					}
				} else if who == nil || !strings.Contains(who.Subject, "CN=client.test") || len(who.Fingerprint) != 64 || who.Names[0] != "client.test" {
					r.Errorf("client %+v; want client.test with a fingerprint", who)
				}
			})
		})
	}
}

// What follows the last record of the handshake at once, the end included, is
// not lost while the handshake is under way.
func TestTLSTakesWhatComesWithTheEndOfTheHandshake(t *testing.T) {
	for _, end := range []string{"stays", "close_notify", "FIN"} {
		t.Run(end, func(t *testing.T) {
			eachTLS(t, func(c *transport.Config, _ *transporttest.Authority) { c.HalfClose = time.Hour }, func(r *tlsRig) {
				r.echo()
				var corked *cork
				c := r.dial(r.client(), func(nc net.Conn) net.Conn {
					corked = &cork{TCPConn: nc.(*net.TCPConn)}
					return corked
				})
				large := strings.Repeat("early ", 8000) // more than a handshake holds
				if _, err := io.WriteString(c, large+"\nlast\n"); err != nil {
					r.Fatal(err)
				}
				if end == "close_notify" {
					if err := c.CloseWrite(); err != nil {
						r.Fatal(err)
					}
				}
				corked.release(r)
				if end == "FIN" {
					if err := corked.CloseWrite(); err != nil {
						r.Fatal(err)
					}
				}
				in := bufio.NewReader(c)
				expectLine(r, in, large)
				expectLine(r, in, "last")
				if end != "stays" {
					expectEOF(r, in)
					r.opened()
					if _, why := r.ended(); why != transport.ReasonClient {
						r.Errorf("ended for %v; want client", why)
					}
				}
			})
		})
	}
}

func TestTLSSealsSmallMessagesTogether(t *testing.T) {
	const messages = 2000
	eachTLS(t, func(c *transport.Config, _ *transporttest.Authority) {
		c.OutputBytes, c.Listeners[0].WriteBuffer = 8<<20, 16<<10
	}, func(r *tlsRig) {
		var counter *recordCounter
		c := r.dial(r.client(), func(nc net.Conn) net.Conn {
			if err := nc.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
				r.Error(err)
			}
			counter = &recordCounter{Conn: nc}
			return counter
		})
		if err := c.Handshake(); err != nil {
			r.Fatal(err)
		}
		id := r.opened().ID()
		plug := strings.Repeat("p", 1<<20)
		if err := r.SendData(id, []byte(plug)); err != nil {
			r.Fatal(err)
		}
		for k := range messages { // behind what the client does not read
			if err := r.SendData(id, fmt.Appendf(nil, "message %d", k)); err != nil {
				r.Fatal(err)
			}
		}
		in := bufio.NewReader(c)
		expectLine(r, in, plug)
		for k := range messages {
			expectLine(r, in, fmt.Sprintf("message %d", k))
		}
		if most := 1<<20/(16<<10) + 20; counter.records > most {
			r.Errorf("1 MiB and %d small messages came in %d records; want at most %d", messages, counter.records, most)
		}
	})
}

func TestTLSGivesClientHandshakeTimeoutAndNotMore(t *testing.T) {
	for name, sent := range map[string]string{"silent": "", "half a record": "\x16\x03\x01\x01"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := startBubble(t, func(c *transport.Config) { c.Listeners[0].HandshakeTimeout = 7 * time.Second })
				begin, nc := time.Now(), b.ln.dial()
				if _, err := io.WriteString(nc, sent); err != nil {
					t.Fatal(err)
				}
				expectEOF(t, nc)
				if took := time.Since(begin); took < 7*time.Second || took > 7*time.Second+100*time.Millisecond {
					t.Errorf("the client was given %v; want 7s", took)
				}
				if n := b.Stats().Unopened[transport.ReasonTimeout]; n != 1 {
					t.Errorf("stats %+v; want one timeout", b.Stats())
				}
			})
		})
	}
}

// The wait for a turn is not the client's time.
func TestTLSWaitForATurnIsNotTheClientsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBubble(t, func(c *transport.Config) { c.Listeners[0].HandshakeTimeout = 7 * time.Second })
		giveBack := transport.TakeTurns(b.Transport)
		silent := b.ln.dial() // the control: it waits for nothing of ours
		done := make(chan error, 1)
		c := tls.Client(b.ln.dial(), b.authority.Client("server.test"))
		var shaking sync.WaitGroup
		shaking.Go(func() { done <- c.Handshake() })
		expectEOF(t, silent)
		<-time.After(time.Minute)
		giveBack()
		if err := <-done; err != nil {
			t.Errorf("a client that had to wait: %v", err)
		}
		shaking.Wait()
		b.RecvOpen()
		if st := b.Stats(); st.Unopened[transport.ReasonTimeout] != 1 || st.Accepted != 1 {
			t.Errorf("stats %+v; want one timeout, that of the silent client, and one accepted", st)
		}
		c.NetConn().Close()
	})
}

func TestTLSFollowsTheFilesOfItsCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &strings.Builder{}
		var settings *transport.TLS
		b := startBubble(t, func(c *transport.Config) {
			settings = c.Listeners[0].TLS
			c.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelInfo}))
		})
		shown := func() string {
			<-time.After(time.Second)
			c := b.dial(t)
			return c.ConnectionState().PeerCertificates[0].SerialNumber.String()
		}
		stays := b.dial(t)
		first := shown()
		b.authority.Server("server.test")
		second := shown()
		if second == first {
			t.Error("a client was shown the certificate that was replaced")
		}
		if err := os.WriteFile(settings.Key, []byte("no key"), 0o600); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if got := shown(); got != second {
				t.Errorf("with a broken key clients are shown certificate %s; want the former one, %s", got, second)
			}
		}
		if n := b.Stats().CertificateFaults; n != 1 || strings.Count(log.String(), "level=ERROR") != 1 {
			t.Errorf("%d faults; want 1, once in the log:\n%s", n, log)
		}
		b.authority.Server("server.test")
		if third := shown(); third == second || third == first {
			t.Error("a client was shown a certificate that was replaced, after a change that failed")
		}
		conn, _ := b.RecvOpen()
		if err := b.SendData(conn.ID(), []byte("still here")); err != nil {
			t.Error(err)
		}
		expectLine(t, bufio.NewReader(stays), "still here")
	})
}

func TestListenNamesTheFileThatCannotBeUsed(t *testing.T) {
	a := transporttest.NewAuthority(t)
	good := a.Server("server.test")
	for name, settings := range map[string]transport.TLS{
		"no-such.pem": {Certificate: "no-such.pem", Key: good.Key},
		"no-such.key": {Certificate: good.Certificate, Key: "no-such.key"},
		"no-such.ca":  {Certificate: good.Certificate, Key: good.Key, ClientCA: "no-such.ca"},
		good.Key:      {Certificate: good.Certificate, Key: good.Key, ClientCA: good.Key},
	} {
		tr, err := transport.New(transport.Config{IDs: &serials{}, Listeners: []transport.Listener{
			{Network: "tcp", Address: "127.0.0.1:0", Codec: lineCodec(t), TLS: &settings},
		}})
		if err != nil {
			t.Fatal(err)
		}
		if err := tr.Listen(t.Context()); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("Listen: %v; want an error that names %s", err, name)
		}
	}
}

// storm connects so many clients at once, each of which asks once.
func storm(r *tlsRig, clients int) {
	r.echo()
	cfg := r.client()
	established := r.dial(cfg, nil)
	in := bufio.NewReader(established)
	ask(r, established, in, "before")

	var dialing, asking sync.WaitGroup
	ctx, over := context.WithCancel(r.Context())
	begin := make(chan struct{})
	for k := range clients {
		dialing.Go(func() {
			<-begin
			c := r.dial(cfg, nil)
			ask(r, c, bufio.NewReader(c), fmt.Sprint(k))
			c.Close()
		})
	}
	answers := 0
	asking.Go(func() {
		for ; ctx.Err() == nil; answers++ {
			ask(r, established, in, fmt.Sprint("meanwhile ", answers))
		}
	})
	close(begin)
	dialing.Wait()
	over()
	asking.Wait()
	if answers == 0 {
		r.Error("the established client was not served during the storm")
	}
	r.Logf("%d clients; an established one got %d answers meanwhile", clients, answers)
	established.Close()
	for range clients + 1 {
		r.opened()
		r.ended()
	}
	eventually(r, "free slots", func() bool { return r.SlotsInUse() == 0 })
	if st := r.Stats(); len(st.Unopened) > 0 || st.Accepted != uint64(clients+1) {
		r.Errorf("stats %+v; want %d accepted and none that failed", st, clients+1)
	}
}

func TestTLSServesEveryClientOfAStorm(t *testing.T) {
	clients, timeout := 500, patience
	if os.Getenv("FLAMINGO_TEST_LONG") != "" {
		clients, timeout = 5000, 3*time.Second // a part of what the storm takes
	}
	eachTLS(t, func(c *transport.Config, _ *transporttest.Authority) {
		c.MaxConns, c.Listeners[0].HandshakeTimeout = 2*clients, timeout
	}, func(r *tlsRig) { storm(r, clients) })
}

func TestTLSDropsHandshakesUnderWayWhenRunEnds(t *testing.T) {
	eachTLS(t, nil, func(r *tlsRig) {
		var dialing sync.WaitGroup
		for k := range 100 {
			dialing.Go(func() {
				nc, err := net.Dial("tcp", r.Addrs()[0].String())
				if err != nil {
					return
				}
				defer nc.Close()
				if k%2 == 0 {
					nc = &cork{TCPConn: nc.(*net.TCPConn)}
				}
				c := tls.Client(nc, r.client())
				_ = c.Handshake()
				_, _ = io.Copy(io.Discard, c)
			})
		}
		eventually(r, "some connections", func() bool { return r.SlotsInUse() > 20 })
		r.stop()
		dialing.Wait()
		for _, ok := r.TryRecvOpen(); ok; _, ok = r.TryRecvOpen() {
		}
		for _, _, ok := r.RecvClose(); ok; _, _, ok = r.RecvClose() {
		}
		if n := r.SlotsInUse(); n != 0 {
			r.Errorf("%d slots are in use in the end", n)
		}
	})
}

func TestTLSOptionsAreChecked(t *testing.T) {
	for text, wants := range map[string][]string{
		"tls://:1":                    {`cert (none)`, `key (none)`},
		"tls://:1?cert=a":             {`key (none)`},
		"tcp://:1?cert=a&client-ca=b": {`cert "a": allowed is given for tls and wss alone`, `client-ca "b"`},
		"tls://:1?cert=a&key=b&client-cert=sometimes":       {`client-cert "sometimes": allowed is off, optional, required`},
		"tls://:1?cert=a&key=b&client-cert=required":        {`client-cert required`, "beside client-ca"},
		"tls://:1?cert=a&key=b&client-ca=c&client-cert=off": {`client-cert "off"`},
		"tls://:1?cert=a&key=b&handshake-timeout=2h":        {"handshake-timeout 2h0m0s"},
	} {
		_, err := transport.ParseListener(text, lineCodec(t))
		for _, want := range wants {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v; want it to say %q", text, err, want)
			}
		}
	}
	l, err := transport.ParseListener("tls://:1?cert=a&key=b&client-ca=c&client-cert=optional", lineCodec(t))
	if want := (transport.TLS{Certificate: "a", Key: "b", ClientCA: "c", ClientCert: transport.ClientCertOptional}); err != nil || *l.TLS != want {
		t.Errorf("%+v, %v; want %+v", l.TLS, err, want)
	}
	if got := l.String(); got != "tls://:1" {
		t.Errorf("String %q", got)
	}
}

// A client that leaves right behind its question has asked it, though its
// handshake waits for a turn still.
func TestTLSTakesTheQuestionOfAClientThatEndsItsInputInTheHandshake(t *testing.T) {
	eachTLS(t, func(c *transport.Config, _ *transporttest.Authority) { c.HalfClose = time.Hour }, func(r *tlsRig) {
		r.echo()
		var corked *cork
		c := r.dial(r.client(), func(nc net.Conn) net.Conn {
			corked = &cork{TCPConn: nc.(*net.TCPConn)}
			return corked
		})
		if _, err := io.WriteString(c, "question\n"); err != nil {
			r.Fatal(err)
		}
		giveBack := transport.TakeTurns(r.Transport)
		corked.release(r)
		if err := corked.CloseWrite(); err != nil {
			r.Fatal(err)
		}
		eventually(r, "the end of the input", func() bool { return transport.InputEnded(r.Transport) })
		for range 3 { // others are served meanwhile: the end was dealt with
			other := r.connect()
			eventually(r, "another connection", func() bool { return r.SlotsInUse() == 2 })
			other.Close()
			eventually(r, "its end", func() bool { return r.SlotsInUse() == 1 })
		}
		giveBack()
		in := bufio.NewReader(c)
		expectLine(r, in, "question")
		expectEOF(r, in)
	})
}

// A slowReader takes 40 kB a second.
type slowReader struct{ net.Conn }

func (r slowReader) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	<-time.After(time.Duration(n) * time.Second / 40_000) // the fake time of a bubble
	return n, err
}

func TestTLSClientThatReadsSlowlyIsNotStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBubble(t, func(c *transport.Config) { c.Listeners[0].WriteTimeout = time.Second })
		c := tls.Client(slowReader{b.ln.dial()}, b.authority.Client("server.test"))
		defer c.NetConn().Close()
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		conn, _ := b.RecvOpen()
		msg := make([]byte, 200<<10)
		if err := b.SendData(conn.ID(), msg); err != nil {
			t.Fatal(err)
		}
		if n, err := io.CopyN(io.Discard, c, int64(len(msg))); err != nil {
			t.Errorf("the client read %d bytes, %v; want %d", n, err, len(msg))
		}
	})
}
