package main

import (
	"errors"
	"syscall"
)

// Errors of Windows sockets, which package syscall does not name: winsock2.h.
const (
	wsaeAddrInUse   syscall.Errno = 10048
	wsaeConnRefused syscall.Errno = 10061
)

// isInUse reports whether another socket has the address.
func isInUse(err error) bool { return errors.Is(err, wsaeAddrInUse) }

// isRefused reports whether nobody listens at the address.
func isRefused(err error) bool { return errors.Is(err, wsaeConnRefused) }
