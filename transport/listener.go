package transport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"flamingo/framing"
)

// A Listener says where and how clients connect. ParseListener makes one from
// its textual form.
type Listener struct {
	// Network is "tcp", "tcp4", "tcp6" or "unix".
	Network string

	// Address is host:port, or the path of a Unix socket. A leftover socket
	// file that nobody listens on is replaced.
	Address string

	// Codec frames the messages. Required. Over WebSocket, which has messages of
	// its own, it is not used.
	Codec framing.Codec

	// TLS encrypts the connections. Nil means clear text.
	TLS *TLS

	// WebSocket makes each connection a WebSocket. Nil means a stream of bytes.
	WebSocket *WebSocket

	// MaxConns bounds the connections of this listener. Zero means no bound
	// of its own.
	MaxConns int

	// Backlog is the length of the kernel's queue of connections not yet
	// accepted. Zero means the system's maximum.
	Backlog int

	// ReusePort lets several processes listen on one port; the kernel spreads
	// connections over them. Linux only.
	ReusePort bool

	// KeepAlive is how long a silent TCP connection waits for its first probe
	// and then between probes. Zero means 15 s; negative turns probes off.
	KeepAlive time.Duration

	// UserTimeout ends a TCP connection whose sent bytes stay unacknowledged
	// for so long. Zero means the system's default. Linux only.
	UserTimeout time.Duration

	// Delay lets the kernel hold back small segments (Nagle's algorithm).
	Delay bool

	// Proxy says whether a connection begins with the header of the PROXY
	// protocol, version 1 or 2, which then gives the addresses of both ends.
	Proxy ProxyPolicy

	// ProxyFrom are the networks whose proxies are believed; required with Proxy.
	// From elsewhere ProxyOptional looks for no header and ProxyRequired refuses
	// the connection. On a Unix socket everybody is believed.
	ProxyFrom []netip.Prefix

	// ProxyTimeout bounds the wait for the header. With ProxyOptional a trusted
	// client that has none has to send something else in that time. Zero means
	// DefaultProxyTimeout; at most 1 h.
	ProxyTimeout time.Duration

	// HandshakeTimeout bounds the handshake of TLS, and that of WebSocket. Zero
	// means DefaultHandshakeTimeout; at most 1 h.
	HandshakeTimeout time.Duration

	Limits

	// ReadBuffer and WriteBuffer are the kernel's buffer sizes in bytes.
	// Zero means the system's default.
	ReadBuffer, WriteBuffer int
}

// DefaultKeepAlive is how long a silent TCP connection waits for its first probe.
const DefaultKeepAlive = 15 * time.Second

// DefaultHandshakeTimeout is how long the handshake of TLS may take, and that of
// WebSocket.
const DefaultHandshakeTimeout = 10 * time.Second

// A scheme is what the textual form of a listener begins with.
type scheme struct {
	name    string
	network string
	tls     bool
	web     bool
}

var schemes = []scheme{
	{name: "tcp", network: "tcp"},
	{name: "tcp4", network: "tcp4"},
	{name: "tcp6", network: "tcp6"},
	{name: "unix", network: "unix"},
	{name: "tls", network: "tcp", tls: true},
	{name: "ws", network: "tcp", web: true},
	{name: "wss", network: "tcp", tls: true, web: true},
}

// schemeNames returns the schemes that there are, for errors.
func schemeNames() string {
	var names []string
	for _, s := range schemes {
		names = append(names, s.name)
	}
	return strings.Join(names, ", ")
}

// Scheme returns what the textual form of the listener begins with: its
// network, or tls, ws or wss.
func (l *Listener) Scheme() string {
	for _, s := range schemes {
		if (s.tls || s.web) && s.tls == (l.TLS != nil) && s.web == (l.WebSocket != nil) {
			return s.name
		}
	}
	return l.Network
}

// String returns the listener as scheme and address, without its options.
func (l *Listener) String() string { return l.Scheme() + "://" + l.Address }

func (l *Listener) validate() error {
	var faults []error
	bad := func(option string, value any, allowed string) {
		faults = append(faults, fmt.Errorf("%w: %s %v: allowed is %s", ErrBadOption, option, value, allowed))
	}
	switch l.Network {
	case "tcp", "tcp4", "tcp6":
		if !hasPort(l.Address) {
			bad("address", strconv.Quote(l.Address), "HOST:PORT with a port of 0 to 65535, such as :4100 or 127.0.0.1:0")
		}
	case "unix":
		if l.Address == "" {
			bad("address", `""`, "the path of a socket")
		}
	default:
		bad("network", strconv.Quote(l.Network), schemeNames())
	}
	if l.Codec == nil {
		bad("framing", "(none)", "a codec")
	}
	if l.WebSocket != nil {
		faults = append(faults, l.WebSocket.faults()...)
	}
	if l.MaxConns < 0 || l.MaxConns > MaxConnsLimit {
		bad("max-conns", l.MaxConns, fmt.Sprintf("0 to %d", MaxConnsLimit))
	}
	if l.Backlog < 0 || l.Backlog > 1<<16 {
		bad("backlog", l.Backlog, "0 to 65536")
	}
	if l.KeepAlive > time.Hour*9 || (l.KeepAlive > 0 && l.KeepAlive < time.Second) {
		bad("keep-alive", l.KeepAlive, "1s to 9h, or negative for none")
	}
	if l.UserTimeout < 0 || l.UserTimeout > 24*time.Hour || (l.UserTimeout > 0 && l.UserTimeout < time.Millisecond) {
		bad("user-timeout", l.UserTimeout, "0 or 1ms to 24h")
	}
	if l.ReadBuffer < 0 || l.ReadBuffer > 1<<30 {
		bad("read-buffer", l.ReadBuffer, "0 to 1073741824")
	}
	if l.WriteBuffer < 0 || l.WriteBuffer > 1<<30 {
		bad("write-buffer", l.WriteBuffer, "0 to 1073741824")
	}
	if l.HandshakeTimeout < 0 || l.HandshakeTimeout > time.Hour {
		bad("handshake-timeout", l.HandshakeTimeout, "0 to 1h")
	}
	if l.HandshakeTimeout != 0 && l.TLS == nil && l.WebSocket == nil {
		bad("handshake-timeout", l.HandshakeTimeout, "given for tls, ws and wss alone")
	}
	if l.TLS != nil {
		l.TLS.validate(bad)
	}
	if int(l.Proxy) >= len(proxyPolicyNames) {
		bad("proxy", uint8(l.Proxy), strings.Join(proxyPolicyNames, ", "))
	}
	if l.Proxy == ProxyOff && (len(l.ProxyFrom) > 0 || l.ProxyTimeout != 0) {
		bad("proxy-from and proxy-timeout", "(given)", "beside proxy=optional or proxy=required alone")
	}
	if l.Proxy != ProxyOff && len(l.ProxyFrom) == 0 && l.Network != "unix" {
		bad("proxy-from", "(none)", "the networks of the proxies, such as 10.0.0.0/8")
	}
	if l.ProxyTimeout < 0 || l.ProxyTimeout > time.Hour {
		bad("proxy-timeout", l.ProxyTimeout, "0 to 1h")
	}
	l.Limits.validate(bad)
	if l.Network == "unix" && (l.ReusePort || l.UserTimeout != 0) {
		bad("reuse-port and user-timeout", l.Network, "tcp")
	}
	return errors.Join(faults...)
}

// hasPort reports whether the address ends in the number of a port.
func hasPort(address string) bool {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

func (l Listener) withDefaults() Listener {
	if l.KeepAlive == 0 {
		l.KeepAlive = DefaultKeepAlive
	}
	if l.WebSocket != nil {
		l.WebSocket = l.WebSocket.withDefaults()
	}
	if l.HandshakeTimeout == 0 {
		l.HandshakeTimeout = DefaultHandshakeTimeout
	}
	if l.TLS != nil {
		l.TLS = l.TLS.withDefaults()
	}
	if l.Proxy != ProxyOff && l.ProxyTimeout == 0 {
		l.ProxyTimeout = DefaultProxyTimeout
	}
	return l
}

// ListenerOptions are the query parameters that ParseListener takes beside
// those of the framing.
var listenerOptions = []string{
	"max-conns", "backlog", "reuse-port", "keep-alive", "user-timeout", "delay", "read-buffer", "write-buffer",
	"proxy", "proxy-from", "proxy-timeout", "handshake-timeout", "cert", "key", "client-ca", "client-cert",
}

// ParseListener reads the textual form of a listener, such as
// tcp://:4100?framing=line&max-conns=10000 or unix:///run/app.sock. Options are
// query parameters; framing's own (framing.Options) stand beside the
// listener's. fallback frames the messages of a listener that names no framing.
// All faults are reported at once; they match ErrBadOption of this package or
// of framing.
func ParseListener(text string, fallback framing.Codec) (Listener, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" {
		return Listener{}, fmt.Errorf("%w: listener %q: allowed is tcp://HOST:PORT?OPTION=VALUE or unix:///PATH", ErrBadOption, text)
	}
	l := Listener{Network: u.Scheme, Address: u.Host}
	at := slices.IndexFunc(schemes, func(s scheme) bool { return s.name == u.Scheme })
	if at >= 0 {
		l.Network = schemes[at].network
		if schemes[at].tls {
			l.TLS = &TLS{}
		}
		if schemes[at].web {
			l.WebSocket = &WebSocket{}
		}
	}
	if u.Scheme == "unix" {
		l.Address = u.Host + u.Path
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Listener{}, fmt.Errorf("%w: listener %q: %w", ErrBadOption, text, err)
	}
	faults := []error{checkOptionNames(query, l.options())}
	if u.User != nil || u.Fragment != "" || u.Scheme != "unix" && l.WebSocket == nil && strings.Trim(u.Path, "/") != "" {
		faults = append(faults, fmt.Errorf("%w: listener %q: beside address and options nothing is allowed; # is written %%23, @ is %%40",
			ErrBadOption, text))
	}
	o := optionReader{values: query}
	l.MaxConns = o.integer("max-conns")
	l.Backlog = o.integer("backlog")
	l.ReadBuffer = o.integer("read-buffer")
	l.WriteBuffer = o.integer("write-buffer")
	l.ReusePort = o.boolean("reuse-port")
	l.Delay = o.boolean("delay")
	l.KeepAlive = o.duration("keep-alive")
	l.UserTimeout = o.duration("user-timeout")
	l.Proxy = ProxyPolicy(o.choice("proxy", proxyPolicyNames))
	l.ProxyFrom = o.prefixes("proxy-from")
	l.ProxyTimeout = o.duration("proxy-timeout")
	l.HandshakeTimeout = o.duration("handshake-timeout")
	if l.WebSocket != nil {
		l.WebSocket = o.webSocket(u.EscapedPath())
	}
	o.readTLS(l.TLS)
	l.Limits = o.limits()
	faults = append(faults, o.faults...)

	if l.WebSocket != nil {
		l.Codec = fallback
	} else if l.Codec, err = codecOf(query, fallback); err != nil {
		faults = append(faults, err)
		l.Codec = fallback
	}
	faults = append(faults, l.validate())
	if err := errors.Join(faults...); err != nil {
		return Listener{}, fmt.Errorf("listener %q: %w", text, err)
	}
	return l, nil
}

// codecOf returns the framing that the options name, or fallback if they name
// none.
func codecOf(query url.Values, fallback framing.Codec) (framing.Codec, error) {
	if query.Has("framing") {
		return framing.Parse(query.Get("framing"), query)
	}
	for _, name := range framing.Options() {
		if query.Has(name) {
			return nil, fmt.Errorf("%w: %s %q: allowed only beside framing", ErrBadOption, name, query.Get(name))
		}
	}
	return fallback, nil
}

// options returns the names of the options that a listener of its scheme has.
func (l *Listener) options() []string {
	if l.WebSocket != nil {
		return slices.Concat(listenerOptions, limitOptions, webSocketOptions)
	}
	return slices.Concat(listenerOptions, limitOptions, []string{"framing"}, framing.Options())
}

func checkOptionNames(query url.Values, allowed []string) error {
	var faults []error
	for name, values := range query {
		if !slices.Contains(allowed, name) {
			slices.Sort(allowed)
			faults = append(faults, fmt.Errorf("%w: unknown listener option %q: allowed are %s",
				ErrBadOption, name, strings.Join(slices.Compact(allowed), ", ")))
		}
		if len(values) > 1 {
			faults = append(faults, fmt.Errorf("%w: listener option %s given %d times: allowed is once", ErrBadOption, name, len(values)))
		}
	}
	return errors.Join(faults...)
}

// An optionReader reads typed query parameters and collects the faults.
type optionReader struct {
	values url.Values
	faults []error
}

func (o *optionReader) fault(name, allowed string) {
	o.faults = append(o.faults, fmt.Errorf("%w: %s %q: allowed is %s", ErrBadOption, name, o.values.Get(name), allowed))
}

func (o *optionReader) integer(name string) int {
	if !o.values.Has(name) {
		return 0
	}
	n, err := strconv.Atoi(o.values.Get(name))
	if err != nil {
		o.fault(name, "a whole number")
	}
	return n
}

func (o *optionReader) boolean(name string) bool {
	if !o.values.Has(name) {
		return false
	}
	b, err := strconv.ParseBool(o.values.Get(name))
	if err != nil {
		o.fault(name, "true or false")
	}
	return b
}

func (o *optionReader) duration(name string) time.Duration {
	if !o.values.Has(name) {
		return 0
	}
	d, err := time.ParseDuration(o.values.Get(name))
	if err != nil {
		o.fault(name, "a duration such as 15s")
	}
	return d
}

// choice reads one of the names and returns its place among them.
func (o *optionReader) choice(name string, names []string) int {
	if !o.values.Has(name) {
		return 0
	}
	at := slices.Index(names, o.values.Get(name))
	if at < 0 {
		o.fault(name, strings.Join(names, ", "))
	}
	return max(at, 0)
}

// list reads values that commas part.
func (o *optionReader) list(name string) []string {
	if !o.values.Has(name) {
		return nil
	}
	return strings.Split(o.values.Get(name), ",")
}

// prefixes reads addresses and networks in CIDR notation.
func (o *optionReader) prefixes(name string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range o.list(name) {
		p, err := parsePrefix(text)
		if err != nil {
			o.fault(name, "addresses and networks such as 10.0.0.0/8, parted by commas")
			return nil
		}
		all = append(all, p)
	}
	return all
}
