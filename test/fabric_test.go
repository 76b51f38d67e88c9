package test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"flamingo/node"
	"flamingo/node/nodetest"
)

// A fabric is a cluster of processes: members, each with one life after another.
type fabric struct {
	t       *testing.T
	members []*member
}

// A member is a place in the fabric: an address, a data directory and a log.
type member struct {
	t    *testing.T
	opts memberOpts
	log  string // path of what all its lives have logged
	*life
}

// A life is one process of a member.
type life struct {
	cmd    *exec.Cmd
	number node.NodeNumber // set once it is open
	addr   string          // where clients connect; set once it is open
	ready  chan struct{}   // closed when it is open
	ended  chan struct{}   // closed when it has ended, and all it printed was read

	mu      sync.Mutex // held while an order is written
	orders  *json.Encoder
	tag     uint64
	waiting map[uint64]chan answer // guarded by mu
}

// newFabric returns n members that expect so many founders, none of which lives.
// The end of the test kills them; what they have logged is kept among the test's
// artifacts, and its end is shown if the test has failed.
func newFabric(t *testing.T, n, expect int) *fabric {
	t.Helper()
	f := &fabric{t: t}
	addrs := nodetest.FreeAddrs(t, n)
	for i, addr := range addrs {
		name := fmt.Sprintf("node%d", i)
		f.members = append(f.members, &member{
			t:    t,
			opts: memberOpts{Name: name, Cluster: addr, Join: addrs, Expect: expect, DataDir: filepath.Join(t.TempDir(), name)},
			log:  filepath.Join(t.ArtifactDir(), name+".log"),
		})
	}
	t.Cleanup(func() {
		for _, m := range f.members {
			m.kill()
			if t.Failed() {
				t.Logf("the end of the log of %s:\n%s", m.opts.Name, strings.Join(lastOf(m.logged(), 60), "\n"))
			}
		}
	})
	return f
}

func lastOf(lines []string, n int) []string { return lines[max(len(lines)-n, 0):] }

// start begins a life and does not wait until it is open.
func (m *member) start() {
	m.t.Helper()
	text, err := json.Marshal(m.opts)
	if err != nil {
		m.t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestHelperProcessMember$")
	cmd.Env = append(os.Environ(), memberVariable+"="+string(text))
	log, err := os.OpenFile(m.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		m.t.Fatal(err)
	}
	defer log.Close()
	cmd.Stderr = log
	in, err := cmd.StdinPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.life = &life{
		cmd: cmd, ready: make(chan struct{}), ended: make(chan struct{}),
		orders: json.NewEncoder(in), waiting: map[uint64]chan answer{},
	}
	go m.read(out)
}

// read hands out the answers of a life until it ends.
func (l *life) read(out io.Reader) {
	defer close(l.ended)
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break
		}
		var a answer
		if json.Unmarshal(line, &a) != nil {
			continue // the words of package testing
		}
		if a.Tag == 0 {
			l.number, l.addr = a.Number, a.Address
			close(l.ready)
			continue
		}
		l.mu.Lock()
		c := l.waiting[a.Tag]
		delete(l.waiting, a.Tag)
		l.mu.Unlock()
		c <- a
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for tag, c := range l.waiting {
		delete(l.waiting, tag)
		close(c)
	}
	l.waiting = nil
}

// open begins a life and waits until it is open.
func (m *member) open() {
	m.t.Helper()
	m.start()
	m.awaitOpen()
}

// awaitOpen waits until the present life is open.
func (m *member) awaitOpen() {
	m.t.Helper()
	select {
	case <-m.ready:
	case <-m.ended:
		m.t.Fatalf("%s ended before it was open", m.opts.Name)
	case <-time.After(patience):
		_ = m.cmd.Process.Signal(syscall.SIGQUIT) // what it does goes into the log, where there is such a signal
		<-time.After(time.Second)
		m.t.Fatalf("waited %v for %s to be open", patience, m.opts.Name)
	}
}

// isOpen reports whether there is a life, and it is open.
func (m *member) isOpen() bool {
	if m.life == nil {
		return false
	}
	select {
	case <-m.ready:
		return true
	default:
		return false
	}
}

// kill ends the present life, if there is one, with SIGKILL, and waits for its end.
func (m *member) kill() {
	if m.life == nil {
		return
	}
	_ = m.cmd.Process.Kill()
	<-m.ended
	_ = m.cmd.Wait()
	m.life = nil
}

// wipe deletes the data directory of a member that does not live.
func (m *member) wipe() {
	m.t.Helper()
	if err := os.RemoveAll(m.opts.DataDir); err != nil {
		m.t.Fatal(err)
	}
}

// logged returns the lines that all lives of the member have logged.
func (m *member) logged() []string {
	text, err := os.ReadFile(m.log)
	if err != nil {
		return []string{err.Error()}
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// tell gives an order and returns where its answer comes from: closed without one if
// the life has ended.
func (l *life) tell(o order) <-chan answer {
	c := make(chan answer, 1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting == nil {
		close(c)
		return c
	}
	l.tag++
	o.Tag = l.tag
	l.waiting[o.Tag] = c
	_ = l.orders.Encode(o) // to a life that has ended; then c will be closed
	return c
}

// await gives an order and waits for its answer, or the end of the life.
func (l *life) await(o order) (answer, error) {
	select {
	case a, ok := <-l.tell(o):
		if !ok {
			return a, fmt.Errorf("ended before it answered %q", o.Do)
		}
		return a, nil
	case <-time.After(patience):
		return answer{}, fmt.Errorf("no answer to %q for %v", o.Do, patience)
	}
}

// ask gives an order to a member that is not killed meanwhile and returns its answer.
func (m *member) ask(o order) answer {
	m.t.Helper()
	a, err := m.life.await(o)
	if err != nil {
		m.t.Fatalf("%s: %v", m.opts.Name, err)
	}
	return a
}

// one asks for an operation on one connection.
func (m *member) one(do verb, id node.ID, text string) string {
	m.t.Helper()
	return m.ask(order{Do: do, IDs: []node.ID{id}, Text: text}).Outcomes[0]
}

// sees reports whether the member sees all others under their numbers, with a link
// to each that is up, or at rest until somebody has something to send.
func (m *member) sees(others []*member) bool {
	m.t.Helper()
	seen := m.ask(order{Do: doNodes}).Nodes
	return !slices.ContainsFunc(others, func(o *member) bool {
		return !slices.ContainsFunc(seen, func(n seenNode) bool {
			return n.Number == o.number && (n.Self || n.Link == "up" || n.Link == "idle")
		})
	})
}

// awaitMesh waits until every member that is open sees every other.
func (f *fabric) awaitMesh() {
	f.t.Helper()
	all := f.opened()
	for _, m := range all {
		seldom(f.t, m.opts.Name+" to see all others", func() bool { return m.sees(all) })
	}
}

func (f *fabric) opened() (open []*member) {
	for _, m := range f.members {
		if m.isOpen() {
			open = append(open, m)
		}
	}
	return open
}

// openAll begins a life of each member and waits until all are one cluster.
func (f *fabric) openAll() {
	f.t.Helper()
	for _, m := range f.members {
		m.start()
	}
	for _, m := range f.members {
		m.awaitOpen()
	}
	f.awaitMesh()
}

// closeAtEnd closes a node of this process when the test ends, whatever is queued.
func closeAtEnd(t testing.TB, n *node.Node) {
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = n.Close(ctx) // whatever is left
	})
}
