//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
	"unsafe"

	"flamingo/test/meshbench/worker"
)

// A child is a process that takes orders.
type child struct {
	cmd     *exec.Cmd
	orders  io.WriteCloser
	answers *json.Decoder
}

// startChild starts args, on the processors of cpus unless that is empty.
func startChild(ctx context.Context, cpus string, args ...string) (*child, error) {
	if cpus != "" {
		args = append([]string{"taskset", "-c", cpus}, args...)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	orders, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	answers, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &child{cmd: cmd, orders: orders, answers: json.NewDecoder(answers)}, cmd.Start()
}

func (c *child) ask(o worker.Order) (a worker.Answer, err error) {
	if err := json.NewEncoder(c.orders).Encode(o); err != nil {
		return a, err
	}
	if err := c.answers.Decode(&a); err != nil {
		return a, fmt.Errorf("%s: %w", o.Do, err)
	}
	if a.Err != "" {
		return a, fmt.Errorf("%s: %s", o.Do, a.Err)
	}
	return a, nil
}

// cpu returns the processor time that c has used, user and system.
func (c *child) cpu() (time.Duration, error) {
	const perProcess = 2 // CPUCLOCK_SCHED of all threads, in nanoseconds
	clock := int32(^c.cmd.Process.Pid)<<3 | perProcess
	var ts syscall.Timespec
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, uintptr(clock), uintptr(unsafe.Pointer(&ts)), 0); errno != 0 {
		return 0, errno
	}
	return time.Duration(ts.Nano()), nil
}

func (c *child) kill() {
	c.orders.Close()
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

// A design is one way to get a message from a process to the clients of
// another.
type design struct {
	name          string
	sender, owner *child // the same one if there is no way
	sink          *child
	board         *worker.Board
}

// A plan says how to start the two processes of a design. It is given the
// address between them and further ones.
type plan struct {
	name          string
	sender, owner func(between, other string) []string
}

// clientConns is how many clients each design has.
const clientConns = 1000

// pins are the processors of a process; empty: any.
type pins struct{ sender, owner string }

func (p plan) start(ctx context.Context, self, dir string, cpus pins) (d *design, err error) {
	d = &design{name: p.name}
	defer func() {
		if err != nil {
			d.stop()
			d, err = nil, fmt.Errorf("%s: %w", p.name, err)
		}
	}()
	addrs, err := freeAddrs(3)
	if err != nil {
		return d, err
	}
	board := filepath.Join(dir, p.name)
	if d.board, err = worker.OpenBoard(board); err != nil {
		return d, err
	}
	clients := addrs[2]
	if d.owner, err = startChild(ctx, cpus.owner, append(p.owner(addrs[0], addrs[1]), "-board", board, "-clients", clients)...); err != nil {
		return d, err
	}
	if _, err := d.owner.ask(worker.Order{Do: "ids"}); err != nil { // it listens
		return d, err
	}
	if d.sink, err = startChild(ctx, cpus.owner, self, "sink", "-board", board, "-clients", clients, "-conns", fmt.Sprint(clientConns)); err != nil {
		return d, err
	}
	if d.sender, err = startChild(ctx, cpus.sender, append(p.sender(addrs[0], addrs[1]), "-board", board)...); err != nil {
		return d, err
	}
	return d, d.introduce(ctx)
}

// introduce tells the sender the ids of the clients.
func (d *design) introduce(ctx context.Context) error {
	if _, err := d.sender.ask(worker.Order{Do: "ids"}); err != nil {
		return err
	}
	return within(ctx, 20*time.Second, func() error {
		a, err := d.owner.ask(worker.Order{Do: "ids"})
		if err != nil {
			return err
		}
		if len(a.IDs) < clientConns {
			return fmt.Errorf("%d of %d clients are accepted", len(a.IDs), clientConns)
		}
		_, err = d.sender.ask(worker.Order{Do: "use", IDs: a.IDs})
		return err
	})
}

// atOwner is the same sends from the owner to its own connections.
func (d *design) atOwner(ctx context.Context, name string) (*design, error) {
	local := &design{name: name, sender: d.owner, owner: d.owner, board: d.board}
	return local, local.introduce(ctx)
}

func (d *design) stop() {
	for _, c := range []*child{d.sender, d.sink, d.owner} {
		if c != nil {
			c.kill()
		}
	}
}

// freeAddrs returns addresses on loopback whose ports nobody uses.
func freeAddrs(n int) (addrs []string, err error) {
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer ln.Close()
		addrs = append(addrs, ln.Addr().String())
	}
	return addrs, nil
}
