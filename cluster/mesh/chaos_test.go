package mesh_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"flamingo/cluster/mesh"
	"flamingo/idspace"
)

// brittle is a stream that breaks after some bytes in either direction.
type brittle struct {
	net.Conn
	left *atomic.Int64
}

func (b brittle) Write(p []byte) (int, error) {
	if left := b.left.Add(-int64(len(p))); left < 0 {
		n, _ := b.Conn.Write(p[:max(len(p)+int(left), 0)])
		b.Close()
		return n, net.ErrClosed
	}
	return b.Conn.Write(p)
}

func (b brittle) Read(p []byte) (int, error) {
	n, err := b.Conn.Read(p)
	if b.left.Add(-int64(n)) < 0 {
		b.Close()
		return 0, net.ErrClosed
	}
	return n, err
}

// A record is what a checker knows of the sends to one id.
type record struct {
	accepted int              // asynchronous sends that returned nil
	results  map[string]error // of sends that wait, by message
}

// check compares what was sent with what arrived, and returns what is wrong.
func check(sent map[idspace.ID]*record, got func(idspace.ID) []string, losses map[idspace.ID]map[mesh.Outcome]int) (faults []string) {
	bad := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	for id, r := range sent {
		seen := make(map[string]bool)
		last := make(map[string]int)
		async := 0
		for _, m := range got(id) {
			if seen[m] {
				bad("%v: %q arrived twice", id, m)
			}
			seen[m] = true
			var sender string
			var n int
			if _, err := fmt.Sscanf(m, "%s %d", &sender, &n); err != nil {
				bad("%v: strange message %.40q", id, m)
			}
			if n <= last[sender] {
				bad("%v: %q arrived after %d", id, m, last[sender])
			}
			last[sender] = n
			if _, waited := r.results[m]; !waited {
				async++
			}
		}
		uncertain, others := losses[id][mesh.OutcomeUncertain], 0
		for _, n := range losses[id] {
			others += n
		}
		others -= uncertain
		if async > r.accepted-others || async < r.accepted-others-uncertain {
			bad("%v: %d accepted, %d arrived, %d uncertain, %d otherwise lost", id, r.accepted, async, uncertain, others)
		}
		for m, err := range r.results {
			switch {
			case err == nil && !seen[m]:
				bad("%v: %q was called written and did not arrive", id, m)
			case err != nil && !errors.Is(err, mesh.ErrUncertain) && seen[m]:
				bad("%v: %q arrived and was called %v", id, m, err)
			}
		}
	}
	return faults
}

// load sends from 8 goroutines in every way there is, to ids of every other
// node.
func load(from *node, peers []*node, each int, seed uint64) map[idspace.ID]*record {
	sent := make(map[idspace.ID]*record)
	var mu sync.Mutex
	note := func(id idspace.ID, m string, wait bool, err error) {
		mu.Lock()
		defer mu.Unlock()
		if sent[id] == nil {
			sent[id] = &record{results: make(map[string]error)}
		}
		if wait {
			sent[id].results[m] = err
		} else if err == nil {
			sent[id].accepted++
		}
	}
	ways := make(map[*node]*mesh.Peer)
	for _, to := range peers {
		ways[to] = from.To(to.boot)
	}
	var wg sync.WaitGroup
	for s := range 8 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, uint64(s)))
			for i := 1; i <= each; i++ {
				to := peers[rnd.IntN(len(peers))]
				id := idOf(to.n, rnd.IntN(20)+1)
				m := fmt.Sprintf("sender-%d-%d %d ", from.n, s, i)
				switch k := rnd.IntN(100); {
				case k < 2:
					m += strings.Repeat("x", 3*mesh.PartSize)
					note(id, m, false, ways[to].SendData(id, mesh.KindDefault, []byte(m)))
				case k < 10:
					ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
					note(id, m, true, ways[to].Send(ctx, id, mesh.KindDefault, []byte(m)))
					cancel()
				case k < 20:
					ids := []idspace.ID{id, idOf(to.n, 21), idOf(to.n, 22)}
					results := make([]error, len(ids))
					ways[to].SendMany(ids, mesh.KindDefault, []byte(m), results)
					for j := range ids {
						note(ids[j], m, false, results[j])
					}
				default:
					note(id, m, false, ways[to].SendData(id, mesh.KindDefault, []byte(m)))
				}
			}
		})
	}
	wg.Wait()
	return sent
}

// chaos runs a load between three nodes over streams that break, and returns
// what the checker finds.
func chaos(t *testing.T, seed uint64, tcp bool, meddle func(got []string) []string) (faults []string, breaks uint64) {
	r := newRig(t, 3)
	if tcp {
		r.loopback()
	}
	var mu sync.Mutex
	rnd := rand.New(rand.NewPCG(seed, 1))
	r.wrap = func(_, _ *node, c net.Conn) net.Conn {
		mu.Lock()
		defer mu.Unlock()
		left := &atomic.Int64{}
		left.Store(rnd.Int64N(1 << 20))
		return brittle{c, left}
	}
	refuse := rnd.IntN(20) + 1
	r.config = func(c *mesh.Config) { c.Reports = 1 << 20 }
	for i := 1; i <= 3; i++ {
		r.node(i).deliver = func(id idspace.ID, _ []byte) error {
			if int(id.Serial()) == refuse {
				return mesh.ErrGone
			}
			return nil
		}
	}
	stop := r.run()
	sent := make([]map[idspace.ID]*record, 3)
	var senders sync.WaitGroup
	for i := range sent {
		from, peers := r.node(i+1), []*node{r.node((i+1)%3 + 1), r.node((i+2)%3 + 1)}
		senders.Go(func() {
			sent[i] = load(from, peers, 150, seed)
			flush(t, from)
		})
	}
	senders.Wait()
	for _, n := range r.nodes {
		for _, p := range n.Peers() {
			breaks += p.Breaks
		}
	}
	stop()
	for i := range sent {
		prefix := fmt.Sprintf("sender-%d-", i+1)
		got := func(id idspace.ID) (mine []string) {
			for _, n := range r.nodes {
				if n.Owns(id.Node()) {
					mine = n.messages(id)
				}
			}
			return meddle(slices.DeleteFunc(mine, func(m string) bool { return !strings.HasPrefix(m, prefix) }))
		}
		faults = append(faults, check(sent[i], got, r.node(i+1).losses())...)
	}
	return faults, breaks
}

func asIs(got []string) []string { return got }

func TestEverySendHasOneOutcomeWhenLinksBreak(t *testing.T) {
	for name, tcp := range map[string]bool{"pipe": false, "tcp": true} {
		t.Run(name, func(t *testing.T) {
			var breaks uint64
			for seed := uint64(1); seed <= 5; seed++ {
				faults, n := chaos(t, seed, tcp, asIs)
				breaks += n
				if len(faults) > 0 {
					t.Errorf("seed %d: %d faults, first: %s", seed, len(faults), faults[0])
				}
			}
			if breaks < 10 {
				t.Errorf("only %d sessions broke", breaks)
			}
		})
	}
}

// TestCheckerSeesFaults is the negative control of the test above.
func TestCheckerSeesFaults(t *testing.T) {
	for name, meddle := range map[string]func([]string) []string{
		"twice": func(got []string) []string {
			if len(got) > 0 {
				return append(got, got[len(got)-1])
			}
			return got
		},
		"swapped": func(got []string) []string {
			for i := range got {
				for j := range i {
					if strings.Fields(got[i])[0] == strings.Fields(got[j])[0] {
						got[i], got[j] = got[j], got[i]
						return got
					}
				}
			}
			return got
		},
		"lost": func(got []string) []string { return got[:len(got)/2] },
	} {
		if faults, _ := chaos(t, 1, false, meddle); len(faults) == 0 {
			t.Errorf("%s: the checker sees nothing", name)
		}
	}
}
