package transport

import (
	"fmt"
	"net"
	"time"

	"flamingo/idspace"
	"flamingo/transport/websocket"
)

// A Conn is what RecvOpen returns beside the id: the addresses of a connection
// and the options of its socket. It is not a stream: Read, Write and the
// deadlines answer ErrNotStream. Each option goes through the id, so once the
// connection has ended the methods answer net.ErrClosed, whoever has the file
// descriptor by then. The addresses stay readable.
type Conn struct {
	t             *Transport
	id            idspace.ID
	local, remote net.Addr
	request       *websocket.Request
	tls           *TLSInfo
}

var _ net.Conn = (*Conn)(nil)

// unknownAddr stands for an address that could not be asked for any more.
type unknownAddr string

func (a unknownAddr) Network() string { return string(a) }
func (unknownAddr) String() string    { return "unknown" }

func (t *Transport) newConn(s *slot, i uint32) *Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &Conn{t: t, id: idspace.ID(s.id.Load())}
	network := t.bound[s.listener].Network
	c.local, c.remote = t.addrsLocked(s, i)
	if w := t.table.wire(i); w != nil && w.web != nil {
		c.request, w.web.request = w.web.request, nil
	}
	if c.local == nil {
		c.local = t.bound[s.listener].addr
	}
	if c.remote == nil {
		c.remote = unknownAddr(network)
	}
	c.tls = t.tlsLocked(i)
	return c
}

// addrsLocked returns the addresses of both ends, as a proxy has given them or
// as the socket has them, nil for what cannot be known any more. The caller
// holds the slot's mu.
func (t *Transport) addrsLocked(s *slot, i uint32) (local, remote net.Addr) {
	if w := t.table.wire(i); w != nil && w.proxied != nil {
		return w.proxied.local, w.proxied.remote
	}
	if s.fd < 0 || !s.has(holdSocket) {
		return nil, nil
	}
	return t.drivers[s.driver].addrs(s.fd)
}

// ID returns the id of the connection.
func (c *Conn) ID() idspace.ID { return c.id }

// String names the connection and its client.
func (c *Conn) String() string {
	return fmt.Sprintf("%s from %s %s", c.id, c.remote.Network(), c.remote)
}

// LocalAddr returns the address that the client connected to.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr returns the address of the client. It prints as "unknown" if the
// client was gone before the connection was taken.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// WebSocket returns the request with which the client opened its WebSocket: path,
// query, and through Values any header, such as Cookie. It is nil for another
// connection, and if the client was gone before the connection was taken.
func (c *Conn) WebSocket() *websocket.Request { return c.request }

// TLS returns what the handshake has settled, the client's certificate too. It is
// nil in clear text, and if the client was gone before the connection was taken.
func (c *Conn) TLS() *TLSInfo { return c.tls }

// Close is SendClose: the connection ends once what was accepted for it is
// written. It does not wait.
func (c *Conn) Close() error {
	if err := c.t.SendClose(c.id, ReasonSent); err != nil {
		return c.closed()
	}
	return nil
}

// Read answers ErrNotStream.
func (c *Conn) Read([]byte) (int, error) { return 0, c.notStream("read") }

// Write answers ErrNotStream.
func (c *Conn) Write([]byte) (int, error) { return 0, c.notStream("write") }

// SetDeadline answers ErrNotStream; see Config.ActivityTimeout.
func (c *Conn) SetDeadline(time.Time) error { return c.notStream("set deadline") }

// SetReadDeadline answers ErrNotStream; see Config.ActivityTimeout.
func (c *Conn) SetReadDeadline(time.Time) error { return c.notStream("set read deadline") }

// SetWriteDeadline answers ErrNotStream; see Config.OutputBytes.
func (c *Conn) SetWriteDeadline(time.Time) error { return c.notStream("set write deadline") }

func (c *Conn) notStream(op string) error {
	return &net.OpError{Op: op, Net: c.remote.Network(), Addr: c.remote, Err: ErrNotStream}
}

func (c *Conn) closed() error {
	return &net.OpError{Op: "close", Net: c.remote.Network(), Addr: c.remote, Err: net.ErrClosed}
}

// A socketOption is an option that can be set while a connection lives.
type socketOption uint8

const (
	optionNoDelay     socketOption = iota // 0 or 1
	optionKeepAlive                       // nanoseconds; 0 turns probes off
	optionLinger                          // 0 resets, anything else is the default
	optionReadBuffer                      // bytes
	optionWriteBuffer                     // bytes
)

// SetNoDelay says whether each write leaves at once (the default) or small
// segments may be held back.
func (c *Conn) SetNoDelay(on bool) error {
	v := 0
	if on {
		v = 1
	}
	return c.setOption("set no-delay", optionNoDelay, v)
}

// SetKeepAlive makes the kernel probe a connection that is silent for d, and
// then every d; zero turns probes off. d is rounded up to seconds.
func (c *Conn) SetKeepAlive(d time.Duration) error {
	if d < 0 {
		return fmt.Errorf("%w: keep-alive %v: allowed is 0 or more", ErrBadOption, d)
	}
	return c.setOption("set keep-alive", optionKeepAlive, int(d))
}

// SetLinger with 0 makes the kernel drop unsent bytes and reset the connection
// when it ends. Any other number is the default, to send them: nothing here
// waits in close for a client, so how many seconds does not matter.
func (c *Conn) SetLinger(seconds int) error { return c.setOption("set linger", optionLinger, seconds) }

// SetReadBuffer sets the size in bytes of the kernel's receive buffer.
func (c *Conn) SetReadBuffer(bytes int) error {
	return c.setSize("read-buffer", optionReadBuffer, bytes)
}

// SetWriteBuffer sets the size in bytes of the kernel's send buffer.
func (c *Conn) SetWriteBuffer(bytes int) error {
	return c.setSize("write-buffer", optionWriteBuffer, bytes)
}

func (c *Conn) setSize(name string, o socketOption, bytes int) error {
	if bytes < 1 || bytes > 1<<30 {
		return fmt.Errorf("%w: %s %d: allowed are 1 to %d", ErrBadOption, name, bytes, 1<<30)
	}
	return c.setOption("set "+name, o, bytes)
}

func (c *Conn) setOption(op string, o socketOption, value int) error {
	wrap := func(err error) error {
		return &net.OpError{Op: op, Net: c.remote.Network(), Addr: c.remote, Err: err}
	}
	s, _ := c.t.table.find(c.id)
	if s == nil {
		return wrap(net.ErrClosed)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.isOpenLocked(c.id, true) || s.fd < 0 {
		return wrap(net.ErrClosed)
	}
	if err := c.t.drivers[s.driver].setOption(s.fd, o, value); err != nil {
		return wrap(err)
	}
	switch {
	case o != optionLinger:
	case value == 0:
		s.flags.Or(flagReset)
	default:
		s.flags.And(^flagReset)
	}
	return nil
}
