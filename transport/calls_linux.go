package transport

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The system calls of an event loop, on sockets that never wait. The runtime is
// not told of them: it would watch each for being a long one, which wakes its
// monitor every 20 µs for as long as the loop is busy, and may give the loop's P
// away in the middle of it. What could be long is not made here: a write of more
// than maxQuickWrite bytes.

// maxQuickWrite is how many bytes are written without telling the runtime, which
// until then cannot stop the world: about 20 µs of copying.
const maxQuickWrite = 64 << 10

func errnoOf(errno unix.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}

// readQuick reads at most len(p) bytes, of which there is one at least.
func readQuick(fd int32, p []byte) (int, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	return int(n), errnoOf(errno)
}

// writeQuick writes p, of which there is one byte at least.
func writeQuick(fd int32, p []byte) (int, error) {
	if len(p) > maxQuickWrite {
		return unix.Write(int(fd), p)
	}
	n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	return int(n), errnoOf(errno)
}

// acceptQuick accepts a connection without asking who it is from.
func acceptQuick(fd int32) (int32, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), 0, 0, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	return int32(n), errnoOf(errno)
}

// closeQuick closes a socket whose SO_LINGER is 0 or not set, as is that of
// every connection: else it could wait.
func closeQuick(fd int32) {
	_, _, _ = unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
}

// pollQuick fetches the events that are there.
func pollQuick(fd int, events []unix.EpollEvent) (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(fd), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
	return int(n), errnoOf(errno)
}
