package attach

import (
	"cmp"
	"strconv"
	"sync"
	"time"

	"flamingo/node"
)

// A hub holds the events of a node until they are acknowledged, and decides which
// session gets which. Nothing is called under its lock.
type hub struct {
	done func([]node.Event) // tells the node; called without mu

	mu       sync.Mutex
	owners   map[node.ID]uint64 // guarded by mu: the session that a connection sticks to, or stuck to
	sessions map[uint64]*feed   // guarded by mu: by their number
	byName   map[string]*feed   // guarded by mu: the newest of that name
	waiting  queue              // guarded by mu: events that no session takes
	counts   hubCounts          // guarded by mu
	ended    [endReasons]uint64 // guarded by mu: sessions, by why
	last     uint64             // guarded by mu: number of the newest session
}

type hubCounts struct {
	taken, sent, resent, acknowledged uint64
}

// A feed is the events of one session. Its fields but wake are guarded by hub.mu.
type feed struct {
	wake   chan struct{} // a token: something has changed for the writer; never closed
	name   string
	number uint64
	mixed  uint64 // of the name, for choose

	queue    queue
	first    uint64 // the number of the first entry of queue
	sent     int    // entries of queue that were sent
	out      int    // of those not done
	outBytes int64
	window   uint64    // entries that may be sent, from the first one of queue on; 0 pauses
	bytes    int64     // that may be out
	since    time.Time // when the oldest that is out became so
	leaving  bool      // gets no further event, and ends when none is out
	ousted   bool      // gets no further event, and ends
}

func newHub(done func([]node.Event)) *hub {
	return &hub{
		done: done, owners: make(map[node.ID]uint64),
		sessions: make(map[uint64]*feed), byName: make(map[string]*feed),
	}
}

// add makes f one of those that get events, and returns the one whose name it takes
// over. Its number, name and window are set; it is told apart by them.
func (h *hub) add(f *feed) (replaced *feed) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f.first, f.mixed = 1, mix(hashName(cmp.Or(f.name, strconv.FormatUint(f.number, 10))))
	h.sessions[f.number] = f
	if f.name != "" {
		replaced = h.byName[f.name]
		h.byName[f.name] = f
	}
	if replaced != nil {
		replaced.ousted = true
	}
	h.hopeLocked()
	return replaced
}

// number returns that of a new session.
func (h *hub) number() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last++
	return h.last
}

// put takes events of the node. Those that took part are woken.
func (h *hub) put(events []node.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts.taken += uint64(len(events))
	for i := range events {
		h.assignLocked(entry{Event: events[i]})
	}
}

// assignLocked gives an event to the session of its connection, or to one that it
// chooses, or lets it wait.
func (h *hub) assignLocked(e entry) {
	f := h.sessions[h.owners[e.ID]]
	if f == nil {
		if f = h.chooseLocked(e.ID); f == nil {
			h.waiting.push(e)
			return
		}
		h.owners[e.ID] = f.number
	}
	f.queue.push(e)
	f.signal()
}

// chooseLocked returns the session for a connection that has none: for the same
// sessions always the same, and when one goes only its connections move.
func (h *hub) chooseLocked(id node.ID) (best *feed) {
	var most uint64
	for _, f := range h.sessions {
		if f.window == 0 || f.leaving || f.ousted {
			continue
		}
		if v := mix(f.mixed ^ uint64(id)); best == nil || v > most || v == most && f.number < best.number {
			best, most = f, v
		}
	}
	return best
}

// hopeLocked gives what waits to whoever takes events by now.
func (h *hub) hopeLocked() {
	for n := h.waiting.count; n > 0; n-- {
		if h.chooseLocked(h.waiting.at(0).ID) == nil {
			return
		}
		e := *h.waiting.at(0)
		h.waiting.drop()
		h.assignLocked(e)
	}
}

// setWindow changes the window of f.
func (h *hub) setWindow(f *feed, events uint64, bytes int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f.window, f.bytes = events, bytes
	f.signal()
	h.hopeLocked()
}

// leave lets f have no further event.
func (h *hub) leave(f *feed) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f.leaving = true
	f.signal()
}

// next appends to batch what f may send now, and returns the number of the first of
// these events. They count as sent.
func (h *hub) next(f *feed, batch []entry, atOnce int, now time.Time) (first uint64, _ []entry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	first = f.first + uint64(f.sent)
	for len(batch) < atOnce && f.sent < f.queue.count && !f.leaving && !f.ousted && uint64(f.sent) < f.window {
		e := f.queue.at(f.sent)
		if f.out > 0 && f.outBytes+int64(len(e.Data)) > f.bytes {
			break
		}
		if f.out == 0 {
			f.since = now
		}
		f.sent++
		f.out++
		f.outBytes += int64(len(e.Data))
		h.counts.sent++
		if e.again > 0 {
			h.counts.resent++
		}
		batch = append(batch, *e)
	}
	return first, batch
}

// areOut reports whether the events first to last were sent to f, and none of them
// is acknowledged.
func (h *hub) areOut(f *feed, first, last uint64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if first < f.first || first > last || last >= f.first+uint64(f.sent) {
		return false
	}
	for n := first; n <= last; n++ {
		if f.queue.at(int(n - f.first)).done {
			return false
		}
	}
	return true
}

// acknowledge ends the events first to last, which are out.
func (h *hub) acknowledge(f *feed, first, last uint64, now time.Time) {
	over := make([]node.Event, 0, last-first+1)
	h.mu.Lock()
	for n := first; n <= last; n++ {
		e := f.queue.at(int(n - f.first))
		over = append(over, e.Event)
		f.out--
		f.outBytes -= int64(len(e.Data))
		if e.Type == node.EventClose {
			delete(h.owners, e.ID)
		}
		*e = entry{done: true}
	}
	h.counts.acknowledged += uint64(len(over))
	for f.sent > 0 && f.queue.at(0).done {
		f.queue.drop()
		f.first++
		f.sent--
		f.since = now
	}
	f.signal()
	h.mu.Unlock()
	h.done(over)
}

// remove ends f: what is not acknowledged goes to others, in its order. A session that
// got no events is none of them.
func (h *hub) remove(f *feed, why endReason) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended[why]++
	if h.sessions[f.number] != f {
		return
	}
	delete(h.sessions, f.number)
	if h.byName[f.name] == f {
		delete(h.byName, f.name)
	}
	for k := 0; f.queue.count > 0; k++ {
		e := *f.queue.at(0)
		f.queue.drop()
		if e.done {
			continue
		}
		if k < f.sent && e.again < 255 {
			e.again++
		}
		h.assignLocked(e)
	}
}

// clear gives up everything that is held. No session is left.
func (h *hub) clear() {
	h.mu.Lock()
	var over []node.Event
	for h.waiting.count > 0 {
		over = append(over, h.waiting.at(0).Event)
		h.waiting.drop()
	}
	h.mu.Unlock()
	h.done(over)
}

// state returns how many events of f are out, since when the oldest is, and whether it
// leaves.
func (h *hub) state(f *feed) (out int, since time.Time, leaving bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return f.out, f.since, f.leaving
}

func (h *hub) stats() Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := &h.counts
	st := Stats{
		Waiting: h.waiting.count, Sticky: len(h.owners),
		Taken: c.taken, Sent: c.sent, Again: c.resent, Acknowledged: c.acknowledged, Ended: make(map[string]uint64),
	}
	for _, f := range h.sessions {
		st.Out += f.out
		st.Queued += f.queue.count - f.sent
	}
	for why, n := range h.ended {
		st.Ended[endReason(why).String()] = n
	}
	return st
}

// signal wakes the writer of f. It never waits.
func (f *feed) signal() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// hashName is FNV-1a, mix the finalizer of MurmurHash3.

func hashName(name string) uint64 {
	h := uint64(14695981039346656037)
	for _, b := range []byte(name) {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return h
}

func mix(v uint64) uint64 {
	v ^= v >> 33
	v *= 0xff51afd7ed558ccd
	v ^= v >> 33
	v *= 0xc4ceb9fe1a85ec53
	return v ^ v>>33
}
