package transport

import (
	"math/bits"
	"sync"
	"sync/atomic"

	"flamingo/idspace"
)

// slabSize is how many slots are allocated at a time: about half a megabyte.
const slabSize = 4096

type slab struct {
	slots   [slabSize]slot
	buffers [slabSize]slotBuffers
	wires   atomic.Pointer[[slabSize]*wire] // nil until a connection has one
}

// A table finds the slot of an id without a map and without a lock.
//
// Position serial mod len(index) of the index names the slot. The index has at
// least twice as many positions as there are slots; when the position of a
// fresh serial is still taken by a long-lived connection, that serial is left
// out and the next one is tried. So positions are reused first in, first out,
// and a serial never is.
type table struct {
	index []atomic.Uint32 // slot + 1, or 0
	slabs []atomic.Pointer[slab]
	limit uint32 // slots at most

	// unguarded makes find believe the index alone. Only a test sets it, to
	// see that the guard is what keeps bytes from the wrong client.
	unguarded bool

	mu   sync.Mutex
	free []uint32 // guarded by mu: slots given back, last in first out
	used uint32   // guarded by mu: slots ever taken
	live atomic.Int32
}

func newTable(limit int) *table {
	positions := 1 << bits.Len(uint(2*limit-1))
	return &table{
		index: make([]atomic.Uint32, positions),
		slabs: make([]atomic.Pointer[slab], (limit+slabSize-1)/slabSize),
		limit: uint32(limit),
	}
}

func (t *table) at(i uint32) *slot { return &t.slabs[i/slabSize].Load().slots[i%slabSize] }

func (t *table) buffers(i uint32) *slotBuffers {
	return &t.slabs[i/slabSize].Load().buffers[i%slabSize]
}

// wire returns what stands before the framing of connection i, or nil. It is
// for the driver, which alone sets it, and for whoever holds the slot's mu.
func (t *table) wire(i uint32) *wire {
	page := t.slabs[i/slabSize].Load().wires.Load()
	if page == nil {
		return nil
	}
	return page[i%slabSize]
}

// setWireLocked gives connection i a wire, or with nil takes it away. The
// caller holds the slot's mu.
func (t *table) setWireLocked(i uint32, w *wire) {
	slab := t.slabs[i/slabSize].Load()
	page := slab.wires.Load()
	if page == nil {
		if w == nil {
			return
		}
		slab.wires.CompareAndSwap(nil, new([slabSize]*wire)) // another driver may have been faster
		page = slab.wires.Load()
	}
	page[i%slabSize] = w
}

func (t *table) position(id idspace.ID) *atomic.Uint32 {
	return &t.index[uint64(id)&uint64(len(t.index)-1)]
}

// find returns the slot of id, or nil if no connection has that id. The slot
// may change hands at any moment: whoever acts on it takes its lock and
// compares the id again.
func (t *table) find(id idspace.ID) (*slot, uint32) {
	entry := t.position(id).Load()
	if entry == 0 {
		return nil, 0
	}
	s := t.at(entry - 1)
	if s.id.Load() != uint64(id) && !t.unguarded {
		return nil, 0
	}
	return s, entry - 1
}

// full reports whether every slot is in use.
func (t *table) full() bool { return uint32(t.live.Load()) >= t.limit }

// take reserves a slot; ok is false when all are in use.
func (t *table) take() (i uint32, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.free); n > 0 {
		i, t.free = t.free[n-1], t.free[:n-1]
		t.live.Add(1)
		return i, true
	}
	if t.used == t.limit {
		return 0, false
	}
	i = t.used
	if t.slabs[i/slabSize].Load() == nil {
		t.slabs[i/slabSize].Store(new(slab))
	}
	t.used++
	t.live.Add(1)
	return i, true
}

// publish makes slot i the connection id. It reports false, and changes
// nothing, when another connection has the id's position: the caller tries
// the next id.
func (t *table) publish(i uint32, id idspace.ID) bool {
	s, p := t.at(i), t.position(id)
	s.id.Store(uint64(id))
	if p.CompareAndSwap(0, i+1) {
		return true
	}
	s.id.Store(0)
	return false
}

// retireLocked forgets the connection in slot i if it has ended and nobody
// uses the slot any more. It reports whether it did; the caller, who holds the
// slot's mu, unlocks it and then calls put.
func (t *table) retireLocked(s *slot, i uint32) bool {
	if !s.isFreeLocked() {
		return false
	}
	t.position(idspace.ID(s.id.Load())).CompareAndSwap(i+1, 0)
	s.clearLocked()
	return true
}

// put gives back slot i, which retireLocked or a failed open has cleared.
func (t *table) put(i uint32) {
	t.mu.Lock()
	t.free = append(t.free, i)
	t.mu.Unlock()
	t.live.Add(-1)
}

// slots returns how many slots were ever in use; they are 0 … n-1.
func (t *table) slots() uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.used
}
