package gossip

import (
	"fmt"
	"sync/atomic"
)

// Reason says why something of another node was refused.
type Reason uint8

// The reasons.
const (
	ForCluster Reason = iota // it is in another cluster
	ForName                  // its cluster has another name
	ForMeta                  // its announcement or its boot id cannot be read
	ForRoom                  // MaxMembers are present
	ForHello                 // its stream does not begin with a hello, or not in time
	ForStreams               // too many of its like are open

	reasons = iota
)

var reasonNames = [reasons]string{"cluster", "name", "meta", "room", "hello", "streams"}

// String returns the reason in a word.
func (r Reason) String() string {
	if r < reasons {
		return reasonNames[r]
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

// Stats are what a Gossip counted since New, and its state.
type Stats struct {
	Present   int    // members, this node among them
	Lost      int    // addresses of lost members that are tried again
	Forgotten uint64 // of those, dropped for newer ones

	Joins      uint64 // attempts that ended in an exchange of state
	JoinErrors uint64 // those that did not, without those at this node itself

	MembersRefused map[Reason]uint64 // announcements and exchanges
	StreamsRefused map[Reason]uint64
	PacketsMuted   uint64 // not sent, to nodes that were refused
	PacketsSealed  uint64 // dropped, of somebody who knows no key
	PacketErrors   uint64 // not sent, by fault of the socket or the address

	// Health is memberlist's opinion of this node: 0 is healthy; more means
	// that it is late with its answers, and gives others more time.
	Health int
}

type counters struct {
	joins, joinErrors, muted, packetErrors, packetsSealed atomic.Uint64
	members, streams                                      [reasons]atomic.Uint64
}

// Stats returns what was counted so far.
func (g *Gossip) Stats() Stats {
	s := Stats{
		Present:        len(g.table.snapshot()),
		Lost:           len(g.lost.addrs()),
		Forgotten:      g.lost.forgotten.Load(),
		Joins:          g.counts.joins.Load(),
		JoinErrors:     g.counts.joinErrors.Load(),
		MembersRefused: byReason(&g.counts.members),
		StreamsRefused: byReason(&g.counts.streams),
		PacketsMuted:   g.counts.muted.Load(),
		PacketsSealed:  g.counts.packetsSealed.Load(),
		PacketErrors:   g.counts.packetErrors.Load(),
	}
	if list := g.memberlist(); list != nil {
		s.Health = list.GetHealthScore()
	}
	return s
}

func byReason(n *[reasons]atomic.Uint64) map[Reason]uint64 {
	m := make(map[Reason]uint64)
	for r := range n {
		if v := n[r].Load(); v > 0 {
			m[Reason(r)] = v
		}
	}
	return m
}
