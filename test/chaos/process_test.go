//go:build e2e && linux

package chaos

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"flamingo/idspace"
)

const (
	clientPort  = 4100
	clusterPort = 4110
)

// now is the clock of the records.
func now() int64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // fails for a bad clock or address only
	return ts.Nano()
}

// A process is one life of a node.
type process struct {
	life  *Life // Records are guarded by mu
	cmd   *exec.Cmd
	in    *json.Encoder
	stdin io.Closer
	log   *bytes.Buffer // what it printed to its standard error; read when it has ended
	ended chan struct{} // closed when all it printed is recorded and it is waited for

	mu      sync.Mutex
	answers map[int]chan string // guarded by mu: by tag
	tag     int                 // guarded by mu
	addr    string              // guarded by mu: for clients, once it is open
	changed chan struct{}       // closed and replaced with every Number and Leads; guarded by mu
	leads   int64               // guarded by mu: when it last became the leader
	reborn  idspace.NodeNumber  // guarded by mu: its next number, once its own was retired; 0: it was not
}

// start starts a life of node i, which lives in n, has room for a crowd of
// connections and keeps its state in dir.
func start(binary string, n *network, i, nodes, crowd int, dir, keyFile string) (*process, error) {
	setup := Setup{
		Name: fmt.Sprintf("node%d", i), Listen: fmt.Sprintf("%s:%d", address(10+i), clientPort),
		Cluster: fmt.Sprintf("%s:%d", address(10+i), clusterPort), Expect: 3, DataDir: dir, Pace: 25, Crowd: crowd, KeyFile: keyFile,
	}
	for j := range nodes {
		setup.Join = append(setup.Join, fmt.Sprintf("%s:%d", address(10+j), clusterPort))
	}
	text, err := json.Marshal(setup)
	if err != nil {
		return nil, err
	}
	p := &process{
		life: &Life{Node: i, Start: now()}, log: &bytes.Buffer{}, ended: make(chan struct{}),
		answers: map[int]chan string{}, changed: make(chan struct{}),
	}
	p.cmd = exec.Command(binary)
	p.cmd.Env = append(os.Environ(), SubjectVariable+"="+string(text))
	p.cmd.Stderr = p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // also if it is stopped
	stdin, err1 := p.cmd.StdinPipe()
	stdout, err2 := p.cmd.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	p.in, p.stdin = json.NewEncoder(stdin), stdin
	n.do(func() { err = p.cmd.Start() })
	if err != nil {
		return nil, err
	}
	go func() { // waited for by who waits for ended
		defer close(p.ended)
		in := bufio.NewReaderSize(stdout, 1<<16)
		for {
			line, err := in.ReadString('\n')
			if err != nil { // what is left is the half of a record
				break
			}
			r, err := ParseRecord(strings.TrimSuffix(line, "\n"))
			if err != nil {
				r = Record{Kind: Answered, Seq: -1, Word: err.Error()}
			}
			p.take(r)
		}
		_ = p.cmd.Wait() // the state says how it ended
	}()
	return p, nil
}

func (p *process) take(r Record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch r.Kind { //nolint:exhaustive // the others are for the history alone
	case Reborn:
		p.reborn = idspace.NodeNumber(r.ID)
	case Number:
		p.life.Number, p.addr = idspace.NodeNumber(r.ID), r.Word
	case Leads:
		p.leads = r.End
	case Answered:
		if c := p.answers[r.Seq]; c != nil {
			c <- r.Word
			delete(p.answers, r.Seq)
		}
	}
	p.life.Records = append(p.life.Records, r)
	if r.Kind == Number || r.Kind == Leads || r.Kind == Reborn {
		close(p.changed)
		p.changed = make(chan struct{})
	}
}

// awaitOpen waits until the node is open.
func (p *process) awaitOpen(patience time.Duration) error {
	late := time.After(patience)
	for {
		p.mu.Lock()
		open, changed := p.addr != "", p.changed
		p.mu.Unlock()
		if open {
			return nil
		}
		select {
		case <-changed:
		case <-p.ended:
			return fmt.Errorf("node %d ended (%v) before it was open:\n%s", p.life.Node, p.cmd.ProcessState, tail(p.log.String()))
		case <-late:
			return fmt.Errorf("node %d is not open after %v", p.life.Node, patience)
		}
	}
}

func tail(text string) string { return text[max(0, len(text)-4000):] }

func (p *process) isOpen() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.addr != ""
}

func (p *process) number() idspace.NodeNumber {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.life.Number
}

func (p *process) ledSince() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.leads
}

// order has the process carry out an order at some time.
func (p *process) order(o Order) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.in.Encode(o) // its process has ended
}

// errEnded says that the process has ended before it answered.
var errEnded = errors.New("process ended")

// tell has the process carry out an order, and waits until it has.
func (p *process) tell(o Order, patience time.Duration) error {
	c := make(chan string, 1)
	p.mu.Lock()
	p.tag++
	o.Tag = p.tag
	p.answers[o.Tag] = c
	err := p.in.Encode(o)
	p.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%w: %w", errEnded, err)
	}
	answered := func(word string) error {
		if word != "" {
			return fmt.Errorf("node %d: %s: %s", p.life.Node, o.Do, word)
		}
		return nil
	}
	select {
	case word := <-c:
		return answered(word)
	case <-p.ended:
		select {
		case word := <-c: // it was the last it said
			return answered(word)
		default:
			return errEnded
		}
	case <-time.After(patience):
		return fmt.Errorf("node %d: %s: no answer after %v", p.life.Node, o.Do, patience)
	}
}

// kill ends the process, however it is, and proves it.
func (p *process) kill() (proof string, err error) {
	p.finish(Killed)
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return "", err
	}
	<-p.ended
	if s, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !s.Signaled() || s.Signal() != syscall.SIGKILL {
		return "", fmt.Errorf("node %d was killed and ended otherwise: %v\n%s", p.life.Node, p.cmd.ProcessState, tail(p.log.String()))
	}
	return fmt.Sprintf("pid %d: %v", p.cmd.Process.Pid, p.cmd.ProcessState), nil
}

// finish says that the life is not judged by what it does from here on, and what
// becomes of it.
func (p *process) finish(f Fate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.life.End == 0 {
		p.life.End = now()
	}
	if p.life.Fate == "" || p.life.Fate == Killed || f == GivenUp {
		p.life.Fate = f
	}
}

// leave tells the node to leave the cluster and end, in the way of the order, and
// waits until it has.
func (p *process) leave(how Order) error {
	p.finish(Quit)
	if err := p.tell(how, patience); err != nil {
		return err
	}
	<-p.ended
	p.mu.Lock()
	defer p.mu.Unlock()
	p.life.Left = true
	return nil
}

// stop stops the process, and proves it. resume ends that.
func (p *process) stop() (proof string, err error) {
	pid := p.cmd.Process.Pid
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return "", err
	}
	for range 100 {
		stat, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(pid), "stat"))
		if err != nil {
			return "", err
		}
		if _, state, ok := strings.Cut(string(stat), ") "); ok && strings.HasPrefix(state, "T") {
			return fmt.Sprintf("pid %d in state T", pid), nil
		}
		<-time.After(5 * time.Millisecond)
	}
	return "", fmt.Errorf("pid %d does not stop", pid)
}

func (p *process) resume() error { return p.cmd.Process.Signal(syscall.SIGCONT) }

// spoil has the kernel treat a system call of the process as strace says, until
// the function that is returned is called, which tells how often.
func (p *process) spoil(dir, call, how string) (heal func() (int, error), err error) {
	out := filepath.Join(dir, fmt.Sprintf("strace-%d", p.cmd.Process.Pid))
	cmd := exec.Command("strace", "-f", "-q", "-o", out, "-e", "trace="+call, "-e", "inject="+call+":"+how, "-p", fmt.Sprint(p.cmd.Process.Pid))
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() { // waited for by heal
		defer close(ended)
		_ = cmd.Wait() // by a signal
	}()
	return func() (int, error) {
		_ = cmd.Process.Signal(syscall.SIGINT) // it lets go
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
		text, err := os.ReadFile(out)
		if err != nil {
			return 0, fmt.Errorf("strace: %w: %s", err, said.String())
		}
		return bytes.Count(text, []byte("(INJECTED)")) + bytes.Count(text, []byte("(DELAYED)")), nil
	}, nil
}

// injected reports whether a spoiled call has come.
func injected(dir string, p *process) bool {
	text, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("strace-%d", p.cmd.Process.Pid)))
	return err == nil && (bytes.Contains(text, []byte("(INJECTED)")) || bytes.Contains(text, []byte("(DELAYED)")))
}
