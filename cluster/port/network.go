package port

import (
	"context"
	"net"
	"net/netip"
)

// Network is where a Port gets its sockets from. A field that is nil stands
// for the operating system.
type Network struct {
	// Listen opens the TCP listener.
	Listen func(ctx context.Context, addr netip.AddrPort) (net.Listener, error)

	// ListenPacket opens the UDP socket. Its addresses are *net.UDPAddr.
	ListenPacket func(ctx context.Context, addr netip.AddrPort) (net.PacketConn, error)

	// Dial opens a TCP connection.
	Dial func(ctx context.Context, addr netip.AddrPort) (net.Conn, error)
}

// withDefaults returns n with the operating system in place of nil.
func (n Network) withDefaults() Network {
	if n.Listen == nil {
		n.Listen = func(ctx context.Context, addr netip.AddrPort) (net.Listener, error) {
			lc := net.ListenConfig{Control: watchPath}
			lc.SetMultipathTCP(false) // whose sockets know no TCP_USER_TIMEOUT
			return lc.Listen(ctx, "tcp", addr.String())
		}
	}
	if n.ListenPacket == nil {
		n.ListenPacket = func(ctx context.Context, addr netip.AddrPort) (net.PacketConn, error) {
			var lc net.ListenConfig
			return lc.ListenPacket(ctx, "udp", addr.String())
		}
	}
	if n.Dial == nil {
		n.Dial = func(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
			d := net.Dialer{Control: watchPath}
			return d.DialContext(ctx, "tcp", addr.String())
		}
	}
	return n
}

// addrPortOf returns the address and port of a, without a mapping of IPv4 into
// IPv6; invalid if a has none.
func addrPortOf(a net.Addr) netip.AddrPort {
	var ap netip.AddrPort
	switch a := a.(type) {
	case *net.TCPAddr:
		ap = a.AddrPort()
	case *net.UDPAddr:
		ap = a.AddrPort()
	default:
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
