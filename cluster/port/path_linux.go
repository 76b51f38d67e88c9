package port

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// pathTimeout is how long the other end's system may leave bytes unacknowledged,
// or take none, before a stream ends. The mesh notices a dead path before; this is
// for the other protocols, and for what the mesh has closed and the system would
// go on sending for a quarter of an hour.
const pathTimeout = 10 * time.Second

// watchPath is the Control of a dialer or a listener, whose connections inherit
// it.
func watchPath(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(pathTimeout.Milliseconds()))
	})
	if err != nil {
		return err
	}
	return failed
}
