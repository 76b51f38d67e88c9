package gossip

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"flamingo/idspace"
)

// Hooks for the tests of package gossip_test.

// NewBridge is the handler behind memberlist's logger.
func NewBridge(h slog.Handler) slog.Handler { return newBridge(h, &counters{}) }

// Hello is a hello in its parts.
type Hello struct {
	Verdict uint8
	Boot    idspace.BootID
	Cluster idspace.ClusterID
	Name    string
}

// AppendHello returns the bytes of a hello.
func AppendHello(h Hello) []byte {
	return hello{verdict: verdict(h.Verdict), boot: h.Boot, cluster: h.Cluster, name: h.Name}.append(nil)
}

// ReadHello reads one.
var ReadHello = func(r interface{ Read([]byte) (int, error) }) (Hello, error) {
	h, err := readHello(r)
	return Hello{uint8(h.verdict), h.boot, h.cluster, h.name}, err
}

// ParseSeed reports whether spec is a seed.
func ParseSeed(spec string) error {
	_, err := parseSeed(spec)
	return err
}

// Lost exposes the memory of lost members.
type Lost struct{ *lost }

// NewLost returns an empty one.
func NewLost() Lost { return Lost{newLost()} }

// Add remembers an address.
func (l Lost) Add(a netip.AddrPort, now time.Time) { l.add(a, now) }

// Forgotten is how many were dropped.
func (l Lost) Forgotten() uint64 { return l.forgotten.Load() }

// Addrs returns the addresses remembered.
func (l Lost) Addrs() []netip.AddrPort { return l.addrs() }

// MaxLost bounds them.
const MaxLost = maxLost

// MaxStreams bounds the incoming streams.
const MaxStreams = maxStreams

// Put, Remove and Confirm change the table of members directly.
func (g *Gossip) Put(m Member)               { g.table.put(m) }
func (g *Gossip) Remove(boot idspace.BootID) { g.table.remove(boot) }
func (g *Gossip) Hold() (dirty, told int)    { return g.table.held() }

// held returns the sizes of the fullest subscriber.
func (t *table) held() (dirty, told int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for s := range t.subs {
		dirty, told = max(dirty, len(s.dirty)), max(told, len(s.told))
	}
	return dirty, told
}

// Arrange makes a keyring hold keys.
var Arrange = arrange

// Resolve returns the addresses of a seed.
func Resolve(ctx context.Context, r Resolver, spec string) ([]netip.AddrPort, error) {
	s, err := parseSeed(spec)
	if err != nil {
		return nil, err
	}
	return s.resolve(ctx, r)
}

// Bounds of a seed.
const (
	MaxAddrs    = maxAddrs
	MaxSeedText = maxSeedText
)
