//go:build !unix

package transport

import (
	"fmt"
	"net"
)

// prepareListener refuses what cannot be set here.
func prepareListener(_ net.Listener, l *Listener) error {
	if l.Backlog > 0 {
		return fmt.Errorf("backlog %d: %w", l.Backlog, ErrUnsupported)
	}
	return nil
}
