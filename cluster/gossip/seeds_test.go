package gossip_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
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

func (d *fakeDNS) LookupNetIP(ctx context.Context, _, host string) ([]netip.Addr, error) {
	if host == "stuck.test" {
		<-ctx.Done()
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
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
		"exec:", "exec: ", "exec:nodes", "exec:bin/nodes",
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

func TestASeedWithoutAnswerHoldsUpNoOther(t *testing.T) {
	dns := &fakeDNS{hosts: map[string][]netip.Addr{"nodes.test": {hostAddr(1).Addr()}}}
	virtual(t, func(t *testing.T, network *porttest.Network) {
		first := on(t, network, 1, clusterA)
		p := planOn(network, 2, clusterA)
		p.seeds = []string{"dns:stuck.test", "dns:nodes.test"}
		p.change = func(c *gossip.Config) { c.Resolver = dns }
		second := launch(t, p)
		awaitEach(t, []*node{first, second})
		seeds := second.Seeds()
		if !errors.Is(seeds[0].Err, context.DeadlineExceeded) || seeds[1].Err != nil {
			t.Errorf("seeds = %+v, want the first late and the second found", seeds)
		}
	})
}

func TestWhatASeedHasTooMuchOfIsSaid(t *testing.T) {
	many := make([]netip.Addr, gossip.MaxAddrs+1)
	records := make([]*net.SRV, gossip.MaxAddrs+1)
	for i := range many {
		many[i] = netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		records[i] = &net.SRV{Target: many[i].String(), Port: 4110}
	}
	dns := &fakeDNS{
		hosts: map[string][]netip.Addr{"many.test": many, "enough.test": many[1:]},
		srv:   map[string][]*net.SRV{"many.test": records, "enough.test": records[1:]},
	}
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return "file:" + path
	}
	for _, c := range []struct {
		spec string
		want int
		err  error
	}{
		{"dns:enough.test", gossip.MaxAddrs, nil},
		{"dns:many.test", gossip.MaxAddrs, gossip.ErrTooMuch},
		{"srv:enough.test", gossip.MaxAddrs, nil},
		{"srv:many.test", gossip.MaxAddrs, gossip.ErrTooMuch},
		{file("enough", strings.Repeat("10.0.0.1\n", gossip.MaxAddrs)), gossip.MaxAddrs, nil},
		{file("many", strings.Repeat("10.0.0.1\n", gossip.MaxAddrs+1)), gossip.MaxAddrs, gossip.ErrTooMuch},
		{file("full", "10.0.0.1\n"+strings.Repeat("#", gossip.MaxSeedText-9)), 1, nil},
		{file("long", "10.0.0.1\n"+strings.Repeat("#", gossip.MaxSeedText-8)), 0, gossip.ErrTooMuch},
		{file("files", "file:/etc/hosts\n10.0.0.1\n"), 1, gossip.ErrBadSeed},
		{file("programs", "exec:/bin/echo 10.0.0.2\n10.0.0.1\n"), 1, gossip.ErrBadSeed},
	} {
		addrs, err := gossip.Resolve(t.Context(), dns, c.spec)
		if len(addrs) != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %d addresses, %v; want %d, %v", c.spec, len(addrs), err, c.want, c.err)
		}
	}
}
