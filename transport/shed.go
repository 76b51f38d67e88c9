package transport

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"

	"flamingo/idspace"
)

// outputUnit is in what the output of all connections together is counted, in
// bytes as a power of two: whole KiB of each connection. So the counter, which
// all senders share, is left alone by short messages that are written at once.
const outputUnit = 10

// A shedder bounds the output of all connections together.
type shedder struct {
	limit   int64        // units
	pending atomic.Int64 // units

	mu    sync.Mutex  // held by whoever sheds, who locks slots under it; only tried
	asked atomic.Bool // somebody wants to shed, or wanted to while another one did
}

// over reports whether there is too much output.
func (o *shedder) over() bool { return o.pending.Load() > o.limit }

// countOutputLocked accounts for output that has grown, or shrunk, by so many bytes. It
// reports whether there is too much in all, for the first time or still. The
// caller holds the slot's mu.
func (t *Transport) countOutputLocked(s *slot, by int) (over bool) {
	before := s.outBytes >> outputUnit
	s.outBytes += int32(by)
	units := s.outBytes>>outputUnit - before
	return units != 0 && t.shedder.pending.Add(int64(units)) > t.shedder.limit && units > 0
}

// A debtor is a connection with output.
type debtor struct {
	id    idspace.ID
	slot  uint32
	units int64
}

// shed ends connections until the output of the others is within the bound: the
// one with the most output first, and of two with as much the older one. While
// another goroutine does so it leaves that to it.
func (t *Transport) shed() {
	if t.shedder.over() {
		t.shedder.asked.Store(true)
		t.shedAsAsked()
	}
}

// shedAsAsked sheds until nobody has asked for it since it began. For it may have
// looked at a connection before that had the output for which another one asks.
func (t *Transport) shedAsAsked() {
	for o := &t.shedder; o.asked.Load() && o.mu.TryLock(); {
		o.asked.Store(false)
		t.shedOnce()
		o.mu.Unlock()
	}
}

func (t *Transport) shedOnce() {
	debtors, total := t.debtors()
	slices.SortFunc(debtors, func(a, b debtor) int {
		return cmp.Or(cmp.Compare(b.units, a.units), cmp.Compare(a.id, b.id))
	})
	for _, d := range debtors {
		if total <= t.shedder.limit {
			return
		}
		total -= d.units
		t.dun(d)
	}
}

// debtors returns the connections with output, and how much that is in all,
// without those that end and write no more.
func (t *Transport) debtors() (all []debtor, total int64) {
	for i := range t.table.slots() {
		s := t.table.at(i)
		if s.id.Load() == 0 {
			continue
		}
		s.mu.Lock()
		if units := int64(s.outBytes >> outputUnit); units > 0 && !s.has(flagAbort|flagEnded) {
			all = append(all, debtor{idspace.ID(s.id.Load()), i, units})
			total += units
		}
		s.mu.Unlock()
	}
	return all, total
}

// dun ends a connection for its output.
func (t *Transport) dun(d debtor) {
	s := t.table.at(d.slot)
	s.mu.Lock()
	if s.id.Load() != uint64(d.id) || s.has(flagEnded) {
		s.mu.Unlock()
		return
	}
	if !t.condemnLocked(s, ReasonSlow) {
		s.flags.Or(flagAbort) // it ends already, and writes
	}
	attend, driver := t.dirtyLocked(s), s.driver
	s.mu.Unlock()
	t.totals.shed.Add(1)
	if attend {
		t.drivers[driver].attend(d.slot)
	}
}
