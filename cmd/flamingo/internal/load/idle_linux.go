package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Run opens the connections, step by step, closes them all and returns. It ends
// early when ctx is done, with its cause.
func (l *Idle) Run(ctx context.Context) error {
	if err := l.validate(); err != nil {
		return err
	}
	if _, err := resolve(l.Addr); err != nil {
		return err
	}
	r := &idleRun{Idle: l, lines: newLines(MinSize), buf: make([]byte, readSize)}
	defer r.closeAll()
	for _, n := range l.Steps {
		if err := r.reach(ctx, n); err != nil {
			return err
		}
		step, err := r.look()
		if err == nil && l.Reached != nil {
			err = l.Reached(step)
		}
		if err != nil {
			return err
		}
		if err := r.drain(); err != nil {
			return err
		}
	}
	return nil
}

// An idleRun is one Run of Idle.
type idleRun struct {
	*Idle
	lines lines
	fds   []int // -1: not open
	buf   []byte
}

func (r *idleRun) closeAll() {
	for _, fd := range r.fds {
		if fd < 0 {
			continue
		}
		if r.Reset {
			_ = syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
		}
		_ = syscall.Close(fd)
	}
}

// openers is how many connections are opened at the same time: enough for both
// ends to compute handshakes.
const openers = 4

// reach opens connections until there are n.
func (r *idleRun) reach(ctx context.Context, n int) error {
	var next atomic.Int64
	next.Store(int64(len(r.fds)))
	for len(r.fds) < n {
		r.fds = append(r.fds, -1)
	}
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	var opening sync.WaitGroup
	for range openers {
		opening.Go(func() {
			for ctx.Err() == nil {
				number := int(next.Add(1)) - 1
				if number >= n {
					return
				}
				fd, err := r.open(ctx, number)
				if err != nil {
					giveUp(fmt.Errorf("connection %d to %s: %w", number+1, r.Addr, err))
					return
				}
				r.fds[number] = fd
			}
		})
	}
	opening.Wait()
	return context.Cause(ctx)
}

// open returns the socket of a connection that is open, and has had its line
// echoed if that is wanted.
func (r *idleRun) open(ctx context.Context, number int) (fd int, err error) {
	d := net.Dialer{Timeout: connectWithin, KeepAlive: -1}
	nc, err := d.DialContext(ctx, "tcp4", r.Addr)
	if err != nil {
		return -1, err
	}
	defer nc.Close() // what is held is another descriptor of it, unknown to the runtime
	if err := nc.SetDeadline(time.Now().Add(connectWithin)); err != nil {
		return -1, err
	}
	defer context.AfterFunc(ctx, func() { nc.Close() })()
	s, err := r.begin(ctx, nc)
	if err == nil && r.Echo {
		err = s.echo(r.lines.appendLine(nil, connOf(number), 0), r.Greeting)
	}
	if err != nil {
		return -1, err
	}
	return another(nc)
}

// another returns a second descriptor of the socket of nc.
func another(nc net.Conn) (fd int, err error) {
	raw, err := nc.(syscall.Conn).SyscallConn()
	if err != nil {
		return -1, err
	}
	var errno syscall.Errno
	err = raw.Control(func(of uintptr) {
		var dup uintptr
		dup, _, errno = syscall.Syscall(syscall.SYS_FCNTL, of, syscall.F_DUPFD_CLOEXEC, 0)
		fd = int(dup)
	})
	if err == nil && errno != 0 {
		err = os.NewSyscallError("fcntl", errno)
	}
	if err != nil {
		return -1, err
	}
	return fd, nil
}

// look measures the memory.
func (r *idleRun) look() (Step, error) {
	step := Step{Conns: len(r.fds)}
	err := r.drain()
	if err != nil {
		return step, err
	}
	if step.Kernel, err = kernelBytes(); err != nil {
		return step, err
	}
	if r.Pid != 0 {
		step.Resident, err = residentBytes(r.Pid)
	}
	return step, err
}

// drain throws away what has come, a greeting or a ticket of TLS, which would
// count as the kernel's memory. It fails if the server has ended a connection.
func (r *idleRun) drain() error {
	for i, fd := range r.fds {
		for {
			n, err := syscall.Read(fd, r.buf)
			if n > 0 || errors.Is(err, syscall.EINTR) {
				continue
			}
			if !errors.Is(err, syscall.EAGAIN) { // its end, or a reset
				return fmt.Errorf("connection %d of %d is ended by the server", i+1, len(r.fds))
			}
			break
		}
	}
	return nil
}
