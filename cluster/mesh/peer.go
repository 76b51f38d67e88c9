package mesh

import (
	"sync/atomic"

	"flamingo/idspace"
)

// A Peer is the way to one peer, for who sends to it again and again: it keeps
// the link that it found. Its methods are safe for concurrent use. It holds
// nothing open and need not be closed.
type Peer struct {
	mesh *Mesh
	boot idspace.BootID
	last atomic.Pointer[link] // the link found last; nil before the first
}

// To returns the way to peer. It looks for nothing yet.
func (m *Mesh) To(peer idspace.BootID) *Peer { return &Peer{mesh: m, boot: peer} }

// Boot names the peer.
func (p *Peer) Boot() idspace.BootID { return p.boot }

// link returns the link to the peer, a new one if need be: a link that was
// evicted stays so.
func (p *Peer) link() (*link, error) {
	if l := p.last.Load(); l != nil && !l.retired.Load() {
		return l, nil
	}
	l, err := p.mesh.linkTo(p.boot)
	if err == nil {
		p.last.Store(l)
	}
	return l, err
}
