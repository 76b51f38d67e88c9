package gossip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"flamingo/cluster/port"
	"flamingo/idspace"

	"github.com/hashicorp/memberlist"
)

const (
	// maxStreams bounds the incoming streams that are open; one more is
	// closed. memberlist itself serves 128 exchanges at once.
	maxStreams = 128

	// lingerTimeout bounds the wait for memberlist to let go of streams that
	// were closed under it.
	lingerTimeout = 5 * time.Second
)

// transport is memberlist's network: packets and streams of a port.
type transport struct {
	g       *Gossip
	streams *port.Streams
	packets *port.Packets

	// ctx ends with the transport; memberlist hands none over.
	ctx    context.Context
	cancel context.CancelFunc

	pumps     sync.WaitGroup
	packetsCh chan *memberlist.Packet // sent to by pumpPackets; never closed
	streamsCh chan net.Conn           // sent to by greet; never closed
	slots     chan struct{}           // one token per incoming stream; never closed

	mu         sync.Mutex
	closed     bool
	open       map[*stream]struct{}
	emptied    chan struct{} // closed by lastClosed when closed and open is empty
	lastClosed sync.Once
	attempts   map[string]*attempt
}

var _ memberlist.NodeAwareTransport = (*transport)(nil)

// newTransport claims its part of the port and starts to pump. It ends by
// Shutdown; fail is called if the port ends before.
func newTransport(g *Gossip, fail func(error)) (*transport, error) {
	streams, err := g.cfg.Port.Streams(port.Gossip)
	if err != nil {
		return nil, err
	}
	packets, err := g.cfg.Port.Packets()
	if err != nil {
		streams.Close()
		return nil, err
	}
	t := &transport{
		g: g, streams: streams, packets: packets,
		packetsCh: make(chan *memberlist.Packet),
		streamsCh: make(chan net.Conn),
		slots:     make(chan struct{}, maxStreams),
		open:      make(map[*stream]struct{}),
		emptied:   make(chan struct{}),
		attempts:  make(map[string]*attempt),
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.pumps.Go(func() { t.pumpStreams(fail) })
	t.pumps.Go(func() { t.pumpPackets(fail) })
	return t, nil
}

func (t *transport) pumpPackets(fail func(error)) {
	for {
		p, err := t.packets.ReadFrom()
		if err != nil {
			if t.ctx.Err() == nil {
				fail(fmt.Errorf("%w: %w", ErrPortEnded, err))
			}
			return
		}
		if len(p.Data) == 0 {
			continue
		}
		pkt := &memberlist.Packet{Buf: p.Data, From: net.UDPAddrFromAddrPort(p.From), Timestamp: p.At}
		select {
		case t.packetsCh <- pkt:
		case <-t.ctx.Done():
			return
		}
	}
}

func (t *transport) pumpStreams(fail func(error)) {
	for {
		c, err := t.streams.Accept()
		if err != nil {
			if t.ctx.Err() == nil {
				fail(fmt.Errorf("%w: %w", ErrPortEnded, err))
			}
			return
		}
		select {
		case t.slots <- struct{}{}:
			if s := t.track(c, t.slots); s != nil {
				t.pumps.Go(func() { t.greet(s) })
			}
		default:
			c.Close()
			t.g.counts.streams[ForStreams].Add(1)
		}
	}
}

// FinalAdvertiseAddr returns what the node announces as its address.
func (t *transport) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	a := t.g.cfg.Advertise
	return a.Addr().AsSlice(), int(a.Port()), nil
}

// PacketCh returns where memberlist takes packets.
func (t *transport) PacketCh() <-chan *memberlist.Packet { return t.packetsCh }

// StreamCh returns where memberlist takes incoming streams.
func (t *transport) StreamCh() <-chan net.Conn { return t.streamsCh }

// WriteTo sends a packet to a node whose boot id is not known.
func (t *transport) WriteTo(b []byte, addr string) (time.Time, error) {
	return t.WriteToAddress(b, memberlist.Address{Addr: addr})
}

// WriteToAddress sends a packet, unless to a node that was refused.
func (t *transport) WriteToAddress(b []byte, addr memberlist.Address) (time.Time, error) {
	if t.refused(addr.Name) {
		// As if lost on the way: after an error memberlist would not take the
		// node for dead.
		t.g.counts.muted.Add(1)
		return time.Now(), nil
	}
	to, err := netip.ParseAddrPort(addr.Addr)
	if err == nil {
		err = t.packets.WriteTo(b, to)
	}
	if err != nil {
		t.g.counts.packetErrors.Add(1)
		return time.Time{}, err
	}
	return time.Now(), nil
}

func (t *transport) refused(name string) bool {
	boot, err := idspace.ParseBootID(name)
	return err == nil && t.g.refusals.has(boot)
}

// DialTimeout opens a stream to a node whose boot id is not known.
func (t *transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return t.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

// DialAddressTimeout opens a stream behind its hellos. Without a name it is
// that of an attempt to join, which learns how it went.
func (t *transport) DialAddressTimeout(addr memberlist.Address, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(t.ctx, timeout)
	defer cancel()
	s, boot, err := t.dial(ctx, addr)
	t.mu.Lock()
	if a := t.attempts[addr.Addr]; a != nil && addr.Name == "" {
		a.peer, a.err = boot, err
	}
	t.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (t *transport) dial(ctx context.Context, addr memberlist.Address) (*stream, idspace.BootID, error) {
	if t.refused(addr.Name) {
		return nil, idspace.BootID{}, fmt.Errorf("%w: %s", ErrOtherCluster, addr.Name)
	}
	to, err := netip.ParseAddrPort(addr.Addr)
	if err != nil {
		return nil, idspace.BootID{}, err
	}
	c, err := t.g.cfg.Port.Dial(ctx, to, port.Gossip)
	if err != nil {
		return nil, idspace.BootID{}, err
	}
	s := t.track(c, nil)
	if s == nil {
		return nil, idspace.BootID{}, net.ErrClosed
	}
	stop := context.AfterFunc(ctx, s.abort)
	boot, err := t.introduce(s, to)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err == nil && addr.Name != "" && addr.Name != boot.String() {
		err = fmt.Errorf("%w: %v at %v instead of %s", ErrNotThere, boot, to, addr.Name)
	}
	if err != nil {
		s.Close()
		return nil, boot, err
	}
	return s, boot, nil
}

// introduce exchanges hellos on a stream that this node dialed.
func (t *transport) introduce(s *stream, to netip.AddrPort) (idspace.BootID, error) {
	own := t.g.hello()
	if _, err := s.Write(own.append(nil)); err != nil {
		return idspace.BootID{}, err
	}
	peer, err := readHello(s)
	if err != nil {
		return idspace.BootID{}, err
	}
	if peer.boot == own.boot {
		return peer.boot, ErrSelf
	}
	if _, err := t.g.meet(own, peer, to); err != nil {
		return peer.boot, err
	}
	if peer.verdict != welcome {
		return peer.boot, fmt.Errorf("%w: node %v refuses this one with verdict %d", ErrBadHello, peer.boot, peer.verdict)
	}
	return peer.boot, nil
}

// greet exchanges hellos on an incoming stream, and hands it to memberlist.
func (t *transport) greet(s *stream) {
	if err := t.answer(s); err != nil {
		s.Close()
		switch {
		case errors.Is(err, ErrSelf):
		case errors.Is(err, ErrOtherCluster):
			t.g.counts.streams[ForCluster].Add(1)
		case errors.Is(err, ErrOtherName):
			t.g.counts.streams[ForName].Add(1)
		default:
			t.g.counts.streams[ForHello].Add(1)
		}
		return
	}
	select {
	case t.streamsCh <- s:
	case <-t.ctx.Done():
		s.Close()
	}
}

func (t *transport) answer(s *stream) error {
	if err := s.SetDeadline(time.Now().Add(t.g.cfg.Timing.Stream)); err != nil {
		return err
	}
	peer, err := readHello(s)
	if err != nil {
		return err
	}
	own := t.g.hello()
	var refusal error
	if own.verdict = welcome; peer.boot != own.boot {
		own.verdict, refusal = t.g.meet(own, peer, netip.AddrPort{})
	} else {
		refusal = ErrSelf
	}
	if _, err := s.Write(own.append(nil)); err != nil {
		return err
	}
	if refusal != nil {
		return refusal
	}
	return s.SetDeadline(time.Time{})
}

// Shutdown ends the transport: when it returns, its goroutines have ended and
// streams still in use are broken.
func (t *transport) Shutdown() error {
	t.cancel()
	t.streams.Close()
	t.packets.Close()
	t.mu.Lock()
	first := !t.closed
	t.closed = true
	var open []*stream
	for s := range t.open {
		open = append(open, s)
	}
	if first && len(open) == 0 {
		t.lastClosed.Do(func() { close(t.emptied) })
	}
	t.mu.Unlock()
	for _, s := range open {
		s.abort()
	}
	t.pumps.Wait()
	return nil
}

// linger waits, after Shutdown, until memberlist has let go of its streams,
// which its goroutines do last; not for ever, for one that never does.
func (t *transport) linger() {
	timer := time.NewTimer(lingerTimeout)
	defer timer.Stop()
	select {
	case <-t.emptied:
	case <-timer.C:
	}
}
