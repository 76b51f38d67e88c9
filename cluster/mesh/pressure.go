package mesh

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"flamingo/idspace"
)

// What owners tell senders of connections that are full, so that these refuse what
// the owner would refuse, without a byte on the link (ADR 22). This file has the
// owner's end, pressed.go that of senders.

// maxPressed bounds the ids that one lane is told are full, at either end. Sends to
// further ones are refused by the owner as they come.
const maxPressed = 4096

// maxNotices bounds the notices of this end, pairs of an id and a lane, that are not
// taken back yet: some 100 bytes each.
const maxNotices = 64 << 10

// pressedFor is how long a notice holds without a further one. Whoever takes it back
// may be lost with a stream or a bug; no id is barred for ever.
const pressedFor = 5 * time.Second

// noticeAgain is how long an owner that goes on refusing leaves it at one notice:
// what is on its way when the notice arrives is refused, too.
const noticeAgain = time.Second

// notices are the lanes of peers that were told of full connections. It is a leaf
// but for the locks of outboxes.
type notices struct {
	told   atomic.Uint64 // notices
	untold atomic.Uint64 // refusals of which, over a bound, there is no notice

	mu    sync.Mutex
	lanes map[idspace.ID][]*inLane
	count int // pairs
}

// A noticed is what notices know of a lane from a peer. Guarded by notices.mu.
type noticed struct {
	able bool                 // it has a stream, and both ends have the feature
	ever bool                 // there were notices since the session began
	at   map[idspace.ID]int64 // when they were told last, by Mesh.clock
}

// attach begins to tell n, whose stream is new. What it was told before no longer
// holds; a copy of a notice may have come again with the outcomes.
func (p *notices) attach(n *inLane, able bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n.noticed.able = able
	if able && n.noticed.ever {
		n.tellPressure(0, 0, 0)
	}
}

// detach forgets what n was told: so does the peer when the stream ends.
func (p *notices) detach(n *inLane) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n.noticed.able = false
	for id := range n.noticed.at {
		p.removeLocked(n, id)
	}
}

func (p *notices) removeLocked(n *inLane, id idspace.ID) {
	delete(n.noticed.at, id)
	p.count--
	rest := slices.DeleteFunc(p.lanes[id], func(other *inLane) bool { return other == n })
	if len(rest) == 0 {
		delete(p.lanes, id)
	} else {
		p.lanes[id] = rest
	}
}

// enter notes that n is told of id at this moment. It reports false if n was told
// lately or cannot be told.
func (p *notices) enter(n *inLane, id idspace.ID, now int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, known := n.noticed.at[id]
	switch {
	case !n.noticed.able, known && now-at < int64(noticeAgain):
		return false
	case !known && (len(n.noticed.at) >= maxPressed || p.count >= maxNotices):
		p.untold.Add(1)
		return false
	case !known:
		if n.noticed.at == nil {
			n.noticed.at = make(map[idspace.ID]int64)
		}
		if p.lanes == nil {
			p.lanes = make(map[idspace.ID][]*inLane)
		}
		p.lanes[id] = append(p.lanes[id], n)
		p.count++
	}
	n.noticed.at[id] = now
	return true
}

// decide tells n what became of an entry: full or not. It may have been relieved
// since it entered.
func (p *notices) decide(n *inLane, seq uint64, id idspace.ID, full bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, still := n.noticed.at[id]
	switch {
	case !still:
	case full:
		p.told.Add(1)
		n.noticed.ever = true
		n.tellPressure(seq, id, 1)
	default:
		p.removeLocked(n, id)
		if n.noticed.ever { // it may know id as full from before
			n.tellPressure(0, id, 0)
		}
	}
}

// press tells the peer that id is full, whose owner has refused frame seq for it.
func (n *inLane) press(seq uint64, id idspace.ID) {
	m := n.mesh
	if m.cfg.Press == nil || !m.notices.enter(n, id, m.clock()) {
		return
	}
	// Entered before, so that a relief that comes now finds it.
	m.notices.decide(n, seq, id, m.cfg.Press(id))
}

func (n *inLane) tellPressure(seq uint64, id idspace.ID, state uint64) {
	n.box.put(func(e *encoder) { e.uints(kindPressure, seq, uint64(id), state) })
}

// Relieve says that connection id, which Config.Press has said is full, takes
// messages again or has ended. It does not block.
func (m *Mesh) Relieve(id idspace.ID) {
	if m.mute {
		return
	}
	p := &m.notices
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range p.lanes[id] {
		delete(n.noticed.at, id)
		p.count--
		n.tellPressure(0, id, 0)
	}
	delete(p.lanes, id)
}
