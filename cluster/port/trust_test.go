package port_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flamingo/cluster/port"
	"flamingo/cluster/port/porttest"
	"flamingo/cluster/trust"
	"flamingo/cluster/trust/trusttest"
)

// logged is a log that is written and read at the same time.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) count(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), what)
}

// keyed is a port on loopback whose nodes share keys.
func keyed(t *testing.T, log *logged, keys ...trust.Key) running {
	t.Helper()
	tr, err := trust.New(trust.Config{ClusterName: "flamingo", KeyFile: trusttest.KeyFile(t, keys...)})
	if err != nil {
		t.Fatal(err)
	}
	return start(t, port.Config{
		Addr: netip.MustParseAddrPort("127.0.0.1:0"), Trust: tr, Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
}

func TestKeyedPortsCarryEveryProtocol(t *testing.T) {
	key := trusttest.NewKey(t)
	a, b := keyed(t, &logged{}, key), keyed(t, &logged{}, key)
	for _, proto := range port.Protocols() {
		s := claim(t, b, proto)
		near, err := a.Dial(t.Context(), b.Addr(), proto)
		if err != nil {
			t.Fatal(err)
		}
		defer near.Close()
		far, err := s.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer far.Close()
		if _, err := io.WriteString(near, proto.String()); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(proto.String()))
		if _, err := io.ReadFull(far, got); err != nil || string(got) != proto.String() {
			t.Errorf("%v: read %q, %v", proto, got, err)
		}
	}
	if _, err := port.New(port.Config{Addr: netip.MustParseAddrPort("10.1.2.3:4110"), Trust: mustTrust(t, key)}); err != nil {
		t.Errorf("with a key beyond loopback: %v", err)
	}
}

func mustTrust(t *testing.T, key trust.Key) *trust.Trust {
	t.Helper()
	tr, err := trust.New(trust.Config{ClusterName: "flamingo", KeyFile: trusttest.KeyFile(t, key)})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// TestKeyedPortRefusesStrangers and tells of each kind once.
func TestKeyedPortRefusesStrangers(t *testing.T) {
	var log, strangers logged
	a := keyed(t, &log, trusttest.NewKey(t))
	stranger := keyed(t, &strangers, trusttest.NewKey(t))
	for _, proto := range port.Protocols() {
		claim(t, a, proto)
		if _, err := stranger.Dial(t.Context(), a.Addr(), proto); !errors.Is(err, trust.ErrRefusedByPeer) {
			t.Errorf("%v with another key: %v, want ErrRefusedByPeer", proto, err)
		}
		if _, err := a.Dial(t.Context(), stranger.Addr(), proto); err == nil {
			t.Errorf("%v dialed to a stranger: no error", proto)
		}
		for _, first := range []string{"GET / HTTP/1.1\r\n\r\n", string(port.AppendPreamble(nil, proto))} {
			c, err := net.Dial("tcp", a.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(c, first); err != nil {
				t.Fatal(err)
			}
			if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if b, _ := io.ReadAll(c); bytes.Contains(b, []byte("flamingo")) {
				t.Errorf("%v: %q is answered %q", proto, first, b)
			}
			c.Close()
		}
	}
	a.stop() //nolint:errcheck // checked by start; it waits for what is refused
	got := a.Counts()
	if got.Refused[port.NoKey] != 3 || got.Refused[port.NoTLS] != 6 || len(got.Handed) != 0 || got.Distrusted[port.Refused] != 3 {
		t.Errorf("counted %+v, want 3 without the key, 6 without TLS, none handed over, and 3 dials refused", got)
	}
	if n, m := log.count(`reason="no key"`), log.count(`reason="no tls"`); n != 1 || m != 1 {
		t.Errorf("logged %d and %d times, want each once:\n%s", n, m, log.text.String())
	}
}

// TestClearTextSaysThatOthersHaveAKey once: who has forgotten one node's key sees
// nothing else of it there.
func TestClearTextSaysThatOthersHaveAKey(t *testing.T) {
	var log, others logged
	a := start(t, port.Config{Addr: netip.MustParseAddrPort("127.0.0.1:0"), Logger: slog.New(slog.NewTextHandler(&log, nil))})
	claim(t, a, port.Mesh)
	b := keyed(t, &others, trusttest.NewKey(t))
	for range 3 {
		if _, err := b.Dial(t.Context(), a.Addr(), port.Mesh); err == nil {
			t.Error("a node with a key has a stream to one without")
		}
	}
	a.stop() //nolint:errcheck // checked by start; it waits for what is refused
	if n := log.count("TLS, as of a node with a key"); n != 1 || a.Counts().Refused[port.Stranger] != 3 {
		t.Errorf("logged %d times, want once; counted %+v", n, a.Counts())
	}
}

// TestHandshakeHasAnEnd at either end.
func TestHandshakeHasAnEnd(t *testing.T) {
	bubbleWithKey(t, func(t *testing.T, a running, network *porttest.Network) {
		claim(t, a, port.Raft)
		c := knock(t, network)
		begin := time.Now()
		go c.Write([]byte{0x16, 3, 1, 2}) //nolint:errcheck // the begin of a record; closedBy finds out
		closedBy(t, c)
		if got := time.Since(begin); got != port.DefaultClassifyTimeout {
			t.Errorf("a stranger that stops amid its hello is closed after %v, want %v", got, port.DefaultClassifyTimeout)
		}
		wantRefused(t, a, port.Slow, 1)

		mute, err := network.Host(hostB).Listen(t.Context(), addrB)
		if err != nil {
			t.Fatal(err)
		}
		defer mute.Close()
		begin = time.Now()
		if _, err := a.Dial(t.Context(), addrB, port.Raft); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Dial to who says nothing = %v, want os.ErrDeadlineExceeded", err)
		}
		if got := time.Since(begin); got != port.DefaultClassifyTimeout {
			t.Errorf("Dial took %v, want %v", got, port.DefaultClassifyTimeout)
		}
	})
}

func bubbleWithKey(t *testing.T, f func(t *testing.T, a running, network *porttest.Network)) {
	t.Helper()
	bubble(t, port.Config{Trust: mustTrust(t, trusttest.NewKey(t))}, f)
}

// TestNodesGetThroughACrowdWithAKey: a node that is busy showing its key is not
// the oldest for long.
func TestNodesGetThroughACrowdWithAKey(t *testing.T) {
	const limit = 8
	tr := mustTrust(t, trusttest.NewKey(t))
	bubble(t, port.Config{MaxUnclassified: limit, Trust: tr}, func(t *testing.T, a running, network *porttest.Network) {
		s := claim(t, a, port.Gossip)
		var idlers []net.Conn
		for range limit {
			idlers = append(idlers, knock(t, network))
		}
		synctest.Wait()
		b, err := port.New(port.Config{Addr: addrB, Network: network.Host(hostB), Trust: tr})
		if err != nil {
			t.Fatal(err)
		}
		c, err := b.Dial(t.Context(), addrA, port.Gossip)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		far, err := s.Accept()
		if err != nil {
			t.Fatal(err)
		}
		far.Close()
		closedBy(t, idlers[0])
		wantRefused(t, a, port.Crowded, 1)
	})
}
