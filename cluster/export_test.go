package cluster

import (
	"context"
	"fmt"
	"slices"
	"time"

	"flamingo/cluster/consensus"
	"flamingo/cluster/mesh"
	"flamingo/cluster/port"
	"flamingo/idspace"
)

// A Read is one of Reads.
type Read = read

// Reads lets callers share reads that a test begins and ends.
type Reads struct{ reads }

func NewReads() *Reads { return &Reads{newReads()} }

func (r *Reads) Wait(ctx context.Context) bool { return r.wait(ctx) }

// Begin waits until somebody wants a read.
func (r *Reads) Begin() *Read {
	<-r.wanted
	return r.begin()
}

func (n *read) End() { close(n.done) }

// SetClocks says how far the clocks of others are ahead.
func (c *Cluster) SetClocks(ahead func(idspace.BootID) (time.Duration, bool)) { c.clocks = ahead }

func (c *Cluster) ClockOffset() (time.Duration, bool) { return c.clockOffset() }

// TrustCopies has this node, while it leads, grant to a copy of a directory
// whose original is up.
func (c *Cluster) TrustCopies() { c.trustCopies.Store(true) }

// TrustProposers has this node promise whatever is proposed, even if it knows
// of more nodes than the proposer.
func (c *Cluster) TrustProposers() { c.credulous.Store(true) }

// TrustRetired has this node open streams with lives that were retired.
func (c *Cluster) TrustRetired() { c.trustRetired.Store(true) }

// SetVersions has this node say that it speaks these. It is called before Listen.
func (c *Cluster) SetVersions(v mesh.Versions) { c.speaks = v }

// LiveOn has this node go on after its life was retired.
func (c *Cluster) LiveOn() { c.endOnce.Do(func() {}) }

// IsFinal reports whether askLeader asks nobody else after an error of askOne.
func IsFinal(err error) bool { return codeOf(err).final() }

// NoAnswer is what askOne makes of an error of the mesh.
func NoAnswer(err error) error { return fmt.Errorf("%w: node: %w", errNoAnswer, err) }

// Founders are the servers that this node would propose if it expected so many.
func (c *Cluster) Founders(expect int) []idspace.ServerID { return c.foundersOf(expect) }

// BreakStore makes every later write of consensus fail.
func (c *Cluster) BreakStore() { c.seat().store.Close() }

// BeforeCommit makes the writes of consensus fail or hang, until the seat is another.
func (c *Cluster) BeforeCommit(fn func() error) { c.seat().store.BeforeCommit(fn) }

// Join makes a blank node belong to a cluster, as Run does.
func (c *Cluster) Join(ctx context.Context) error { return c.join(ctx) }

// LeaveSeat gives up the identity in the data directory, as a change of the
// seat begins; TakeSeat ends it.
func (c *Cluster) LeaveSeat() error {
	s := c.seat()
	s.giveUp(consensus.ErrSuperseded)
	return s.store.SetAside(c.cfg.Now())
}

func (c *Cluster) TakeSeat() error { return c.takeSeat() }

// Known is the cluster that the node belongs to, by its directory.
func (c *Cluster) Known() (idspace.ClusterID, error) { return c.seat().store.Cluster() }

// RaftNetwork is what a further server of raft on this node would have.
func (c *Cluster) RaftNetwork() consensus.Network { return &raftNetwork{c: c} }

// Recode has what decodes the bodies of requests and answers, by name: each
// returns the bytes again that it has decoded.
var Recode = map[string]func([]byte) ([]byte, error){
	"promise": func(b []byte) ([]byte, error) {
		p, err := decodeProposal(b)
		return appendProposal(nil, p), err
	},
	"answer to promise": func(b []byte) ([]byte, error) {
		a, err := decodeAnswer(b)
		return appendAnswer(nil, a), err
	},
	"answer to grant": func(b []byte) ([]byte, error) {
		g, err := decodeGranted(b)
		return appendGranted(nil, g), err
	},
	"answer to confirm": func(b []byte) ([]byte, error) {
		p, err := decodePage(b)
		return p.append(nil), err
	},
}

// SetPage has this node answer with so many live numbers at a time.
func (c *Cluster) SetPage(size int) { c.pageSize.Store(int64(size)) }

// Numbers are what is asked for page by page.
type Numbers struct {
	view  *view
	pages pages
}

// NewNumbers are live numbers, the retired ones being those given.
func NewNumbers(last idspace.NodeNumber, live map[idspace.NodeNumber]idspace.BootID, retired ...idspace.NodeNumber) *Numbers {
	n := &Numbers{view: newView(last)}
	n.view.live = live
	for _, number := range retired {
		n.view.retired[number] = true
	}
	return n
}

// NumbersPerPage is how many there are in one page of an answer.
const NumbersPerPage = numbersPerPage

// Answer is the whole body of a voter's answer.
func (n *Numbers) Answer(from idspace.NodeNumber) []byte {
	p := pageOf(n.view, from, numbersPerPage)
	return p.append(answerHead(nil))
}

// Take adds the body of an answer, and returns where to go on; zero at the end.
func (n *Numbers) Take(answer []byte) (next idspace.NodeNumber, err error) {
	p, err := decodePage(answer[headLen:])
	if err == nil {
		err = n.pages.add(p)
	}
	return n.pages.next, err
}

// Taken is what the pages have said.
func (n *Numbers) Taken() (last idspace.NodeNumber, live map[idspace.NodeNumber]idspace.BootID, retired int) {
	return n.pages.view.last, n.pages.view.live, len(n.pages.view.retired)
}

// Codes are those of answers, under their names in docs/protocol.md.
var Codes = map[string]uint8{
	"ok": uint8(codeOK), "not-leader": uint8(codeNotLeader), "busy": uint8(codeBusy), "uncertain": uint8(codeUncertain),
	"life-ended": uint8(codeLifeEnded), "failed": uint8(codeFailed), "stale-start": uint8(codeStaleStart),
	"server-changed": uint8(codeServerChanged), "present": uint8(codePresent), "gone": uint8(codeGone),
	"never-issued": uint8(codeNeverIssued),
}

// ofTrust are the reasons that have to do with who is there.
var ofTrust = []port.Reason{
	port.NoTLS, port.NoProtocol, port.NoCertificate, port.Untrusted, port.BadRole, port.NoKey, port.Refused,
}

// Refused are the streams that were refused for what they showed, or that refused
// this node, by reason, and the packets for which no key was good.
func (c *Cluster) Refused() (streams map[port.Reason]uint64, packets uint64) {
	streams = make(map[port.Reason]uint64)
	counts := c.port.Counts()
	for _, all := range []map[port.Reason]uint64{counts.Refused, counts.Distrusted} {
		for why, n := range all {
			if slices.Contains(ofTrust, why) { // else it broke on its way
				streams[why] += n
			}
		}
	}
	return streams, c.gossip.Stats().PacketsSealed
}
