//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"flamingo/test/bench"
	"flamingo/test/meshbench/worker"
)

// A child is a process that takes orders.
type child struct {
	cmd     *exec.Cmd
	orders  io.WriteCloser
	answers *json.Decoder
}

// startChild starts args, on cores unless that is empty.
func startChild(ctx context.Context, cores string, args ...string) (*child, error) {
	cmd := bench.Command(ctx, cores, args...)
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

// ask has c carry out an order.
func (c *child) ask(o worker.Order) (a worker.Answer, err error) {
	if err := json.NewEncoder(c.orders).Encode(o); err != nil {
		return a, err
	}
	return a, c.answer(o.Do, &a)
}

// answer waits for what c says to what it was told to do.
func (c *child) answer(do string, a *worker.Answer) error {
	if err := c.answers.Decode(a); err != nil {
		return fmt.Errorf("%s: %w", do, err)
	}
	if a.Err != "" {
		return fmt.Errorf("%s: %s", do, a.Err)
	}
	return nil
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

// writes returns how many calls to write c has made.
func (c *child) writes() (n uint64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", c.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), "syscw: ")
	line, _, _ := strings.Cut(rest, "\n")
	return strconv.ParseUint(line, 10, 64)
}

// kill ends c and waits for its end.
func (c *child) kill() {
	c.orders.Close()
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}
