//go:build unix

package transport

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// wasReset reports whether a connection whose input ended, and whose output we
// have not shut, was in truth reset. The system tells of a reset once: if a
// blocked write was told, a read sees an ordinary end. But then the socket has
// no peer any more.
func wasReset(nc net.Conn) bool {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	var fault error
	err = raw.Control(func(fd uintptr) { _, fault = unix.Getpeername(int(fd)) })
	return err == nil && fault != nil
}
