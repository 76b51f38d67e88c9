package test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"flamingo/node"
)

// quorumVariable says how long there is to be no quorum, in place of three seconds.
const quorumVariable = "FLAMINGO_TEST_NO_QUORUM"

// TestNodesServeWithoutQuorum kills two of three voters. The third and a node without
// a vote go on with everything but numbers for new lives.
func TestNodesServeWithoutQuorum(t *testing.T) {
	t.Parallel()
	duration := 3 * time.Second
	if text := os.Getenv(quorumVariable); text != "" {
		var err error
		if duration, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	const voters = 3
	f := newFabric(t, voters+1, voters)
	for _, m := range f.members[:voters] {
		m.start()
	}
	for _, m := range f.members[:voters] {
		m.awaitOpen()
	}
	f.members[voters].open()
	f.awaitMesh()

	a := newAudience(t)
	lost := a.join(f.members[0].addr).id
	for _, m := range f.members[:2] {
		m.kill()
	}
	s := &survivors{t: t, audience: a, members: f.opened(), counts: map[string]int{}}
	s.serve(duration)
	for _, m := range s.members {
		seldom(t, m.opts.Name+" to find the owner unreachable", func() bool { return m.one(doSend, lost, "text lost") == unreachable })
	}

	// A life that begins now has to wait for its number, and says so.
	late := f.members[voters]
	before := late.number
	late.kill()
	late.start()
	seldom(t, "the node to say what it waits for", func() bool {
		return slices.ContainsFunc(late.logged(), func(line string) bool { return strings.Contains(line, "msg=waiting") })
	})
	for _, line := range late.logged() {
		if strings.Contains(line, "msg=waiting") {
			t.Logf("without quorum, a node that starts says: %s", line)
			break
		}
	}
	if late.isOpen() {
		t.Fatalf("%s is open under number %s without quorum", late.opts.Name, late.number)
	}
	begin := time.Now()
	f.members[0].start()
	f.members[0].awaitOpen()
	late.awaitOpen()
	t.Logf("a voter is back: both that waited are open after %v", time.Since(begin).Round(time.Millisecond))
	if late.number <= before {
		t.Errorf("number %s after %s, want a later one", late.number, before)
	}
	f.awaitMesh()
	s.members = f.opened()
	s.serve(time.Second / 2)
}

// survivors are the members that are left, with clients that come and go.
type survivors struct {
	t        *testing.T
	audience *audience
	members  []*member
	counts   map[string]int
}

// serve has the members send to each other's connections, close them, accept others
// and describe them, for so long.
func (s *survivors) serve(duration time.Duration) {
	s.t.Helper()
	begin, counted := time.Now(), s.audience.arrived.Load()
	clear(s.counts)
	for time.Since(begin) < duration {
		for _, owner := range s.members {
			ids, err := s.audience.joinMany(owner.addr, 4)
			if err != nil {
				s.t.Fatalf("accept: %v", err)
			}
			s.counts["accepts"] += len(ids)
			for _, m := range s.members {
				s.expect("sends", m.ask(order{Do: doStream, IDs: ids, Count: manyMessages}).Outcomes, manyMessages)
				s.expect("sends that wait", m.ask(order{Do: doSendWait, IDs: ids, Text: "text written"}).Outcomes, 1)
				s.expect("describes", m.ask(order{Do: doDescribe, IDs: ids}).Outcomes, 1)
			}
			for i, id := range ids { // each is closed by another member
				closer := s.members[i%len(s.members)]
				s.expect("closes", closer.ask(order{Do: doClose, IDs: []node.ID{id}}).Outcomes, 1)
			}
			s.audience.awaitEnd(ids)
			for _, m := range s.members {
				for _, word := range m.ask(order{Do: doSend, IDs: ids, Text: "text late"}).Outcomes {
					if word != accepted && word != gone { // accepted until the owner has answered
						s.t.Errorf("a send after the close: %s", word)
					}
				}
			}
			s.check(ids, manyMessages*len(s.members))
		}
	}
	s.t.Logf("%d nodes, %v: %v; %d messages arrived", len(s.members), time.Since(begin).Round(time.Millisecond), s.counts, s.audience.arrived.Load()-counted)
}

func (s *survivors) expect(what string, outcomes []string, weight int) {
	s.t.Helper()
	for _, word := range outcomes {
		if word != accepted {
			s.t.Errorf("%s: %s", what, word)
		}
		s.counts[what] += weight
	}
}

// check finds whether each of the connections, which are closed, has received want
// messages, each once and in its place.
func (s *survivors) check(ids []node.ID, want int) {
	s.t.Helper()
	h := newHistory()
	s.audience.into(h)
	for id, messages := range h.arrived {
		if !slices.Contains(ids, id) {
			delete(h.arrived, id)
		} else if len(messages) != want {
			s.t.Errorf("connection %s has received %d messages, want %d", id, len(messages), want)
		}
	}
	if faults := h.faults(); len(faults) > 0 {
		s.t.Errorf("%d faults, such as:\n%s", len(faults), strings.Join(faults[:min(len(faults), 10)], "\n"))
	}
	s.audience.forget(ids)
}
