package gossip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

// Gossip is this node among the members. Its methods are safe for concurrent
// use.
type Gossip struct {
	cfg Config // immutable

	table    *table
	refusals *refusals
	lost     *lost
	counts   counters
	seeker   atomic.Pointer[seeker] // set by Run

	keyring *memberlist.Keyring // immutable; nil in clear text
	keying  sync.Mutex          // held while the keyring is arranged

	wanted chan netip.AddrPort // see Exchange; sent to by callers, never closed
	ended  chan struct{}       // closed when Run returns

	// turn holds a token while memberlist is started, stopped or made to
	// announce; never closed.
	turn chan struct{}

	mu   sync.Mutex
	ran  bool
	meta Meta
	list *memberlist.Memberlist // while it runs
}

// New returns a Gossip. It opens nothing and starts no goroutine. The error
// matches ErrBadConfig.
func New(cfg Config) (*Gossip, error) {
	if a := cfg.Meta.Address; a != (netip.AddrPort{}) && a != cfg.Advertise {
		return nil, fmt.Errorf("gossip: %w: Meta.Address %v: want none, Advertise fills it in", ErrBadConfig, a)
	}
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("gossip: %w: %w", ErrBadConfig, err)
	}
	keyring, err := newKeyring(cfg.Keys)
	if err != nil {
		return nil, fmt.Errorf("gossip: %w: Keys: %w", ErrBadConfig, err)
	}
	return &Gossip{
		cfg:      cfg,
		keyring:  keyring,
		table:    newTable(cfg.Boot, cfg.MaxMembers),
		refusals: newRefusals(),
		lost:     newLost(),
		wanted:   make(chan netip.AddrPort, maxWanted),
		ended:    make(chan struct{}),
		turn:     make(chan struct{}, 1),
		meta:     cfg.Meta,
	}, nil
}

// Run is the membership of this node until ctx is done; it then says goodbye,
// within LeaveTimeout, and returns nil. It returns an error matching ErrPortEnded
// if the port ends before. Run owns every goroutine it starts and waits for
// them; of memberlist's, one that is just waiting for an answer may outlive it
// by a few probe intervals, and does nothing more.
func (g *Gossip) Run(ctx context.Context) error {
	g.mu.Lock()
	ran := g.ran
	g.ran = true
	g.mu.Unlock()
	if ran {
		return fmt.Errorf("gossip: run: %w", ErrRunning)
	}
	defer close(g.ended)

	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	t, list, err := g.start(fail)
	if err != nil {
		return fmt.Errorf("gossip: run: %w", err)
	}
	var wg sync.WaitGroup
	k := newSeeker(g, t, func(addr string) error {
		_, err := list.Join([]string{addr})
		return err
	})
	g.seeker.Store(k)
	wg.Go(func() { k.run(ctx) })
	wg.Go(func() { g.report(ctx) })
	<-ctx.Done()

	g.stop(list)
	wg.Wait()
	t.linger()
	if err := context.Cause(ctx); errors.Is(err, ErrPortEnded) {
		return fmt.Errorf("gossip: %w", err)
	}
	return nil
}

// start creates memberlist, which starts its goroutines.
func (g *Gossip) start(fail func(error)) (*transport, *memberlist.Memberlist, error) {
	g.turn <- struct{}{}
	defer func() { <-g.turn }()
	t, err := newTransport(g, fail)
	if err != nil {
		return nil, nil, err
	}
	list, err := memberlist.Create(g.listConfig(t))
	if err != nil {
		t.Shutdown() //nolint:errcheck // never fails
		return nil, nil, err
	}
	g.mu.Lock()
	g.list = list
	g.mu.Unlock()
	return t, list, nil
}

// stop says goodbye and shuts memberlist down.
func (g *Gossip) stop(list *memberlist.Memberlist) {
	// An Update that is under way ends within UpdateTimeout.
	g.turn <- struct{}{}
	defer func() { <-g.turn }()
	g.mu.Lock()
	g.list = nil
	g.mu.Unlock()
	if err := list.Leave(g.cfg.LeaveTimeout); err != nil {
		g.cfg.Logger.Warn("goodbye not spread in time: others will have to notice", "err", err)
	}
	if err := list.Shutdown(); err != nil { // it shuts the transport down
		g.cfg.Logger.Warn("shutdown of gossip", "err", err)
	}
}

func (g *Gossip) listConfig(t *transport) *memberlist.Config {
	timing := g.cfg.Timing
	c := memberlist.DefaultLANConfig()
	c.Name = g.cfg.Boot.String()
	c.Label = g.cfg.ClusterName
	c.Transport = t
	c.Keyring = g.keyring
	c.GossipVerifyIncoming, c.GossipVerifyOutgoing = true, true // nothing in clear text, if there is a key
	c.BindPort = int(g.cfg.Advertise.Port())
	c.AdvertisePort = c.BindPort
	c.TCPTimeout = timing.Stream
	c.ProbeInterval = timing.Probe
	c.ProbeTimeout = timing.ProbeTimeout
	c.GossipInterval = timing.Gossip
	c.PushPullInterval = timing.Exchange
	c.GossipToTheDeadTime = timing.Forget
	c.SuspicionMult = timing.Suspicion
	c.EnableCompression = false // ids and addresses do not compress
	d := delegates{g}
	c.Delegate, c.Events, c.Alive, c.Merge, c.Ping = d, d, d, d, d
	c.Logger = slog.NewLogLogger(newBridge(g.cfg.Logger.Handler(), &g.counts), slog.LevelDebug)
	return c
}

func (g *Gossip) memberlist() *memberlist.Memberlist {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.list
}

// Meta returns what this node announces.
func (g *Gossip) Meta() Meta {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.meta
}

// hello returns what this node says first on a stream.
func (g *Gossip) hello() hello {
	return hello{boot: g.cfg.Boot, cluster: g.Meta().Cluster, name: g.cfg.ClusterName}
}

// Update announces m from now on, in which Address may be left out. It blocks
// until the others have been told, at most for UpdateTimeout and until the
// deadline of ctx; the error then matches ErrNotSpread, and m holds all the same.
// After an error matching ErrBadMeta or ErrClusterChanged the old announcement
// holds.
// Before Run it only sets what is announced at first; after Run it returns
// ErrEnded.
func (g *Gossip) Update(ctx context.Context, m Meta) error {
	select {
	case g.turn <- struct{}{}:
		defer func() { <-g.turn }()
	case <-ctx.Done():
		return fmt.Errorf("gossip: update: %w", context.Cause(ctx))
	}
	if err := g.setMeta(m); err != nil {
		return fmt.Errorf("gossip: update: %w", err)
	}
	g.expel()
	list := g.memberlist()
	if list == nil {
		return nil
	}
	timeout := g.cfg.UpdateTimeout
	if end, ok := ctx.Deadline(); ok {
		timeout = max(min(timeout, time.Until(end)), time.Millisecond)
	}
	if err := list.UpdateNode(timeout); err != nil {
		return fmt.Errorf("gossip: update: %w", ErrNotSpread)
	}
	return nil
}

func (g *Gossip) setMeta(m Meta) error {
	if m.Address == (netip.AddrPort{}) {
		m.Address = g.cfg.Advertise
	}
	if err := m.check(); err != nil {
		return err
	}
	if m.Address != g.cfg.Advertise {
		return fmt.Errorf("%w: Address %v: want none, or %v", ErrBadMeta, m.Address, g.cfg.Advertise)
	}
	select {
	case <-g.ended:
		return ErrEnded
	default:
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.meta.sameLife(m); err != nil {
		return err
	}
	g.meta = m
	return nil
}

// expel removes the members that this node met while it was blank and that
// belong to another cluster than it does now.
func (g *Gossip) expel() {
	ours := g.Meta().Cluster
	for _, m := range g.table.snapshot() {
		if mayMeet(ours, m.Meta.Cluster) {
			continue
		}
		err := &MismatchError{Ours: ours, Theirs: m.Meta.Cluster, Peer: m.Boot, Addr: m.Addr}
		g.refusals.add(m.Boot, m.Addr, err, time.Now())
		g.table.remove(m.Boot)
	}
}

// meet judges the hello of a peer and notes the result; addr is where it
// listens, if known.
func (g *Gossip) meet(own, peer hello, addr netip.AddrPort) (verdict, error) {
	v, err := own.judge(peer)
	if err == nil {
		g.refusals.release(peer.boot)
		g.table.confirm(peer.boot, time.Now())
		return v, nil
	}
	var mismatch *MismatchError
	if errors.As(err, &mismatch) {
		mismatch.Addr = addr
	}
	g.refusals.add(peer.boot, addr, err, time.Now())
	return v, err
}
