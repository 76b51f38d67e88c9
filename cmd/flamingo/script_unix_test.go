//go:build unix

package main

import "syscall"

// smallReceiveBuffer makes a client that does not read soon hold up its node.
func smallReceiveBuffer(_, _ string, raw syscall.RawConn) error {
	var err error
	if e := raw.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 16<<10)
	}); e != nil {
		return e
	}
	return err
}
