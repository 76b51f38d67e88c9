package transport

import "golang.org/x/sys/unix"

// iovecsPerWrite is how many chunks one writev takes at most.
const iovecsPerWrite = 64

// write hands output to the kernel until it is empty, the kernel takes no
// more, or the budget is used up. It returns the bytes of messages that are out,
// all bytes that the kernel took, and whether the connection is broken.
func (l *loop) write(s *slot, out *output) (wrote, taken int, broken bool) {
	for out.writing != nil && taken < writeBudget {
		n, err := 0, error(nil)
		if out.written < len(out.writing.data) { // messages may be empty
			n, err = l.writeOnce(s.fd, out)
		}
		if err == nil {
			messages, bytes := out.wrote(n)
			l.traffic.out(messages, n)
			wrote += bytes
			taken += n
			continue
		}
		switch err {
		case unix.EINTR:
		case unix.EAGAIN:
			s.flags.Or(flagBlocked)
			return wrote, taken, false
		default:
			return wrote, taken, true
		}
	}
	return wrote, taken, false
}

func (l *loop) writeOnce(fd int32, out *output) (int, error) {
	first := out.writing
	if first.next == nil {
		return writeQuick(fd, first.data[out.written:])
	}
	l.iovecs = append(l.iovecs[:0], first.data[out.written:])
	for c := first.next; c != nil && len(l.iovecs) < iovecsPerWrite; c = c.next {
		l.iovecs = append(l.iovecs, c.data)
	}
	n, err := unix.Writev(int(fd), l.iovecs)
	clear(l.iovecs)
	return n, err
}

// writeSealed is write for a connection with TLS. Output may be nil; closing says
// that nothing follows it.
func (l *loop) writeSealed(s *slot, se *session, out *output, closing bool) (wrote, taken int, broken bool) {
	for taken < writeBudget {
		more, err := se.load(out, closing)
		if se.relieved {
			se.relieved = false
			s.flags.Or(flagUnread)
		}
		switch {
		case !more && err == nil && out != nil && out.writing != nil: // messages may be empty
			messages, _ := out.wrote(0)
			l.traffic.out(messages, 0)
			return wrote, taken, false
		case !more:
			return wrote, taken, err != nil
		}
		n, err := writeQuick(s.fd, se.sealing.rest())
		switch err {
		case nil:
			messages, bytes := se.wrote(out, n)
			l.traffic.out(messages, bytes)
			wrote += bytes
			taken += n
		case unix.EINTR:
		case unix.EAGAIN:
			s.flags.Or(flagBlocked)
			return wrote, taken, false
		default:
			return wrote, taken, true
		}
	}
	return wrote, taken, false
}
