package transport

import (
	"cmp"
	"context"
	"slices"
	"time"

	"flamingo/idspace"
	"flamingo/transport/websocket"
)

const (
	// lookAgain is how old the order of a drain may be before it is made anew,
	// which takes a look at every slot.
	lookAgain = time.Second

	// A drain ends connections in steps: a thousand of them, and none shorter
	// or longer than these.
	drainSteps   = 1000
	minDrainStep = 5 * time.Millisecond
	maxDrainStep = 100 * time.Millisecond

	// drainHint is what the client of a WebSocket is told beside the code 1001.
	drainHint = "this node is drained: connect again"
)

// Drain ends the open connections with ReasonDrained, evenly over the given time
// from now on, and returns when none is left that is not ending. With zero it ends
// all at once. It returns the cause of ctx if that is done first, and what is open
// then stays so. StopAccepting comes before; one Drain runs at a time.
//
// First go those that are silent the longest. One that was heard or sent to since
// the others were compared, or has messages on their way in or out, is put off
// as long as there are others; but the pace is kept whatever they do. Each gets
// what it was sent before, as with SendClose, and the client of a WebSocket the
// code 1001.
func (t *Transport) Drain(ctx context.Context, over time.Duration) error {
	now := time.Now()
	d := &drain{t: t, pace: pace{last: now, end: now.Add(over)}}
	step := time.NewTicker(min(max(over/drainSteps, minDrainStep), maxDrainStep))
	defer step.Stop()
	for !d.step(time.Now()) {
		select {
		case <-step.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// Departed returns how many connections Drain has ended, or is ending.
func (t *Transport) Departed() int { return int(t.totals.departed.Load()) }

// Left returns how many connections are open and were not ended by Drain. Those
// that something else is ending count until they have ended.
func (t *Transport) Left() int {
	ended := t.totals.departed.Load()
	for why := range reasonCount {
		if why != ReasonDrained {
			ended += t.totals.closed[why].Load()
		}
	}
	return max(0, int(t.totals.accepted.Load())-int(ended)) // the counts are not of one moment
}

// A drain is one run of Transport.Drain.
type drain struct {
	t      *Transport
	pace   pace
	looked time.Time   // when rest was made
	rest   []departing // in the order of their turns
	putOff []departing // those whose turn has come and was put off
}

// A departing is a connection that a drain is going to end, 16 bytes of memory.
type departing struct {
	id   idspace.ID
	seen uint32 // its lastActive when it was looked at
}

// step ends as many connections as are due. It reports whether none is left.
func (d *drain) step(now time.Time) (over bool) {
	left := d.t.Left()
	last := !now.Before(d.pace.end)
	for due := d.pace.due(now, left); due > 0 || last; due-- {
		if !d.endOne(now, last) {
			return last
		}
		d.pace.owed--
	}
	return left == 0
}

// endOne ends the connection whose turn it is. It reports false if there is none,
// or at a time that is not the last, none that the order knows of.
func (d *drain) endOne(now time.Time, last bool) bool {
	for fresh := false; ; {
		if len(d.rest) == 0 && !fresh && (now.Sub(d.looked) >= lookAgain || last && len(d.putOff) == 0) {
			d.look(now)
			fresh = true
		}
		var c departing
		switch {
		case len(d.rest) > 0:
			c, d.rest = d.rest[0], d.rest[1:]
			if !d.t.rests(c) {
				d.putOff = append(d.putOff, c)
				continue
			}
		case len(d.putOff) > 0:
			c, d.putOff = d.putOff[0], d.putOff[1:]
		default:
			return false
		}
		if d.t.depart(c.id) {
			return true
		}
	}
}

// look puts the open connections into the order in which they are to end.
func (d *drain) look(now time.Time) {
	d.looked, d.rest, d.putOff = now, d.rest[:0], nil
	for i := range d.t.table.slots() {
		s := d.t.table.at(i)
		id := idspace.ID(s.id.Load())
		if id != 0 && !s.has(flagOpening|flagClosing|flagEnded) {
			d.rest = append(d.rest, departing{id, s.lastActive.Load()})
		}
	}
	slices.SortFunc(d.rest, func(a, b departing) int {
		return cmp.Or(cmp.Compare(a.seen, b.seen), cmp.Compare(a.id, b.id))
	})
}

// rests reports whether a connection was silent since it was looked at, and waits
// for nothing.
func (t *Transport) rests(c departing) bool {
	s, i := t.table.find(c.id)
	if s == nil {
		return true // it has ended; whoever ends it will see
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastActive.Load() == c.seen && s.queued.Load() == 0 && t.table.buffers(i).out == nil
}

// depart ends a connection for a drain. It reports false if it has ended, or is
// ending, already.
func (t *Transport) depart(id idspace.ID) bool {
	if t.SendCloseWith(id, ReasonDrained, int(websocket.CloseGoingAway), drainHint) != nil {
		return false
	}
	t.totals.departed.Add(1)
	return true
}

// A pace spreads ends over a time: what is left falls in a straight line to zero
// at its end, however many go of themselves meanwhile.
type pace struct {
	last, end time.Time
	owed      float64 // ends that are due and not done; at most one more than is whole, if there are connections
}

// due returns how many of those left are to be ended now, all of them from the end
// on. The caller takes what it ends from owed.
func (p *pace) due(now time.Time, left int) int {
	if !now.Before(p.end) {
		return left
	}
	if rest := p.end.Sub(p.last); rest > 0 {
		p.owed += max(0, float64(left)-p.owed) * float64(now.Sub(p.last)) / float64(rest)
	}
	p.last = now
	p.owed = min(p.owed, float64(left))
	return int(p.owed)
}
