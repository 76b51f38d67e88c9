package gossip_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"flamingo/cluster/gossip"
	"flamingo/cluster/port/porttest"
)

// fakeDNS is a Resolver with a few names.
type fakeDNS struct {
	mu    sync.Mutex
	hosts map[string][]netip.Addr
	srv   map[string][]*net.SRV
}

var errNoSuchName = errors.New("no such name")

func (d *fakeDNS) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if ips := d.hosts[host]; ips != nil {
		return ips, nil
	}
	return nil, errNoSuchName
}

func (d *fakeDNS) LookupSRV(_ context.Context, service, proto, name string) (string, []*net.SRV, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if recs := d.srv[name]; recs != nil && service == "" && proto == "" {
		return name, recs, nil
	}
	return "", nil, errNoSuchName
}

func TestEveryKindOfSeedFindsMembers(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "nodes")
	if err := os.WriteFile(path, []byte("# nodes\n\n 127.0.0.1:4110  # the first\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	dns := &fakeDNS{
		hosts: map[string][]netip.Addr{
			"nodes.test": {hostAddr(9).Addr(), netip.MustParseAddr("::ffff:127.0.0.1")},
			"n1.test":    {hostAddr(1).Addr()},
		},
		srv: map[string][]*net.SRV{"_flamingo._tcp.test": {{Target: "n1.test", Port: 4110}}},
	}
	for _, spec := range []string{
		"127.0.0.1", "127.0.0.1:4110", "n1.test", "n1.test:4110",
		"dns:nodes.test", "dns:nodes.test:4110", "srv:_flamingo._tcp.test", "file:" + path,
	} {
		t.Run(spec, func(t *testing.T) {
			virtual(t, func(t *testing.T, network *porttest.Network) {
				first := on(t, network, 1, clusterA)
				p := planOn(network, 2, clusterA)
				p.seeds = []string{spec}
				p.change = func(c *gossip.Config) { c.Resolver = dns }
				second := launch(t, p)
				awaitEach(t, []*node{first, second})
			})
		})
	}
}

func TestSeedsAreLookedUpAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nodes")
	dns := &fakeDNS{hosts: map[string][]netip.Addr{}}
	virtual(t, func(t *testing.T, network *porttest.Network) {
		first := on(t, network, 1, clusterA)
		third := on(t, network, 3, clusterA)
		p := planOn(network, 2, clusterA)
		p.seeds = []string{"file:" + path, "dns:nodes.test"}
		p.change = func(c *gossip.Config) { c.Resolver = dns }
		second := launch(t, p)
		<-time.After(10 * time.Minute)
		awaitEach(t, []*node{second})
		seeds := second.Seeds()
		if !errors.Is(seeds[0].Err, os.ErrNotExist) || !errors.Is(seeds[1].Err, errNoSuchName) {
			t.Errorf("seeds = %+v, want one file and one name not found", seeds)
		}

		if err := os.WriteFile(path, []byte("127.0.0.1\nnot a seed\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		dns.mu.Lock()
		dns.hosts["nodes.test"] = []netip.Addr{hostAddr(3).Addr()}
		dns.mu.Unlock()
		awaitEach(t, []*node{first, second, third})
		eventually(t, "the seeds to be looked up", func() bool { return second.Seeds()[1].Err == nil })
		if err := second.Seeds()[0].Err; !errors.Is(err, gossip.ErrBadSeed) {
			t.Errorf("file with a bad line: %v, want ErrBadSeed", err)
		}
	})
}

func TestParseSeedRefusesWhatIsNone(t *testing.T) {
	for _, spec := range []string{
		"", "dns:", "srv:", "file:", "host:", "host:0", "host:65536", "host:x", "a b", "http://host",
		"1:2:3:4", "[::1]:x", "::1:4110x", "srv:a:1", "/path", "user@host",
	} {
		if err := gossip.ParseSeed(spec); !errors.Is(err, gossip.ErrBadSeed) {
			t.Errorf("seed %q: %v, want ErrBadSeed", spec, err)
		}
	}
	for _, spec := range []string{
		"h", "h:1", "::1", "[::1]", "[::1]:4110", "10.0.0.1", "dns:h", "dns:h:1", "dns:10.0.0.1", "file:a b",
	} {
		if err := gossip.ParseSeed(spec); err != nil {
			t.Errorf("seed %q: %v, want nil", spec, err)
		}
	}
}
