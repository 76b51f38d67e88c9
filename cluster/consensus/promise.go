package consensus

import (
	"fmt"
	"slices"

	"flamingo/idspace"
)

// MaxProposalServers bounds the voters of a first configuration.
const MaxProposalServers = 5

// Proposal is what a blank server promises to: that the cluster be founded by
// Proposer with exactly these voters. Its cluster id is random and made for
// it, so that no two proposals are equal.
type Proposal struct {
	Cluster  idspace.ClusterID
	Proposer idspace.ServerID
	Servers  []idspace.ServerID // ascending, at most MaxProposalServers, with Proposer
}

// IsZero reports whether p is no proposal.
func (p Proposal) IsZero() bool { return p.Cluster.IsZero() }

// Equal compares every field.
func (p Proposal) Equal(q Proposal) bool {
	return p.Cluster == q.Cluster && p.Proposer == q.Proposer && slices.Equal(p.Servers, q.Servers)
}

// Less orders competing proposals: by their lists, then by proposer. The
// higher one yields.
func (p Proposal) Less(q Proposal) bool {
	if c := slices.CompareFunc(p.Servers, q.Servers, compareServers); c != 0 {
		return c < 0
	}
	if c := compareServers(p.Proposer, q.Proposer); c != 0 {
		return c < 0
	}
	return compareServers(idspace.ServerID(p.Cluster), idspace.ServerID(q.Cluster)) < 0
}

func (p Proposal) clone() Proposal {
	p.Servers = slices.Clone(p.Servers)
	return p
}

func (p Proposal) check() error {
	switch {
	case p.Cluster.IsZero() || p.Proposer.IsZero():
		return fmt.Errorf("%w: no cluster id or no proposer", ErrBadProposal)
	case len(p.Servers) == 0 || len(p.Servers) > MaxProposalServers:
		return fmt.Errorf("%w: %d servers", ErrBadProposal, len(p.Servers))
	case !slices.Contains(p.Servers, p.Proposer):
		return fmt.Errorf("%w: the proposer is not in its list", ErrBadProposal)
	}
	for i, id := range p.Servers {
		if id.IsZero() || i > 0 && compareServers(p.Servers[i-1], id) >= 0 {
			return fmt.Errorf("%w: servers not ascending", ErrBadProposal)
		}
	}
	return nil
}

// Answer is what a server says to a proposal.
type Answer struct {
	// Granted: it has promised exactly this, now or before.
	Granted bool

	// Holding is the proposal it is promised to; zero if none.
	Holding Proposal

	// Cluster is the cluster it belongs to; zero while it is blank. It then
	// promises nothing.
	Cluster idspace.ClusterID
}

// promises is the state of one server in the founding of a cluster: a pure
// state machine.
//
//	held   own    written
//	–      –      –        blank, free to promise or to propose
//	P      –      –        promised to the proposer of P
//	P      P      –        proposing P; may abandon it
//	P      P      yes      the configuration may be written: final
//
// What keeps two clusters with a common server apart: a proposal is written
// only after every listed server held it, and never once its proposer
// abandoned it; a promise is given back only for a proposal known to be
// abandoned. So of a written proposal no promise is ever given back.
type promises struct {
	held    Proposal
	own     bool // held is our own proposal
	written bool // only if own
}

// promise answers a request to promise p; a new promise is made only if this
// server is willing. Those made before stand.
func (s *promises) promise(self idspace.ServerID, p Proposal, willing bool) Answer {
	if s.own && !s.written && p.Less(s.held) {
		*s = promises{} // a lower proposal competes with ours: yield
	}
	// Our own proposal that we do not hold was abandoned, and a listing
	// without us asks for no promise of ours but for the answer.
	if willing && s.held.IsZero() && p.Proposer != self && slices.Contains(p.Servers, self) {
		s.held = p.clone()
	}
	return Answer{Granted: s.held.Equal(p), Holding: s.held.clone()}
}

// propose begins a proposal of our own.
func (s *promises) propose(p Proposal) error {
	switch {
	case s.own && s.held.Equal(p):
		return nil
	case !s.held.IsZero():
		return fmt.Errorf("%w: of %v", ErrPromised, s.held.Proposer)
	}
	s.held, s.own = p.clone(), true
	return nil
}

// write makes our proposal final. From then on it is not abandoned.
func (s *promises) write(p Proposal) error {
	if !s.own || !s.held.Equal(p) {
		return fmt.Errorf("%w: it was abandoned", ErrYielded)
	}
	s.written = true
	return nil
}

// abandon gives our own proposal up, unless it is written.
func (s *promises) abandon(p Proposal) bool {
	if !s.own || s.written || !s.held.Equal(p) {
		return false
	}
	*s = promises{}
	return true
}

// release gives the promise to p back. The caller knows that its proposer has
// abandoned it.
func (s *promises) release(p Proposal) bool {
	if s.own || !s.held.Equal(p) {
		return false
	}
	*s = promises{}
	return true
}
