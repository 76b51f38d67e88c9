//go:build !windows

package main

import (
	"errors"
	"syscall"
)

// isInUse reports whether another socket has the address.
func isInUse(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }

// isRefused reports whether nobody listens at the address.
func isRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
