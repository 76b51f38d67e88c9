package transport

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// progressTries is how often the two counts of a socket are read until no
// acknowledgement comes between; else the next look tries again.
const progressTries = 8

// tcpProgress returns how many bytes of its output a socket's other end has
// acknowledged, and how many were written to the socket: what the kernel keeps
// is what is missing. Both count the end of the stream as a byte, and neither
// its beginning. If it could not be found out what was written, that is less than
// acked. ErrNoAck says that it is no socket of TCP.
func tcpProgress(fd int) (acked, written uint64, err error) {
	// Of a Multipath TCP, one of the counts is of the first path alone.
	if p, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL); err != nil || p != unix.IPPROTO_TCP {
		return 0, 0, ErrNoAck
	}
	if acked, err = tcpAcked(fd); err != nil {
		return 0, 0, err
	}
	for range progressTries {
		queued, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
		if err != nil {
			return 0, 0, fmt.Errorf("%w: %w", ErrNoAck, err)
		}
		before := acked
		if acked, err = tcpAcked(fd); err != nil {
			return 0, 0, err
		}
		if acked == before {
			return acked, acked + uint64(queued), nil
		}
	}
	return acked, 0, nil
}

func tcpAcked(fd int) (uint64, error) {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrNoAck, err)
	}
	return info.Bytes_acked, nil
}

func (l *loop) control(fd int32, f func(fd int)) error {
	f(int(fd))
	return nil
}
