package transport

import (
	"sync"
	"time"
)

// awaits is what a connection has a deadline for. It only ever grows, so that
// of two reviews that set a deadline the later one prevails.
type awaits uint8

const (
	awaitsActivity awaits = iota // its wire, for the time of a layer; then a byte or a send, for ActivityTimeout
	awaitsAnswer                 // an answer to the client that ended its input, for HalfClose
	awaitsFlush                  // the writing of the last output, for CloseTimeout
	awaitsNothing                // it has ended
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
	of awaits
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
			k.expire(e.c, e.of)
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
		k.expired = append(k.expired, expired{c, c.awaits})
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

// watch makes c end when its wire is not ready in time, and then when it is
// silent for ActivityTimeout, unless it has a deadline for something else. The
// caller holds no lock.
func (k *clock) watch(c *portableConn) {
	c.s.mu.Lock()
	due, opening := k.d.t.openingUntilLocked(c.s, c.i)
	c.s.mu.Unlock()
	if !opening {
		if k.d.t.cfg.ActivityTimeout == 0 {
			return
		}
		due = k.silentAt(c)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if c.awaits == awaitsActivity {
		k.wheel.set(c.i, due)
		k.armLocked()
	}
}

// silentAt is the tick at which c will have been silent for ActivityTimeout.
func (k *clock) silentAt(c *portableConn) uint32 {
	return c.s.lastActive.Load() + ticks(k.d.t.cfg.ActivityTimeout) + 1
}

// limit gives c the time for what it awaits from now on: never less, at most a
// tick more. The caller holds no lock.
func (k *clock) limit(c *portableConn, a awaits) {
	if a == awaitsActivity {
		return
	}
	d := k.d.t.cfg.CloseTimeout
	if a == awaitsAnswer {
		d = k.d.t.cfg.HalfClose
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if c.awaits < a {
		c.awaits = a
		k.wheel.set(c.i, k.d.t.tick()+ticks(d)+1)
		k.armLocked()
	}
}

// forget takes c off the wheel for good.
func (k *clock) forget(c *portableConn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	c.awaits = awaitsNothing
	k.wheel.clear(c.i)
}

// expire does what the deadline of c was for.
func (k *clock) expire(c *portableConn, of awaits) {
	switch of {
	case awaitsActivity:
		k.idle(c)
	case awaitsAnswer:
		c.condemn(ReasonClient)
	case awaitsFlush:
		c.change(func() { c.s.flags.Or(flagAbort) })
	case awaitsNothing:
	}
}

// idle ends a connection whose wire was not ready in time, or that was silent
// for ActivityTimeout.
func (k *clock) idle(c *portableConn) {
	t := k.d.t
	c.change(func() {
		now := t.tick()
		if due, opening := t.openingUntilLocked(c.s, c.i); opening {
			if due <= now {
				t.condemnLocked(c.s, ReasonTimeout)
			}
			return
		}
		if t.cfg.ActivityTimeout == 0 {
			return
		}
		if c.s.has(flagTouched | flagPaused) {
			c.s.flags.And(^flagTouched)
			c.s.lastActive.Store(now)
		}
		if k.silentAt(c) <= now {
			t.condemnLocked(c.s, ReasonIdle)
		}
	})
	k.watch(c)
}
