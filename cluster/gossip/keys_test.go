package gossip_test

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"flamingo/cluster/gossip"

	"github.com/hashicorp/memberlist"
)

func keyOf(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

func keysOf(text string) (keys [][]byte) {
	for _, b := range []byte(text) {
		keys = append(keys, keyOf(b))
	}
	return keys
}

// TestKeyringIsArranged while memberlist reads it, for every change between lists
// of up to three keys.
func TestKeyringIsArranged(t *testing.T) {
	lists := []string{"a", "b", "ab", "ba", "bc", "abc", "acb", "bac", "bca", "cab", "cba", "dab"}
	for _, from := range lists {
		for _, to := range lists {
			ring, err := memberlist.NewKeyring(keysOf(from), keyOf(from[0]))
			if err != nil {
				t.Fatal(err)
			}
			stop := make(chan struct{})
			var reading sync.WaitGroup
			reading.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					for _, k := range ring.GetKeys() { // as memberlist does, for each packet
						if len(k) != 32 {
							t.Errorf("a key of %d bytes", len(k))
						}
					}
				}
			})
			if err := gossip.Arrange(ring, keysOf(to)); err != nil {
				t.Errorf("%s to %s: %v", from, to, err)
			}
			close(stop)
			reading.Wait()
			if got := ring.GetKeys(); !slices.EqualFunc(got, keysOf(to), bytes.Equal) {
				t.Errorf("%s to %s: the ring holds %d keys, the first %q", from, to, len(got), got[0][:1])
			}
		}
	}
}

func TestKeysAreChecked(t *testing.T) {
	for name, keys := range map[string][][]byte{"short": {keyOf(1)[:31]}, "long": {append(keyOf(1), 1)}, "empty": {{}}} {
		cfg := gossip.Config{Port: listen(t, netip.AddrPort{}, nil), Boot: newBoot(t), Meta: metaOf("a", clusterA), Keys: keys}
		if _, err := gossip.New(cfg); !errors.Is(err, gossip.ErrBadConfig) {
			t.Errorf("%s: New = %v, want ErrBadConfig", name, err)
		}
		cfg.Keys = keysOf("a")
		g, err := gossip.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := g.SetKeys(keys); !errors.Is(err, gossip.ErrBadConfig) {
			t.Errorf("%s: SetKeys = %v, want ErrBadConfig", name, err)
		}
		if err := g.SetKeys(nil); !errors.Is(err, gossip.ErrBadConfig) {
			t.Errorf("SetKeys(nil) = %v, want ErrBadConfig", err)
		}
		cfg.Port.Close()
	}
}

// TestKeyTellsMembersFromStrangers on the same network.
func TestKeyTellsMembersFromStrangers(t *testing.T) {
	with := func(keys string) func(*gossip.Config) {
		return func(c *gossip.Config) { c.Keys = keysOf(keys) }
	}
	a := launch(t, plan{name: "a", cluster: clusterA, timing: gossip.Fast(), change: with("ab")})
	seeds := []string{a.addr.String()}
	b := launch(t, plan{name: "b", cluster: clusterA, timing: gossip.Fast(), seeds: seeds, change: with("ba")})
	eventually(t, "nodes that share keys to meet", func() bool { return len(a.Members()) == 2 && len(b.Members()) == 2 })
	for _, keys := range []string{"c", ""} {
		stranger := launch(t, plan{name: "c", cluster: clusterA, timing: gossip.Fast(), seeds: seeds, change: with(keys)})
		eventually(t, "attempts to join", func() bool { return stranger.Stats().JoinErrors >= 2 })
		if got := len(stranger.Members()); got != 1 || len(a.Members()) != 2 {
			t.Errorf("with keys %q: a member of %d, and among %d", keys, got, len(a.Members()))
		}
	}
}
