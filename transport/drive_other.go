//go:build !linux

package transport

import "net"

// drive gives the open listeners to the portable driver. It takes them over.
func (t *Transport) drive(open []net.Listener) error {
	t.drivePortably(open)
	return nil
}
