//go:build e2e

package test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"flamingo/node"
)

// A rolling restart behind HAProxy under load: clients that come back when they are
// disconnected, and senders at every node, who hold the fabric to each of its answers.

const (
	rollClients  = 150
	rollRounds   = 3
	rollWait     = 3 * time.Second // HAProxy notices within 1.25 s
	rollDuration = 3 * time.Second
)

// A roll is the load of a rolling restart.
type roll struct {
	s     *site
	place func() string // where a client is to connect
	done  chan struct{} // closed by stop
	load  sync.WaitGroup

	mu      sync.Mutex
	present []*listener                        // guarded by mu
	ends    map[node.NodeNumber][]time.Time    // guarded by mu: when clients were disconnected, by their node
	refused []string                           // guarded by mu: clients that were not let in, and why
	answers map[node.NodeNumber]map[string]int // guarded by mu: to sends, by the node that was asked
}

// startRoll connects the clients to the proxy and starts the senders.
func (s *site) startRoll(clients int) *roll {
	s.t.Helper()
	return s.startRollAt(clients, func() string { return s.front })
}

// startRollAt is startRoll with clients that connect elsewhere.
func (s *site) startRollAt(clients int, place func() string) *roll {
	s.t.Helper()
	r := &roll{
		s: s, place: place, done: make(chan struct{}), ends: map[node.NodeNumber][]time.Time{},
		answers: map[node.NodeNumber]map[string]int{},
	}
	s.t.Cleanup(r.stop)
	for range clients {
		r.load.Go(r.stay)
	}
	seldom(s.t, "the clients to be greeted", func() bool { return len(r.clients()) == clients || len(r.faults()) > 0 })
	for _, n := range s.nodes {
		r.sendThrough(n)
	}
	return r
}

// stop ends senders and clients. The clients stay connected.
func (r *roll) stop() {
	select {
	case <-r.done:
	default:
		close(r.done)
	}
	r.load.Wait()
}

// stay is a client that comes back at once when it is disconnected.
func (r *roll) stay() {
	for {
		select {
		case <-r.done:
			return
		default:
		}
		c, err := r.s.tryJoin(r.place())
		if err != nil {
			r.mu.Lock()
			r.refused = append(r.refused, err.Error())
			r.mu.Unlock()
			return
		}
		r.mu.Lock()
		r.present = append(r.present, c)
		r.mu.Unlock()
		select {
		case <-c.ended:
		case <-r.done:
			return
		}
		at := time.Now()
		r.mu.Lock()
		r.ends[c.id.Node()] = append(r.ends[c.id.Node()], at)
		r.present = slices.DeleteFunc(r.present, func(p *listener) bool { return p == c })
		r.mu.Unlock()
	}
}

func (r *roll) clients() []*listener {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.present)
}

// sendThrough has the present life of a node send to every client in turn, until it
// has ended: to its own it waits for nothing, to those of others until it is written.
func (r *roll) sendThrough(n *siteNode) {
	from := n.number
	r.load.Go(func() {
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for seq := 1; ; seq++ {
			select {
			case <-tick.C:
			case <-r.done:
				return
			}
			clients := r.clients()
			if len(clients) == 0 {
				continue
			}
			id := clients[seq%len(clients)].id
			query := "?ack=written"
			if id.Node() == from {
				query = ""
			}
			path := "/api/v1/connections/" + id.String() + "/messages" + query
			status, text, err := n.ask(http.MethodPost, path, message{To: id, From: from, Seq: seq}.encode())
			word := uncertain
			if err == nil {
				_, word, _ = strings.Cut(outcomeOf(status, text, nil), " ")
			}
			r.note(from, id, seq, word)
			if err != nil {
				return // it has ended, or will not be asked any more
			}
		}
	})
}

func (r *roll) note(from node.NodeNumber, id node.ID, seq int, word string) {
	r.s.mu.Lock()
	if r.s.said[from] == nil {
		r.s.said[from] = sayings{}
	}
	r.s.said[from].add(id, seq, word)
	r.s.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.answers[from] == nil {
		r.answers[from] = map[string]int{}
	}
	r.answers[from][word]++
}

// faults returns what a client has noticed of a restart beyond being disconnected.
func (r *roll) faults() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, why := range r.refused {
		all = append(all, "a client was not let in: "+why)
	}
	return all
}

// lost returns what the senders were told and is not so.
func (r *roll) lost() []string {
	h := newHistory()
	r.s.into(h)
	clear(h.ended)
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	h.said = r.s.said
	return h.faults()
}

// mustHaveServed ends the load and judges it: that the clients are all there, and what
// the senders were told, when the last messages have arrived. So many, at least, are to
// have been written and accepted.
func (r *roll) mustHaveServed(clients, writes, accepts int) {
	t := r.s.t
	t.Helper()
	if n := len(r.clients()); n != clients {
		t.Errorf("%d of %d clients are there at the end", n, clients)
	}
	r.stop()
	for _, fault := range r.faults() {
		t.Error(fault)
	}
	var lost []string
	for end := time.Now().Add(patience); ; <-time.After(100 * time.Millisecond) { // the last are on their way
		if lost = r.lost(); len(lost) == 0 || time.Now().After(end) {
			break
		}
	}
	if len(lost) > 0 {
		t.Errorf("%d faults, such as:\n%s", len(lost), strings.Join(lost[:min(len(lost), 20)], "\n"))
	}
	total := map[string]int{}
	for _, answers := range r.answers {
		for word, n := range answers {
			total[word] += n
		}
	}
	t.Logf("answers to all senders: %v", total)
	if total[written] < writes || total[accepted] < accepts {
		t.Errorf("%v: too few were sent to tell anything", total)
	}
}

// unevenness says what is uneven about ends that were to be spread over a time; on a
// machine that has other things to do, quarters are what can be told apart.
func unevenness(ends []time.Time, over time.Duration) string {
	if len(ends) < 20 {
		return fmt.Sprintf("%d ends are too few", len(ends))
	}
	ends = slices.SortedFunc(slices.Values(ends), time.Time.Compare)
	first, span := ends[0], ends[len(ends)-1].Sub(ends[0])
	if span < over*7/10 || span > over*2 {
		return fmt.Sprintf("%d clients ended within %v of each other, and were to over %v", len(ends), span, over)
	}
	var quarters [4]int
	for _, at := range ends {
		quarters[min(3, int(4*at.Sub(first)/span))]++
	}
	for _, n := range quarters {
		if 100*n < 15*len(ends) || 100*n > 35*len(ends) {
			return fmt.Sprintf("%v of %d clients ended in the quarters of %v; want 15 to 35 %% in each", quarters, len(ends), span)
		}
	}
	return ""
}

// restart ends the present life of a node in the way that end knows, and starts the
// next when it is over. It returns what was uneven about the ends of its clients.
func (r *roll) restart(n *siteNode, end func()) (uneven string) {
	r.s.t.Helper()
	last, began := n.number, time.Now()
	var theirs int
	for _, c := range r.clients() {
		if c.id.Node() == last {
			theirs++
		}
	}
	end()
	r.mu.Lock()
	ends := slices.Clone(r.ends[last])
	r.mu.Unlock()
	uneven = unevenness(ends, rollDuration)
	took := time.Since(began)
	from := len(r.s.proxy.logged(0))
	n.start(n.args...)
	n.awaitReady()
	r.s.proxy.awaitLog(from, "/"+n.name+" is UP")
	r.s.awaitMesh()
	r.sendThrough(n)
	r.mu.Lock()
	answers := r.answers[last]
	r.mu.Unlock()
	r.s.t.Logf("%s, number %v, had %d clients, ended %d in %v and is back after %v; it was told to send and answered %v",
		n.name, last, theirs, len(ends), took.Round(time.Millisecond), time.Since(began).Round(time.Millisecond), answers)
	return uneven
}

// awaitAllEnds waits until every client of a life has noticed its end.
func (r *roll) awaitAllEnds(number node.NodeNumber) {
	r.s.t.Helper()
	seldom(r.s.t, "the clients of a node that has ended to notice", func() bool {
		return !slices.ContainsFunc(r.clients(), func(c *listener) bool { return c.id.Node() == number })
	})
}

func openRollSite(t *testing.T) *site {
	t.Helper()
	s := newSite(t)
	s.drainWait, s.drainDuration = rollWait, rollDuration
	s.open()
	return s
}

func TestRollingRestartBehindHAProxyLosesNothing(t *testing.T) {
	s := openRollSite(t)
	r := s.startRoll(rollClients)
	for round := range rollRounds {
		for _, n := range s.nodes {
			uneven := r.restart(n, func() {
				number := n.number
				if round%2 == 0 {
					n.terminate()
				} else if status, text, err := n.ask(http.MethodPost, "/api/v1/drain", nil); status != http.StatusAccepted {
					t.Errorf("%s was asked to drain and says %d %s %v", n.name, status, text, err)
				}
				n.awaitEnd()
				r.awaitAllEnds(number)
			})
			if uneven != "" {
				t.Errorf("round %d, %s: %s", round+1, n.name, uneven)
			}
		}
	}
	r.mustHaveServed(rollClients, 1000, 500)
}

// The controls: a node that ends without a drain is noticed, and so is a message that
// was said to be written and is not there.
func TestRestartWithoutADrainIsSeen(t *testing.T) {
	s := openRollSite(t)
	r := s.startRoll(rollClients)
	n := s.nodes[1]
	uneven := r.restart(n, func() {
		number := n.number
		n.kill()
		r.awaitAllEnds(number)
	})
	if uneven == "" {
		t.Error("the clients of a node that was killed ended evenly")
	}
	t.Logf("seen: %s", uneven)
	r.stop()
	c := r.clients()[0]
	r.note(s.nodes[0].number, c.id, 1<<30, written)
	r.note(s.nodes[0].number, c.id, 1<<30+1, accepted)
	missing := 0
	for _, fault := range r.lost() {
		if strings.Contains(fault, c.id.String()) {
			missing++
		}
	}
	if missing < 2 {
		t.Errorf("%d faults, want one for each of the two messages that nobody has sent", missing)
	}
}
