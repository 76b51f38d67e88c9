package transport

import (
	"sync"
	"time"

	"flamingo/idspace"
)

// A closing is what is remembered of a connection that has ended. It has 24
// bytes and no pointer.
type closing struct {
	id     idspace.ID
	at     int64 // Unix milliseconds
	code   uint16
	reason Reason
}

// closings remembers when and why connections ended. At its limit the oldest is
// forgotten. Its lock is a leaf.
type closings struct {
	limit int // immutable

	mu        sync.Mutex
	ring      []closing             // grows up to limit
	next      int                   // the place of the next one, once the ring is full
	places    map[idspace.ID]uint32 // in ring; no pointers, so not scanned
	forgotten uint64
}

func newClosings(limit int) *closings {
	return &closings{limit: limit, places: make(map[idspace.ID]uint32)}
}

func (c *closings) add(e closing) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.next
	if len(c.ring) < c.limit {
		at = len(c.ring)
		c.ring = append(c.ring, e)
	} else {
		delete(c.places, c.ring[at].id)
		c.ring[at] = e
		c.forgotten++
		c.next = (c.next + 1) % c.limit
	}
	c.places[e.id] = uint32(at)
}

// setCode adds the code with which a WebSocket was closed.
func (c *closings) setCode(id idspace.ID, code uint16) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at, ok := c.places[id]; ok {
		c.ring[at].code = code
	}
}

func (c *closings) find(id idspace.ID) (closing, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, ok := c.places[id]
	if !ok {
		return closing{}, false
	}
	return c.ring[at], true
}

func (c *closings) counts() (remembered int, forgotten uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.ring), c.forgotten
}

// Gone returns the outcome of an operation on id, whose connection has ended or is
// ending: a *GoneError while its end is remembered, else ErrGone.
func (t *Transport) Gone(id idspace.ID) error {
	e, ok := t.ended.find(id)
	if !ok {
		return ErrGone
	}
	return &GoneError{ID: e.id, At: time.UnixMilli(e.at), Reason: e.reason, Code: int(e.code)}
}

// rememberLocked notes the end of a connection that others know of. The caller
// holds the slot's mu.
func (t *Transport) rememberLocked(s *slot, why Reason) {
	if !s.has(flagOpening) {
		t.ended.add(closing{id: idspace.ID(s.id.Load()), at: time.Now().UnixMilli(), reason: why})
	}
}

// closeCodeLocked returns the code that the client of a WebSocket has sent or is
// told, 0 if there is none. The caller holds the slot's mu.
func (t *Transport) closeCodeLocked(s *slot, i uint32) uint16 {
	w := t.table.wire(i)
	switch {
	case w == nil || w.web == nil || w.opening != nil:
		return 0
	case w.web.end != nil:
		return uint16(w.web.end.code)
	case s.has(flagAbort):
		return 0
	default:
		return uint16(closeCodes[s.reason])
	}
}
