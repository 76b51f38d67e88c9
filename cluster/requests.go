package cluster

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"

	"flamingo/cluster/consensus"
	"flamingo/cluster/mesh"
	"flamingo/idspace"
)

// Requests between nodes are fixed layouts, integers big-endian:
//
//	promise   cluster:16 proposer:16 n:1 n×server:16       and release
//	  answer  granted:1 cluster:16 promise
//	grant     boot:16 ordinal:4 server:16 start:8
//	  answer  code:1 leader:16 boot:16 ordinal:4 number:8 last:8
//	end-life  boot:16
//	  answer  code:1 leader:16
//	confirm   nothing, or, if what a voter has applied is enough, last:8 n:4, or from:8
//	  answer  code:1 leader:16 last:8 n:4 next:8 k:4 k×(boot:16 number:8) m:4 m×number:8
//	join      server:16
//	retire    number:8 anyway:1
//	  answer  code:1 leader:16
//	contact   boot:16
//	  answer  code:1 leader:16 silence:4            in seconds
//
// See numbers.go for confirm.

var errBadRequest = errors.New("bad request between nodes")

// requests answers the requests of other nodes.
type requests struct{ c *Cluster }

func (r requests) Handle(ctx context.Context, peer idspace.BootID, kind mesh.RequestKind, body []byte) ([]byte, error) {
	switch kind {
	case mesh.RequestPromise:
		return r.promise(body)
	case mesh.RequestRelease:
		return r.release(body)
	case mesh.RequestGrant:
		return r.grant(ctx, peer, body)
	case mesh.RequestConfirm:
		return r.confirm(ctx, body)
	case mesh.RequestEndLife:
		return r.endLife(ctx, peer, body)
	case mesh.RequestJoin:
		return nil, r.remove(ctx, peer, body)
	case mesh.RequestRetire:
		return r.retire(ctx, body)
	case mesh.RequestContact:
		return r.contact(body)
	case mesh.RequestTie, mesh.RequestMembers, mesh.RequestGroups, mesh.RequestInterests, mesh.RequestLoad, mesh.RequestDrain, mesh.RequestConnections:
		if r.c.cfg.Asked == nil {
			return nil, mesh.ErrUnknownRequest
		}
		return r.c.cfg.Asked.Handle(ctx, peer, kind, body)
	case mesh.RequestDescribe: // the mesh's own
		return nil, mesh.ErrUnknownRequest
	default:
		return nil, mesh.ErrUnknownRequest
	}
}

func (r requests) promise(body []byte) ([]byte, error) {
	p, err := decodeProposal(body)
	if err != nil {
		return nil, err
	}
	answer := r.c.seat().store.Answer
	if r.c.agrees(p) {
		answer = r.c.seat().store.Promise
	}
	a, err := answer(p)
	if err != nil {
		return nil, err
	}
	return appendAnswer(nil, a), nil
}

func (r requests) release(body []byte) ([]byte, error) {
	p, err := decodeProposal(body)
	if err != nil {
		return nil, err
	}
	_, err = r.c.seat().store.ReleasePromise(p)
	return nil, err
}

func (r requests) grant(ctx context.Context, peer idspace.BootID, body []byte) ([]byte, error) {
	if len(body) != grantLen {
		return nil, errBadRequest
	}
	q := decodeGrant(body)
	if q.boot != peer {
		return nil, errBadRequest
	}
	g, err := r.c.grantHere(ctx, q)
	return appendGranted(answerHead(err), g), nil
}

// endLife records the end of a life at its own request.
func (r requests) endLife(ctx context.Context, peer idspace.BootID, body []byte) ([]byte, error) {
	if !bytes.Equal(body, peer[:]) {
		return nil, errBadRequest
	}
	return answerHead(r.c.seat().server.EndLife(ctx, peer, idspace.CauseLeft)), nil
}

// remove takes the server of a member out, at its own request.
func (r requests) remove(ctx context.Context, peer idspace.BootID, body []byte) error {
	m, ok := r.c.dir.member(peer)
	if !ok || !bytes.Equal(body, m.Meta.Server[:]) {
		return errBadRequest
	}
	return r.c.seat().server.Remove(ctx, m.Meta.Server)
}

func appendProposal(out []byte, p consensus.Proposal) []byte {
	out = append(append(out, p.Cluster[:]...), p.Proposer[:]...)
	out = append(out, byte(len(p.Servers)))
	for _, s := range p.Servers {
		out = append(out, s[:]...)
	}
	return out
}

func decodeProposal(b []byte) (p consensus.Proposal, err error) {
	const head = 16 + 16 + 1
	if len(b) < head {
		return p, errBadRequest
	}
	p.Cluster, p.Proposer = idspace.ClusterID(b[:16]), idspace.ServerID(b[16:32])
	n := int(b[32])
	b = b[head:]
	if n > consensus.MaxProposalServers || len(b) != 16*n {
		return p, errBadRequest
	}
	for range n {
		p.Servers = append(p.Servers, idspace.ServerID(b[:16]))
		b = b[16:]
	}
	return p, nil
}

func appendAnswer(out []byte, a consensus.Answer) []byte {
	var granted byte
	if a.Granted {
		granted = 1
	}
	out = append(append(out, granted), a.Cluster[:]...)
	return appendProposal(out, a.Holding)
}

func decodeAnswer(b []byte) (a consensus.Answer, err error) {
	const head = 1 + 16
	if len(b) < head {
		return a, errBadRequest
	}
	holding, err := decodeProposal(b[head:])
	if err != nil {
		return a, err
	}
	a.Granted, a.Cluster = b[0] == 1, idspace.ClusterID(b[1:head])
	if !holding.IsZero() {
		a.Holding = holding
	}
	return a, nil
}

// A grantRequest asks for the ordinal-th number of a life.
type grantRequest struct {
	boot    idspace.BootID
	ordinal uint32
	server  idspace.ServerID
	start   uint64
}

const (
	grantLen   = 16 + 4 + 16 + 8
	grantedLen = 16 + 4 + 8 + 8 // behind the head
)

func (q grantRequest) encode() []byte {
	out := append(make([]byte, 0, grantLen), q.boot[:]...)
	out = binary.BigEndian.AppendUint32(out, q.ordinal)
	out = append(out, q.server[:]...)
	return binary.BigEndian.AppendUint64(out, q.start)
}

func decodeGrant(b []byte) grantRequest {
	return grantRequest{
		boot:    idspace.BootID(b[:16]),
		ordinal: binary.BigEndian.Uint32(b[16:]),
		server:  idspace.ServerID(b[20:36]),
		start:   binary.BigEndian.Uint64(b[36:]),
	}
}

func appendGranted(out []byte, g consensus.Granted) []byte {
	out = append(out, g.Boot[:]...)
	out = binary.BigEndian.AppendUint32(out, g.Ordinal)
	out = binary.BigEndian.AppendUint64(out, uint64(g.Number))
	return binary.BigEndian.AppendUint64(out, uint64(g.Last))
}

func decodeGranted(b []byte) (consensus.Granted, error) {
	if len(b) != grantedLen {
		return consensus.Granted{}, errBadRequest
	}
	return consensus.Granted{
		Boot:    idspace.BootID(b[:16]),
		Ordinal: binary.BigEndian.Uint32(b[16:]),
		Number:  idspace.NodeNumber(binary.BigEndian.Uint64(b[20:])),
		Last:    idspace.NodeNumber(binary.BigEndian.Uint64(b[28:])),
	}, nil
}
