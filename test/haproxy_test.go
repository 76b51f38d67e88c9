//go:build e2e

package test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"flamingo/node"
)

// Three processes of the real binary behind a real HAProxy, configured as
// docs/haproxy.md shows. What a client notices is the measure.

const siteClients = 300

func TestAnyNodeReachesEveryClientBehindHAProxy(t *testing.T) {
	s := openSite(t)
	ids := s.welcome(siteClients)
	for _, n := range s.nodes {
		if count := len(n.idsOf(ids)); count < siteClients/5 || count > siteClients/2 {
			t.Errorf("%s has %d of %d clients", n.name, count, siteClients)
		}
	}
	s.exchange(ids, 10)
	s.judge()
}

func TestHalfClosedClientsBehindHAProxyGetTheirAnswers(t *testing.T) {
	s := openSite(t)
	_, port, _ := strings.Cut(s.front, ":")
	for _, lines := range []int{1, 1000} {
		nc := dialPort(t, port)
		said := strings.Repeat("a line that comes back\n", lines)
		if _, err := io.WriteString(nc, said); err != nil {
			t.Fatal(err)
		}
		if err := nc.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		heard, err := io.ReadAll(nc)
		first, rest, _ := strings.Cut(string(heard), "\n")
		if err != nil || !strings.HasPrefix(first, s.greeting) || rest != said {
			t.Errorf("said %d lines and heard %q, then %d of %d bytes, %v", lines, first, len(rest), len(said), err)
		}
	}
}

// A node is told to end: it drains until HAProxy has noticed, and nobody is refused.
func TestANodeBehindHAProxyStopsAndComesBack(t *testing.T) {
	s := openSite(t)
	ids := s.welcome(siteClients)
	s.exchange(ids, 3)
	victim := s.nodes[0]
	theirs, others := victim.idsOf(ids), s.others(victim)
	talk := s.startTalk(except(ids, theirs))
	news := s.startNewcomers()

	from, began := len(s.proxy.logged(0)), time.Now()
	victim.terminate()
	line := s.proxy.awaitLog(from, "/"+victim.name+" is DOWN")
	s.log("haproxy has noticed that %s drains after %v: %s", began, victim.name, line)
	if !strings.Contains(line, "code: 503") {
		t.Errorf("%s is down for another reason than what it said: %s", victim.name, line)
	}

	// It is not ready and serves everybody: those it has, those who come, and those
	// who send to them.
	noticed := time.Now()
	if got := victim.readyz(); got != http.StatusServiceUnavailable {
		t.Errorf("/readyz of a node that drains: %d", got)
	}
	s.echo(s.of(theirs))
	late := s.join(victim.addr)
	for _, n := range s.nodes {
		if got := n.post(late.id, "?ack=written", []byte("text still here")); got != okWritten {
			t.Errorf("%s to a client of a node that drains: %s", n.name, got)
		}
	}
	victim.mustLive()

	victim.awaitEnd()
	s.log("%s has ended in order after %v, %v of which it was told to wait", began, victim.name, drainWait)
	ended := time.Now()
	s.awaitEnd(append(theirs, late.id))
	for _, n := range others {
		s.awaitAnswer(n, theirs, gone410, "end", ended)
	}
	s.stopNewcomers(news, victim, noticed)
	s.welcome(len(theirs)) // those who were cut come back
	s.comeBack(victim, theirs)
	talk.stop()
	s.judge()
}

// A node is killed: nobody is told.
func TestANodeBehindHAProxyIsKilledAndComesBack(t *testing.T) {
	s := openSite(t)
	ids := s.welcome(siteClients)
	s.exchange(ids, 3)
	victim := s.nodes[1]
	theirs, others := victim.idsOf(ids), s.others(victim)
	talk := s.startTalk(except(ids, theirs))

	from, began := len(s.proxy.logged(0)), time.Now()
	victim.kill()
	killed := time.Now()
	news := s.startNewcomers()
	var asking sync.WaitGroup
	for _, n := range others {
		asking.Go(func() { s.awaitAnswer(n, theirs, unreachable503, "kill", killed) })
	}
	line := s.proxy.awaitLog(from, "/"+victim.name+" is DOWN")
	s.log("haproxy has noticed that %s was killed after %v: %s", began, victim.name, line)
	asking.Wait()
	s.awaitEnd(theirs)
	s.log("the clients of %s are disconnected, and senders know it, after %v", began, victim.name)
	s.stopNewcomers(news, victim, killed)
	s.welcome(len(theirs))
	s.comeBack(victim, theirs)
	talk.stop()
	s.judge()
}

// log logs a time that was measured: %v behind the first word of args.
func (s *site) log(format string, began time.Time, name string, args ...any) {
	s.t.Helper()
	s.t.Logf(format, append([]any{name, time.Since(began).Round(time.Millisecond)}, args...)...)
}

// welcome connects clients through HAProxy, several at once, and logs where they
// are.
func (s *site) welcome(count int) (ids []node.ID) {
	s.t.Helper()
	began := time.Now()
	var mu sync.Mutex
	var joining sync.WaitGroup
	const atOnce = 10
	for i := range atOnce {
		joining.Go(func() {
			some, err := s.joinMany(s.front, (count+i)/atOnce)
			if err != nil {
				s.t.Errorf("through haproxy: %v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			ids = append(ids, some...)
		})
	}
	joining.Wait()
	if len(ids) != count {
		s.t.Fatalf("%d of %d clients were greeted", len(ids), count)
	}
	var spread []string
	for _, n := range s.nodes {
		spread = append(spread, fmt.Sprintf("%s %d", n.name, len(n.idsOf(ids))))
	}
	s.t.Logf("%d clients greeted in %v: %s", count, time.Since(began).Round(time.Millisecond), strings.Join(spread, ", "))
	return ids
}

// exchange has every node send numbered messages to every connection, by turns and
// waiting until they are written, and waits until all have arrived.
func (s *site) exchange(ids []node.ID, count int) {
	s.t.Helper()
	want := map[node.ID]int{}
	for _, c := range s.of(ids) {
		before, _ := c.received()
		want[c.id] = before + count*len(s.nodes)
	}
	began := time.Now()
	const atOnce = 8 // requests to each node
	var sending sync.WaitGroup
	for _, n := range s.nodes {
		for worker := range atOnce {
			sending.Go(func() {
				for seq := 1; seq <= count; seq++ {
					for i := worker; i < len(ids); i += atOnce {
						s.send(n, ids[i], seq)
					}
				}
			})
		}
	}
	sending.Wait()
	seldom(s.t, "all messages to arrive", func() bool {
		return !slices.ContainsFunc(s.of(ids), func(c *listener) bool {
			got, _ := c.received()
			return got < want[c.id]
		})
	})
	s.t.Logf("%d messages from %d nodes to %d clients in %v",
		count*len(s.nodes)*len(ids), len(s.nodes), len(ids), time.Since(began).Round(time.Millisecond))
}

// send sends one numbered message, which must be taken, and notes the answer.
func (s *site) send(n *siteNode, id node.ID, seq int) {
	query, want, word := "", okAccepted, accepted
	if seq%2 == 0 {
		query, want, word = "?ack=written", okWritten, written
	}
	if got := n.post(id, query, message{To: id, From: n.number, Seq: seq}.encode()); got != want {
		s.t.Errorf("message %d of %s to %s: %s, want %s", seq, n.name, id, got, want)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.said[n.number] == nil {
		s.said[n.number] = sayings{}
	}
	s.said[n.number].add(id, seq, word)
}

// judge compares what was said with what has arrived: each message once, in order,
// and none missing, also for connections whose node has ended since.
func (s *site) judge() {
	s.t.Helper()
	h := newHistory()
	s.into(h)
	clear(h.ended)
	s.mu.Lock()
	defer s.mu.Unlock()
	h.said = s.said
	if faults := h.faults(); len(faults) > 0 {
		s.t.Errorf("%d faults, such as:\n%s", len(faults), strings.Join(faults[:min(len(faults), 20)], "\n"))
	}
}

// awaitAnswer sends through n to connections of a node that has ended until the
// answer is the one wanted, then wants it for all of them at once. Until then a send
// may be unknown to have arrived, and never known.
func (s *site) awaitAnswer(n *siteNode, ids []node.ID, want string, event string, since time.Time) {
	before := map[string]int{}
	ask := func(id node.ID, timeout string) string {
		return n.post(id, "?ack=written&timeout="+timeout, []byte("text nobody"))
	}
	seldom(s.t, n.name+" to answer "+want, func() bool {
		got := ask(ids[0], "200ms")
		if got != want {
			before[got]++
		}
		return got == want
	})
	first := time.Since(since)
	for _, id := range ids {
		if got := ask(id, "30s"); got != want { // which it knows, and says at once
			s.t.Errorf("%s to %s: %s, want %s", n.name, id, got, want)
		}
	}
	s.t.Logf("%s answers %q %v after the %s, before that %v; %d ids asked in %v",
		n.name, want, first.Round(time.Millisecond), event, before, len(ids), (time.Since(since) - first).Round(time.Millisecond))
	for _, wrong := range []string{okWritten, okAccepted} {
		if before[wrong] > 0 {
			s.t.Errorf("%s said %q of connections of a node that had ended", n.name, wrong)
		}
	}
}

// comeBack starts a node again, waits until HAProxy sends it clients, and has all
// nodes send to all of them. Its former ids are gone.
func (s *site) comeBack(n *siteNode, former []node.ID) {
	s.t.Helper()
	from, began, last := len(s.proxy.logged(0)), time.Now(), n.number
	n.start(n.args...)
	n.awaitReady()
	s.log("%s is ready again after %v, number %v", began, n.name, n.number)
	if n.number == last {
		s.t.Errorf("%s has number %v again", n.name, last)
	}
	s.proxy.awaitLog(from, "/"+n.name+" is UP")
	s.log("haproxy has taken %s back after %v", began, n.name)
	ids := s.welcome(60)
	theirs := n.idsOf(ids)
	if len(theirs) == 0 {
		s.t.Fatalf("%s is back and none of %d new clients is there", n.name, len(ids))
	}
	asked := time.Now()
	for _, o := range s.others(n) {
		before := map[string]int{}
		until(s.t, o.name+" to reach a client of "+n.name, func() bool {
			got := o.post(theirs[0], "?ack=written", []byte("text welcome"))
			if got != okWritten {
				before[got]++
			}
			return got == okWritten
		})
		s.log("%s: a client of the new life is reached after %v, before that %v", asked, o.name, before)
	}
	for _, o := range s.nodes {
		s.awaitAnswer(o, former, gone410, "restart", began)
	}
	s.awaitMesh()
	s.exchange(ids, 4)
}

// echo has each client say a line, and waits until all hear their own.
func (s *site) echo(clients []*listener) {
	s.t.Helper()
	want := map[node.ID]int{}
	for _, c := range clients {
		_, before := c.received()
		want[c.id] = before + 1
		if _, err := io.WriteString(c.nc, "text echo\n"); err != nil {
			s.t.Errorf("client %s: %v", c.id, err)
		}
	}
	until(s.t, "the echoes", func() bool {
		return !slices.ContainsFunc(clients, func(c *listener) bool { _, got := c.received(); return got < want[c.id] })
	})
}

// except returns the ids that are not among others.
func except(ids, others []node.ID) []node.ID {
	return slices.DeleteFunc(slices.Clone(ids), func(id node.ID) bool { return slices.Contains(others, id) })
}

// A talk is clients that say a line and hear it, again and again, and must notice
// nothing.
type talk struct {
	s       *site
	clients []*listener
	done    chan struct{} // closed by stop
	ended   chan struct{} // closed by run

	rounds  int           // of run, until ended
	longest time.Duration // of run, until ended: until all had heard what they said
}

func (s *site) startTalk(ids []node.ID) *talk {
	k := &talk{s: s, clients: s.of(ids), done: make(chan struct{}), ended: make(chan struct{})}
	go k.run()
	return k
}

func (k *talk) run() {
	defer close(k.ended)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-k.done:
			return
		case <-tick.C:
		}
		began := time.Now()
		k.rounds++
		for _, c := range k.clients {
			if _, err := fmt.Fprintf(c.nc, "text round %d\n", k.rounds); err != nil {
				k.s.t.Errorf("client %s of a node that lives: %v", c.id, err)
				return
			}
		}
		if fault := k.await(began.Add(patience)); fault != "" {
			k.s.t.Error(fault)
			return
		}
		k.longest = max(k.longest, time.Since(began))
	}
}

// await waits until every client has heard as many lines as there were rounds.
func (k *talk) await(late time.Time) (fault string) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for _, c := range k.clients {
		for {
			if _, heard := c.received(); heard >= k.rounds {
				break
			}
			if c.isEnded() {
				return fmt.Sprintf("client %s of a node that lives was disconnected", c.id)
			}
			if time.Now().After(late) {
				return fmt.Sprintf("client %s of a node that lives waits %v for its echo", c.id, patience)
			}
			<-tick.C
		}
	}
	return ""
}

// stop ends the talk and checks that each client is still there and has heard what
// it said, in order.
func (k *talk) stop() {
	k.s.t.Helper()
	close(k.done)
	<-k.ended
	var want []string
	for round := range k.rounds {
		want = append(want, fmt.Sprintf("round %d", round+1))
	}
	for _, c := range k.clients {
		if heard := c.heard(); !slices.Equal(heard, want) || c.isEnded() {
			k.s.t.Errorf("client %s of a node that lives said %d lines and heard %d, the last %q; disconnected: %t",
				c.id, len(want), len(heard), lastOf(heard, 1), c.isEnded())
		}
	}
	k.s.t.Logf("%d clients of the others talked %d rounds; the longest took %v", len(k.clients), k.rounds, k.longest.Round(time.Millisecond))
}

// newcomers are clients that connect through HAProxy one after another, all the
// time. Each must be greeted.
type newcomers struct {
	done  chan struct{} // closed by stopNewcomers
	ended chan struct{} // closed when no more come

	// Until ended.
	began   map[node.ID]time.Time // when each connected
	longest time.Duration         // until one was greeted
}

func (s *site) startNewcomers() *newcomers {
	news := &newcomers{done: make(chan struct{}), ended: make(chan struct{}), began: map[node.ID]time.Time{}}
	go func() {
		defer close(news.ended)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-news.done:
				return
			case <-tick.C:
			}
			began := time.Now()
			c, err := s.tryJoin(s.front)
			if err != nil {
				s.t.Errorf("newcomer %d was not greeted: %v", len(news.began), err)
				continue
			}
			news.began[c.id] = began
			news.longest = max(news.longest, time.Since(began))
		}
	}()
	return news
}

// stopNewcomers ends them, and checks that none who came after HAProxy had noticed
// went to a node that was on its way out.
func (s *site) stopNewcomers(news *newcomers, out *siteNode, noticed time.Time) {
	s.t.Helper()
	close(news.done)
	<-news.ended
	spread := map[string]int{}
	for id, began := range news.began {
		for _, n := range s.nodes {
			if id.Node() == n.number {
				spread[n.name]++
			}
		}
		if id.Node() == out.number && began.After(noticed) {
			s.t.Errorf("newcomer %s was sent to %s, which was down", id, out.name)
		}
	}
	if len(news.began) == 0 {
		s.t.Error("nobody came")
	}
	s.t.Logf("%d newcomers were greeted: %v; the longest wait was %v", len(news.began), spread, news.longest.Round(time.Millisecond))
}
