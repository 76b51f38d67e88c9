package test

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"flamingo/node"
	"flamingo/node/nodetest"
)

// manyMessages is how many each sender sends to each connection.
const manyMessages = 5

// A station is a node to which clients connect and which can be told to send: a
// process, or one in this process.
type station interface {
	address() string
	identity() node.NodeNumber
	stream(ids []node.ID) ([]string, error) // numbered messages, manyMessages to each
	end(ids []node.ID) ([]string, error)    // closes each
}

func (m *member) address() string           { return m.addr }
func (m *member) identity() node.NodeNumber { return m.number }

func (m *member) stream(ids []node.ID) ([]string, error) {
	a, err := m.life.await(order{Do: doStream, IDs: ids, Count: manyMessages})
	return a.Outcomes, err
}

func (m *member) end(ids []node.ID) ([]string, error) {
	a, err := m.life.await(order{Do: doClose, IDs: ids})
	return a.Outcomes, err
}

// inProcess is a station in this process.
type inProcess struct{ *node.Node }

func (p inProcess) address() string           { return p.Addrs()[0].String() }
func (p inProcess) identity() node.NodeNumber { return p.Number() }

func (p inProcess) stream(ids []node.ID) ([]string, error) {
	return stream(p.Node, ids, manyMessages), nil
}

func (p inProcess) end(ids []node.ID) ([]string, error) {
	words := make([]string, len(ids))
	for i, id := range ids {
		words[i] = wordFor(p.SendClose(id))
	}
	return words, nil
}

func TestEveryProcessReachesThousandConnectionsOfEveryOther(t *testing.T) {
	for _, c := range []struct{ nodes, sets int }{
		{3, 2}, // 2,000 connections each: a thousand for each of the others
		{5, 1}, // 1,000 connections each, of all the others
	} {
		t.Run(fmt.Sprintf("%d processes", c.nodes), func(t *testing.T) {
			f := newFabric(t, c.nodes, 3)
			f.openAll()
			var all []station
			for _, m := range f.members {
				all = append(all, m)
			}
			exchange(t, all, c.sets)
			for _, m := range f.members {
				if lost := m.ask(order{Do: doTell}).Reported; len(lost) > 0 {
					t.Errorf("%s reports as undelivered: %v", m.opts.Name, lost)
				}
			}
		})
	}
}

func TestEveryNodeOfOneProcessReachesThousandConnectionsOfEveryOther(t *testing.T) {
	for _, c := range []struct{ nodes, sets int }{{3, 2}, {5, 1}} {
		t.Run(fmt.Sprintf("%d nodes", c.nodes), func(t *testing.T) { exchange(t, openTogether(t, c.nodes), c.sets) })
	}
}

// openTogether opens nodes in this process that found a cluster, three of them, and
// waits until all see all.
func openTogether(t *testing.T, nodes int) []station {
	t.Helper()
	begin := time.Now()
	addrs := nodetest.FreeAddrs(t, nodes)
	all := make([]station, len(addrs))
	var wg sync.WaitGroup
	for i, addr := range addrs {
		wg.Go(func() {
			n, err := memberOpts{Name: fmt.Sprintf("node%d", i), Cluster: addr, Join: addrs, Expect: 3, DataDir: t.TempDir()}.open(slog.New(slog.DiscardHandler))
			if err != nil {
				t.Error(err)
				return
			}
			closeAtEnd(t, n)
			go greet(n)
			all[i] = inProcess{n}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	for _, s := range all {
		seldom(t, "every node to see all others", func() bool {
			seen := s.(inProcess).Nodes()
			return !slices.ContainsFunc(all, func(o station) bool {
				return !slices.ContainsFunc(seen, func(i node.NodeInfo) bool {
					return i.Number == o.identity() && (i.Self || i.Link == "up" || i.Link == "idle")
				})
			})
		})
	}
	t.Logf("%d nodes of one process: all see all after %v", nodes, time.Since(begin).Round(time.Millisecond))
	return all
}

// exchange has every station send to the connections of every other, all at once, and
// checks that each message arrives once and in its place. Each station has sets times
// manyPerOwner connections: of several sets, the k-th other has the k-th.
func exchange(t *testing.T, all []station, sets int) {
	t.Helper()
	begin := time.Now()
	a := newAudience(t)
	ids := make([][]node.ID, len(all))
	var joining sync.WaitGroup
	for i, s := range all {
		joining.Go(func() {
			var err error
			if ids[i], err = a.joinMany(s.address(), sets*manyPerOwner); err != nil {
				t.Error(err)
			}
		})
	}
	joining.Wait()
	if t.Failed() {
		t.FailNow()
	}
	joined := time.Since(begin)

	begin = time.Now()
	var sending sync.WaitGroup
	sent := newHistory()
	var mu sync.Mutex // of sent
	count := 0
	for i, sender := range all {
		for k, owner := range all {
			if i == k {
				continue
			}
			to := ids[k]
			if sets > 1 {
				turn := (i - k + len(all) - 1) % len(all) // 0 for the next, and so on
				to = to[turn*manyPerOwner : (turn+1)*manyPerOwner]
			}
			count += len(to) * manyMessages
			sending.Go(func() {
				words, err := sender.stream(to)
				if err != nil {
					t.Errorf("%s: %v", sender.identity(), err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				if sent.said[sender.identity()] == nil {
					sent.said[sender.identity()] = sayings{}
				}
				for j, id := range to {
					if words[j] != accepted {
						t.Errorf("%s to %s of %s: %s", sender.identity(), id, owner.identity(), words[j])
					}
					for seq := 1; seq <= manyMessages; seq++ {
						sent.said[sender.identity()].add(id, seq, accepted)
					}
				}
			})
		}
	}
	sending.Wait()
	if t.Failed() {
		t.FailNow()
	}
	accepting := time.Since(begin)
	until(t, fmt.Sprintf("%d messages", count), func() bool { return a.arrived.Load() >= int64(count) })
	t.Logf("%d clients joined in %v; %d messages from %d nodes: accepted in %v, arrived in %v", sets*manyPerOwner*len(all),
		joined.Round(time.Millisecond), count, len(all), accepting.Round(time.Millisecond), time.Since(begin).Round(time.Millisecond))

	// Behind the last message comes the end: whatever comes twice comes before it.
	for i, s := range all {
		words, err := s.end(ids[i])
		if err != nil {
			t.Fatal(err)
		}
		for j, word := range words {
			if word != accepted {
				t.Errorf("the close of %s by its node: %s", ids[i][j], word)
			}
		}
		a.awaitEnd(ids[i])
	}
	a.into(sent)
	clear(sent.ended) // here the end was in order
	if faults := sent.faults(); len(faults) > 0 {
		t.Errorf("%d faults, such as:\n%s", len(faults), strings.Join(faults[:min(len(faults), 10)], "\n"))
	}
	if got := a.arrived.Load(); got != int64(count) {
		t.Errorf("%d messages arrived, want %d", got, count)
	}
}
