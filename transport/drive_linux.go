package transport

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// drive gives the open listeners to drivers: event loops, or the portable
// driver if Config asks for it. It takes the listeners over.
func (t *Transport) drive(open []net.Listener) error {
	if t.cfg.Portable {
		t.drivePortably(open)
		return nil
	}
	defer func() {
		for _, ln := range open {
			ln.Close()
		}
	}()
	var loops []*loop
	err := t.eachLoop(func(l *loop) { loops = append(loops, l) })
	for i, ln := range open {
		if err != nil {
			break
		}
		err = loops[i%len(loops)].listen(t.bound[i], ln)
	}
	if err != nil {
		for _, l := range loops {
			l.stopListening()
			l.poll.close()
		}
		return err
	}
	accepting := new(sync.WaitGroup)
	accepting.Add(len(loops))
	for _, l := range loops {
		l.accepting = accepting
		t.drivers = append(t.drivers, l)
	}
	return nil
}

func (t *Transport) eachLoop(use func(*loop)) error {
	for i := range t.cfg.Loops {
		l, err := newLoop(t, i)
		if err != nil {
			return err
		}
		use(l)
	}
	return nil
}

// listen makes the loop accept what ln accepts, through a descriptor of its
// own; ln can be closed afterwards.
func (l *loop) listen(b *boundListener, ln net.Listener) error {
	if u, ok := ln.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	raw, err := ln.(syscall.Conn).SyscallConn()
	if err != nil {
		return fmt.Errorf("listener %s: %w", b, err)
	}
	fd, dupErr := -1, error(nil)
	err = raw.Control(func(s uintptr) { fd, dupErr = unix.FcntlInt(s, unix.F_DUPFD_CLOEXEC, 0) })
	if err := errors.Join(err, dupErr); err != nil {
		return fmt.Errorf("listener %s: %w", b, err)
	}
	b.driver = l.index
	a := &acceptor{boundListener: b, fd: int32(fd), place: uint64(len(l.acceptors))}
	l.acceptors = append(l.acceptors, a)
	if err := l.poll.listen(a.fd, a.place); err != nil {
		return fmt.Errorf("listener %s: %w", b, err)
	}
	return nil
}
