package port

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// maxPacket is the greatest UDP payload, rounded up.
const maxPacket = 1 << 16

// Packet is a UDP packet.
type Packet struct {
	Data []byte         // the receiver's own
	From netip.AddrPort // as claimed: UDP is easily forged
	At   time.Time      // when it was read from the socket
}

// Packets is the consumer of the port's UDP packets. Its methods are safe for
// concurrent use.
type Packets struct {
	port *Port // immutable

	queue chan Packet   // sent to by the packet loop; never closed
	done  chan struct{} // closed by Close
	once  sync.Once
}

// Packets claims the UDP packets, until its Close; those that come while
// nobody has claimed them are dropped. The error matches ErrTaken or, after
// the end, net.ErrClosed.
func (p *Port) Packets() (*Packets, error) {
	c := &Packets{
		port:  p,
		queue: make(chan Packet, p.cfg.PacketQueueLen),
		done:  make(chan struct{}),
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.stage == ended:
		return nil, fmt.Errorf("port: packets: %w", net.ErrClosed)
	case p.packets != nil:
		return nil, fmt.Errorf("port: packets: %w", ErrTaken)
	}
	p.packets = c
	return c, nil
}

// ReadFrom returns the next packet. It blocks until there is one, or until
// Close or the end of the port; the error then matches net.ErrClosed.
func (c *Packets) ReadFrom() (Packet, error) {
	select {
	case <-c.done:
	default:
		select {
		case pkt := <-c.queue:
			return pkt, nil
		case <-c.done:
		}
	}
	return Packet{}, fmt.Errorf("port: read packet: %w", net.ErrClosed)
}

// WriteTo sends b to the node at addr, as far as UDP sends anything. It keeps
// nothing of b and hardly ever blocks.
func (c *Packets) WriteTo(b []byte, addr netip.AddrPort) error {
	if err := c.port.sendPacket(b, addr); err != nil {
		c.port.counts.packetsUnsent.Add(1)
		return fmt.Errorf("port: write packet to %v: %w", addr, err)
	}
	c.port.counts.packetsSent.Add(1)
	return nil
}

func (p *Port) sendPacket(b []byte, addr netip.AddrPort) error {
	if err := p.cfg.checkClear("address", addr); err != nil {
		return err
	}
	p.mu.Lock()
	pc := p.socket
	p.mu.Unlock()
	if pc == nil {
		return ErrNotListening
	}
	_, err := pc.WriteTo(b, net.UDPAddrFromAddrPort(addr))
	return err
}

// Close gives the packets up. The socket stays open and is read on. It may be
// called any number of times.
func (c *Packets) Close() error {
	c.once.Do(func() {
		c.port.mu.Lock()
		if c.port.packets == c {
			c.port.packets = nil
		}
		c.port.mu.Unlock()
		close(c.done) // whoever it wakes may claim the packets again
	})
	return nil
}

// packetLoop reads packets until the socket is closed, and returns that error.
// It always reads, so that packets nobody wants do not wait in the system for a
// later consumer.
func (p *Port) packetLoop(ctx context.Context, pc net.PacketConn) error {
	buf := make([]byte, maxPacket)
	var wait time.Duration
	for {
		n, from, err := pc.ReadFrom(buf)
		switch {
		case err == nil:
			wait = 0
			p.counts.packets.Add(1)
			p.deliver(Packet{Data: append([]byte(nil), buf[:n]...), From: addrPortOf(from), At: time.Now()})
		case errors.Is(err, net.ErrClosed):
			return err
		default:
			p.counts.packetErrors.Add(1)
			wait = min(max(2*wait, minPause), maxPause)
			pause(ctx, wait)
		}
	}
}

func (p *Port) deliver(pkt Packet) {
	p.mu.Lock()
	c := p.packets
	p.mu.Unlock()
	if c == nil {
		p.counts.dropped[Absent].Add(1)
		return
	}
	select {
	case c.queue <- pkt:
	default:
		p.counts.dropped[Full].Add(1)
	}
}
