//go:build !linux

package transport

import (
	"fmt"
	"syscall"
)

// listenControl refuses what only Linux has; there is nothing else to be set
// before a socket is bound.
func listenControl(l *Listener) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, _ syscall.RawConn) error {
		switch {
		case l.ReusePort:
			return fmt.Errorf("reuse-port: %w", ErrUnsupported)
		case l.UserTimeout > 0:
			return fmt.Errorf("user-timeout %v: %w", l.UserTimeout, ErrUnsupported)
		default:
			return nil
		}
	}
}
