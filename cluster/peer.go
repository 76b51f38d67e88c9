package cluster

import (
	"context"

	"flamingo/cluster/mesh"
	"flamingo/idspace"
)

// A Peer is a life of a node that holds numbers: who sends to their ids go to.
// Its methods are those of the mesh, and so are their errors.
type Peer struct {
	mesh *mesh.Mesh
	boot idspace.BootID
}

// Boot names the life.
func (p *Peer) Boot() idspace.BootID { return p.boot }

// SendData is [mesh.Mesh.SendData] to this peer.
func (p *Peer) SendData(id idspace.ID, msg []byte) error { return p.mesh.SendData(p.boot, id, msg) }

// Send is [mesh.Mesh.Send] to this peer.
func (p *Peer) Send(ctx context.Context, id idspace.ID, msg []byte) error {
	return p.mesh.Send(ctx, p.boot, id, msg)
}

// SendMany is [mesh.Mesh.SendMany] to this peer.
func (p *Peer) SendMany(ids []idspace.ID, msg []byte, results []error) {
	p.mesh.SendMany(p.boot, ids, msg, results)
}

// Close is [mesh.Mesh.Close] at this peer.
func (p *Peer) Close(ctx context.Context, id idspace.ID) error { return p.mesh.Close(ctx, p.boot, id) }

// Describe is [mesh.Mesh.Describe] at this peer.
func (p *Peer) Describe(ctx context.Context, id idspace.ID) ([]byte, error) {
	return p.mesh.Describe(ctx, p.boot, id)
}
