package load

import (
	"context"
	"fmt"
	"syscall"
	"time"
)

// readSize is how much is read at once, in bytes: more than a turn of any
// server brings.
const readSize = 64 << 10

// Run opens the connections and measures. It ends early when ctx is done, with
// its cause.
func (e *Echo) Run(ctx context.Context) (Result, error) {
	if err := e.validate(); err != nil {
		return Result{}, err
	}
	to, err := resolve(e.Addr)
	if err != nil {
		return Result{}, err
	}
	p, err := newPoller()
	if err != nil {
		return Result{}, err
	}
	defer p.close()
	r := &echoRun{
		Echo: e, poller: p, lines: newLines(e.Size),
		schedule: newSchedule(e.Rate), meter: newMeter(e.WarmUp, e.Duration),
		usage: usage{server: e.Pid}, buf: make([]byte, readSize),
	}
	defer r.closeAll()
	if err := r.open(ctx, to); err != nil {
		return Result{}, err
	}
	if err := r.measure(ctx); err != nil {
		return Result{}, err
	}
	result := r.meter.result(r.schedule.has())
	result.Client, result.Server = r.usage.client, r.usage.serv
	return result, nil
}

// An echoRun is one Run of Echo.
type echoRun struct {
	*Echo
	poller   *poller
	lines    lines
	schedule schedule
	meter    *meter
	usage    usage

	conns  []*echoConn
	lost   int
	ending bool  // nothing new is sent
	issued int64 // of the schedule: handed to a connection
	start  time.Time
	buf    []byte // what was read
	out    []byte // what is being sent
}

type echoConn struct {
	fd     int
	unsent []byte // lines that the kernel has not taken; epoll then waits for room too
	window
	input

	made int64 // of its share of the schedule: sent
	due  int64 // and to be sent when there is room
}

func (r *echoRun) open(ctx context.Context, to *syscall.SockaddrInet4) error {
	for i := range r.Conns {
		fd, err := openConnected(ctx, nil, to)
		if err != nil {
			return fmt.Errorf("connection %d to %s: %w", i+1, r.Addr, err)
		}
		r.conns = append(r.conns, &echoConn{fd: fd, window: newWindow(i, r.Outstanding)})
		_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
		if err := r.poller.watch(syscall.EPOLL_CTL_ADD, fd, i, syscall.EPOLLIN); err != nil {
			return err
		}
	}
	return nil
}

func (r *echoRun) closeAll() {
	for _, c := range r.conns {
		if c.fd >= 0 {
			_ = syscall.Close(c.fd)
		}
	}
}

// now is the time since the start, never 0.
func (r *echoRun) now() int64 { return int64(time.Since(r.start)) + 1 }

func (r *echoRun) measure(ctx context.Context) error {
	r.start = time.Now()
	if !r.schedule.has() {
		for i, c := range r.conns {
			r.send(i, c, r.now(), r.Outstanding)
		}
	}
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
	r.countUnsent()
	last := r.meter.to + int64(drainTime)
	if err := r.until(ctx, func(now int64) bool { return now >= last || r.underWay() == 0 }); err != nil {
		return err
	}
	r.meter.errors += int64(r.underWay())
	return nil
}

func (r *echoRun) underWay() (n int) {
	for _, c := range r.conns {
		n += c.window.out
	}
	return n
}

// countUnsent counts what was due and had no room.
func (r *echoRun) countUnsent() {
	for i, c := range r.conns {
		for range c.due {
			r.meter.late(r.dueAt(i, c.made))
			c.made++
		}
	}
}

// until exchanges lines until done says so.
func (r *echoRun) until(ctx context.Context, done func(now int64) bool) error {
	for now := r.now(); !done(now); now = r.now() {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if r.lost == len(r.conns) {
			return ErrLost
		}
		events, err := r.poller.wait(r.issue(now))
		if err != nil {
			return err
		}
		for i := range events {
			if err := r.serve(int(events[i].Fd), events[i].Events); err != nil {
				return err
			}
		}
	}
	return nil
}

// longestWait bounds a wait for events: so late is the end of a phase noticed.
const longestWait = 2 * time.Millisecond

// issue sends what is due, and returns how long there is nothing to send.
func (r *echoRun) issue(now int64) time.Duration {
	if !r.schedule.has() || r.ending {
		return longestWait
	}
	for due := r.schedule.by(now); r.issued < due; r.issued++ {
		i := int(r.issued % int64(len(r.conns)))
		c := r.conns[i]
		c.due++
		r.sendDue(i, c)
	}
	return min(longestWait, max(0, time.Duration(r.schedule.at(r.issued)-r.now())))
}

// dueAt is when the n-th line of connection i is due.
func (r *echoRun) dueAt(i int, n int64) int64 {
	return r.schedule.at(int64(i) + n*int64(len(r.conns)))
}

// sendDue sends what is due on a connection, as far as there is room.
func (r *echoRun) sendDue(i int, c *echoConn) {
	n := min(c.due, int64(r.Outstanding-c.window.out))
	if n <= 0 || c.fd < 0 {
		return
	}
	r.out = r.out[:0]
	for range n {
		r.out = r.lines.appendLine(r.out, c.conn, c.begin(r.dueAt(i, c.made)))
		c.made++
	}
	c.due -= n
	r.write(i, c)
}

// send sends n more lines on a connection.
func (r *echoRun) send(i int, c *echoConn, now int64, n int) {
	r.out = r.out[:0]
	for range n {
		r.out = r.lines.appendLine(r.out, c.conn, c.begin(now))
	}
	r.write(i, c)
}

// write writes r.out, after what is unsent.
func (r *echoRun) write(i int, c *echoConn) {
	if len(c.unsent) > 0 {
		c.unsent = append(c.unsent, r.out...)
		return
	}
	n, errno := write(c.fd, r.out)
	switch {
	case errno == syscall.EAGAIN:
		n = 0
	case errno != 0:
		r.lose(c)
		return
	}
	if n < len(r.out) {
		c.unsent = append(c.unsent, r.out[n:]...)
		_ = r.poller.watch(syscall.EPOLL_CTL_MOD, c.fd, i, syscall.EPOLLIN|syscall.EPOLLOUT) // it is watched
	}
}

// serve handles the events of connection i.
func (r *echoRun) serve(i int, events uint32) error {
	c := r.conns[i]
	if events&syscall.EPOLLOUT != 0 && len(c.unsent) > 0 {
		r.flush(i, c)
	}
	if events&^syscall.EPOLLOUT == 0 || c.fd < 0 {
		return nil
	}
	n, errno := read(c.fd, r.buf)
	switch {
	case errno == syscall.EAGAIN || errno == syscall.EINTR:
		return nil
	case errno != 0 || n == 0:
		r.lose(c)
		return nil //nolint:nilerr // it is counted
	}
	now := r.now()
	answered := 0
	err := c.cut(r.buf[:n], r.lines.size, r.Greeting, func(line []byte) error {
		since, err := c.end(&r.lines, line)
		if err == nil {
			r.meter.record(since, now)
			answered++
		}
		return err
	})
	switch {
	case err != nil || r.ending:
	case r.schedule.has():
		r.sendDue(i, c)
	case answered > 0:
		r.send(i, c, now, answered)
	}
	return err
}

func (r *echoRun) flush(i int, c *echoConn) {
	n, errno := write(c.fd, c.unsent)
	switch {
	case errno == syscall.EAGAIN:
		return
	case errno != 0:
		r.lose(c)
		return
	}
	c.unsent = c.unsent[:copy(c.unsent, c.unsent[n:])]
	if len(c.unsent) == 0 {
		_ = r.poller.watch(syscall.EPOLL_CTL_MOD, c.fd, i, syscall.EPOLLIN) // it is watched
	}
}

// lose gives a connection up, with what is under way on it.
func (r *echoRun) lose(c *echoConn) {
	_ = syscall.Close(c.fd)
	c.fd = -1
	c.unsent = nil
	r.lost++
	r.meter.errors += 1 + int64(c.window.out)
	c.window.out = 0
}
