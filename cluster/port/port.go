package port

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// portTries is how often a port chosen by the system is tried: it is free for
// TCP and may be taken for UDP.
const portTries = 16

// Port is the one port between nodes. Its methods are safe for concurrent use.
type Port struct {
	cfg   Config // immutable
	guard guard  // immutable

	// slots holds a token for each unclassified connection; never closed.
	slots  chan struct{}
	counts counters

	strangers, impostors notices // among those that dial, and that are dialed

	mu       sync.Mutex
	stage    stage
	listener net.Listener
	socket   net.PacketConn
	addr     netip.AddrPort
	streams  [lastProtocol + 1]*Streams
	packets  *Packets
	waiting  waiting
}

// stage is how far a Port has come. It only grows.
type stage uint8

const (
	fresh     stage = iota // by New
	listening              // by Listen
	running                // by Run
	ended                  // by Close, or when Run returns
)

// New returns a Port. It opens nothing and starts no goroutine. The error
// matches ErrBadConfig.
func New(cfg Config) (*Port, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("port: %w: %w", ErrBadConfig, err)
	}
	cfg = cfg.withDefaults()
	var g guard = clearText{}
	if cfg.Trust != nil {
		g = secured{cfg.Trust}
	}
	return &Port{
		cfg:     cfg,
		guard:   g,
		slots:   make(chan struct{}, cfg.MaxUnclassified),
		waiting: newWaiting(),
	}, nil
}

// Listen opens the sockets, so that Addr is known before Run; connections and
// packets wait in the system until then. After Listen either Run or Close has
// to be called.
func (p *Port) Listen(ctx context.Context) error {
	p.mu.Lock()
	stage := p.stage
	p.mu.Unlock()
	if stage != fresh {
		return fmt.Errorf("port: listen: %w", ErrRunning)
	}
	ln, pc, err := p.open(ctx)
	if err != nil {
		return fmt.Errorf("port: listen: %w", err)
	}
	p.mu.Lock()
	ok := p.stage == fresh
	if ok {
		p.stage, p.listener, p.socket, p.addr = listening, ln, pc, addrPortOf(ln.Addr())
	}
	p.mu.Unlock()
	if !ok { // another Listen or Close was faster
		ln.Close()
		pc.Close()
		return fmt.Errorf("port: listen: %w", ErrRunning)
	}
	return nil
}

// open opens both sockets on one address.
func (p *Port) open(ctx context.Context) (net.Listener, net.PacketConn, error) {
	var faults []error
	for range portTries {
		ln, err := p.cfg.Network.Listen(ctx, p.cfg.Addr)
		if err != nil {
			return nil, nil, err
		}
		pc, err := p.cfg.Network.ListenPacket(ctx, addrPortOf(ln.Addr()))
		if err == nil {
			return ln, pc, nil
		}
		ln.Close()
		faults = append(faults, err)
		if p.cfg.Addr.Port() != 0 || ctx.Err() != nil {
			break
		}
	}
	return nil, nil, errors.Join(faults...)
}

// Addr returns the address that is listened on; invalid before Listen.
func (p *Port) Addr() netip.AddrPort {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.addr
}

// Run serves the port until ctx is done, then returns nil, or until a socket
// fails for good. It listens if Listen was not called. Run owns the sockets and
// every goroutine it starts: when it returns, they have ended, streams that
// waited are closed, and every consumer gets net.ErrClosed. Streams that were
// accepted or dialed belong to whoever has them.
func (p *Port) Run(ctx context.Context) error {
	if p.Addr() == (netip.AddrPort{}) {
		if err := p.Listen(ctx); err != nil {
			return err
		}
	}
	p.mu.Lock()
	ok := p.stage == listening
	if ok {
		p.stage = running
	}
	ln, pc := p.listener, p.socket
	p.mu.Unlock()
	if !ok {
		return fmt.Errorf("port: run: %w", ErrRunning)
	}
	return p.serve(ctx, ln, pc)
}

func (p *Port) serve(parent context.Context, ln net.Listener, pc net.PacketConn) error {
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	stop := context.AfterFunc(ctx, p.end)
	defer stop()

	var wg sync.WaitGroup
	var acceptErr, packetErr error
	wg.Go(func() {
		defer cancel()
		acceptErr = p.acceptLoop(ctx, ln, &wg)
	})
	wg.Go(func() {
		defer cancel()
		packetErr = p.packetLoop(ctx, pc)
	})
	wg.Wait()
	p.end()
	if err := cmp.Or(acceptErr, packetErr); err != nil && parent.Err() == nil {
		return fmt.Errorf("port: %w", err)
	}
	return nil
}

// Close closes what Listen opened, for a Port that is not run after all. It
// may be called at any time and any number of times; a Run it interrupts
// returns an error matching net.ErrClosed.
func (p *Port) Close() error {
	p.end()
	return nil
}

// end closes the sockets, the unclassified connections and the consumers.
func (p *Port) end() {
	p.mu.Lock()
	p.stage = ended
	ln, pc := p.listener, p.socket
	streams, packets := p.streams, p.packets
	left := p.waiting.takeAll(Stopping)
	p.mu.Unlock()

	if ln != nil {
		ln.Close()
		pc.Close()
	}
	for _, c := range left {
		c.Close()
	}
	for _, s := range streams {
		if s != nil {
			s.Close()
		}
	}
	if packets != nil {
		packets.Close()
	}
}

// Dial opens a stream of the given protocol to the node at addr. It blocks
// until the stream is open, the network gives up, or ctx is done. That it
// succeeds says nothing about the other end, but that it is a node of the cluster if
// there is Trust: a stream that is not wanted there is closed. The caller owns the
// result, which with Trust is a *trust.Conn.
func (p *Port) Dial(ctx context.Context, addr netip.AddrPort, proto Protocol) (net.Conn, error) {
	nc, err := p.dial(ctx, addr, proto)
	if err != nil {
		p.counts.dialErrors.Add(1)
		return nil, fmt.Errorf("port: dial %v for %v: %w", addr, proto, err)
	}
	p.counts.dialed.Add(1)
	return nc, nil
}

func (p *Port) dial(ctx context.Context, addr netip.AddrPort, proto Protocol) (net.Conn, error) {
	if err := proto.check(); err != nil {
		return nil, err
	}
	if err := p.cfg.checkClear("address", addr); err != nil {
		return nil, err
	}
	nc, err := p.cfg.Network.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(p.cfg.ClassifyTimeout)) //nolint:errcheck // a closed connection shows in the guard
	stream, err := p.guard.dialed(nc, proto)
	if err == nil {
		err = nc.SetDeadline(time.Time{})
	}
	if !stop() { // the context ended and closed nc
		closeIf(stream)
		return nil, context.Cause(ctx)
	}
	if err != nil {
		closeIf(stream)
		if why, ok := distrust(err); ok {
			p.counts.distrusted[why].Add(1)
			p.impostors.say(p.cfg.Logger, "node not trusted, or does not trust this one", nc, why, err)
		}
		nc.Close()
		return nil, err
	}
	return stream, nil
}

// pause waits for d, or until ctx is done.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
