package transport

import (
	"errors"
	"net"
	"syscall"
	"time"
)

// A portableAcceptor accepts the connections of one listener.
type portableAcceptor struct {
	*boundListener
	d  *portable
	ln net.Listener // closed by the driver's run

	// Owned by run.
	cause error     // why accepting stands still
	since time.Time // when it began to
	ended time.Time // when it last went on, to try again; zero once that succeeded
	told  bool      // the log says that it stands still
}

// run accepts until the driver stops.
func (a *portableAcceptor) run() {
	for a.awaitRoom() && a.awaitRate() {
		nc, err := a.ln.Accept()
		if err == nil {
			err = a.admit(nc)
		} else if !a.stopping() && !isShortage(err) {
			a.d.t.totals.acceptErrors.Add(1)
		}
		if err != nil && !a.rest(err) {
			return
		}
	}
}

func (a *portableAcceptor) stopping() bool {
	select {
	case <-a.d.stop:
		return true
	default:
		return false
	}
}

// isShortage reports whether the system has no file or memory for one more
// connection.
func isShortage(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// admit makes a connection of nc. If another listener took the last slot
// meanwhile, nc waits for the next one, as if in the kernel's queue.
func (a *portableAcceptor) admit(nc net.Conn) error {
	t := a.d.t
	i, ok := t.table.take()
	for ; !ok; i, ok = t.table.take() {
		if !a.awaitRoom() {
			nc.Close()
			t.totals.rejected.Add(1)
			return net.ErrClosed
		}
	}
	setAcceptedOptions(nc, &a.Listener)
	c := newPortableConn(a.d, nc, i)
	a.d.conns.put(c) // from occupy on it can be asked for its addresses
	if err := t.occupy(i, a.index, a.driver, int32(i)); err != nil {
		a.d.conns.remove(c)
		nc.Close()
		t.totals.rejected.Add(1)
		return err
	}
	a.d.serving.Go(c.run)
	a.accepted(t)
	a.goOn()
	return nil
}

func (a *portableAcceptor) crowded() bool { return a.d.t.table.full() || a.full() }

// awaitRoom waits until one more connection may be accepted. It reports false
// when accepting is over.
func (a *portableAcceptor) awaitRoom() bool {
	if !a.crowded() {
		return !a.stopping()
	}
	a.pause(errFull)
	defer a.paused.Store(false)
	tell := time.NewTimer(tellAfter - time.Since(a.since))
	defer tell.Stop()
	for {
		change := a.d.change.passage()
		a.paused.Store(true)
		if !a.crowded() {
			a.goOn()
			return !a.stopping()
		}
		select {
		case <-change:
		case <-tell.C:
			a.tell()
		case <-a.d.stop:
			return false
		}
	}
}

// awaitRate waits until the rate of the listener allows one more connection. It
// reports false when accepting is over.
func (a *portableAcceptor) awaitRate() bool {
	for d := a.tooFast(a.d.t); d > 0; d = a.tooFast(a.d.t) {
		token := time.NewTimer(d)
		select {
		case <-token.C:
		case <-a.d.stop:
			token.Stop()
			return false
		}
	}
	return true
}

// rest stops accepting for retryAfter. It reports false when accepting is over.
func (a *portableAcceptor) rest(cause error) bool {
	if a.stopping() {
		return false
	}
	a.pause(cause)
	if time.Since(a.since) >= tellAfter {
		a.tell()
	}
	retry := time.NewTimer(retryAfter)
	defer retry.Stop()
	select {
	case <-retry.C:
		a.ended = time.Now()
		return true
	case <-a.d.stop:
		return false
	}
}

// pause notes that accepting stands still. A pause that comes back at once
// counts as the same one in the log.
func (a *portableAcceptor) pause(cause error) {
	now := time.Now()
	if now.Sub(a.ended) > retryAfter {
		a.goOn()
		a.since = now
	}
	a.cause = cause
	a.d.t.totals.acceptPauses.Add(1)
}

func (a *portableAcceptor) tell() {
	if !a.told {
		a.told = true
		a.d.t.tellPaused(a.boundListener, a.cause)
	}
}

// goOn notes that accepting goes on.
func (a *portableAcceptor) goOn() {
	if a.told {
		a.d.t.tellResumed(a.boundListener)
	}
	a.told, a.ended = false, time.Time{}
}
