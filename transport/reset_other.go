//go:build !unix

package transport

import "net"

// wasReset reports false: where there is no Getpeername to tell, a read after a
// reset fails by itself.
func wasReset(net.Conn) bool { return false }
