package main

import (
	"errors"
	"syscall"
)

// wsaeConnRefused is an error of Windows sockets, which package syscall does
// not name: winsock2.h.
const wsaeConnRefused syscall.Errno = 10061

// isRefused reports whether nobody listens at the address.
func isRefused(err error) bool { return errors.Is(err, wsaeConnRefused) }
