package transport

import (
	"sync"
	"time"
)

// A clock meets the deadlines of the portable driver's connections.
type clock struct {
	d     *portable
	timer *time.Timer // for the next deadline

	mu      sync.Mutex
	wheel   wheel     // guarded by mu, and with it the wheelLink of every slot
	armed   uint32    // guarded by mu: tick for which the timer is set; 0: not set
	expired []expired // owned by run
}

// An expired is a deadline that has come.
type expired struct {
	c  *portableConn
	in phase // that of the deadline
}

func newClock(d *portable) *clock {
	k := &clock{d: d, timer: time.NewTimer(time.Hour)}
	k.timer.Stop()
	k.wheel.now = d.t.tick()
	k.wheel.link = func(i uint32) *wheelLink { return &d.t.table.at(i).wheelLink }
	return k
}

// run meets deadlines until stop is closed.
func (k *clock) run(stop <-chan struct{}) {
	defer k.timer.Stop()
	for {
		select {
		case <-k.timer.C:
		case <-stop:
			return
		}
		for _, e := range k.advance() {
			k.expire(e.c, e.in)
		}
	}
}

// advance takes the deadlines that have come off the wheel.
func (k *clock) advance() []expired {
	clear(k.expired)
	k.expired = k.expired[:0]
	k.mu.Lock()
	defer k.mu.Unlock()
	k.armed = 0
	k.wheel.advance(k.d.t.tick(), func(i uint32) {
		c := k.d.conns.at(i) // a connection leaves the wheel before it leaves conns
		k.expired = append(k.expired, expired{c, c.phase})
	})
	k.armLocked()
	return k.expired
}

// armLocked sets the timer for the next deadline.
func (k *clock) armLocked() {
	tick, ok := k.wheel.next()
	if !ok || k.armed != 0 && k.armed <= tick {
		return
	}
	k.armed = tick
	k.timer.Reset(time.Until(k.d.t.start.Add(time.Duration(tick-1) * wheelTick)))
}

// watch tells the clock of a deadline of c that may be earlier than before. The
// caller holds no lock.
func (k *clock) watch(c *portableConn) {
	c.s.mu.Lock()
	d := deadline{}
	if !c.gone && phaseOf(c.s.flags.Load()) == phaseLife {
		d = k.d.t.deadlineLocked(c.s, c.i, k.d.t.tick())
	}
	c.s.mu.Unlock()
	if d.tick == 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	// Of two who watch at a time the later one may have looked earlier.
	if due := c.s.due; c.phase == phaseLife && (due == 0 || d.tick < due) {
		k.wheel.set(c.i, d.tick)
		k.armLocked()
	}
}

// enter gives c the time that the phase has which begins: never less, at most a
// tick more. The caller holds no lock.
func (k *clock) enter(c *portableConn, p phase) {
	if p == phaseLife {
		return
	}
	c.s.mu.Lock()
	d := deadline{}
	if !c.gone && phaseOf(c.s.flags.Load()) == p {
		d = k.d.t.deadlineLocked(c.s, c.i, k.d.t.tick())
	}
	c.s.mu.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	if d.tick != 0 && c.phase < p {
		c.phase = p
		k.wheel.set(c.i, d.tick)
		k.armLocked()
	}
}

// forget takes c off the wheel for good.
func (k *clock) forget(c *portableConn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	c.phase = phaseOver
	k.wheel.clear(c.i)
}

// expire does what a deadline of c was for, which had it in phase p.
func (k *clock) expire(c *portableConn, p phase) {
	then := nextNone
	c.change(func() { then = k.d.t.expireLocked(c.s, c.i, k.d.t.tick(), p) })
	switch then {
	case nextRead:
		select {
		case c.resume <- struct{}{}:
		default:
		}
		k.watch(c)
	case nextWatch, nextWrite: // change has roused the writer
		k.watch(c)
	case nextNone, nextReview, nextRelease: // change has reviewed it; the writer releases
	}
}
