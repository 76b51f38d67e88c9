package test

import (
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"flamingo/node"
)

// chaosVariable says how long nodes are killed, in place of eight seconds.
const chaosVariable = "FLAMINGO_TEST_CHAOS"

// TestChaosLosesNothingInSilence has three nodes send to each other's clients while
// one after another is killed and started again, sometimes two at a time.
func TestChaosLosesNothingInSilence(t *testing.T) {
	t.Parallel()
	duration := 8 * time.Second
	if text := os.Getenv(chaosVariable); text != "" {
		var err error
		if duration, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	const nodes, clients = 3, 10 // clients of each life
	f := newFabric(t, nodes, nodes)
	f.openAll()
	c := &chaos{t: t, audience: newAudience(t)}
	for _, m := range f.members {
		c.welcome(f, m, clients)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, 0))
	pause := func(most time.Duration) { <-time.After(time.Duration(dice.Int64N(int64(most)))) }
	kills := 0
	for begin := time.Now(); time.Since(begin) < duration; {
		victims := dice.Perm(nodes)[:1+dice.IntN(5)/4] // two of three now and then
		pause(time.Second)
		for _, v := range victims {
			f.members[v].kill()
			kills++
		}
		pause(time.Second / 2)
		for _, v := range victims {
			f.members[v].start()
		}
		for _, v := range victims {
			f.members[v].awaitOpen()
		}
		for _, v := range victims {
			c.welcome(f, f.members[v], clients)
		}
	}
	f.awaitMesh()
	pause(time.Second)

	h := newHistory()
	for _, m := range f.members {
		h.said[m.number] = m.ask(order{Do: doRest}).Said
	}
	for _, m := range f.members { // they have come to rest: what was accepted has left them, or will be reported
		m.settle(c.audience)
	}
	faults := c.judge(f, h)
	for late := time.Now().Add(patience); len(faults) > 0 && time.Now().Before(late); faults = c.judge(f, h) {
		<-time.After(50 * time.Millisecond) // reports are on their way
	}
	if len(faults) > 0 {
		t.Errorf("%d faults, such as:\n%s", len(faults), strings.Join(faults[:min(len(faults), 20)], "\n"))
	}
	c.summarize(kills, h)
}

type chaos struct {
	t        *testing.T
	audience *audience
}

// welcome connects clients to a life that has begun, and has every member send to
// them, and this one to the clients of the others.
func (c *chaos) welcome(f *fabric, m *member, clients int) {
	c.t.Helper()
	ids, err := c.audience.joinMany(m.addr, clients)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, o := range f.opened() {
		o.ask(order{Do: doTraffic, IDs: ids})
	}
	var others []node.ID
	c.audience.mu.Lock()
	for id, l := range c.audience.clients {
		if id.Node() != m.number && !l.isEnded() {
			others = append(others, id)
		}
	}
	c.audience.mu.Unlock()
	m.ask(order{Do: doTraffic, IDs: others})
}

// settle waits until all that was sent to the member's clients before has arrived: it
// goes the same way.
func (m *member) settle(a *audience) {
	m.t.Helper()
	var open []node.ID
	a.mu.Lock()
	for id, c := range a.clients {
		if id.Node() == m.number && !c.isEnded() {
			open = append(open, id)
		}
	}
	a.mu.Unlock()
	for i, word := range m.ask(order{Do: doSendWait, IDs: open, Text: "text settled"}).Outcomes {
		if word != accepted {
			m.t.Errorf("%s to its own connection %s: %s", m.opts.Name, open[i], word)
		}
	}
	until(m.t, "the last message", func() bool {
		for _, id := range open {
			if texts := a.clients[id].heard(); len(texts) == 0 || texts[len(texts)-1] != "settled" {
				return false
			}
		}
		return true
	})
}

// judge completes the history by what has arrived and was reported until now.
func (c *chaos) judge(f *fabric, h *history) []string {
	c.t.Helper()
	c.audience.into(h)
	h.reported = reports{}
	for _, m := range f.members {
		for id, counts := range m.ask(order{Do: doTell}).Reported {
			if h.reported[id] == nil {
				h.reported[id] = map[string]int{}
			}
			for word, n := range counts {
				h.reported[id][word] += n
			}
		}
	}
	return h.faults()
}

func (c *chaos) summarize(kills int, h *history) {
	words := map[string]int{}
	for _, said := range h.said {
		for _, messages := range said {
			for _, word := range messages {
				words[word]++
			}
		}
	}
	arrived, reported := 0, map[string]int{}
	for _, messages := range h.arrived {
		arrived += len(messages)
	}
	for _, counts := range h.reported {
		for word, n := range counts {
			reported[word] += n
		}
	}
	open := 0
	lost := 0 // accepted by lives that live, for connections of lives that were killed
	for id, ended := range h.ended {
		if !ended {
			open++
			continue
		}
		for from, said := range h.said {
			got := map[int]bool{}
			for _, m := range h.arrived[id] {
				got[m.Seq] = got[m.Seq] || m.From == from
			}
			for seq, word := range said[id] {
				if word == accepted && !got[seq] {
					lost++
				}
			}
		}
		for _, n := range h.reported[id] {
			lost -= n
		}
	}
	c.t.Logf("%d kills, %d connections (%d open at the end), %d messages arrived; the lives at the end were told %v, and report %v; "+
		"accepted for a connection of a killed node, neither arrived nor reported: %d", kills, len(h.arrived), open, arrived, words, reported, lost)
}
