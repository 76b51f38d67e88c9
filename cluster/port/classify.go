package port

import (
	"container/list"
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// The pause after a failed accept or read grows from the first to the second:
// short enough for a connection that was reset in the queue, long enough for a
// process without descriptors not to spin.
const (
	minPause = 5 * time.Millisecond
	maxPause = time.Second
)

// waiting are the unclassified connections, oldest first. Guarded by Port.mu.
type waiting struct {
	order *list.List // of *newcomer
}

// newcomer is an unclassified connection.
type newcomer struct {
	conn net.Conn
	at   *list.Element

	// evicted says that the port closed conn, and why. Guarded by Port.mu.
	evicted bool
	why     Reason
}

func newWaiting() waiting { return waiting{order: list.New()} }

func (w waiting) add(c net.Conn) *newcomer {
	n := &newcomer{conn: c}
	n.at = w.order.PushBack(n)
	return n
}

// take removes the oldest for the given reason and returns its connection;
// nil if there is none.
func (w waiting) take(why Reason) net.Conn {
	e := w.order.Front()
	if e == nil {
		return nil
	}
	n := w.order.Remove(e).(*newcomer)
	n.evicted, n.why = true, why
	return n.conn
}

func (w waiting) takeAll(why Reason) []net.Conn {
	var all []net.Conn
	for c := w.take(why); c != nil; c = w.take(why) {
		all = append(all, c)
	}
	return all
}

// acceptLoop accepts until ctx is done, then returns nil, or until the
// listener is closed by another hand.
func (p *Port) acceptLoop(ctx context.Context, ln net.Listener, wg *sync.WaitGroup) error {
	var wait time.Duration
	for {
		nc, err := ln.Accept()
		if ctx.Err() != nil {
			if nc != nil {
				nc.Close()
			}
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err != nil {
			p.counts.acceptErrors.Add(1)
			if wait == 0 { // once for each row of errors
				p.cfg.Logger.Warn("accepting streams of other nodes fails", "err", err)
			}
			wait = min(max(2*wait, minPause), maxPause)
			pause(ctx, wait)
			continue
		}
		wait = 0
		p.counts.accepted.Add(1)
		if !p.receive(ctx, nc, wg) {
			return nil
		}
	}
}

// receive has nc classified. It reports false if ctx is done.
func (p *Port) receive(ctx context.Context, nc net.Conn, wg *sync.WaitGroup) bool {
	if !p.takeSlot(ctx) {
		p.refuse(nc, Stopping)
		return false
	}
	p.mu.Lock()
	n := p.waiting.add(nc)
	p.mu.Unlock()
	wg.Go(func() {
		defer func() { <-p.slots }()
		p.classify(n)
	})
	if ctx.Err() != nil {
		nc.Close() // the end may have come before n was added
		return false
	}
	return true
}

// takeSlot takes a slot, if need be that of the oldest unclassified
// connection. It reports false if ctx is done.
func (p *Port) takeSlot(ctx context.Context) bool {
	select {
	case p.slots <- struct{}{}:
		return true
	default:
	}
	p.mu.Lock()
	oldest := p.waiting.take(Crowded)
	p.mu.Unlock()
	if oldest != nil {
		oldest.Close()
	}
	// Not long: either the oldest has ended here, or all are being handed
	// over, which does not block.
	select {
	case p.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// classify reads what n is for and hands it over.
func (p *Port) classify(n *newcomer) {
	n.conn.SetDeadline(time.Now().Add(p.cfg.ClassifyTimeout)) //nolint:errcheck // a closed connection shows in the read
	stream, proto, err := p.guard.accepted(n.conn)

	p.mu.Lock()
	evicted, why := n.evicted, n.why
	if !evicted {
		p.waiting.order.Remove(n.at)
	}
	consumer := p.streams[proto] // none for protocol 0
	p.mu.Unlock()

	if err == nil && !evicted {
		err = stream.SetDeadline(time.Time{})
	}
	switch {
	case evicted:
		closeIf(stream)
		p.refuse(n.conn, why)
	case err != nil:
		closeIf(stream)
		why := reasonOf(err)
		if _, ok := distrust(err); ok || errors.Is(err, errEncrypted) { // others mean nothing by themselves, such as one that was given up
			p.strangers.say(p.cfg.Logger, "stranger refused", n.conn, why, err)
		}
		p.refuse(n.conn, why)
	case consumer == nil:
		p.refuse(stream, Absent)
	default:
		if ok, why := consumer.offer(stream); !ok {
			p.refuse(stream, why)
			return
		}
		p.counts.handed[proto].Add(1)
	}
}

// closeIf closes what a guard has made of a connection, if it came so far.
func closeIf(c net.Conn) {
	if c != nil {
		c.Close()
	}
}

func (p *Port) refuse(c net.Conn, why Reason) {
	c.Close()
	p.counts.refused[why].Add(1)
	p.cfg.Logger.Debug("stream refused", "from", c.RemoteAddr(), "reason", why.String())
}

// reasonOf returns why classification ended with err.
func reasonOf(err error) Reason {
	if why, ok := distrust(err); ok {
		return why
	}
	switch {
	case errors.Is(err, ErrStranger):
		return Stranger
	case errors.Is(err, ErrUnknownVersion):
		return BadVersion
	case errors.Is(err, ErrUnknownProtocol):
		return BadProtocol
	case errors.Is(err, os.ErrDeadlineExceeded):
		return Slow
	}
	return HungUp
}
