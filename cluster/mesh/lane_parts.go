package mesh

import (
	"bytes"
	"encoding/binary"
	"slices"

	"flamingo/idspace"
)

// An item is a message that cannot be queued at once: it travels in parts, or
// it stands behind such a one for the same id.
type item struct {
	message
	size   int
	ticket *ticket
	long   bool
	behind int // lines in which another item comes first

	lines []idspace.ID // in which it stands, if those are not its ids

	// Of a long one that is under way.
	body        []byte // the frame as it travels, cut into parts
	timeAt      int    // where in body it says how much time is left; 0: nowhere
	tag         uint64
	offset      int
	first, last uint64 // numbers of its first and its last part, once queued
	restarts    int
}

// maxRestarts bounds how often a long message begins anew when sessions are lost
// before its last part; then it ends as unreachable, since it cannot have
// arrived.
const maxRestarts = 8

// A partQueue holds the items of a lane. fifos has a line for each id that an
// item has; an item may go when it is the first in each of its lines. A publish,
// which may be for any id, stands in all the lines that there are and in one of
// its own, that of id 0, and until it goes what comes behind it stands there too.
// The lane's mu guards it; the window bounds it.
type partQueue struct {
	fifos   map[idspace.ID][]*item
	long    []*item // under way: the first maxParts of them
	turn    int
	lastTag uint64
}

// holdLocked reports whether m has to stand behind an item.
func (p *partQueue) holdLocked(m *message) bool {
	if len(p.fifos) == 0 {
		return false
	}
	found := m.kind == kindPublish || p.fifos[0] != nil
	m.each(func(id idspace.ID) { found = found || p.fifos[id] != nil })
	return found
}

// standLocked makes an item of m and lets it go if it is the first.
func (l *lane) standLocked(m message, size int, t *ticket) {
	m.payload = bytes.Clone(m.payload)
	it := &item{message: m, size: size, ticket: t, long: len(m.payload) > partSize}
	if t.waits() {
		t.item = it
	}
	it.lines = l.parts.linesFor(&it.message)
	it.eachLine(func(id idspace.ID) {
		line := l.parts.fifos[id]
		if n := len(line); n > 0 {
			if line[n-1] == it {
				return // the id stands twice in the message
			}
			it.behind++
		}
		l.parts.fifos[id] = append(line, it)
	})
	if it.behind == 0 {
		l.goLocked([]*item{it})
	}
}

// linesFor returns the lines for m if they are not those of its ids alone.
func (p *partQueue) linesFor(m *message) (lines []idspace.ID) {
	switch {
	case m.kind == kindPublish:
		lines = append(lines, 0)
		for id := range p.fifos {
			if id != 0 {
				lines = append(lines, id)
			}
		}
	case p.fifos[0] != nil:
		lines = append(lines, 0)
		m.each(func(id idspace.ID) { lines = append(lines, id) })
	}
	return lines
}

func (it *item) eachLine(f func(idspace.ID)) {
	if it.lines == nil {
		it.each(f)
		return
	}
	for _, id := range it.lines {
		f(id)
	}
}

// goLocked sends items that stand first for each of their ids, and then those
// for which that clears the way.
func (l *lane) goLocked(ready []*item) {
	for len(ready) > 0 {
		it := ready[0]
		ready = ready[1:]
		if it.long {
			e := newEncoder()
			e.body(&it.message)
			it.body, it.payload, it.timeAt = e.buf, nil, e.timeAt
			l.parts.long = append(l.parts.long, it)
			l.work.Signal()
			continue
		}
		l.appendLocked(&it.message, it.size, it.ticket)
		ready = l.parts.doneLocked(it, ready)
	}
}

// doneLocked takes it out of its lines, and appends whoever is first for all of
// its ids by that.
func (p *partQueue) doneLocked(it *item, ready []*item) []*item {
	it.eachLine(func(id idspace.ID) {
		line := p.fifos[id]
		if len(line) == 0 || line[0] != it {
			return
		}
		if len(line) == 1 {
			delete(p.fifos, id)
			return
		}
		p.fifos[id] = line[1:]
		if line[1].behind--; line[1].behind == 0 {
			ready = append(ready, line[1])
		}
	})
	return ready
}

// partLocked queues the next part of one long item, in turn. The writer calls
// it for each write, so that parts and short messages share the stream.
func (l *lane) partLocked() {
	p := &l.parts
	n := min(len(p.long), maxParts)
	for range n {
		p.turn++
		if it := p.long[p.turn%n]; it.last == 0 {
			l.queuePartLocked(it)
			return
		}
	}
}

func (l *lane) queuePartLocked(it *item) {
	start := 0
	if it.first == 0 {
		start = it.timeAt
		l.parts.lastTag++
		it.first, it.tag = l.next, l.parts.lastTag
	}
	piece := it.body[it.offset:min(it.offset+partSize, len(it.body))]
	it.offset += len(piece)
	entry := entry{}
	final := it.offset == len(it.body)
	if final {
		it.last = l.next
		entry = entryOf(&it.message, it.size, it.ticket)
	}
	e := l.log.open()
	e.part(l.next, it.tag, final, piece)
	if start != 0 {
		l.noteTimeLocked(len(e.buf)-len(piece)+start, it.ticket)
	}
	l.queuedLocked(entry)
}

// handedLocked takes out the long items whose last part was handed to the
// stream. Until then nothing may pass them: a session that is lost makes them
// start anew.
func (l *lane) handedLocked() {
	var ready []*item
	l.parts.long = slices.DeleteFunc(l.parts.long, func(it *item) bool {
		if it.last == 0 || it.last > l.sent {
			return false
		}
		ready = l.parts.doneLocked(it, ready)
		return true
	})
	l.goLocked(ready)
}

// restartLocked makes the long items that a session has seen a part of begin
// anew, or ends them. Parts that are still queued become void.
func (l *lane) restartLocked() {
	var ready []*item
	l.parts.long = slices.DeleteFunc(l.parts.long, func(it *item) bool {
		if it.first == 0 || it.first > l.sent {
			return false
		}
		l.rewindLocked(it)
		if it.restarts++; it.restarts <= maxRestarts {
			return false
		}
		l.settleLocked(entryOf(&it.message, it.size, it.ticket), only(OutcomeUnreachable))
		l.room.releaseLocked(it.size)
		ready = l.parts.doneLocked(it, ready)
		return true
	})
	l.goLocked(ready)
}

// rewindLocked takes the queued parts of it out.
func (l *lane) rewindLocked(it *item) {
	if it.last != 0 { // its entry is queued; the next last part brings another
		*l.entries.at(it.last) = entry{}
	}
	l.voidPartsLocked(it.tag)
	it.first, it.last, it.offset = 0, 0, 0
	if it.ticket.waits() {
		it.ticket.seq, it.ticket.item = 0, it
	}
}

// frameSize is the size of the frame that b begins with, and kindAt where that
// has its kind: behind the length of the array, which is one byte.
func frameSize(b []byte) int { return headerLen + int(binary.BigEndian.Uint32(b)) }

const kindAt = headerLen + 1

// voidPartsLocked makes the queued parts under tag void.
func (l *lane) voidPartsLocked(tag uint64) {
	d, f := newDecoder(), frame{}
	l.log.unwritten(func(b []byte) {
		if b[kindAt] != byte(kindPart) {
			return
		}
		if err := d.frame(b[headerLen:], &f); err != nil {
			panic("mesh: own frame does not decode: " + err.Error())
		}
		if f.u[1] == tag {
			void(b)
		}
	})
}

// voidLocked takes the frame of t out if it was not handed to a stream. Its
// number stays, with a frame that says nothing.
func (l *lane) voidLocked(t *ticket) bool {
	if t.item != nil {
		return l.voidItemLocked(t.item)
	}
	if t.seq == 0 || t.seq <= l.sent || !l.entries.has(t.seq) {
		return false
	}
	b := l.log.frame(t.seq)
	if b[kindAt] != byte(kindWait) { // a close, or the last of some parts
		return false
	}
	void(b)
	e := l.entries.at(t.seq)
	e.kind, e.ticket = entryNone, nil
	return true
}

func (l *lane) voidItemLocked(it *item) bool {
	switch {
	case it.behind > 0: // it keeps its place, as nothing
		it.kind, it.long, it.payload, it.ticket = kindVoid, false, nil, nil
	case it.first != 0:
		return false
	default: // a long one of which no part is queued
		l.parts.long = slices.DeleteFunc(l.parts.long, func(other *item) bool { return other == it })
		l.room.releaseLocked(it.size)
		l.goLocked(l.parts.doneLocked(it, nil))
		l.settledLocked()
	}
	return true
}
