package gossip

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"flamingo/idspace"
)

const (
	// maxTries bounds the addresses tried in one round, chosen at random:
	// the first that answers usually brings all others with it.
	maxTries = 16

	// tryWorkers is how many are tried at once, so that an address that
	// swallows everything does not hold up the others.
	tryWorkers = 4

	// resolveTimeout bounds a lookup of all seeds, which are looked up at once: one
	// that gets no answer does not hold up the others.
	resolveTimeout = 5 * time.Second

	// maxWanted bounds the exchanges asked for and not begun. One more is not
	// made: news comes in other ways, too.
	maxWanted = 8
)

// Seed is how a configured seed fared when it was last looked up.
type Seed struct {
	Spec  string
	At    time.Time // zero before the first time
	Addrs []SeedAddr
	Err   error // of the lookup; Addrs may have some all the same
}

// SeedAddr is how an address of a seed fared when it was last tried. It is not
// tried while a member is present there.
type SeedAddr struct {
	Addr netip.AddrPort
	At   time.Time      // zero for never
	Peer idspace.BootID // who answered; zero if nobody
	Self bool           // it was this node
	Err  error          // matches ErrSelf, ErrOtherCluster, ErrOtherName, or another cause
}

// attempt is an attempt to join by one address. Guarded by transport.mu.
type attempt struct {
	peer idspace.BootID
	err  error
}

// seeker looks for seeds and lost members.
type seeker struct {
	g     *Gossip
	t     *transport
	join  func(addr string) error // memberlist's
	seeds []seed

	mu    sync.Mutex
	found []Seed
	tried map[netip.AddrPort]SeedAddr // of the addresses in found
}

func newSeeker(g *Gossip, t *transport, join func(string) error) *seeker {
	k := &seeker{g: g, t: t, join: join, tried: make(map[netip.AddrPort]SeedAddr)}
	k.seeds, _ = parseSeeds(g.cfg.Seeds) // New has checked them
	for _, s := range k.seeds {
		k.found = append(k.found, Seed{Spec: s.spec})
	}
	return k
}

// run seeks until ctx is done.
func (k *seeker) run(ctx context.Context) {
	timing := k.g.cfg.Timing
	wait := timing.RejoinMin
	for ctx.Err() == nil {
		k.round(ctx)
		// From one half of the pause to all of it.
		pause := time.NewTimer(wait/2 + time.Duration(k.g.cfg.Jitter()*float64(wait/2)))
		select {
		case <-pause.C:
			wait = min(2*wait, timing.RejoinMax)
		case <-k.g.lost.kicked:
			wait = timing.RejoinMin
			select {
			case <-pause.C:
			case <-time.After(wait):
			case <-ctx.Done():
			}
		case addr := <-k.g.wanted:
			k.try(addr)
		case <-ctx.Done():
		}
		pause.Stop()
	}
}

// round looks the seeds up and tries what no present member stands for.
func (k *seeker) round(ctx context.Context) {
	addrs := append(k.lookup(ctx), k.g.lost.addrs()...)
	slices.SortFunc(addrs, netip.AddrPort.Compare)
	addrs = slices.Compact(addrs)
	addrs = slices.DeleteFunc(addrs, k.covered)
	rand.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })

	work := make(chan netip.AddrPort, maxTries)
	for _, a := range addrs[:min(len(addrs), maxTries)] {
		work <- a
	}
	close(work)
	var wg sync.WaitGroup
	for range min(len(work), tryWorkers) {
		wg.Go(func() {
			for addr := range work {
				if ctx.Err() == nil && !k.covered(addr) {
					k.try(addr)
				}
			}
		})
	}
	wg.Wait()
}

// covered reports whether a present member is reached at addr.
func (k *seeker) covered(addr netip.AddrPort) bool {
	t := k.g.table
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, m := range t.present {
		if m.Addr == addr {
			return true
		}
	}
	return false
}

// lookup returns the addresses of all seeds. It blocks until the last lookup has
// ended, at most resolveTimeout and execGrace.
func (k *seeker) lookup(ctx context.Context) []netip.AddrPort {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	found := make([][]netip.AddrPort, len(k.seeds))
	var wg sync.WaitGroup
	for i := range k.seeds { // at most maxSeeds
		wg.Go(func() { found[i] = k.lookupOne(ctx, i) })
	}
	wg.Wait()
	all := slices.Concat(found...)
	k.mu.Lock()
	defer k.mu.Unlock()
	for a := range k.tried {
		if !slices.Contains(all, a) {
			delete(k.tried, a)
		}
	}
	for _, a := range all {
		if _, ok := k.tried[a]; !ok {
			k.tried[a] = SeedAddr{Addr: a}
		}
	}
	return all
}

// lookupOne returns the addresses of one seed and notes how it fared.
func (k *seeker) lookupOne(ctx context.Context, i int) []netip.AddrPort {
	addrs, err := k.seeds[i].resolve(ctx, k.g.cfg.Resolver)
	if err != nil {
		k.g.cfg.Logger.Debug("seed not found", "seed", k.seeds[i].spec, "err", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.found[i].At, k.found[i].Err = time.Now(), err
	k.found[i].Addrs = nil
	for _, a := range addrs {
		k.found[i].Addrs = append(k.found[i].Addrs, SeedAddr{Addr: a})
	}
	return addrs
}

// try attempts to join by one address and notes how it went.
func (k *seeker) try(addr netip.AddrPort) {
	a := k.t.begin(addr)
	err := k.join(addr.String())
	peer, cause := k.t.end(addr, a)
	if cause != nil { // rather than memberlist's words for it
		err = cause
	}
	switch {
	case err == nil:
		k.g.counts.joins.Add(1)
	case !errors.Is(err, ErrSelf):
		k.g.counts.joinErrors.Add(1)
		err = fmt.Errorf("gossip: join %v: %w", addr, err)
		k.g.cfg.Logger.Debug("cannot join", "addr", addr, "err", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.tried[addr]; ok {
		k.tried[addr] = SeedAddr{Addr: addr, At: time.Now(), Peer: peer, Self: errors.Is(err, ErrSelf), Err: err}
	}
}

// begin makes the next stream that is dialed to addr without a name report to
// the attempt it returns.
func (t *transport) begin(addr netip.AddrPort) *attempt {
	a := &attempt{}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.attempts[addr.String()] = a
	return a
}

func (t *transport) end(addr netip.AddrPort, a *attempt) (idspace.BootID, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.attempts, addr.String())
	return a.peer, a.err
}

// Exchange has this node soon exchange what both know with the one at addr. It
// is for who finds that another node knows of members that it does not see: news
// spreads by packets, which may be lost, and the next exchange in turn is with
// a member at random. It does not wait.
func (g *Gossip) Exchange(addr netip.AddrPort) {
	select {
	case g.wanted <- addr:
	default:
	}
}

// Seeds returns how the seeds fared, in the order of Config.Seeds. It is empty
// before Run.
func (g *Gossip) Seeds() []Seed {
	k := g.seeker.Load()
	if k == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	all := slices.Clone(k.found)
	for i := range all {
		all[i].Addrs = slices.Clone(all[i].Addrs)
		for j, a := range all[i].Addrs {
			all[i].Addrs[j] = k.tried[a.Addr]
		}
	}
	return all
}
