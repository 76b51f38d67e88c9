//go:build unix && !linux

package transport

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// prepareListener sets on a listening socket what package net cannot: the
// backlog.
func prepareListener(ln net.Listener, l *Listener) error {
	if l.Backlog == 0 {
		return nil
	}
	raw, err := ln.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	var fault error
	err = raw.Control(func(fd uintptr) {
		if fault = unix.Listen(int(fd), l.Backlog); fault != nil { // a second listen sets the backlog anew
			fault = fmt.Errorf("backlog %d: %w", l.Backlog, fault)
		}
	})
	return errors.Join(err, fault)
}
