//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"flamingo/test/meshbench/worker"
)

// sinkPause is how long the clients let bytes gather before they read on. It
// bounds what they cost, which is not what is measured.
const sinkPause = 200 * time.Microsecond

// A sink is a program of many clients, which count what they are sent and do
// not look at it.
type sink struct {
	epfd   int
	board  *worker.Board
	events [256]syscall.EpollEvent
	buf    []byte
}

// runSink connects, says so, and counts until ctx is done.
func runSink(ctx context.Context, addr string, conns int, board *worker.Board, out io.Writer) error {
	epfd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	s := &sink{epfd: epfd, board: board, buf: make([]byte, 1<<20)}
	for range conns {
		fd, err := dial(addr)
		if err != nil {
			return err
		}
		ev := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)}
		if err := syscall.EpollCtl(epfd, syscall.EPOLL_CTL_ADD, fd, &ev); err != nil {
			return err
		}
	}
	fmt.Fprintln(out, "{}") // an answer, as of the others
	for ctx.Err() == nil {
		if err := s.turn(); err != nil {
			return err
		}
	}
	return nil
}

func dial(addr string) (fd int, err error) {
	a, err := net.ResolveTCPAddr("tcp4", addr)
	if err != nil {
		return 0, err
	}
	if fd, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0); err != nil {
		return 0, err
	}
	sa := &syscall.SockaddrInet4{Port: a.Port}
	copy(sa.Addr[:], a.IP.To4())
	return fd, syscall.Connect(fd, sa)
}

func (s *sink) turn() error {
	n, err := syscall.EpollWait(s.epfd, s.events[:], 100)
	if err != nil && err != syscall.EINTR {
		return err
	}
	for i := range max(n, 0) {
		// MSG_TRUNC: the kernel counts the bytes and does not copy them.
		got, _, err := syscall.Recvfrom(int(s.events[i].Fd), s.buf, syscall.MSG_DONTWAIT|syscall.MSG_TRUNC)
		if err == syscall.EAGAIN || err == syscall.EINTR {
			continue
		}
		if err != nil || got == 0 {
			return fmt.Errorf("connection lost: %d, %w", got, err)
		}
		s.board.Add(got)
	}
	if n > 0 && n < len(s.events) {
		pause := syscall.NsecToTimespec(int64(sinkPause))
		_ = syscall.Nanosleep(&pause, nil)
	}
	return nil
}
