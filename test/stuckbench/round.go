//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"flamingo"
)

// hosts are the addresses of the nodes for each other.
var hosts = [3]string{"127.0.0.1:4971", "127.0.0.1:4972", "127.0.0.1:4973"}

// owner is the node that has the clients.
const owner = 1

// patience is how long anything but measuring may take.
const patience = 30 * time.Second

// warmUp is what precedes the measuring: in it those that do not read are filled up.
const warmUp = 2 * time.Second

// A result is what one round has shown.
type result struct {
	p50, p99          time.Duration // from SendData to the client
	accepted, refused uint64        // sends
	written, reported uint64        // what became of those that were accepted
	crossed           uint64        // bytes on the links of the senders
	memory            int64         // of the owner at most, in bytes; 0 without a limit
}

// A process is one node.
type process struct {
	cmd     *exec.Cmd
	orders  io.WriteCloser
	answers *json.Decoder
}

func (p *process) ask(o order) (a answer, err error) {
	if o.Do != "" {
		err = json.NewEncoder(p.orders).Encode(o)
	}
	if err == nil {
		err = p.answers.Decode(&a)
	}
	if err != nil {
		return a, fmt.Errorf("node %q: %s: %w", p.cmd.Args, o.Do, err)
	}
	return a, nil
}

// await asks for counts until ok likes them.
func (p *process) await(what string, do string, ok func(answer) bool) (a answer, err error) {
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if a, err = p.ask(order{Do: do}); err != nil || ok(a) {
			return a, err
		}
		<-time.After(20 * time.Millisecond)
	}
	return a, fmt.Errorf("%s has not come within %v: %+v", what, patience, a)
}

// end has the process end, or ends it.
func (p *process) end() {
	p.orders.Close()
	timer := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	_ = p.cmd.Wait()
}

// start starts node k, in the cgroup if that has a name.
func (p *plan) start(ctx context.Context, k int, g *group) (*process, answer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, answer{}, err
	}
	args := []string{self, "node", "-cluster", hosts[k], "-output", strconv.Itoa(p.output), "-policy", p.policy}
	if k > 0 {
		args = append(args, "-join", hosts[0])
	}
	n := &process{cmd: exec.CommandContext(ctx, args[0], args[1:]...)}
	if k == owner && g != nil {
		n.cmd = exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", `echo $$ >"$0" && exec "$@"`, g.procs()}, args...)...)
		n.cmd.Env = append(os.Environ(), fmt.Sprintf("GOMEMLIMIT=%d", p.limit/10*9))
	}
	n.cmd.Stderr = os.Stderr
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := n.cmd.StdoutPipe()
	if err == nil {
		n.orders, err = n.cmd.StdinPipe()
	}
	if err == nil {
		err = n.cmd.Start()
	}
	if err != nil {
		return nil, answer{}, err
	}
	n.answers = json.NewDecoder(out)
	a, err := n.ask(order{})
	return n, a, err
}

// round starts three nodes and the clients, so many of which do not read, sends to
// all of them, and ends everything.
func (p *plan) round(ctx context.Context, stuck int) (r result, err error) {
	g, err := newGroup(p.limit)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, g.killed(), g.remove()) }() // when the nodes have ended
	var nodes [3]*process
	var addr string
	for k := range nodes {
		n, a, err := p.start(ctx, k, g)
		if n != nil {
			defer n.end()
		}
		if err != nil {
			return r, err
		}
		nodes[k] = n
		if k == owner {
			addr = a.Addr
		}
	}
	for _, n := range nodes {
		if _, err := n.await("the cluster", "counts", func(a answer) bool { return a.Nodes == len(nodes) }); err != nil {
			return r, err
		}
	}
	c := &clients{}
	defer c.close()
	honest, err := c.connect(ctx, addr, p.honest, nodes[owner], 0)
	if err != nil {
		return r, err
	}
	silent, err := c.connect(ctx, addr, stuck, nodes[owner], p.honest)
	if err != nil {
		return r, err
	}
	c.begin = time.Now().Add(warmUp).UnixNano()
	c.read(c.all[:p.honest])
	return p.measured(ctx, nodes, c, order{Do: "start", Honest: honest, Stuck: silent, Rate: p.rate, Size: p.size}, g)
}

// measured sends for a while, and then sees what has become of everything.
func (p *plan) measured(ctx context.Context, nodes [3]*process, c *clients, o order, g *group) (r result, err error) {
	senders := []*process{nodes[0], nodes[2]}
	for _, n := range senders {
		if _, err := n.ask(o); err != nil {
			return r, err
		}
	}
	select {
	case <-ctx.Done():
		return r, context.Cause(ctx)
	case <-time.After(warmUp + p.measure):
	}
	for _, n := range senders {
		if _, err := n.ask(order{Do: "stop"}); err != nil {
			return r, err
		}
	}
	c.read(c.all[len(o.Honest):]) // or what they were sent is never written
	a, err := nodes[owner].await("the end of the output", "counts", func(a answer) bool { return a.Pending == 0 })
	if err != nil {
		return r, err
	}
	for _, n := range senders {
		b, err := n.await("the last acknowledgement", "counts", func(a answer) bool { return a.Queued == 0 })
		if err != nil {
			return r, err
		}
		r.accepted, r.refused = r.accepted+b.Accepted, r.refused+b.Refused
		r.reported, r.crossed = r.reported+b.Undelivered, r.crossed+b.Crossed
	}
	if a, err = nodes[owner].await("the end of the output", "counts", func(a answer) bool { return a.Pending == 0 }); err != nil {
		return r, err
	}
	r.written, r.reported = a.Written, r.reported+a.Undelivered
	if r.memory, err = g.most(); err != nil {
		return r, err
	}
	times := c.sorted()
	if len(times) == 0 {
		return r, errors.New("nothing has arrived")
	}
	r.p50, r.p99 = times[len(times)/2], times[len(times)*99/100]
	return r, nil
}

// clients are the clients of the owner, in the order of their ids.
type clients struct {
	all     []net.Conn
	reading sync.WaitGroup

	begin int64 // Unix nanoseconds: what is sent before is not measured; set before read

	mu    sync.Mutex
	times []time.Duration
}

// connect connects count clients with small receive buffers to a node that has had
// so many before.
func (c *clients) connect(ctx context.Context, addr string, count int, n *process, before int) ([]flamingo.ID, error) {
	d := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) {
			_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) // else the kernel takes more, that is all
		})
	}}
	for range count {
		nc, err := d.DialContext(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		c.all = append(c.all, nc)
	}
	a, err := n.await("the clients", "ids", func(a answer) bool { return len(a.IDs) == before+count })
	if err != nil {
		return nil, err
	}
	return slices.Clone(a.IDs[before:]), nil
}

// read has clients read to the end.
func (c *clients) read(some []net.Conn) {
	for _, nc := range some {
		c.reading.Go(func() {
			for lines := bufio.NewScanner(nc); lines.Scan(); {
				now := time.Now().UnixNano()
				if sent, err := strconv.ParseInt(lines.Text(), 10, 64); err == nil && sent >= c.begin {
					c.add(time.Duration(now - sent))
				}
			}
		})
	}
}

func (c *clients) add(took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.times = append(c.times, took)
}

func (c *clients) sorted() []time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(slices.Values(c.times))
}

func (c *clients) close() {
	for _, nc := range c.all {
		nc.Close()
	}
	c.reading.Wait()
}
