package transport

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// eventsPerWait is how many events one epoll_wait returns at most, and so how
// many connections a loop serves between two flushes.
const eventsPerWait = 256

// A poller is an epoll set that is itself awaited through Go's poller: while
// nothing happens its goroutine is parked like one that waits for a socket,
// and holds neither a thread nor a P (ADR 2).
type poller struct {
	file   *os.File // the epoll descriptor
	raw    syscall.RawConn
	fd     int
	events [eventsPerWait]unix.EpollEvent
	ready  int // events filled in by probe
	probe  func(fd uintptr) bool
}

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // asks os.NewFile to use Go's poller
		unix.Close(fd)
		return nil, fmt.Errorf("epoll descriptor: %w", err)
	}
	p := &poller{fd: fd, file: os.NewFile(uintptr(fd), "epoll")}
	p.probe = func(uintptr) bool { return p.poll() > 0 }
	if p.raw, err = p.file.SyscallConn(); err != nil {
		p.file.Close()
		return nil, fmt.Errorf("epoll descriptor: %w", err)
	}
	return p, nil
}

// add registers fd for every event, edge-triggered. Its events carry key.
func (p *poller) add(fd int32, key uint64) error {
	return p.control(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLPRI|unix.EPOLLRDHUP|unix.EPOLLET, key)
}

// listen registers a listening socket, level-triggered.
func (p *poller) listen(fd int32, key uint64) error {
	return p.control(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN, key)
}

func (p *poller) remove(fd int32) error { return p.control(unix.EPOLL_CTL_DEL, fd, 0, 0) }

func (p *poller) control(op int, fd int32, events uint32, key uint64) error {
	ev := unix.EpollEvent{Events: events, Fd: int32(key), Pad: int32(key >> 32)}
	if err := unix.EpollCtl(p.fd, op, int(fd), &ev); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

func key(ev *unix.EpollEvent) uint64 { return uint64(uint32(ev.Fd)) | uint64(uint32(ev.Pad))<<32 }

// poll fetches the events that are there, without waiting.
func (p *poller) poll() int {
	for {
		n, err := pollQuick(p.fd, p.events[:])
		if err == unix.EINTR {
			continue
		}
		p.ready = max(n, 0)
		return p.ready
	}
}

// wait waits for an event or an interrupt and fetches the events.
func (p *poller) wait() error {
	p.ready = 0
	err := p.raw.Read(p.probe)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return p.file.SetReadDeadline(time.Time{})
	}
	return err
}

// interrupt ends a wait that is under way, or the next one. It makes no system
// call: a read deadline in the past readies the parked goroutine.
func (p *poller) interrupt() { _ = p.file.SetReadDeadline(longAgo) }

func (p *poller) close() error { return p.file.Close() }
