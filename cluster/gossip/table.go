package gossip

import (
	"bytes"
	"maps"
	"slices"
	"sync"
	"time"

	"flamingo/idspace"
)

// table holds the members that are present, and what each subscriber has not
// been told yet.
type table struct {
	self idspace.BootID // immutable
	max  int            // immutable

	mu      sync.Mutex
	present map[idspace.BootID]Member
	subs    map[*subscriber]struct{}
}

// subscriber is one reader of the changes. Guarded by table.mu, except wake.
type subscriber struct {
	told   map[idspace.BootID]Member // as it was told
	dirty  []idspace.BootID          // may differ from told, in order of arrival
	queued map[idspace.BootID]bool   // what is in dirty

	// wake gets a token when dirty is no longer empty. Sent to by the table;
	// never closed.
	wake chan struct{}
}

func newTable(self idspace.BootID, limit int) *table {
	return &table{
		self:    self,
		max:     limit,
		present: make(map[idspace.BootID]Member),
		subs:    make(map[*subscriber]struct{}),
	}
}

// admits reports whether boot, which is another node, is present, and whether
// it is or there is room for it. This node has a place even while it is not in
// the table: memberlist listens to others before it announces itself.
func (t *table) admits(boot idspace.BootID) (present, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	taken := len(t.present)
	if _, here := t.present[t.self]; !here {
		taken++
	}
	_, present = t.present[boot]
	return present, present || taken < t.max
}

// get returns the member with that boot id, if it is present.
func (t *table) get(boot idspace.BootID) (Member, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	m, ok := t.present[boot]
	return m, ok
}

// put adds m, or replaces what is known of it except for its times.
func (t *table) put(m Member) {
	t.change(m.Boot, func() bool {
		old, ok := t.present[m.Boot]
		if ok {
			m.Since, m.Confirmed = old.Since, old.Confirmed
		}
		t.present[m.Boot] = m
		return !ok || !m.same(old)
	})
}

// remove takes boot out.
func (t *table) remove(boot idspace.BootID) {
	t.change(boot, func() bool {
		_, ok := t.present[boot]
		delete(t.present, boot)
		return ok
	})
}

// confirm notes that boot itself was heard.
func (t *table) confirm(boot idspace.BootID, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if m, ok := t.present[boot]; ok {
		m.Confirmed = now
		t.present[boot] = m
	}
}

// change runs f, which reports whether boot changed, and tells the subscribers.
func (t *table) change(boot idspace.BootID, f func() bool) {
	t.mu.Lock()
	var woken []*subscriber
	if f() {
		for s := range t.subs {
			if s.mark(boot, t.present) {
				woken = append(woken, s)
			}
		}
	}
	t.mu.Unlock()
	for _, s := range woken {
		select {
		case s.wake <- struct{}{}:
		default: // it has a token
		}
	}
}

func (t *table) snapshot() []Member {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.SortedFunc(maps.Values(t.present), func(a, b Member) int {
		return bytes.Compare(a.Boot[:], b.Boot[:])
	})
}

func (t *table) subscribe() *subscriber {
	s := &subscriber{
		told:   make(map[idspace.BootID]Member),
		queued: make(map[idspace.BootID]bool),
		wake:   make(chan struct{}, 1),
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for boot := range t.present {
		s.queued[boot] = true
		s.dirty = append(s.dirty, boot)
	}
	t.subs[s] = struct{}{}
	return s
}

func (t *table) unsubscribe(s *subscriber) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.subs, s)
}

// next returns the next change that s has not been told.
func (t *table) next(s *subscriber) (Change, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(s.dirty) > 0 {
		boot := s.dirty[0]
		s.dirty = s.dirty[1:]
		delete(s.queued, boot)
		if c, ok := s.compare(boot, t.present); ok {
			return c, true
		}
	}
	return Change{}, false
}

// mark queues boot, or takes it out again if s was never told of it and need
// not be. So dirty holds members that are present or that s was told of, and told
// grows only by reading: neither holds more than twice MaxMembers.
func (s *subscriber) mark(boot idspace.BootID, present map[idspace.BootID]Member) bool {
	_, known := s.told[boot]
	_, here := present[boot]
	switch {
	case !known && !here:
		if s.queued[boot] {
			delete(s.queued, boot)
			s.dirty = slices.DeleteFunc(s.dirty, func(b idspace.BootID) bool { return b == boot })
		}
		return false
	case !s.queued[boot]:
		s.queued[boot] = true
		s.dirty = append(s.dirty, boot)
	}
	return true
}

// compare returns how boot differs from what s was told, and notes it as told.
func (s *subscriber) compare(boot idspace.BootID, present map[idspace.BootID]Member) (Change, bool) {
	old, known := s.told[boot]
	m, here := present[boot]
	switch {
	case here && !known:
		s.told[boot] = m
		return Change{Joined, m}, true
	case here && !m.same(old):
		s.told[boot] = m
		return Change{Updated, m}, true
	case !here && known:
		delete(s.told, boot)
		return Change{Gone, old}, true
	}
	return Change{}, false
}
