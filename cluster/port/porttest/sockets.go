package porttest

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// listener is a TCP listener.
type listener struct {
	net   *Network
	addr  netip.AddrPort
	queue chan *stream // sent to by Network.dial; never closed
	done  chan struct{}
	once  sync.Once
}

func (n *Network) listen(addr netip.AddrPort) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	addr = n.portLocked(addr)
	if n.listeners[addr] != nil {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Addr: net.TCPAddrFromAddrPort(addr), Err: errInUse}
	}
	ln := &listener{net: n, addr: addr, queue: make(chan *stream, backlog), done: make(chan struct{})}
	n.listeners[addr] = ln
	return ln, nil
}

func (l *listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.addr) }

func (l *listener) Accept() (net.Conn, error) {
	select {
	case <-l.done:
	default:
		select {
		case s := <-l.queue:
			return s, nil
		case <-l.done:
		}
	}
	return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.Addr(), Err: net.ErrClosed}
}

func (l *listener) Close() error {
	l.once.Do(func() {
		l.net.mu.Lock()
		delete(l.net.listeners, l.addr)
		l.net.mu.Unlock()
		close(l.done)
		for {
			select {
			case s := <-l.queue:
				s.Close()
			default:
				return
			}
		}
	})
	return nil
}

// stream is one end of a TCP connection.
type stream struct {
	net.Conn
	net      *Network
	from, to netip.AddrPort
}

func (s *stream) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(s.from) }
func (s *stream) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(s.to) }

func (s *stream) Close() error {
	s.net.mu.Lock()
	delete(s.net.streams, s)
	s.net.mu.Unlock()
	return s.Conn.Close()
}

// socket is a UDP socket.
type socket struct {
	net   *Network
	addr  netip.AddrPort
	queue chan letter // sent to by WriteTo of other sockets; never closed
	done  chan struct{}
	once  sync.Once
}

type letter struct {
	data []byte
	from netip.AddrPort
}

func (n *Network) listenPacket(addr netip.AddrPort) (net.PacketConn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	addr = n.portLocked(addr)
	if n.sockets[addr] != nil {
		return nil, &net.OpError{Op: "listen", Net: "udp", Addr: net.UDPAddrFromAddrPort(addr), Err: errInUse}
	}
	s := &socket{net: n, addr: addr, queue: make(chan letter, mailbox), done: make(chan struct{})}
	n.sockets[addr] = s
	return s, nil
}

func (s *socket) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(s.addr) }

func (s *socket) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case <-s.done:
	default:
		select {
		case l := <-s.queue:
			return copy(b, l.data), net.UDPAddrFromAddrPort(l.from), nil
		case <-s.done:
		}
	}
	return 0, nil, &net.OpError{Op: "read", Net: "udp", Addr: s.LocalAddr(), Err: net.ErrClosed}
}

// WriteTo never fails while s is open: what cannot be delivered vanishes.
func (s *socket) WriteTo(b []byte, addr net.Addr) (int, error) {
	select {
	case <-s.done:
		return 0, &net.OpError{Op: "write", Net: "udp", Addr: s.LocalAddr(), Err: net.ErrClosed}
	default:
	}
	to := addr.(*net.UDPAddr).AddrPort()
	s.net.mu.Lock()
	peer := s.net.sockets[to]
	if way := pair(s.addr.Addr(), to.Addr()); s.net.cut[way] || s.net.mute[way] {
		peer = nil
	}
	s.net.mu.Unlock()
	if peer != nil {
		select {
		case peer.queue <- letter{append([]byte(nil), b...), s.addr}:
		default:
		}
	}
	return len(b), nil
}

func (s *socket) Close() error {
	s.once.Do(func() {
		s.net.mu.Lock()
		delete(s.net.sockets, s.addr)
		s.net.mu.Unlock()
		close(s.done)
	})
	return nil
}

// Deadlines are not kept: a reader is woken by Close.

func (s *socket) SetDeadline(time.Time) error      { return nil }
func (s *socket) SetReadDeadline(time.Time) error  { return nil }
func (s *socket) SetWriteDeadline(time.Time) error { return nil }
