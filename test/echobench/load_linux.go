package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"syscall"
	"time"
)

// load keeps outstanding messages under way on each of conns connections and
// returns how many a second came back. One thread does it with epoll, so that
// the client costs less than any server measured.
func load(addr string, conns, outstanding int, measure time.Duration) (rate float64, err error) {
	runtime.LockOSThread()
	epfd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return 0, err
	}
	burst := bytes.Repeat(append(bytes.Repeat([]byte{'x'}, messageBytes-1), '\n'), 1024)
	for range conns {
		fd, err := connect(addr)
		if err != nil {
			return 0, err
		}
		ev := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)}
		if err := syscall.EpollCtl(epfd, syscall.EPOLL_CTL_ADD, fd, &ev); err != nil {
			return 0, err
		}
		if _, err := syscall.Write(fd, burst[:outstanding*messageBytes]); err != nil {
			return 0, err
		}
	}
	l := &loader{epfd: epfd, burst: burst, partial: make(map[int32]int), buf: make([]byte, 64<<10)}
	if _, err := l.run(time.Second); err != nil {
		return 0, err
	}
	start := time.Now()
	n, err := l.run(measure)
	return float64(n) / time.Since(start).Seconds(), err
}

func connect(addr string) (fd int, err error) {
	a, err := net.ResolveTCPAddr("tcp4", addr)
	if err != nil {
		return 0, err
	}
	if fd, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0); err != nil {
		return 0, err
	}
	sa := &syscall.SockaddrInet4{Port: a.Port}
	copy(sa.Addr[:], a.IP.To4())
	if err := syscall.Connect(fd, sa); err != nil {
		return 0, err
	}
	return fd, syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
}

type loader struct {
	epfd    int
	burst   []byte
	partial map[int32]int // bytes of an incomplete message, by descriptor
	buf     []byte
	events  [128]syscall.EpollEvent
}

// run exchanges messages for d and returns how many came back.
func (l *loader) run(d time.Duration) (messages int, err error) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		n, err := syscall.EpollWait(l.epfd, l.events[:], 100)
		if err != nil && err != syscall.EINTR {
			return messages, err
		}
		for i := range max(n, 0) {
			k, err := l.exchange(l.events[i].Fd)
			if err != nil {
				return messages, err
			}
			messages += k
		}
	}
	return messages, nil
}

// exchange reads what came back and sends as many messages again.
func (l *loader) exchange(fd int32) (messages int, err error) {
	n, err := syscall.Read(int(fd), l.buf)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("connection lost: %d, %w", n, err)
	}
	n += l.partial[fd]
	l.partial[fd] = n % messageBytes
	messages = n / messageBytes
	for left := messages * messageBytes; left > 0; {
		k, err := syscall.Write(int(fd), l.burst[:min(left, len(l.burst))])
		if err != nil {
			return messages, err
		}
		left -= k
	}
	return messages, nil
}

// idle holds silent connections until ctx is done.
func idle(ctx context.Context, addr string, conns int, out io.Writer) error {
	for range conns {
		if _, err := connect(addr); err != nil {
			return err
		}
	}
	fmt.Fprintln(out, "connected")
	<-ctx.Done()
	return nil
}
