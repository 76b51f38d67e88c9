package load

import (
	"bytes"
	"context"
	"fmt"
	"syscall"
	"time"
)

// Run measures lives. It ends early when ctx is done, with its cause.
func (c *Connect) Run(ctx context.Context) (Result, error) {
	if err := c.validate(); err != nil {
		return Result{}, err
	}
	to, err := resolve(c.Addr)
	if err != nil {
		return Result{}, err
	}
	fd, err := openConnected(ctx, nil, to) // says at once if there is no server
	if err != nil {
		return Result{}, fmt.Errorf("connection to %s: %w", c.Addr, err)
	}
	_ = syscall.Close(fd)
	p, err := newPoller()
	if err != nil {
		return Result{}, err
	}
	defer p.close()
	r := &connectRun{
		Connect: c, poller: p, to: to, from: sourcesFor(to, c.Sources), lines: newLines(c.Size),
		schedule: newSchedule(c.Rate), meter: newMeter(c.WarmUp, c.Duration),
		usage: usage{server: c.Pid}, buf: make([]byte, readSize),
		lives: make([]life, c.Conns),
	}
	for i := range r.lives {
		r.lives[i] = life{fd: -1, conn: connOf(i)}
		r.free = append(r.free, c.Conns-1-i)
	}
	defer r.closeAll()
	if err := r.measure(ctx); err != nil {
		return Result{}, err
	}
	result := r.meter.result(r.schedule.has())
	result.Client, result.Server = r.usage.client, r.usage.serv
	return result, nil
}

// A connectRun is one Run of Connect.
type connectRun struct {
	*Connect
	poller   *poller
	to       *syscall.SockaddrInet4
	from     []*syscall.SockaddrInet4
	lines    lines
	schedule schedule
	meter    *meter
	usage    usage

	lives  []life
	free   []int // of those, the ones that are over
	begun  int64
	ending bool
	failed error // why the last life that failed did
	start  time.Time
	buf    []byte
}

// A life is one connection, from its connect to its close.
type life struct {
	fd    int // -1: it is over
	conn  [connDigits]byte
	line  []byte // sent; what is expected
	since int64
	sent  bool
	input
}

func (r *connectRun) closeAll() {
	for i := range r.lives {
		if r.lives[i].fd >= 0 {
			_ = syscall.Close(r.lives[i].fd)
		}
	}
}

func (r *connectRun) now() int64 { return int64(time.Since(r.start)) + 1 }

func (r *connectRun) measure(ctx context.Context) error {
	r.start = time.Now()
	if err := r.until(ctx, func(now int64) bool { return now >= r.meter.from }); err != nil {
		return err
	}
	if err := r.usage.begin(); err != nil {
		return err
	}
	if err := r.until(ctx, func(now int64) bool { return now >= r.meter.to }); err != nil {
		return err
	}
	if err := r.usage.end(); err != nil {
		return err
	}
	r.ending = true
	if r.schedule.has() {
		for ; r.schedule.at(r.begun) < r.meter.to; r.begun++ {
			r.meter.late(r.schedule.at(r.begun))
		}
	}
	last := r.meter.to + int64(drainTime)
	if err := r.until(ctx, func(now int64) bool { return now >= last || len(r.free) == len(r.lives) }); err != nil {
		return err
	}
	r.meter.errors += int64(len(r.lives) - len(r.free))
	if r.meter.total == 0 && r.failed != nil {
		return fmt.Errorf("no life succeeds: %w", r.failed)
	}
	return nil
}

func (r *connectRun) until(ctx context.Context, done func(now int64) bool) error {
	for now := r.now(); !done(now); now = r.now() {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		events, err := r.poller.wait(r.beginLives(now))
		if err != nil {
			return err
		}
		for i := range events {
			if err := r.serve(int(events[i].Fd)); err != nil {
				return err
			}
		}
	}
	return nil
}

// beginLives begins as many lives as there is room for, or as are due, and
// returns how long there is none to begin.
func (r *connectRun) beginLives(now int64) time.Duration {
	for range len(r.free) { // one that fails at once is not tried again in this turn
		if r.ending || len(r.free) == 0 || r.schedule.has() && r.schedule.at(r.begun) > now {
			break
		}
		since := r.now()
		if r.schedule.has() {
			since = r.schedule.at(r.begun)
		}
		i := r.free[len(r.free)-1]
		r.free = r.free[:len(r.free)-1]
		r.begin(i, since)
		r.begun++
	}
	if r.ending || !r.schedule.has() || len(r.free) == 0 {
		return longestWait
	}
	return min(longestWait, max(0, time.Duration(r.schedule.at(r.begun)-r.now())))
}

func (r *connectRun) begin(i int, since int64) {
	l := &r.lives[i]
	fd, connected, err := open(r.from[r.begun%int64(len(r.from))], r.to)
	if err != nil {
		r.fail(i, err)
		return
	}
	l.fd, l.since, l.sent = fd, since, false
	l.input = input{part: l.part[:0]}
	l.line = r.lines.appendLine(l.line[:0], l.conn, int(r.begun%1e4))
	events := uint32(syscall.EPOLLOUT)
	if connected {
		r.say(i, l)
		events = syscall.EPOLLIN
	}
	if l.fd < 0 {
		return
	}
	if err := r.poller.watch(syscall.EPOLL_CTL_ADD, fd, i, events); err != nil {
		r.fail(i, err)
	}
}

// say sends the line of a life. A new connection has room for it, or fails.
func (r *connectRun) say(i int, l *life) {
	n, errno := write(l.fd, l.line)
	switch {
	case errno != 0:
		r.fail(i, errno)
	case n < len(l.line):
		r.fail(i, fmt.Errorf("a new connection takes %d bytes of a line of %d", n, len(l.line)))
	}
	l.sent = true
}

// serve handles an event of life i.
func (r *connectRun) serve(i int) error {
	l := &r.lives[i]
	if l.fd < 0 {
		return nil
	}
	if !l.sent {
		if err := socketError(l.fd); err != nil {
			r.fail(i, err)
			return nil
		}
		r.say(i, l)
		if l.fd >= 0 {
			return r.poller.watch(syscall.EPOLL_CTL_MOD, l.fd, i, syscall.EPOLLIN)
		}
		return nil
	}
	n, errno := read(l.fd, r.buf)
	switch {
	case errno == syscall.EAGAIN || errno == syscall.EINTR:
		return nil
	case errno != 0:
		r.fail(i, errno)
		return nil
	case n == 0:
		r.fail(i, fmt.Errorf("the server ends a connection before it has replied"))
		return nil
	}
	return l.cut(r.buf[:n], r.lines.size, r.Greeting, func(line []byte) error {
		if l.fd < 0 || !bytes.Equal(line, l.line) {
			return wrongReply(l.conn, line, "which is not what it sent")
		}
		r.over(i)
		r.meter.record(l.since, r.now())
		return nil
	})
}

// over ends a life.
func (r *connectRun) over(i int) {
	if r.lives[i].fd >= 0 {
		_ = syscall.Close(r.lives[i].fd)
	}
	r.lives[i].fd = -1
	r.free = append(r.free, i)
}

func (r *connectRun) fail(i int, err error) {
	r.meter.errors++
	r.failed = err
	r.over(i)
}
