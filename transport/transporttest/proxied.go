package transporttest

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"flamingo/transport"
)

var proxiedTests = []test{
	{"what a proxy says of the ends is what the open event and a description show", proxiedAddresses},
	{"a header may arrive in any pieces", proxiedInPieces},
	{"a connection without a header is refused where one is required", proxyRequired},
	{"a connection without a header is served where one is optional", proxyOptional},
	{"a header from an untrusted address is refused, or if optional is data", proxyUntrusted},
	{"a header that is broken or too long ends the connection", proxyBroken},
	{"a header that does not come ends the connection in time", proxyLate},
	{"nobody learns of a connection before its header is read", proxyUnopened},
}

// behindProxy starts a transport whose clients are proxies.
func (s suite) behindProxy(t *testing.T, policy, from string, adjust ...func(*transport.Config)) *rig {
	t.Helper()
	l := listener(t, "proxy="+policy+"&proxy-from="+from)
	return s.start(t, append([]func(*transport.Config){func(c *transport.Config) {
		c.Listeners = []transport.Listener{l}
	}}, adjust...)...)
}

const loopback = "127.0.0.0/8,::1"

// headerV2 builds a header of version 2: command 0 is LOCAL, 1 is PROXY; family
// 0x11 is TCP over IPv4, 0x21 TCP over IPv6.
func headerV2(command, family byte, body []byte) string {
	h := append([]byte("\r\n\r\n\x00\r\nQUIT\n"), 0x20|command, family)
	h = binary.BigEndian.AppendUint16(h, uint16(len(body)))
	return string(append(h, body...))
}

func endsV2(source, destination string) []byte {
	src, dst := netip.MustParseAddrPort(source), netip.MustParseAddrPort(destination)
	body := append(src.Addr().AsSlice(), dst.Addr().AsSlice()...)
	body = binary.BigEndian.AppendUint16(body, src.Port())
	return binary.BigEndian.AppendUint16(body, dst.Port())
}

var (
	inetV2  = headerV2(1, 0x11, endsV2("203.0.113.7:40000", "198.51.100.1:443"))
	inet6V2 = headerV2(1, 0x21, endsV2("[2001:db8::7]:40000", "[2001:db8::1]:443"))
)

func proxiedAddresses(t *testing.T, s suite) {
	r := s.behindProxy(t, "required", loopback)
	for _, test := range []struct{ name, header, remote, local string }{
		{"v1, IPv4", "PROXY TCP4 203.0.113.7 198.51.100.1 40000 443\r\n", "203.0.113.7:40000", "198.51.100.1:443"},
		{"v1, IPv6", "PROXY TCP6 2001:db8::7 2001:db8::1 40000 443\r\n", "[2001:db8::7]:40000", "[2001:db8::1]:443"},
		{"v1, unknown", "PROXY UNKNOWN\r\n", "", ""},
		{"v2, IPv4", inetV2, "203.0.113.7:40000", "198.51.100.1:443"},
		{"v2, IPv6", inet6V2, "[2001:db8::7]:40000", "[2001:db8::1]:443"},
		{"v2, IPv4 with further fields", headerV2(1, 0x11, append(endsV2("203.0.113.7:40000", "198.51.100.1:443"), 4, 0, 2, 1, 2)), "203.0.113.7:40000", "198.51.100.1:443"},
		{"v2, local", headerV2(0, 0, nil), "", ""},
	} {
		c := r.dial()
		c.send(test.header + "hello\n")
		remote, local := test.remote, test.local
		if remote == "" {
			remote, local = c.LocalAddr().String(), c.Conn.RemoteAddr().String()
		}
		conn := r.open()
		if conn.RemoteAddr().String() != remote || conn.LocalAddr().String() != local {
			t.Errorf("%s: open from %v to %v; want %s to %s", test.name, conn.RemoteAddr(), conn.LocalAddr(), remote, local)
		}
		info, err := r.Describe(conn.ID())
		if err != nil || info.Remote.String() != remote || info.Local.String() != local {
			t.Errorf("%s: description %+v, %v; want %s to %s", test.name, info, err, remote, local)
		}
		r.expectMessage(conn.ID(), "hello")
		if err := r.SendData(conn.ID(), []byte("welcome")); err != nil {
			t.Errorf("%s: SendData: %v", test.name, err)
		}
		c.expect("welcome\n")
	}
}

func proxiedInPieces(t *testing.T, s suite) {
	r := s.behindProxy(t, "optional", loopback)
	for _, header := range []string{"PROXY TCP4 203.0.113.7 198.51.100.1 40000 443\r\n", inet6V2} {
		c := r.dial()
		if err := c.Conn.(*net.TCPConn).SetNoDelay(true); err != nil {
			t.Fatal(err)
		}
		for k := range len(header) {
			c.send(header[k : k+1])
		}
		id := r.open().ID() // before any data
		c.send("hello\n")
		r.expectMessage(id, "hello")
	}
}

func proxyRequired(t *testing.T, s suite) {
	r := s.behindProxy(t, "required", loopback)
	for _, text := range []string{"hello\n", "PROXX", "\r\n\r\n\x00\r\nQUIX"} {
		c := r.dial()
		c.send(text)
		if rest := c.ended(); rest != "" {
			t.Errorf("client read %q; want nothing", rest)
		}
	}
	r.await("three refusals", func() bool { return r.Stats().Unopened[transport.ReasonRefused] == 3 })
	r.expectNoMoreEvents()
}

func proxyOptional(t *testing.T, s suite) {
	r := s.behindProxy(t, "optional", loopback)
	for _, text := range []string{"hello\n", "P\n", "PROXX\n", "\r\n\r\nx\n"} {
		c := r.dial()
		c.send(text)
		conn := r.open()
		if conn.RemoteAddr().String() != c.LocalAddr().String() {
			t.Errorf("open from %v; want %v", conn.RemoteAddr(), c.LocalAddr())
		}
		for want := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
			r.expectMessage(conn.ID(), strings.TrimSuffix(want, "\r"))
		}
	}
}

func proxyUntrusted(t *testing.T, s suite) {
	const elsewhere, header = "192.0.2.0/24", "PROXY TCP4 203.0.113.7 198.51.100.1 40000 443\r\n"
	r := s.behindProxy(t, "optional", elsewhere)
	c := r.dial()
	conn := r.open() // at once: it is not asked for a header
	if conn.RemoteAddr().String() != c.LocalAddr().String() {
		t.Errorf("open from %v; want %v", conn.RemoteAddr(), c.LocalAddr())
	}
	c.send(header)
	r.expectMessage(conn.ID(), strings.TrimSuffix(header, "\r\n"))

	r = s.behindProxy(t, "required", elsewhere)
	c = r.dial()
	c.send(header)
	c.ended()
	r.await("a refusal", func() bool { return r.Stats().Unopened[transport.ReasonRefused] == 1 })
	r.expectNoMoreEvents()
}

func proxyBroken(t *testing.T, s suite) {
	r := s.behindProxy(t, "optional", loopback)
	headers := []string{
		"PROXY TCP4 203.0.113.7 198.51.100.1 40000\r\n",
		"PROXY TCP4 2001:db8::7 2001:db8::1 40000 443\r\n",
		"PROXY TCP4 203.0.113.7 198.51.100.1 40000 443 " + strings.Repeat("x", 200),
		headerV2(2, 0x11, endsV2("203.0.113.7:40000", "198.51.100.1:443")), // no such command
		headerV2(1, 0x11, []byte{1, 2, 3}),
		headerV2(1, 0x11, bytes.Repeat([]byte{0}, 5000)),
	}
	for k, header := range headers {
		c := r.dial()
		c.send(header)
		c.ended()
		r.await("an end", func() bool { return r.Stats().Unopened[transport.ReasonProtocol] == uint64(k+1) })
	}
	r.expectNoMoreEvents()
}

func proxyLate(t *testing.T, s suite) {
	r := s.behindProxy(t, "required", loopback, func(c *transport.Config) {
		c.Listeners[0].ProxyTimeout = 100 * time.Millisecond
	})
	silent, slow := r.dial(), r.dial()
	slow.send("PROXY TCP4")
	silent.ended()
	slow.ended()
	r.await("two ends", func() bool { return r.Stats().Unopened[transport.ReasonTimeout] == 2 })
	c := r.dial()
	c.send(inetV2)
	id := r.open().ID()
	r.expectNoClose(id, 300*time.Millisecond)
}

func proxyUnopened(t *testing.T, s suite) {
	r := s.behindProxy(t, "required", loopback, func(c *transport.Config) { c.CloseTimeout = time.Second })
	c := r.dial()
	c.send("PROXY TCP4")
	r.await("a connection", func() bool { return r.Stats().Connections == 1 })
	if page, _ := r.Connections(0, 10); len(page) != 0 {
		t.Errorf("listed: %+v", page)
	}
	if st := r.Stats(); st.Accepted != 0 || st.OpensWaiting != 0 {
		t.Errorf("stats %+v; want nothing accepted", st)
	}
	c.Close()
	r.await("the end", func() bool { return r.Stats().Unopened[transport.ReasonClient] == 1 })
	if n := r.Stats().Connections; n != 0 {
		t.Errorf("%d connections", n)
	}
	c = r.dial()
	c.send("PROXY TCP4")
	r.await("a connection", func() bool { return r.Stats().Connections == 1 })
	r.expectNoMoreEvents() // and the shutdown does not wait for it
}
