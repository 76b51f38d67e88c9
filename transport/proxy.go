package transport

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/pires/go-proxyproto"
)

// ProxyPolicy says whether a listener reads the header of the PROXY protocol,
// version 1 or 2, with which a proxy says who its client is.
type ProxyPolicy uint8

// The policies for the header of a proxy.
const (
	ProxyOff      ProxyPolicy = iota // not looked for
	ProxyOptional                    // read if a trusted proxy sends one
	ProxyRequired                    // a connection without one from a trusted proxy is refused
)

var proxyPolicyNames = []string{"off", "optional", "required"}

// String returns the policy's name, as a listener's option takes it.
func (p ProxyPolicy) String() string {
	if int(p) < len(proxyPolicyNames) {
		return proxyPolicyNames[p]
	}
	return fmt.Sprintf("ProxyPolicy(%d)", uint8(p))
}

// DefaultProxyTimeout is how long a proxy may take for its header.
const DefaultProxyTimeout = 5 * time.Second

// Lengths of a header in bytes. Version 2 says how long it is.
const (
	proxyPreambleV2 = 16
	maxProxyV1      = 107
	maxProxyV2      = 4 << 10
)

var (
	proxySignatureV1 = []byte("PROXY ")
	proxySignatureV2 = []byte("\r\n\r\n\x00\r\nQUIT\n")
)

// proxied is what a proxy said of a connection's ends.
type proxied struct {
	local, remote net.Addr
}

// awaitsProxyLocked reports whether the connection is to begin with a header. A
// client that is no trusted proxy is not asked for an optional one.
func (t *Transport) awaitsProxyLocked(s *slot, i uint32) bool {
	l := t.bound[s.listener]
	return l.Proxy == ProxyRequired || l.Proxy == ProxyOptional && t.trustsLocked(s, i)
}

// trustsLocked reports whether the socket's other end is a proxy that the
// listener trusts. One that reaches a Unix socket is.
func (t *Transport) trustsLocked(s *slot, i uint32) bool {
	l := t.bound[s.listener]
	_, remote := t.addrsLocked(s, i)
	tcp, ok := remote.(*net.TCPAddr)
	if !ok {
		return l.Network == "unix"
	}
	addr := tcp.AddrPort().Addr().Unmap().WithZone("")
	for _, from := range l.ProxyFrom {
		if from.Contains(addr) {
			return true
		}
	}
	return false
}

// readProxyHeader reads the header at the beginning of what has come. Once it
// is complete, or there is none and need not be, it moves the connection on and
// returns how many bytes the header takes.
func (t *Transport) readProxyHeader(s *slot, i uint32, w *wire) (size int, err error) {
	s.mu.Lock()
	trusted := t.trustsLocked(s, i)
	s.mu.Unlock()
	if !trusted {
		return 0, fmt.Errorf("%w: no trusted proxy", errRefused)
	}
	head := w.opening.head
	size, err = proxyHeaderSize(head)
	switch {
	case err != nil:
		return 0, err
	case size == 0 && !looksProxied(head):
		if t.bound[s.listener].Proxy == ProxyRequired {
			return 0, fmt.Errorf("%w: no PROXY header", errRefused)
		}
		return 0, t.passed(s, i, w)
	case size == 0:
		return 0, nil
	}
	h, err := proxyproto.Read(bufio.NewReaderSize(bytes.NewReader(head[:size]), max(size, proxyPreambleV2)))
	if err != nil {
		return 0, fmt.Errorf("PROXY header: %w", err)
	}
	s.mu.Lock()
	w.headed = true
	if h.Command.IsProxy() && h.SourceAddr != nil {
		w.proxied = &proxied{local: h.DestinationAddr, remote: h.SourceAddr}
	}
	s.mu.Unlock()
	return size, t.passed(s, i, w)
}

// looksProxied reports whether data is, or may become, the beginning of a
// header.
func looksProxied(data []byte) bool {
	return agree(data, proxySignatureV1) || agree(data, proxySignatureV2)
}

// agree reports whether one of the two begins with the other.
func agree(a, b []byte) bool {
	n := min(len(a), len(b))
	return bytes.Equal(a[:n], b[:n])
}

// proxyHeaderSize returns the length of the header that data begins with, or 0
// if it is not complete, or none.
func proxyHeaderSize(data []byte) (int, error) {
	switch {
	case len(data) >= proxyPreambleV2 && bytes.HasPrefix(data, proxySignatureV2):
		size := proxyPreambleV2 + int(data[14])<<8 + int(data[15])
		if size > maxProxyV2 {
			return 0, fmt.Errorf("PROXY header of %d bytes: allowed are %d", size, maxProxyV2)
		}
		if len(data) < size {
			return 0, nil
		}
		return size, nil
	case bytes.HasPrefix(data, proxySignatureV1):
		end := bytes.Index(data[:min(len(data), maxProxyV1)], []byte("\r\n"))
		switch {
		case end >= 0:
			return end + 2, nil
		case len(data) >= maxProxyV1:
			return 0, fmt.Errorf("PROXY header of version 1 without an end in %d bytes", maxProxyV1)
		}
	}
	return 0, nil
}

// parsePrefix reads an address or a network in CIDR notation.
func parsePrefix(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	return p.Masked(), err
}
