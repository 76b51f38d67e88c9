//go:build e2e && linux

package chaos

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"flamingo/idspace"
)

const (
	// patience is how long anything may take that must come about without a fault.
	patience = 30 * time.Second

	clientsEach = 8 // of every life of a node, at its start
)

// habits are what a run's clients do and nodes allow.
type habits struct {
	crowd int           // connections that a node has room for
	churn time.Duration // between two clients that come and go
	late  time.Duration // for what is on its way at the end

	secret bool // nodes have a key

	// converge is how long a node may take to open, and nodes to reach each other
	// after a fault.
	converge time.Duration
}

var usual = habits{crowd: 4096, churn: 400 * time.Millisecond, late: 10 * time.Second, converge: 30 * time.Second}

// A world is a run: nodes, clients and what was done to them.
type world struct {
	t      *testing.T
	binary string
	habits habits
	dir    string
	nets   []*network

	keyFile string // of the cluster's key; empty: it has none

	mu     sync.Mutex
	nodes  []*process // guarded by mu: the present life of each
	lives  []*process // guarded by mu: all there were
	users  []*user    // guarded by mu: all there were
	faults []Fault    // guarded by mu
	hit    map[What]int
}

// newWorld returns a world of networks for nodes.
func newWorld(t *testing.T, binary string, nodes int, habits habits) *world {
	t.Helper()
	w := &world{t: t, binary: binary, habits: habits, dir: t.TempDir(), nodes: make([]*process, nodes), hit: map[What]int{}}
	if habits.secret {
		w.keyFile = filepath.Join(w.dir, "key")
		key := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("k"), 32))
		if err := os.WriteFile(w.keyFile, []byte(key+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	hub(t, nodes)
	for i := range nodes {
		w.nets = append(w.nets, newNetwork(t))
		if err := w.nets[i].plug(10 + i); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(w.end)
	return w
}

// populate starts the nodes, and clients at each of them.
func (w *world) populate() error {
	for i := range w.nets {
		if err := w.begin(i); err != nil {
			return err
		}
	}
	for i := range w.nets {
		if err := w.welcome(i); err != nil {
			return err
		}
	}
	return w.whole()
}

// end ends what the run has left, before the networks go.
func (w *world) end() {
	for _, u := range w.everybody() {
		u.end("fin")
	}
	w.mu.Lock()
	lives := w.lives
	w.mu.Unlock()
	for _, p := range lives {
		_ = p.cmd.Process.Kill() // it has ended, most of them
		<-p.ended
		if w.t.Failed() {
			w.t.Logf("node %d, %s, started %v:\n%s", p.life.Node, p.life.Number, time.Duration(p.life.Start), tail(p.log.String()))
		}
	}
}

func (w *world) home(i int) string { return filepath.Join(w.dir, fmt.Sprintf("node%d", i)) }

// begin starts a life of node i.
func (w *world) begin(i int) error {
	p, err := start(w.binary, w.nets[i], i, len(w.nets), w.habits.crowd, w.home(i), w.keyFile)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nodes[i] = p
	w.lives = append(w.lives, p)
	return nil
}

func (w *world) node(i int) *process {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.nodes[i]
}

func (w *world) everybody() []*user {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.users[:len(w.users):len(w.users)]
}

// present returns the ids of all who are connected.
func (w *world) present() (ids []idspace.ID) {
	for _, u := range w.everybody() {
		if !u.isEnded() {
			ids = append(ids, u.id)
		}
	}
	return ids
}

// welcome waits until the life of node i is open, connects clients to it, and has
// it send to all.
func (w *world) welcome(i int) error {
	p := w.node(i)
	if err := p.awaitOpen(w.habits.converge); err != nil {
		return err
	}
	if err := p.tell(Order{Do: Target, IDs: w.present()}, patience); err != nil {
		return err
	}
	for range clientsEach {
		if err := w.connect(i); err != nil {
			return err
		}
	}
	return nil
}

// connect connects a client to node i, and has every node send to it.
func (w *world) connect(i int) error {
	u, err := dialUser(fmt.Sprintf("%s:%d", address(10+i), clientPort))
	if err != nil {
		return err
	}
	w.mu.Lock()
	w.users = append(w.users, u)
	nodes := append([]*process(nil), w.nodes...)
	w.mu.Unlock()
	for _, p := range nodes {
		if p != nil && p.isOpen() {
			_ = p.tell(Order{Do: Target, IDs: []idspace.ID{u.id}}, time.Second) // a node that is stopped does so later
		}
	}
	if p := nodes[(i+1)%len(nodes)]; p != nil && p.isOpen() {
		p.order(Order{Do: Join, IDs: []idspace.ID{u.id}}) // what came of it is recorded
	}
	return nil
}

// whole waits until every node has a link to every other that works.
func (w *world) whole() error {
	limit := w.habits.converge
	late := time.Now().Add(limit)
	for {
		missing := w.links()
		if missing == "" {
			return nil
		}
		if time.Now().After(late) {
			return fmt.Errorf("invariant 14: after %v %s", limit, missing)
		}
		<-time.After(50 * time.Millisecond)
	}
}

// links says which link does not work; empty if all do.
func (w *world) links() string {
	for i := range w.nets {
		p := w.node(i)
		if err := p.tell(Order{Do: Tell}, time.Second*5); err != nil {
			return err.Error()
		}
		states := map[idspace.NodeNumber]string{}
		p.mu.Lock()
		for k := len(p.life.Records) - 1; k >= 0 && len(states) < 50; k-- {
			if r := p.life.Records[k]; r.Kind == Link && states[idspace.NodeNumber(r.ID)] == "" {
				states[idspace.NodeNumber(r.ID)] = r.Word
			}
			if len(p.life.Records)-k > 1000 {
				break
			}
		}
		p.mu.Unlock()
		for j := range w.nets {
			if state := states[w.node(j).number()]; j != i && state != "up" && state != "idle" {
				return fmt.Sprintf("node %d has no link to node %d: %q", i, j, state)
			}
		}
	}
	return ""
}

// churn has clients come and go, each in another way, until ctx is done.
func (w *world) churn(ctx context.Context, seed uint64) {
	dice := rand.New(rand.NewPCG(seed, 0x6368))
	tick := time.NewTicker(w.habits.churn)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		u, at := w.someone(dice)
		if u == nil {
			_ = w.connect(w.poorest()) // the node may be away
			continue
		}
		switch dice.IntN(4) {
		case 0:
			u.end("fin")
		case 1:
			u.end("reset")
		default:
			_ = w.node(dice.IntN(len(w.nets))).tell(Order{Do: Kick, IDs: []idspace.ID{u.id}}, 5*time.Second) // what came of it is recorded
		}
		_ = w.connect(at) // the node may be away
	}
}

// someone is a client at random, and the node where it is; nil if there are few.
func (w *world) someone(dice *rand.Rand) (u *user, node int) {
	var there []*user
	for _, u := range w.everybody() {
		if !u.isEnded() {
			there = append(there, u)
		}
	}
	if len(there) < 2*len(w.nets) {
		return nil, 0
	}
	u = there[dice.IntN(len(there))]
	for i := range w.nets {
		if w.node(i).number() == u.id.Node() {
			return u, i
		}
	}
	return u, w.poorest()
}

// poorest is the node with the fewest clients.
func (w *world) poorest() int {
	counts := make([]int, len(w.nets))
	for _, id := range w.present() {
		for i := range counts {
			if w.node(i).number() == id.Node() {
				counts[i]++
			}
		}
	}
	best := 0
	for i, n := range counts {
		if n < counts[best] {
			best = i
		}
	}
	return best
}

// rest ends all traffic, and waits until what was sent has arrived and there is
// nothing against the history, which it returns, for so long at most.
func (w *world) rest() (*History, error) {
	for i := range w.nets {
		if err := w.node(i).tell(Order{Do: Rest}, patience); err != nil {
			return w.history(), fmt.Errorf("invariant 6: %w", err)
		}
	}
	for _, u := range w.everybody() {
		u.hush()
	}
	for i := range w.nets {
		if err := w.node(i).tell(Order{Do: Settle, IDs: w.present()}, patience); err != nil {
			return w.history(), fmt.Errorf("invariant 6: %w", err)
		}
	}
	for late := time.Now().Add(w.habits.late); ; { // the last of it is on its way
		last := time.Now().After(late) // to judge a long history takes longer than that
		for i := range w.nets {
			if err := w.node(i).tell(Order{Do: Tell}, patience); err != nil {
				return w.history(), err
			}
		}
		if h := w.history(); len(h.Violations()) == 0 || last {
			return h, nil
		}
		<-time.After(500 * time.Millisecond)
	}
}

func (w *world) history() *History {
	w.mu.Lock()
	defer w.mu.Unlock()
	h := &History{Faults: append([]Fault(nil), w.faults...)}
	for _, p := range w.lives {
		p.mu.Lock()
		l := *p.life
		p.mu.Unlock()
		h.Lives = append(h.Lives, &l)
	}
	for _, u := range w.users {
		c := u.told()
		h.Clients = append(h.Clients, &c)
	}
	return h
}
