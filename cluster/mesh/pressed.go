package mesh

import (
	"slices"
	"sync/atomic"

	"flamingo/idspace"
)

// pressedIDs are the ids that the peer of a lane has said are full: sends to them
// are refused here. The lane's mu guards it; it is empty without a stream.
type pressedIDs struct {
	until map[idspace.ID]int64 // by Mesh.clock
	swept int64                // when those that are over were last looked for
}

// pressures counts what the lanes of a mesh do with notices of pressure.
type pressures struct {
	refused atomic.Uint64 // sends
	unkept  atomic.Uint64 // notices for which there was no room
	stray   atomic.Uint64 // notices that refer to nothing that was sent
}

// hasLocked reports whether id is full, as far as is known.
func (p *pressedIDs) hasLocked(m *Mesh, id idspace.ID) bool {
	until, known := p.until[id]
	if known && m.clock() >= until {
		delete(p.until, id)
		known = false
	}
	return known
}

// addLocked reports false if there is no room.
func (p *pressedIDs) addLocked(id idspace.ID, now int64) bool {
	if _, known := p.until[id]; !known && len(p.until) >= maxPressed && !p.sweepLocked(now) {
		return false
	}
	if p.until == nil {
		p.until = make(map[idspace.ID]int64)
	}
	p.until[id] = now + int64(pressedFor)
	return true
}

// sweepLocked takes out what is over, and reports whether there is room then. It
// looks at most once every noticeAgain, however many notices a peer sends.
func (p *pressedIDs) sweepLocked(now int64) bool {
	if now-p.swept < int64(noticeAgain) {
		return false
	}
	p.swept = now
	for id, until := range p.until {
		if now >= until {
			delete(p.until, id)
		}
	}
	return len(p.until) < maxPressed
}

// refusesLocked reports whether m is refused because its connection is full. What
// goes to many is looked at before, and a close is for the full as well.
func (l *lane) refusesLocked(m *message) bool {
	if len(l.pressed.until) == 0 || m.kind != kindData && m.kind != kindWait || !l.pressed.hasLocked(l.link.mesh, m.id) {
		return false
	}
	l.link.mesh.pressures.refused.Add(1)
	return true
}

// pressure takes a frame of the peer. A notice has to refer to a frame that is not
// acknowledged and was for that id: another one is of no use, and means nothing.
func (l *lane) pressure(f *frame) error {
	seq, id, state := f.u[0], idOf(f.u[1]), f.u[2]
	m := l.link.mesh
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.features&featurePressure == 0:
		return reasonError{ReasonUnexpected}
	case state > 1, state == 1 && !id.Valid():
		return reasonError{ReasonMalformed}
	case state == 0 && id == 0:
		clear(l.pressed.until)
	case state == 0:
		delete(l.pressed.until, id)
	case !l.awaitsLocked(seq, id):
		m.pressures.stray.Add(1)
	case !l.pressed.addLocked(id, m.clock()):
		m.pressures.unkept.Add(1)
	}
	return nil
}

// awaitsLocked reports whether frame seq was handed over, is for id and is not
// acknowledged.
func (l *lane) awaitsLocked(seq uint64, id idspace.ID) bool {
	if !l.entries.has(seq) || seq > l.handed {
		return false
	}
	e := l.entries.at(seq)
	return e.id == id || e.kind == entryMany && slices.Contains(e.ticket.ids, id)
}

// spare returns those of ids that are not full, and where they stand; the others
// have their results. places is nil if that is all of them.
func (l *link) spare(ids []idspace.ID, results []error) (free []idspace.ID, places []int) {
	var full []bool
	for k, n := range l.lanes {
		n.mu.Lock()
		for i := 0; len(n.pressed.until) > 0 && i < len(ids); i++ {
			if laneIndex(ids[i], len(l.lanes)) == k && n.pressed.hasLocked(l.mesh, ids[i]) {
				if full == nil {
					full = make([]bool, len(ids))
				}
				full[i] = true
			}
		}
		n.mu.Unlock()
	}
	if full == nil {
		return ids, nil
	}
	places = make([]int, 0, len(ids))
	for i, id := range ids {
		if full[i] {
			results[i] = ErrBackpressure
			l.mesh.pressures.refused.Add(1)
			continue
		}
		free, places = append(free, id), append(places, i)
	}
	return free, places
}

// PressureStats count what is told between nodes of connections that are full.
type PressureStats struct {
	Notices int    // of connections here, told to peers and not taken back
	Told    uint64 // such notices since the mesh was made
	Untold  uint64 // refusals of which a peer was not told, over a bound

	Pressed int    // connections of peers to which sends are refused here
	Refused uint64 // sends refused so
	Unkept  uint64 // notices of peers for which there was no room
	Stray   uint64 // notices of peers that referred to nothing
}

func (m *Mesh) pressureStats() PressureStats {
	s := PressureStats{
		Told: m.notices.told.Load(), Untold: m.notices.untold.Load(),
		Refused: m.pressures.refused.Load(), Unkept: m.pressures.unkept.Load(), Stray: m.pressures.stray.Load(),
	}
	m.notices.mu.Lock()
	s.Notices = m.notices.count
	m.notices.mu.Unlock()
	for _, l := range *m.links.Load() {
		for _, n := range l.lanes {
			n.mu.Lock()
			s.Pressed += len(n.pressed.until)
			n.mu.Unlock()
		}
	}
	return s
}
