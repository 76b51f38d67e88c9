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
