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
	pending atomic.Int64 // units, each payload counted once
	shared  atomic.Int64 // units of payloads, which are among those

	mu    sync.Mutex  // held by whoever sheds, who locks slots under it; only tried
	asked atomic.Bool // somebody wants to shed, or wanted to while another one did
}

// over reports whether there is too much output.
func (o *shedder) over() bool { return o.pending.Load() > o.limit }

// countOutputLocked accounts for output that has grown, or shrunk, by so many
// bytes of its own and so many of payloads, which count here as those they are. It
// reports whether there is too much in all, for the first time or still. out may
// be nil if neither changes. The caller holds the slot's mu.
func (t *Transport) countOutputLocked(s *slot, out *output, own, shared int) (over bool) {
	if own == 0 && shared == 0 {
		return false
	}
	before := (s.outBytes - out.shared) >> outputUnit
	s.outBytes += int32(own + shared)
	out.shared += int32(shared)
	units := (s.outBytes-out.shared)>>outputUnit - before
	if units == 0 {
		return shared > 0 && t.shedder.over()
	}
	return t.shedder.pending.Add(int64(units)) > t.shedder.limit && units > 0
}

// wroteLocked accounts for so many bytes of messages that are written. out may be
// nil if that is none. It is called by the driver, with the slot's mu held.
func (t *Transport) wroteLocked(s *slot, out *output, bytes int) {
	if out == nil {
		return
	}
	shared := out.relief
	out.relief = 0
	t.countOutputLocked(s, out, shared-bytes, -shared)
}

// A debtor is a connection with output.
type debtor struct {
	id     idspace.ID
	slot   uint32
	own    int64 // units
	shared int64 // units in payloads, as if they were its own
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

// shedOnce takes it that a payload ends with the connection that is ended for
// it. Where others hold it still, the next turn of a driver sheds again.
func (t *Transport) shedOnce() {
	debtors, total, held := t.debtors()
	slices.SortFunc(debtors, func(a, b debtor) int {
		return cmp.Or(cmp.Compare(b.own+b.shared, a.own+a.shared), cmp.Compare(a.id, b.id))
	})
	for _, d := range debtors {
		if total+held <= t.shedder.limit {
			return
		}
		total -= d.own
		held = max(held-d.shared, 0)
		t.dun(d)
	}
}

// debtors returns the connections with output, how much that is in all, and how
// much the payloads are beside it, without those that end and write no more.
func (t *Transport) debtors() (all []debtor, total, held int64) {
	held = t.shedder.shared.Load()
	for i := range t.table.slots() {
		s := t.table.at(i)
		if s.id.Load() == 0 {
			continue
		}
		s.mu.Lock()
		d := debtor{id: idspace.ID(s.id.Load()), slot: i}
		if out := t.table.buffers(i).out; out != nil {
			d.own, d.shared = int64((s.outBytes-out.shared)>>outputUnit), int64(out.shared>>outputUnit)
		}
		ends := s.has(flagAbort | flagEnded)
		s.mu.Unlock()
		switch {
		case d.own+d.shared == 0:
		case ends:
			held = max(held-d.shared, 0)
		default:
			all = append(all, d)
			total += d.own
		}
	}
	return all, total, held
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
