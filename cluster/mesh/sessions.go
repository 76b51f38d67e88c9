package mesh

import "flamingo/idspace"

// A sessionKey names a lane from a peer. It has one session at a time.
type sessionKey struct {
	peer idspace.BootID
	lane uint64
}

// sessionLocked returns the session that h asks for, a new one if it says so.
// former is the one that gives way to a new one; nil for none. There is no
// stream of the lane.
func (m *Mesh) sessionLocked(h *hello) (n *inLane, refusal Refusal, former *inLane) {
	key := sessionKey{h.boot, h.lane}
	known := m.sessions[key]
	switch {
	case known != nil && known.attempt >= h.attempt:
		return nil, RefusalStale, nil
	case h.resume != 0 && (known == nil || known.id != h.session || m.forgetful):
		return nil, RefusalUnknownSession, nil
	case h.resume != 0:
		n = known
	default:
		n, former = m.newInLane(h), known
		m.sessions[key] = n
	}
	n.attempt, n.away, n.parts = h.attempt, 0, 0
	return n, RefusalNone, former
}

// leave ends the use of the session of s by s. The session is kept for a further
// stream, unless there cannot be one, or the peer has broken the protocol: that
// it would do again.
func (m *Mesh) leave(s *inStream) {
	n := s.lane
	if n == nil {
		return
	}
	parts, whole := n.detach()
	reason := s.why()
	if !whole || reason.isFault() || reason == ReasonGone || reason == ReasonClosed {
		m.forget(n)
		return
	}
	m.inMu.Lock()
	m.leaves++
	n.stream, n.left, n.away, n.parts = nil, m.leaves, 0, parts
	over := m.oversLocked()
	m.inMu.Unlock()
	for _, n := range over {
		m.lose(n)
	}
}

// oversLocked takes out the sessions over a bound, of those without a stream those
// first that have been so for longest.
func (m *Mesh) oversLocked() (over []*inLane) {
	for {
		count, bytes := 0, 0
		var first *inLane
		for _, n := range m.sessions {
			if n.stream != nil {
				continue
			}
			count++
			bytes += n.parts + n.box.held()
			if first == nil || n.left < first.left {
				first = n
			}
		}
		if count <= m.cfg.MaxSessions && bytes <= m.cfg.MaxSessionBytes {
			return over
		}
		delete(m.sessions, sessionKey{first.peer, first.key.lane})
		over = append(over, first)
	}
}

// tickSessions forgets those that have had no stream for SessionTimeout, and those
// over a bound: what waits for an outcome gets it without a stream, too.
func (m *Mesh) tickSessions() {
	var over []*inLane
	m.inMu.Lock()
	for key, n := range m.sessions {
		if n.stream != nil {
			continue
		}
		if n.away++; n.away > m.sessionTicks {
			delete(m.sessions, key)
			over = append(over, n)
		}
	}
	over = append(over, m.oversLocked()...)
	m.inMu.Unlock()
	for _, n := range over {
		m.lose(n)
	}
}

// lose ends a session for want of room or time.
func (m *Mesh) lose(n *inLane) {
	m.forgotten.Add(1)
	n.forget()
}

// forget ends a session: no stream resumes it any more.
func (m *Mesh) forget(n *inLane) {
	key := sessionKey{n.peer, n.key.lane}
	m.inMu.Lock()
	if m.sessions[key] == n {
		delete(m.sessions, key)
	}
	m.inMu.Unlock()
	n.forget()
}

// forget makes what is still to be answered come too late. n may be nil.
func (n *inLane) forget() {
	if n != nil {
		n.box.stop()
	}
}

// forgetPeer ends every session with a peer that is gone.
func (m *Mesh) forgetPeer(peer idspace.BootID) {
	for lane := range uint64(maxLanes) {
		m.inMu.Lock()
		n := m.sessions[sessionKey{peer, lane}]
		m.inMu.Unlock()
		if n != nil {
			m.forget(n)
		}
	}
}

// forgetAll ends every session. There is no stream any more.
func (m *Mesh) forgetAll() {
	m.inMu.Lock()
	all := m.sessions
	m.sessions = make(map[sessionKey]*inLane)
	m.inMu.Unlock()
	for _, n := range all {
		n.forget()
	}
}
