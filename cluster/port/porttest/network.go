// Package porttest is a network in memory for tests of what speaks through a
// port.Port: hosts, streams and packets, and faults between hosts.
//
// It starts no goroutine and blocks on channels and pipes only, so that it
// works in a bubble of testing/synctest, where a partition of an hour takes no
// time.
package porttest

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"

	"flamingo/cluster/port"
)

const (
	backlog   = 128   // connections that wait for Accept
	mailbox   = 1024  // packets that wait for ReadFrom; one more is dropped
	firstPort = 40000 // of those chosen by the network
)

var (
	errRefused = errors.New("connection refused")
	errInUse   = errors.New("address already in use")
)

// Network connects hosts, each of which has one IP address. Its methods are
// safe for concurrent use.
type Network struct {
	mu        sync.Mutex
	listeners map[netip.AddrPort]*listener
	sockets   map[netip.AddrPort]*socket
	cut       map[[2]netip.Addr]bool
	mute      map[[2]netip.Addr]bool
	streams   map[*stream]struct{}
	next      uint16
}

// New returns a network without faults.
func New() *Network {
	return &Network{
		listeners: make(map[netip.AddrPort]*listener),
		sockets:   make(map[netip.AddrPort]*socket),
		cut:       make(map[[2]netip.Addr]bool),
		mute:      make(map[[2]netip.Addr]bool),
		streams:   make(map[*stream]struct{}),
		next:      firstPort,
	}
}

// HostAddr is where the port of host i is, of up to 255 on loopback.
func HostAddr(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, byte(i)}), port.DefaultPort)
}

// Hosts are the IP addresses from one host to another.
func Hosts(from, to int) (ips []netip.Addr) {
	for i := from; i <= to; i++ {
		ips = append(ips, HostAddr(i).Addr())
	}
	return ips
}

// Host returns what the host with the given address sees of the network.
func (n *Network) Host(ip netip.Addr) port.Network {
	return port.Network{
		Listen: func(_ context.Context, addr netip.AddrPort) (net.Listener, error) {
			return n.listen(addr)
		},
		ListenPacket: func(_ context.Context, addr netip.AddrPort) (net.PacketConn, error) {
			return n.listenPacket(addr)
		},
		Dial: func(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
			return n.dial(ctx, ip, addr)
		},
	}
}

// Cut parts a from b: their streams break, and from then on packets vanish and
// dialing waits for the end of its context.
func (n *Network) Cut(a, b netip.Addr) {
	n.mu.Lock()
	n.cut[pair(a, b)] = true
	var broken []*stream
	for s := range n.streams {
		if pair(s.from.Addr(), s.to.Addr()) == pair(a, b) {
			broken = append(broken, s)
		}
	}
	n.mu.Unlock()
	for _, s := range broken {
		s.Close()
	}
}

// Partition cuts each host of a from each of b.
func (n *Network) Partition(a, b []netip.Addr) {
	for _, x := range a {
		for _, y := range b {
			n.Cut(x, y)
		}
	}
}

// Mute has packets between each host of a and each of b vanish; their streams
// go on.
func (n *Network) Mute(a, b []netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, x := range a {
		for _, y := range b {
			n.mute[pair(x, y)] = true
		}
	}
}

// Heal undoes every Cut and Mute.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.cut)
	clear(n.mute)
}

func pair(a, b netip.Addr) [2]netip.Addr {
	if b.Less(a) {
		a, b = b, a
	}
	return [2]netip.Addr{a, b}
}

// portLocked returns addr, with a port if it has none.
func (n *Network) portLocked(addr netip.AddrPort) netip.AddrPort {
	if addr.Port() != 0 {
		return addr
	}
	n.next++
	return netip.AddrPortFrom(addr.Addr(), n.next)
}

func (n *Network) dial(ctx context.Context, from netip.Addr, to netip.AddrPort) (net.Conn, error) {
	n.mu.Lock()
	if n.cut[pair(from, to.Addr())] {
		n.mu.Unlock()
		<-ctx.Done()
		return nil, ctx.Err()
	}
	ln := n.listeners[to]
	if ln == nil {
		n.mu.Unlock()
		return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(to), Err: errRefused}
	}
	src := n.portLocked(netip.AddrPortFrom(from, 0))
	near, far := net.Pipe()
	a := &stream{Conn: near, net: n, from: src, to: to}
	b := &stream{Conn: far, net: n, from: to, to: src}
	n.streams[a], n.streams[b] = struct{}{}, struct{}{}
	n.mu.Unlock()

	select {
	case ln.queue <- b:
		select {
		case <-ln.done: // who closed it may not have seen b
		default:
			return a, nil
		}
	case <-ln.done:
	case <-ctx.Done():
	}
	a.Close()
	b.Close()
	return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(to), Err: errRefused}
}
