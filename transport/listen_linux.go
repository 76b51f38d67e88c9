package transport

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// prepareListener sets on a listening socket what package net cannot: the
// backlog, and what accepted sockets inherit, at no system call for each of them.
func prepareListener(ln net.Listener, l *Listener) error {
	raw, err := ln.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	var fault error
	err = raw.Control(func(fd uintptr) {
		if l.Backlog > 0 {
			if fault = unix.Listen(int(fd), l.Backlog); fault != nil { // a second listen sets the backlog anew
				fault = fmt.Errorf("backlog %d: %w", l.Backlog, fault)
				return
			}
		}
		fault = setAccepted(int(fd), l)
	})
	return errors.Join(err, fault)
}
