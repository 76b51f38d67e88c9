//go:build linux

package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"flamingo/test/meshbench/worker"
)

// sinkPause is how long the clients let bytes gather before they read on. It
// bounds what they cost, which is not what is measured.
const sinkPause = 200 * time.Microsecond

// perSource is how many connections come from one address: well below the
// number of ports.
const perSource = 5000

// A sink is a program of many clients, which check what they are sent and do
// nothing with it.
type sink struct {
	epfd    int
	board   *worker.Board
	eager   bool               // reads at once
	clients []*worker.Receiver // by file descriptor
	events  [256]syscall.EpollEvent
	buf     []byte
}

// runSink connects, says so, and checks until ctx is done. Its arguments are
// ADDR=CONNS.
func runSink(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("meshbench sink", flag.ContinueOnError)
	boardName := flags.String("board", "", "file that the processes of a design share")
	eager := flags.Bool("eager", false, "read at once, in place of letting bytes gather")
	if err := flags.Parse(args); err != nil {
		return err
	}
	board, err := worker.OpenBoard(*boardName)
	if err != nil {
		return err
	}
	epfd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	s := &sink{epfd: epfd, board: board, eager: *eager, buf: make([]byte, 256<<10)}
	for _, arg := range flags.Args() {
		addr, number, _ := strings.Cut(arg, "=")
		conns, err := strconv.Atoi(number)
		if err != nil {
			return fmt.Errorf("%q: want ADDR=CONNS", arg)
		}
		if err := s.connect(addr, conns); err != nil {
			return err
		}
	}
	fmt.Fprintln(os.Stdout, "{}") // an answer, as of the others
	runtime.LockOSThread()
	for ctx.Err() == nil {
		if err := s.turn(); err != nil {
			return err
		}
	}
	return nil
}

func (s *sink) connect(addr string, conns int) error {
	to, err := net.ResolveTCPAddr("tcp4", addr)
	if err != nil {
		return err
	}
	for i := range conns {
		fd, err := dial(byte(1+i/perSource), to)
		if err != nil {
			return err
		}
		for len(s.clients) <= fd {
			s.clients = append(s.clients, nil)
		}
		s.clients[fd] = &worker.Receiver{}
		ev := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)}
		if err := syscall.EpollCtl(s.epfd, syscall.EPOLL_CTL_ADD, fd, &ev); err != nil {
			return err
		}
	}
	return nil
}

// dial connects from 127.0.0.source.
func dial(source byte, to *net.TCPAddr) (fd int, err error) {
	if fd, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0); err != nil {
		return 0, err
	}
	const bindAddressNoPort = 24 // IP_BIND_ADDRESS_NO_PORT: a port is free if it is free to that address
	if err := syscall.SetsockoptInt(fd, syscall.IPPROTO_IP, bindAddressNoPort, 1); err != nil {
		return 0, err
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, source}}); err != nil {
		return 0, err
	}
	sa := &syscall.SockaddrInet4{Port: to.Port}
	copy(sa.Addr[:], to.IP.To4())
	return fd, syscall.Connect(fd, sa)
}

func (s *sink) turn() error {
	n, err := syscall.EpollWait(s.epfd, s.events[:], 100)
	if err != nil && err != syscall.EINTR {
		return err
	}
	var tally worker.Tally
	for i := range max(n, 0) {
		if err := s.read(s.events[i].Fd, &tally); err != nil {
			return err
		}
	}
	if tally.Messages > 0 {
		s.board.Add(tally)
	}
	if n > 0 && n < len(s.events) && !s.eager {
		pause := syscall.NsecToTimespec(int64(sinkPause))
		_ = syscall.Nanosleep(&pause, nil)
	}
	return nil
}

func (s *sink) read(fd int32, tally *worker.Tally) error {
	got, err := syscall.Read(int(fd), s.buf)
	if err == syscall.EAGAIN || err == syscall.EINTR {
		return nil
	}
	if err != nil || got == 0 {
		return fmt.Errorf("connection lost: %d, %w", got, err)
	}
	return s.clients[fd].Take(s.buf[:got], tally, s.timed)
}

func (s *sink) timed(at uint64) {
	s.board.AddLatency(time.Duration(uint64(time.Now().UnixNano()) - at))
}
