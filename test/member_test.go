package test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"flamingo/node"
)

// A member is one life of a node of a cluster in a process of its own: this test
// binary, executed again. It reads orders from its standard input, a line of JSON
// each, and prints answers. It ends when its standard input does, so none is left
// behind by a test that dies.

const memberVariable = "FLAMINGO_TEST_MEMBER" // set in that process: its memberOpts

// memberOpts are the options of the node, as JSON.
type memberOpts struct {
	Name    string
	Cluster string
	Join    []string
	Expect  int
	DataDir string
}

// open returns the node, whose connections are line by line.
func (o memberOpts) open(logger *slog.Logger) (*node.Node, error) {
	return node.Open(node.Opts{
		Listen: []string{"tcp://127.0.0.1:0"}, Framing: "line", Ignore: node.IgnoreCloses, Logger: logger,
		Name: o.Name, Cluster: o.Cluster, Join: o.Join, Expect: o.Expect, DataDir: o.DataDir,
	})
}

// An order is what a member is told to do.
type order struct {
	Tag   uint64
	Do    verb
	IDs   []node.ID `json:",omitempty"`
	Text  string    `json:",omitempty"`
	Count int       `json:",omitempty"`
}

type verb string

const (
	doSend     verb = "send"     // Text to each of IDs, with SendData
	doSendWait verb = "sendwait" // Text to each of IDs, with Send
	doStream   verb = "stream"   // Count numbered messages to each of IDs, by turns
	doClose    verb = "close"    // each of IDs
	doDescribe verb = "describe" // each of IDs
	doTraffic  verb = "traffic"  // numbered messages to IDs, and those of before, until doRest
	doRest     verb = "rest"     // no more traffic; tells what was said to whom
	doTell     verb = "tell"     // what Undelivered has reported
	doNodes    verb = "nodes"    // as this one sees them
)

// An answer has the tag of its order. The first of all has none: it is printed
// when the node is open.
type answer struct {
	Tag      uint64
	Address  string          `json:",omitempty"` // where clients connect; the first answer has it
	Number   node.NodeNumber `json:",omitzero"`  // of this life
	Outcomes []string        `json:",omitempty"` // for each of IDs; of doStream, of the worst message
	Nodes    []seenNode      `json:",omitempty"`
	Said     sayings         `json:",omitempty"`
	Reported reports         `json:",omitempty"`
}

// seenNode is a node.NodeInfo that has a form in JSON without a number, too.
type seenNode struct {
	Number node.NodeNumber `json:",omitzero"`
	State  string
	Self   bool
	Link   string
}

// TestHelperProcessMember is the life of a member.
func TestHelperProcessMember(t *testing.T) {
	text := os.Getenv(memberVariable)
	if text == "" {
		t.Skip("runs in a process of its own only")
	}
	var opts memberOpts
	if err := json.Unmarshal([]byte(text), &opts); err != nil {
		t.Fatal(err)
	}
	orders := make(chan order)
	go func() { // before the node is open, to see the end of a parent that waits for that
		in := json.NewDecoder(bufio.NewReader(os.Stdin))
		defer close(orders)
		for {
			var o order
			if in.Decode(&o) != nil {
				return
			}
			orders <- o
		}
	}()
	opened := make(chan *driver, 1)
	go func() {
		n, err := opts.open(slog.New(slog.NewTextHandler(os.Stderr, nil)))
		if err != nil {
			t.Errorf("open: %v", err)
			close(opened)
			return
		}
		opened <- newDriver(n, os.Stdout)
	}()
	select {
	case d := <-opened:
		if d != nil {
			d.run(orders)
		}
	case <-orders: // there is none before the first answer: the end
	}
}

// A driver does what a member is told.
type driver struct {
	node *node.Node

	out    sync.Mutex // held while an answer is printed
	answer *json.Encoder

	mu       sync.Mutex
	traffic  *traffic // guarded by mu
	reported reports  // guarded by mu
}

// newDriver runs the application of n: it greets clients, and notes what was not
// delivered.
func newDriver(n *node.Node, out io.Writer) *driver {
	d := &driver{node: n, answer: json.NewEncoder(out), reported: reports{}}
	go greet(n)
	go func() {
		for id, err := range n.Undelivered() {
			d.mu.Lock()
			d.reported.add(id, wordFor(err))
			d.mu.Unlock()
		}
	}()
	return d
}

// greet tells every client its id.
func greet(n *node.Node) {
	for id := range n.Opens() {
		_ = n.SendData(id, []byte(greeting+id.String())) // the client has gone
	}
}

func (d *driver) run(orders <-chan order) {
	d.print(answer{Address: d.node.Addrs()[0].String(), Number: d.node.Number()})
	for o := range orders {
		go d.do(o)
	}
}

func (d *driver) print(a answer) {
	d.out.Lock()
	defer d.out.Unlock()
	_ = d.answer.Encode(a) // the parent has gone: so will this process
}

func (d *driver) do(o order) {
	a := answer{Tag: o.Tag, Outcomes: make([]string, len(o.IDs))}
	each := func(operation func(node.ID) error) {
		for i, id := range o.IDs {
			a.Outcomes[i] = wordFor(operation(id))
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience/2)
	defer cancel()
	switch o.Do {
	case doSend:
		each(func(id node.ID) error { return d.node.SendData(id, []byte(o.Text)) })
	case doSendWait:
		each(func(id node.ID) error { return d.node.Send(ctx, id, []byte(o.Text)) })
	case doClose:
		each(d.node.SendClose)
	case doDescribe:
		each(func(id node.ID) error { _, err := d.node.Describe(ctx, id); return err })
	case doStream:
		a.Outcomes = stream(d.node, o.IDs, o.Count)
	case doTraffic:
		d.mu.Lock()
		if d.traffic == nil {
			d.traffic = startTraffic(d.node)
		}
		d.traffic.add(o.IDs)
		d.mu.Unlock()
	case doRest:
		d.mu.Lock()
		if d.traffic != nil {
			a.Said = d.traffic.end()
		}
		d.traffic = nil
		d.mu.Unlock()
	case doTell:
		d.mu.Lock()
		a.Reported = d.reported.clone()
		d.mu.Unlock()
	case doNodes:
		for _, i := range d.node.Nodes() {
			a.Nodes = append(a.Nodes, seenNode{Number: i.Number, State: i.State, Self: i.Self, Link: i.Link})
		}
	}
	d.print(a)
}

// stream sends count numbered messages to each of ids, by turns, and returns an
// outcome for each id: accepted, or what first went wrong.
func stream(n *node.Node, ids []node.ID, count int) []string {
	outcomes := make([]string, len(ids))
	for seq := 1; seq <= count; seq++ {
		for i, id := range ids {
			m := message{To: id, From: n.Number(), Seq: seq}
			if word := wordFor(n.SendData(id, m.encode())); outcomes[i] == "" || outcomes[i] == accepted {
				outcomes[i] = word
			}
		}
	}
	return outcomes
}

// The words for outcomes.
const (
	accepted     = "accepted"
	gone         = "gone"
	neverIssued  = "never issued"
	unreachable  = "unreachable"
	backpressure = "backpressure"
	expired      = "expired"
	uncertain    = "uncertain"
)

func wordFor(err error) string {
	if err == nil {
		return accepted
	}
	for word, sentinel := range map[string]error{
		gone: node.ErrGone, neverIssued: node.ErrNeverIssued, unreachable: node.ErrUnreachable,
		backpressure: node.ErrBackpressure, expired: node.ErrExpired, uncertain: node.ErrUncertain,
	} {
		if errors.Is(err, sentinel) {
			return word
		}
	}
	return fmt.Sprintf("no outcome: %v", err)
}

// traffic sends a numbered message to each of its connections in every round. What
// it sends in one round has one number.
type traffic struct {
	node  *node.Node
	stop  chan struct{} // closed by end
	ended chan struct{} // closed when no more is sent

	mu    sync.Mutex
	ids   []node.ID        // guarded by mu
	known map[node.ID]bool // guarded by mu: every one there ever was
	said  sayings          // of run, until ended
}

const (
	roundEvery = 5 * time.Millisecond
	waitEvery  = 16 // rounds: in one of so many, each send waits until it is written
	manyEvery  = 4  // rounds: in one of so many, one SendMany is for all
)

func startTraffic(n *node.Node) *traffic {
	s := &traffic{node: n, stop: make(chan struct{}), ended: make(chan struct{}), known: map[node.ID]bool{}, said: sayings{}}
	go s.run()
	return s
}

func (s *traffic) add(ids []node.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if !s.known[id] {
			s.known[id] = true
			s.ids = append(s.ids, id)
		}
	}
}

func (s *traffic) end() sayings {
	close(s.stop)
	<-s.ended
	return s.said
}

func (s *traffic) run() {
	defer close(s.ended)
	tick := time.NewTicker(roundEvery)
	defer tick.Stop()
	for round := 1; ; round++ {
		select {
		case <-tick.C:
		case <-s.stop:
			return
		}
		s.round(round)
	}
}

// round sends the messages of one round, and forgets the connections that are gone.
func (s *traffic) round(round int) {
	s.mu.Lock()
	ids := s.ids
	s.mu.Unlock()
	words := make([]string, len(ids))
	from := s.node.Number()
	switch {
	case round%waitEvery == 0:
		s.sendWaiting(ids, words, round)
	case round%manyEvery == 0:
		m := message{From: from, Seq: round}
		for i, err := range s.node.SendMany(ids, m.encode()) {
			words[i] = wordFor(err)
		}
	default:
		for i, id := range ids {
			m := message{To: id, From: from, Seq: round}
			words[i] = wordFor(s.node.SendData(id, m.encode()))
		}
	}
	var left []node.ID
	for i, id := range ids {
		s.said.add(id, round, words[i])
		if words[i] != gone {
			left = append(left, id)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids = append(left, s.ids[len(ids):]...) // those that were added meanwhile
}

// sendWaiting sends to all ids at once, and waits until each is written, or for 2 s.
func (s *traffic) sendWaiting(ids []node.ID, words []string, round int) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for i, id := range ids {
		wg.Go(func() {
			m := message{To: id, From: s.node.Number(), Seq: round}
			if words[i] = wordFor(s.node.Send(ctx, id, m.encode())); words[i] == accepted {
				words[i] = written
			}
		})
	}
	wg.Wait()
}
