package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// A poller waits for events of sockets, each known by a number.
type poller struct {
	fd     int
	events [256]syscall.EpollEvent
}

func newPoller() (*poller, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	return &poller{fd: fd}, nil
}

func (p *poller) close() { _ = syscall.Close(p.fd) }

// watch has the socket's events reported, under its number.
func (p *poller) watch(op, fd, number int, events uint32) error {
	ev := syscall.EpollEvent{Events: events, Fd: int32(number)}
	return os.NewSyscallError("epoll_ctl", syscall.EpollCtl(p.fd, op, fd, &ev))
}

// wait returns the events there are, after at most d. It is exact to some tens
// of microseconds: a rate is kept by it.
func (p *poller) wait(d time.Duration) ([]syscall.EpollEvent, error) {
	timeout := int(d / time.Millisecond)
	if timeout == 0 && d > 0 {
		var set syscall.FdSet
		word := 8 * int(unsafe.Sizeof(set.Bits[0]))
		set.Bits[p.fd/word] |= 1 << (p.fd % word)
		tv := syscall.NsecToTimeval(int64(d))
		if _, err := syscall.Select(p.fd+1, &set, nil, nil, &tv); err != nil && !errors.Is(err, syscall.EINTR) {
			return nil, os.NewSyscallError("select", err)
		}
	}
	n, err := syscall.EpollWait(p.fd, p.events[:], timeout)
	if err != nil && !errors.Is(err, syscall.EINTR) {
		return nil, os.NewSyscallError("epoll_wait", err)
	}
	return p.events[:max(n, 0)], nil
}

// resolve returns the address of the server. Its host may be a name of IPv4.
func resolve(addr string) (*syscall.SockaddrInet4, error) {
	a, err := net.ResolveTCPAddr("tcp4", addr)
	if err != nil {
		return nil, fmt.Errorf("%w: address: %w", ErrConfig, err)
	}
	if a.IP == nil {
		a.IP = net.IPv4(127, 0, 0, 1)
	}
	return &syscall.SockaddrInet4{Port: a.Port, Addr: [4]byte(a.IP.To4())}, nil
}

// ipBindAddressNoPort has bind leave the choice of the port to connect, which
// then may use one port for several servers (ip(7)).
const ipBindAddressNoPort = 24

// open returns a socket that is connected or on its way. An empty from is
// whatever the system chooses. The socket does not wait.
func open(from, to *syscall.SockaddrInet4) (fd int, connected bool, err error) {
	fd, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, false, os.NewSyscallError("socket", err)
	}
	if from != nil {
		_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_IP, ipBindAddressNoPort, 1)
		if err := syscall.Bind(fd, from); err != nil {
			_ = syscall.Close(fd)
			return -1, false, os.NewSyscallError("bind", err)
		}
	}
	err = syscall.Connect(fd, to)
	switch {
	case err == nil:
		return fd, true, nil
	case errors.Is(err, syscall.EINPROGRESS):
		return fd, false, nil
	default:
		_ = syscall.Close(fd)
		return -1, false, os.NewSyscallError("connect", err)
	}
}

// connectWithin bounds a connection's opening.
const connectWithin = 10 * time.Second

// openConnected returns a socket that is connected, when it is.
func openConnected(ctx context.Context, from, to *syscall.SockaddrInet4) (fd int, err error) {
	fd, connected, err := open(from, to)
	if err != nil || connected {
		return fd, err
	}
	p, err := newPoller()
	if err == nil {
		defer p.close()
		err = p.watch(syscall.EPOLL_CTL_ADD, fd, 0, syscall.EPOLLOUT)
	}
	for end := time.Now().Add(connectWithin); err == nil; {
		var events []syscall.EpollEvent
		events, err = p.wait(100 * time.Millisecond)
		switch {
		case err != nil:
		case len(events) > 0:
			if err = socketError(fd); err == nil {
				return fd, nil
			}
			err = os.NewSyscallError("connect", err)
		case ctx.Err() != nil:
			err = context.Cause(ctx)
		case time.Now().After(end):
			err = os.NewSyscallError("connect", syscall.ETIMEDOUT)
		}
	}
	_ = syscall.Close(fd)
	return -1, err
}

// socketError returns and clears the error of a socket.
func socketError(fd int) error {
	n, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ERROR)
	if err == nil && n != 0 {
		err = syscall.Errno(n)
	}
	return err
}

// read and write are system calls on sockets that do not wait. The runtime is
// not told of them: that would cost as much as a small one itself.

func read(fd int, p []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	return int(n), errno
}

func write(fd int, p []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	return int(n), errno
}

// sourcesFor returns addresses to connect from: one that the system chooses,
// unless the server is on loopback.
func sourcesFor(to *syscall.SockaddrInet4, n int) []*syscall.SockaddrInet4 {
	if n == 1 || to.Addr[0] != 127 {
		return []*syscall.SockaddrInet4{nil}
	}
	var from []*syscall.SockaddrInet4
	for i := range n {
		from = append(from, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, byte(i + 1)}})
	}
	return from
}
