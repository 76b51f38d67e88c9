package test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"flamingo/node"
)

// longVariable asks for the long form of tests that have one.
const longVariable = "FLAMINGO_TEST_LONG"

// lives restarts the members of a fabric and minds that no life is taken for another.
type lives struct {
	*fabric
	audience *audience
	numbers  map[node.NodeNumber]string // every one there ever was, by the name of its life
	former   []formerLife
	probes   []*probe                 // that have stopped, and whose reports are to come
	took     map[bool][]time.Duration // from the kill until the next life serves; by whether it was wiped
}

// formerLife is a life that was killed.
type formerLife struct {
	name  string
	ids   []node.ID
	wiped bool // its data directory was deleted
}

func newLives(t *testing.T, n, expect int) *lives {
	return &lives{
		fabric: newFabric(t, n, expect), audience: newAudience(t),
		numbers: map[node.NodeNumber]string{}, took: map[bool][]time.Duration{},
	}
}

// begun notes the number of a life, which nobody had before.
func (l *lives) begun(m *member) {
	l.t.Helper()
	name := fmt.Sprintf("%s, life %d", m.opts.Name, len(l.numbers))
	if other := l.numbers[m.number]; other != "" {
		l.t.Fatalf("number %s is that of %s and of %s", m.number, other, name)
	}
	l.numbers[m.number] = name
}

func (l *lives) greatest() (n node.NodeNumber) {
	for k := range l.numbers {
		n = max(n, k)
	}
	return n
}

// A probe sends to an id of a life that was killed, from one member, until it is
// stopped, and notes how the outcomes change.
type probe struct {
	from  *member
	life  *life // of from
	about string
	wiped bool
	id    node.ID
	stop  chan struct{}
	ended chan struct{} // closed when it has stopped

	words    []string // owned by the probe until it has stopped: outcomes, repetitions left out
	counts   []int    // how often each came in a row
	accepted int
	err      error
}

func startProbe(from *member, about string, wiped bool, id node.ID) *probe {
	p := &probe{
		from: from, life: from.life, about: about, wiped: wiped, id: id,
		stop: make(chan struct{}), ended: make(chan struct{}),
	}
	go p.run()
	return p
}

func (p *probe) run() {
	defer close(p.ended)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		a, err := p.life.await(order{Do: doSend, IDs: []node.ID{p.id}, Text: strayText(p.id)})
		if err != nil {
			p.err = err
			return
		}
		word := a.Outcomes[0]
		if n := len(p.words); n == 0 || p.words[n-1] != word {
			p.words, p.counts = append(p.words, word), append(p.counts, 0)
		}
		p.counts[len(p.counts)-1]++
		if word == accepted {
			p.accepted++
		}
		select {
		case <-p.stop:
			return
		case <-tick.C:
		}
	}
}

// strayText names the connection that alone may receive it.
func strayText(id node.ID) string { return "text only for " + id.String() }

// end stops the probe and judges the outcomes: unreachable until the end of the life
// is known, and then gone for ever; with a deleted directory that is never known.
// Until it is known that the member has gone, messages are accepted.
func (p *probe) end(t testing.TB) {
	t.Helper()
	close(p.stop)
	<-p.ended
	if p.err != nil {
		t.Fatalf("%s: %v", p.from.opts.Name, p.err)
	}
	for k, word := range p.words {
		ok := word == accepted || word == unreachable || word == gone && !p.wiped && k == len(p.words)-1
		if !ok {
			t.Errorf("sends to %s, wiped %t: %v", p.about, p.wiped, p.words)
		}
	}
}

// settle waits until every message that was accepted is reported, unless the life
// that accepted them has ended.
func (p *probe) settle(t testing.TB) {
	t.Helper()
	if p.from.life != p.life {
		return
	}
	var reported map[string]int
	seldom(t, fmt.Sprintf("%d messages that %s accepted for %s to be reported", p.accepted, p.from.opts.Name, p.id), func() bool {
		reported = p.from.ask(order{Do: doTell}).Reported[p.id]
		all := 0
		for _, n := range reported {
			all += n
		}
		if all > p.accepted {
			t.Fatalf("%s accepted %d messages for %s and reports %v", p.from.opts.Name, p.accepted, p.id, reported)
		}
		return all == p.accepted
	})
	var happened []string
	for k, word := range p.words {
		happened = append(happened, fmt.Sprintf("%s × %d", word, p.counts[k]))
	}
	t.Logf("%s to %s, wiped %t: %s; reported: %v", p.from.opts.Name, p.about, p.wiped, strings.Join(happened, ", "), reported)
}

// restart kills a member and begins its next life, with its directory or without it.
// The other members send to the former life all the while.
func (l *lives) restart(m *member, wipe bool) {
	l.t.Helper()
	name, former := l.numbers[m.number], m.number
	ids, err := l.audience.joinMany(m.addr, 3)
	if err != nil {
		l.t.Fatal(err)
	}
	l.former = append(l.former, formerLife{name, ids, wipe})

	m.kill()
	killed := time.Now()
	var probes []*probe
	for _, o := range l.opened() {
		probes = append(probes, startProbe(o, name, wipe, ids[0]))
	}
	if wipe {
		m.wipe()
	}
	m.open()
	opened := time.Since(killed)
	l.begun(m)
	if m.number <= former {
		l.t.Fatalf("%s had number %s and now has %s, want a later one", m.opts.Name, former, m.number)
	}
	c := l.audience.join(m.addr)
	for _, o := range l.opened() {
		seldom(l.t, o.opts.Name+" to reach the new life", func() bool {
			word := o.one(doSendWait, c.id, strayText(c.id))
			if word != accepted && word != unreachable {
				l.t.Fatalf("%s to %s of the new life: %s", o.opts.Name, c.id, word)
			}
			return word == accepted
		})
	}
	took := time.Since(killed)
	l.took[wipe] = append(l.took[wipe], took)
	for _, p := range probes {
		p.end(l.t)
	}
	l.probes = append(l.probes, probes...)
	l.t.Logf("%s, wiped %t: open after %v, reached by all after %v", name, wipe, opened.Round(time.Millisecond), took.Round(time.Millisecond))
}

// expectFormerLives waits until every member answers for every former life as it
// should from then on: gone if it is known to have ended, unreachable if its directory
// was deleted.
func (l *lives) expectFormerLives(answer func(formerLife) string) {
	l.t.Helper()
	begin := time.Now()
	var wg sync.WaitGroup
	for _, m := range l.opened() {
		for _, f := range l.former {
			for _, do := range []verb{doSend, doSendWait, doClose, doDescribe} {
				wg.Go(func() {
					if err := m.life.awaitOutcome(do, f.ids, answer(f)); err != nil {
						l.t.Errorf("%s: %s to %s: %v", m.opts.Name, do, f.name, err)
					}
				})
			}
		}
	}
	wg.Wait()
	l.t.Logf("all answer as they should for former lives after %v", time.Since(begin).Round(time.Millisecond))
}

// awaitOutcome gives an order again and again until its outcome is want for each of
// ids. It is unreachable before it is gone, accepted before it is either, and
// uncertain where the member was killed before it answered.
func (l *life) awaitOutcome(do verb, ids []node.ID, want string) error {
	late := time.After(patience)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		a, err := l.await(order{Do: do, IDs: ids, Text: strayText(ids[0])})
		if err != nil {
			return err
		}
		settled := true
		for _, word := range a.Outcomes {
			settled = settled && word == want
			if !slices.Contains([]string{want, unreachable, accepted, uncertain}, word) {
				return fmt.Errorf("%q, want %s", a.Outcomes, want)
			}
		}
		if settled {
			return nil
		}
		select {
		case <-tick.C:
		case <-late:
			return fmt.Errorf("%q for %v, want %s", a.Outcomes, patience, want)
		}
	}
}

// expectNoStrays checks that no client has received what was meant for another.
func (l *lives) expectNoStrays() {
	l.t.Helper()
	for id, c := range l.audience.clients {
		for _, text := range c.heard() {
			if "text "+text != strayText(id) {
				l.t.Errorf("connection %s received %q", id, text)
			}
		}
	}
}

func (l *lives) logTimes() {
	for wiped, times := range l.took {
		slices.Sort(times)
		l.t.Logf("from the kill until the next life is reached by all, wiped %t: %d times; median %v, longest %v", wiped,
			len(times), times[len(times)/2].Round(time.Millisecond), times[len(times)-1].Round(time.Millisecond))
	}
}

func TestNoLifeIsTakenForAnother(t *testing.T) {
	t.Parallel()
	times := 4 // of each kind
	if os.Getenv(longVariable) != "" {
		times = 50
	}
	const voters = 3
	l := newLives(t, voters+2, voters)
	for _, m := range l.members[:voters] {
		m.start()
	}
	for _, m := range l.members[:voters] {
		m.awaitOpen()
	}
	for _, m := range l.members[voters:] { // find a cluster, and have no vote
		m.open()
	}
	l.awaitMesh()
	for _, m := range l.members {
		l.begun(m)
	}
	for k := range times {
		if k == times/2 {
			// A voter that loses its directory has lost its vote: the other two are the
			// majority for the minutes until another takes its place.
			l.restart(l.members[0], true)
		} else {
			l.restart(l.members[voters+k%2], true)
		}
		l.restart(l.members[k%len(l.members)], false)
	}
	begin := time.Now()
	for _, p := range l.probes {
		p.settle(t)
	}
	l.t.Logf("every message that was accepted for a former life is reported after %v", time.Since(begin).Round(time.Millisecond))
	l.expectFormerLives(func(f formerLife) string {
		if f.wiped {
			return unreachable
		}
		return gone
	})
	l.expectNoStrays()
	l.logTimes()
	l.loseEverything()
}

// loseEverything kills all members and deletes all directories. The cluster that they
// form then knows nothing of the one before, and still gives nothing out again.
func (l *lives) loseEverything() {
	l.t.Helper()
	for _, m := range l.members {
		ids, err := l.audience.joinMany(m.addr, 3)
		if err != nil {
			l.t.Fatal(err)
		}
		l.former = append(l.former, formerLife{name: l.numbers[m.number], ids: ids})
	}
	last := l.greatest()
	for _, m := range l.members {
		m.kill()
	}
	for _, m := range l.members {
		m.wipe()
	}
	begin := time.Now()
	l.openAll()
	l.t.Logf("all directories lost: a new cluster after %v", time.Since(begin).Round(time.Millisecond))
	for _, m := range l.members {
		l.begun(m)
		if m.number <= last {
			l.t.Errorf("%s has number %s in the new cluster, want one after %s", m.opts.Name, m.number, last)
		}
		if _, err := l.audience.joinMany(m.addr, 3); err != nil {
			l.t.Error(err)
		}
	}
	l.expectFormerLives(func(formerLife) string { return gone })
	l.expectNoStrays()
	for _, m := range l.members {
		if left, err := filepath.Glob(filepath.Join(m.opts.DataDir, "*")); err != nil || len(left) == 0 {
			l.t.Errorf("%s keeps nothing in its directory: %v, %v", m.opts.Name, left, err)
		}
	}
}
