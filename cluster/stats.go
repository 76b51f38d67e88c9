package cluster

import (
	"time"

	"flamingo/cluster/consensus"
	"flamingo/cluster/gossip"
	"flamingo/cluster/mesh"
	"flamingo/cluster/port"
	"flamingo/cluster/trust"
	"flamingo/idspace"
)

// Stats are what this node's part in the cluster counted since New, and its state
// at this moment. The parts are read one after the other.
type Stats struct {
	Members map[gossip.State]int // present, this node among them
	Absent  int                  // lives that hold live numbers and are no members
	Live    int                  // numbers that are granted and neither ended nor retired
	Retired int                  // numbers that were retired

	Peers  []PeerStats // every link from here and every peer with a stream to here
	Mesh   mesh.Stats
	Gossip gossip.Stats
	Port   port.Counts
	Trust  trust.Counts // zero in clear text
	Raft   consensus.State

	Role      gossip.Role // of this node in consensus; outside if its server has stopped
	TrustMode trust.Mode  // by what nodes are told from strangers
	ClearText bool        // by nothing, on an address that others than this machine may reach

	// Reseated is how often this node began anew in consensus, on the same data
	// directory, after its disk had stalled while it led.
	Reseated uint64

	// Clock is how far this machine's clock is ahead of the median of the voters',
	// if those of a majority are known.
	Clock      time.Duration
	ClockKnown bool
}

// PeerStats is what is known of one peer.
type PeerStats struct {
	Name string // the last one known; may be empty, and two lives may have the same
	mesh.PeerStats
}

// Stats returns what was counted so far. It waits for nobody, and takes time in
// proportion to the number of nodes.
func (c *Cluster) Stats() Stats {
	v := c.view()
	s := Stats{
		Members: make(map[gossip.State]int), Live: len(v.live), Retired: len(v.retired),
		Mesh: c.mesh.Stats(), Port: c.port.Counts(), Raft: c.State(),
		Reseated: c.reseated.Load(), Role: c.role(), TrustMode: c.trust.Mode(), ClearText: c.clearText(),
	}
	if c.gossip != nil {
		s.Gossip = c.gossip.Stats()
	}
	if c.trust != nil {
		s.Trust = c.trust.Counts()
	}
	names := make(map[idspace.BootID]string)
	for _, n := range c.Nodes() {
		names[n.Boot] = n.Name
		if n.Present {
			s.Members[n.State]++
		} else {
			s.Absent++
		}
	}
	for _, p := range c.mesh.Peers() {
		s.Peers = append(s.Peers, PeerStats{names[p.Boot], p})
	}
	s.Clock, s.ClockKnown = c.clockOffset()
	return s
}
