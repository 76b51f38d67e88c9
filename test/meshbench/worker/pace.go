//go:build linux

package worker

import (
	"encoding/binary"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// A pace says when messages are due. It waits in the poller of the runtime for
// a timer of the kernel: the runtime's own timers are kept to a millisecond when
// nothing else runs.
type pace struct{ timer *os.File }

func newPace(perSecond int) (*pace, error) {
	const monotonic = 1 // CLOCK_MONOTONIC
	fd, _, errno := syscall.Syscall(syscall.SYS_TIMERFD_CREATE, monotonic, syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if errno != 0 {
		return nil, os.NewSyscallError("timerfd_create", errno)
	}
	p := &pace{os.NewFile(fd, "timer")}
	each := syscall.NsecToTimespec(int64(time.Second) / int64(perSecond))
	every := [2]syscall.Timespec{each, each} // interval, first
	_, _, errno = syscall.Syscall6(syscall.SYS_TIMERFD_SETTIME, fd, 0, uintptr(unsafe.Pointer(&every)), 0, 0, 0)
	if errno != 0 {
		p.close()
		return nil, os.NewSyscallError("timerfd_settime", errno)
	}
	return p, nil
}

// wait waits until messages are due and returns how many.
func (p *pace) wait() (int, error) {
	var n [8]byte
	_, err := p.timer.Read(n[:])
	return int(binary.NativeEndian.Uint64(n[:])), err
}

func (p *pace) close() { p.timer.Close() }
