package transport

import "time"

// wheelTick is how finely deadlines are told apart: a deadline is met up to
// one tick late, never early.
const wheelTick = 50 * time.Millisecond

// wheelBuckets bounds the ticks the wheel looks ahead: 512 × 50 ms = 25.6 s.
// A later deadline is in the bucket of its tick too, and goes back there when
// that is emptied in an earlier turn.
const wheelBuckets = 512

// wheelLink is a slot's place on its driver's wheel.
type wheelLink struct {
	due       uint32 // tick, and by that the bucket; 0 when not on the wheel
	wheelNext uint32 // slot + 1
	wheelPrev uint32 // slot + 1; 0 for the first of its chain
}

// A wheel holds at most one deadline per connection, in one coarse turn of
// buckets chained through the slots. It belongs to one goroutine.
type wheel struct {
	link     func(i uint32) *wheelLink
	buckets  [wheelBuckets]uint32 // slot + 1 of the first, or 0
	emptying uint32               // the same of the chain that empty has taken out of its bucket
	now      uint32               // every bucket up to this tick has been emptied
	count    int
}

// set gives connection i the deadline due, in place of an earlier one.
// A tick that has passed is met at the next advance.
func (w *wheel) set(i, due uint32) {
	w.clear(i)
	due = max(due, w.now+1)
	l := w.link(i)
	l.due = due
	place := due % wheelBuckets
	first := w.buckets[place]
	l.wheelNext, l.wheelPrev = first, 0
	if first != 0 {
		w.link(first - 1).wheelPrev = i + 1
	}
	w.buckets[place] = i + 1
	w.count++
}

// clear takes connection i off the wheel, if it is on it.
func (w *wheel) clear(i uint32) {
	l := w.link(i)
	if l.due == 0 {
		return
	}
	switch {
	case l.wheelPrev != 0:
		w.link(l.wheelPrev - 1).wheelNext = l.wheelNext
	case w.emptying == i+1:
		w.emptying = l.wheelNext
	default:
		w.buckets[l.due%wheelBuckets] = l.wheelNext
	}
	if l.wheelNext != 0 {
		w.link(l.wheelNext - 1).wheelPrev = l.wheelPrev
	}
	*l = wheelLink{}
	w.count--
}

// advance moves the wheel on to tick now and calls expire for each connection
// whose deadline has come. expire may set and clear deadlines.
func (w *wheel) advance(now uint32, expire func(i uint32)) {
	for w.now < now {
		if w.count == 0 {
			w.now = now
			return
		}
		w.now++
		w.empty(w.now%wheelBuckets, expire)
	}
}

func (w *wheel) empty(place uint32, expire func(i uint32)) {
	w.emptying, w.buckets[place] = w.buckets[place], 0
	for w.emptying != 0 {
		i := w.emptying - 1
		due := w.link(i).due
		w.clear(i)
		if due > w.now {
			w.set(i, due) // back into the bucket, for a later turn
			continue
		}
		expire(i)
	}
}

// next returns the tick at which advance next has something to do; ok is false
// when the wheel is empty.
func (w *wheel) next() (tick uint32, ok bool) {
	if w.count == 0 {
		return 0, false
	}
	for tick = w.now + 1; w.buckets[tick%wheelBuckets] == 0; tick++ {
	}
	return tick, true
}
