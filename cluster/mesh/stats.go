package mesh

import (
	"bytes"
	"slices"
	"time"

	"flamingo/idspace"
)

// State says how the link to a peer is.
type State uint8

// The states.
const (
	StateIdle        State = iota // no stream, and none wanted
	StateConnecting               // streams are wanted, the control stream is not up
	StateUp                       // the control stream is up
	StateUnreachable              // no stream for UnreachableAfter, or given up
	StateGone                     // PeerGone was called
)

var stateNames = [...]string{"idle", "connecting", "up", "unreachable", "gone"}

// String returns the state's name.
func (s State) String() string { return stateNames[s] }

// Traffic counts one direction of dialling: frames and bytes both ways.
type Traffic struct {
	FramesIn, FramesOut uint64
	BytesIn, BytesOut   uint64
	Ends                map[Reason]uint64 // streams that ended, by reason
}

// PeerStats is what is known of one peer.
type PeerStats struct {
	Boot       idspace.BootID
	State      State         // of the link from here
	Dialled    Traffic       // streams that this node opened
	Accepted   Traffic       // streams that the peer has open
	Inbound    int           // how many of these there are
	QueueBytes int           // queued or not acknowledged, of the windows
	Waits      int           // sends and closes whose outcome is waited for
	RTT        time.Duration // smoothed; 0 before the first pong
	ClockAhead time.Duration // of its wall clock before ours, if ClockKnown
	ClockKnown bool          // there was a pong that came soon
	Breaks     uint64        // streams of lanes that ended other than as idle
	Resumes    uint64        // sessions that went on by another stream
	Losses     uint64        // sessions that ended with something unacknowledged
}

// Stats is what is known of the mesh as a whole.
type Stats struct {
	Inbound        int                // streams taken from peers
	Ends           map[Reason]uint64  // streams and attempts that ended, by reason
	Undelivered    map[Outcome]uint64 // asynchronous sends and closes that failed
	LostReports    uint64             // of those, not told for want of room
	LateOutcomes   uint64             // outcomes found when their session was over
	Sessions       int                // of lanes from peers, those without a stream included
	Forgotten      uint64             // of these, ended for want of room or time
	HandshakesOpen int
	Pressure       PressureStats
}

// Stats returns the totals.
func (m *Mesh) Stats() Stats {
	s := Stats{
		Inbound: int(m.inbound.Load()), Ends: m.counters.list(), Undelivered: make(map[Outcome]uint64),
		LostReports: m.reports.dropped.Load(), LateOutcomes: m.late.Load(),
		HandshakesOpen: int(m.handshakes.Load()), Forgotten: m.forgotten.Load(),
		Pressure: m.pressureStats(),
	}
	m.inMu.Lock()
	s.Sessions = len(m.sessions)
	m.inMu.Unlock()
	for o := range m.reports.counts {
		if n := m.reports.counts[o].Load(); n > 0 {
			s.Undelivered[Outcome(o)] = n
		}
	}
	return s
}

// Peers returns every peer with a link from here or a stream to here, ordered
// by boot.
func (m *Mesh) Peers() []PeerStats {
	peers := make(map[idspace.BootID]*PeerStats)
	for boot, l := range *m.links.Load() {
		p := l.stats()
		peers[boot] = &p
	}
	m.inMu.Lock()
	for boot, in := range m.in {
		if peers[boot] == nil {
			peers[boot] = &PeerStats{Boot: boot}
		}
		peers[boot].Inbound = len(in.streams)
		peers[boot].Accepted = in.traffic.read()
	}
	m.inMu.Unlock()
	all := make([]PeerStats, 0, len(peers))
	for _, p := range peers {
		all = append(all, *p)
	}
	slices.SortFunc(all, func(a, b PeerStats) int { return bytes.Compare(a.Boot[:], b.Boot[:]) })
	return all
}

// Up reports whether the control stream to peer is up.
func (m *Mesh) Up(peer idspace.BootID) bool {
	l := (*m.links.Load())[peer]
	return l != nil && l.state() == StateUp
}

func (l *link) stats() PeerStats {
	p := PeerStats{
		Boot: l.peer, State: l.state(), Dialled: l.traffic.read(), RTT: time.Duration(l.rtt.Load()),
	}
	p.ClockAhead, p.ClockKnown = l.control.clockOffset()
	for _, n := range l.lanes {
		n.mu.Lock()
		p.QueueBytes += n.room.used
		p.Waits += n.waiting
		n.mu.Unlock()
		p.Breaks += n.breaks.Load()
		p.Resumes += n.resumes.Load()
		p.Losses += n.losses.Load()
	}
	return p
}

func (l *link) state() State {
	l.control.mu.Lock()
	up, running := l.control.box != nil, l.control.running
	l.control.mu.Unlock()
	switch {
	case l.gone.Load():
		return StateGone
	case up:
		return StateUp
	case l.unreachable():
		return StateUnreachable
	case running:
		return StateConnecting
	default:
		return StateIdle
	}
}

func (t *traffic) read() Traffic {
	return Traffic{
		FramesIn: t.framesIn.Load(), FramesOut: t.framesOut.Load(),
		BytesIn: t.bytesIn.Load(), BytesOut: t.bytesOut.Load(),
		Ends: t.ends.list(),
	}
}

func (c *reasonCounters) list() map[Reason]uint64 {
	counts := make(map[Reason]uint64)
	for r := range c {
		if n := c[r].Load(); n > 0 {
			counts[Reason(r)] = n
		}
	}
	return counts
}
