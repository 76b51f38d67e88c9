package mesh

import (
	"math"
	"time"

	"flamingo/idspace"
)

// clockSamples is how many pings an estimate looks back: as many seconds, with
// the default of PingEvery.
const clockSamples = 8

// maxClockRTT is the longest round trip that says something about a clock. Half
// of it is the most by which a sample can be wrong.
const maxClockRTT = time.Second

// A clockEstimate is how far the wall clock of a peer is ahead of the one here.
// Of the last pings it believes the one with the shortest round trip. The mu of
// its control guards it.
type clockEstimate struct {
	samples [clockSamples]clockSample // of the session
	next    int                       // where the next sample goes
	ahead   time.Duration
	known   bool
}

type clockSample struct {
	rtt   time.Duration // 0: no sample
	ahead time.Duration
}

// anew forgets the samples, as a session begins. What is known stays known
// until there is a better word.
func (e *clockEstimate) anew() { e.samples = [clockSamples]clockSample{} }

// add takes a sample: the peer said that its clock shows peer, in a pong that
// came at now, rtt after the ping.
func (e *clockEstimate) add(peer int64, now time.Time, rtt time.Duration) {
	if rtt > maxClockRTT {
		return
	}
	rtt = max(rtt, 1)
	here := max(int64(wallClock(now))-int64(rtt/2), 0) // when the peer looked at its clock
	e.samples[e.next] = clockSample{rtt, time.Duration(peer - here)}
	best := e.samples[e.next]
	for i := range clockSamples { // from the newest back, so that it wins a tie
		s := e.samples[(e.next+clockSamples-i)%clockSamples]
		if s.rtt != 0 && s.rtt < best.rtt {
			best = s
		}
	}
	e.next = (e.next + 1) % clockSamples
	e.ahead, e.known = best.ahead, true
}

// wallClock returns t as it travels: nanoseconds since 1970, from 0 to the
// greatest int64, at which a clock that is further off stops.
func wallClock(t time.Time) uint64 {
	switch s := t.Unix(); {
	case s < 0:
		return 0
	case s >= math.MaxInt64/int64(time.Second):
		return math.MaxInt64
	default:
		return uint64(t.UnixNano())
	}
}

// ClockOffset returns how far the wall clock of peer is ahead of Config.Now, as
// the last pings tell, wrong by half a second at most. It is known from the
// first pong on, for as long as there is a link to peer; while no control
// stream is up it is what the last one told.
func (m *Mesh) ClockOffset(peer idspace.BootID) (ahead time.Duration, known bool) {
	l := (*m.links.Load())[peer]
	if l == nil {
		return 0, false
	}
	return l.control.clockOffset()
}

func (c *control) clockOffset() (ahead time.Duration, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.clock.ahead, c.clock.known
}

// pingLocked sends a ping. There is at most one under way.
func (c *control) pingLocked() {
	c.stamp++
	c.pinging = true
	c.pinged = c.link.mesh.cfg.Now()
	stamp := c.stamp
	c.box.put(func(e *encoder) { e.uints(kindPing, stamp) })
}

// pong takes the answer to the ping under way: its stamp, and what the clock of
// the peer shows.
func (c *control) pong(stamp, clock uint64) error {
	if clock > math.MaxInt64 {
		return reasonError{ReasonMalformed}
	}
	now := c.link.mesh.cfg.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.pinging || stamp != c.stamp {
		return nil
	}
	rtt := now.Sub(c.pinged)
	c.pinging = false
	if rtt < 0 { // a clock without a monotonic reading was set back
		return nil
	}
	c.clock.add(int64(clock), now, rtt)
	c.link.smooth(rtt)
	return nil
}

// smooth takes a round trip into the average, as TCP does: RFC 6298.
func (l *link) smooth(rtt time.Duration) {
	if old := time.Duration(l.rtt.Load()); old > 0 {
		rtt = old + (rtt-old)/8
	}
	l.rtt.Store(int64(max(rtt, 1)))
}
