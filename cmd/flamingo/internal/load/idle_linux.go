package load

import (
	"bytes"
	"context"
	"fmt"
	"syscall"
	"time"
)

// Run opens the connections, step by step, closes them all and returns. It ends
// early when ctx is done, with its cause.
func (l *Idle) Run(ctx context.Context) error {
	if err := l.validate(); err != nil {
		return err
	}
	to, err := resolve(l.Addr)
	if err != nil {
		return err
	}
	r := &idleRun{Idle: l, to: to, lines: newLines(MinSize), buf: make([]byte, readSize)}
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
		if err := r.check(); err != nil {
			return err
		}
	}
	return nil
}

// An idleRun is one Run of Idle.
type idleRun struct {
	*Idle
	to    *syscall.SockaddrInet4
	lines lines
	fds   []int
	buf   []byte
}

func (r *idleRun) closeAll() {
	for _, fd := range r.fds {
		_ = syscall.Close(fd)
	}
}

// echoWithin bounds the wait for the one reply on a connection.
const echoWithin = 5 * time.Second

func (r *idleRun) reach(ctx context.Context, n int) error {
	for len(r.fds) < n {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		fd, err := openConnected(ctx, nil, r.to)
		if err != nil {
			return fmt.Errorf("connection %d to %s: %w", len(r.fds)+1, r.Addr, err)
		}
		r.fds = append(r.fds, fd)
		if r.Echo {
			if err := r.echo(fd, connOf(len(r.fds)-1)); err != nil {
				return err
			}
		}
	}
	return nil
}

// echo has one line echoed.
func (r *idleRun) echo(fd int, conn [connDigits]byte) error {
	p, err := newPoller()
	if err != nil {
		return err
	}
	defer p.close()
	if err := p.watch(syscall.EPOLL_CTL_ADD, fd, 0, syscall.EPOLLIN); err != nil {
		return err
	}
	line := r.lines.appendLine(nil, conn, 0)
	if _, errno := write(fd, line); errno != 0 {
		return fmt.Errorf("connection %s: %w", conn, errno)
	}
	var in input
	replied := false
	for end := time.Now().Add(echoWithin); !replied; {
		if time.Now().After(end) {
			return fmt.Errorf("%w: connection %s got none within %v", ErrWrongReply, conn, echoWithin)
		}
		if _, err := p.wait(100 * time.Millisecond); err != nil {
			return err
		}
		n, errno := read(fd, r.buf)
		switch {
		case errno == syscall.EAGAIN:
			continue
		case errno != 0:
			return fmt.Errorf("connection %s: %w", conn, errno)
		case n == 0:
			return fmt.Errorf("connection %s is ended by the server", conn)
		}
		err := in.cut(r.buf[:n], r.lines.size, r.Greeting, func(got []byte) error {
			if replied || !bytes.Equal(got, line) {
				return wrongReply(conn, got, "which is not what it sent")
			}
			replied = true
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// look measures the memory.
func (r *idleRun) look() (Step, error) {
	step := Step{Conns: len(r.fds)}
	var err error
	if step.Kernel, err = kernelBytes(); err != nil {
		return step, err
	}
	if r.Pid != 0 {
		step.Resident, err = residentBytes(r.Pid)
	}
	return step, err
}

// check fails if the server has ended a connection.
func (r *idleRun) check() error {
	for i, fd := range r.fds {
		n, _, err := syscall.Recvfrom(fd, r.buf[:1], syscall.MSG_PEEK)
		if n == 0 && err == nil {
			return fmt.Errorf("connection %d of %d is ended by the server", i+1, len(r.fds))
		}
	}
	return nil
}
