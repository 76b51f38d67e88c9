package transport

import (
	"errors"
	"time"
)

// This file holds what the drivers share about pauses of a listener.

const (
	// retryAfter is how long accepting stops when the system has no file or
	// memory for one more connection, or the ids have run out.
	retryAfter = 100 * time.Millisecond

	// tellAfter is how long accepting stands still before the log says why.
	tellAfter = time.Second
)

// errTooFast: connections come faster than the listener's AcceptRate.
var errTooFast = errors.New("accept rate reached")

// accepted takes the token of a connection.
func (b *boundListener) accepted(t *Transport) {
	if b.AcceptRate > 0 {
		b.rate.take(time.Since(t.start), 1, b.AcceptRate)
	}
}

// tooFast returns how long accepting is to stop for the listener's rate; 0: not
// at all. The first time it says so in the log.
func (b *boundListener) tooFast(t *Transport) time.Duration {
	wait := b.rate.wait(time.Since(t.start), b.AcceptRate)
	if wait == 0 {
		return 0
	}
	t.totals.acceptSlowed.Add(1)
	if !b.slowed {
		b.slowed = true
		t.cfg.Logger.Info("accepting at the rate of the listener: more connections wait; this is not said again",
			"listener", b.String(), "accept_rate", b.AcceptRate)
	}
	return wait
}

// tellPaused says in the log why accepting stands still, and what helps.
func (t *Transport) tellPaused(b *boundListener, cause error) {
	full := errors.Is(cause, errFull) && t.table.full()
	if waiting := t.closes.len(); full && waiting > 0 {
		t.cfg.Logger.Warn("accepting is paused: the ends of connections are not taken",
			"listener", b.String(), "closes_waiting", waiting, "max_conns", t.cfg.MaxConns,
			"remedy", "call RecvClose (or Closes) in a loop, or set Opts.Ignore to IgnoreCloses")
		return
	}
	if waiting := t.opens.len(); full && waiting > 0 {
		t.cfg.Logger.Warn("accepting is paused: connections are not taken",
			"listener", b.String(), "opens_waiting", waiting, "max_conns", t.cfg.MaxConns,
			"remedy", "call RecvOpen (or Opens) in a loop, or set Opts.Ignore to IgnoreOpens")
		return
	}
	t.cfg.Logger.Warn("accepting is paused", "listener", b.String(), "cause", cause,
		"connections", t.table.live.Load(), "max_conns", t.cfg.MaxConns)
}

// tellResumed takes back in the log what tellPaused said.
func (t *Transport) tellResumed(b *boundListener) {
	t.cfg.Logger.Info("accepting again", "listener", b.String())
}
