//go:build !linux

package transport

// tcpProgress returns ErrNoAck: only Linux is asked how far the other end is.
func tcpProgress(int) (acked, written uint64, err error) { return 0, 0, ErrNoAck }
