package port

import (
	"fmt"
	"sync/atomic"
)

// Reason says why a Port closed a connection unserved, or dropped a packet.
type Reason uint8

// The reasons.
const (
	Stranger    Reason = iota // the first bytes are no preamble
	BadVersion                // a preamble of another version
	BadProtocol               // a protocol of a later release
	Slow                      // the preamble did not come in time
	Crowded                   // the oldest of too many unclassified
	HungUp                    // ended by the other side before its preamble
	Absent                    // its protocol has no consumer
	Full                      // the queue of its consumer is full
	Stopping                  // the port or the consumer ended

	// With Trust; see the errors of package trust.
	NoTLS         // trust.ErrNoTLS
	NoProtocol    // trust.ErrNoProtocol
	NoCertificate // trust.ErrNoCertificate
	Untrusted     // trust.ErrUntrusted
	BadRole       // trust.ErrRole
	NoKey         // trust.ErrProof
	Refused       // trust.ErrRefusedByPeer: the other end does not trust this one

	reasons = iota
)

var reasonNames = [reasons]string{
	"stranger", "bad version", "bad protocol", "slow", "crowded", "hung up", "absent", "full", "stopping",
	"no tls", "no protocol", "no certificate", "untrusted certificate", "wrong role", "no key", "refused by peer",
}

// String returns the reason in words.
func (r Reason) String() string {
	if r < reasons {
		return reasonNames[r]
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

// Counts are what a Port counted since New. The maps leave out zeros.
type Counts struct {
	Accepted     uint64              // connections
	AcceptErrors uint64              // each was followed by a pause
	Handed       map[Protocol]uint64 // streams put into the queue of a consumer
	Refused      map[Reason]uint64   // connections closed unserved
	Dialed       uint64              // streams opened by Dial
	DialErrors   uint64
	Distrusted   map[Reason]uint64 // dialed connections closed because of who is there; among DialErrors

	PacketsReceived uint64
	PacketsDropped  map[Reason]uint64
	PacketErrors    uint64 // failed reads of the socket; each was followed by a pause
	PacketsSent     uint64
	SendErrors      uint64
}

// counters are the living form of Counts.
type counters struct {
	accepted, acceptErrors, dialed, dialErrors        atomic.Uint64
	packets, packetErrors, packetsSent, packetsUnsent atomic.Uint64
	handed                                            [lastProtocol + 1]atomic.Uint64
	refused, distrusted, dropped                      [reasons]atomic.Uint64
}

// Counts returns what was counted so far.
func (p *Port) Counts() Counts {
	n := &p.counts
	c := Counts{
		Accepted:        n.accepted.Load(),
		AcceptErrors:    n.acceptErrors.Load(),
		Handed:          make(map[Protocol]uint64),
		Refused:         byReason(&n.refused),
		Dialed:          n.dialed.Load(),
		DialErrors:      n.dialErrors.Load(),
		Distrusted:      byReason(&n.distrusted),
		PacketsReceived: n.packets.Load(),
		PacketsDropped:  byReason(&n.dropped),
		PacketErrors:    n.packetErrors.Load(),
		PacketsSent:     n.packetsSent.Load(),
		SendErrors:      n.packetsUnsent.Load(),
	}
	for _, proto := range Protocols() {
		if v := n.handed[proto].Load(); v > 0 {
			c.Handed[proto] = v
		}
	}
	return c
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
