package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"flamingo/cluster/consensus"
	"flamingo/cluster/mesh"
	"flamingo/idspace"
)

// Requests between nodes are fixed layouts, integers big-endian:
//
//	proposal  cluster:16 proposer:16 n:1 n×server:16
//	answer    granted:1 cluster:16 proposal
//	grant     boot:16 ordinal:4 server:16 start:8
//	granted   code:1 leader:16 boot:16 ordinal:4 number:8 last:8
//	lives     code:1 leader:16 last:8 n:4 n×(boot:16 number:8)

var errBadRequest = errors.New("bad request between nodes")

// A code is the first byte of an answer that another node than the leader may
// have to give. Append only.
type code uint8

const (
	codeOK        code = 0
	codeNotLeader code = 1
	codeBusy      code = 2
	codeUncertain code = 3
	codeRefused   code = 4 // for good: the life has ended, or is not the latest
	codeFailed    code = 5
)

func codeOf(err error) code {
	switch {
	case err == nil:
		return codeOK
	case errors.Is(err, consensus.ErrNotLeader), errors.Is(err, consensus.ErrStopped):
		return codeNotLeader
	case errors.Is(err, consensus.ErrBusy):
		return codeBusy
	case errors.Is(err, consensus.ErrUncertain):
		return codeUncertain
	case errors.Is(err, idspace.ErrLifeEnded), errors.Is(err, idspace.ErrStaleStart), errors.Is(err, idspace.ErrServerChanged):
		return codeRefused
	default:
		return codeFailed
	}
}

func leaderOf(err error) (leader idspace.ServerID) {
	var notLeader *consensus.NotLeaderError
	if errors.As(err, &notLeader) {
		return notLeader.Leader
	}
	return leader
}

// requests answers the requests of other nodes.
type requests struct{ c *Cluster }

func (r requests) Handle(ctx context.Context, _ idspace.BootID, kind mesh.RequestKind, body []byte) ([]byte, error) {
	switch kind {
	case mesh.RequestPromise:
		return r.promise(body)
	case mesh.RequestRelease:
		return r.release(body)
	case mesh.RequestGrant:
		return r.grant(ctx, body)
	case mesh.RequestConfirm:
		return r.confirm(ctx)
	case mesh.RequestJoin:
		return nil, r.remove(ctx, body)
	case mesh.RequestDescribe, mesh.RequestEndLife: // the mesh's own; and nobody retires others yet
		return nil, mesh.ErrUnknownRequest
	default:
		return nil, mesh.ErrUnknownRequest
	}
}

func (r requests) promise(body []byte) ([]byte, error) {
	p, rest, err := decodeProposal(body)
	if err != nil || len(rest) > 0 {
		return nil, errBadRequest
	}
	a, err := r.c.store.Promise(p)
	if err != nil {
		return nil, err
	}
	out := []byte{0}
	if a.Granted {
		out[0] = 1
	}
	out = append(out, a.Cluster[:]...)
	return appendProposal(out, a.Holding), nil
}

func (r requests) release(body []byte) ([]byte, error) {
	p, rest, err := decodeProposal(body)
	if err != nil || len(rest) > 0 {
		return nil, errBadRequest
	}
	_, err = r.c.store.ReleasePromise(p)
	return nil, err
}

func (r requests) grant(ctx context.Context, body []byte) ([]byte, error) {
	if len(body) != grantLen {
		return nil, errBadRequest
	}
	q := decodeGrant(body)
	g, err := r.c.server.Grant(ctx, q.boot, q.ordinal, q.server, q.start)
	leader := leaderOf(err)
	out := append([]byte{byte(codeOf(err))}, leader[:]...)
	out = append(out, g.Boot[:]...)
	out = binary.BigEndian.AppendUint32(out, g.Ordinal)
	out = binary.BigEndian.AppendUint64(out, uint64(g.Number))
	return binary.BigEndian.AppendUint64(out, uint64(g.Last)), nil
}

// livesPerAnswer bounds the lives in one answer: 64 KiB less the header.
const livesPerAnswer = (64<<10 - 64) / 24

func (r requests) confirm(ctx context.Context) ([]byte, error) {
	last, lives, err := r.c.server.Confirm(ctx)
	leader := leaderOf(err)
	out := append([]byte{byte(codeOf(err))}, leader[:]...)
	out = binary.BigEndian.AppendUint64(out, uint64(last))
	at := len(out)
	out = binary.BigEndian.AppendUint32(out, 0)
	n := uint32(0)
	for _, life := range lives {
		for _, number := range life.Numbers {
			if n == livesPerAnswer {
				return nil, fmt.Errorf("%w: over %d live numbers", errBadRequest, livesPerAnswer)
			}
			out = append(out, life.Boot[:]...)
			out = binary.BigEndian.AppendUint64(out, uint64(number))
			n++
		}
	}
	binary.BigEndian.PutUint32(out[at:], n)
	return out, nil
}

func (r requests) remove(ctx context.Context, body []byte) error {
	if len(body) != 16 {
		return errBadRequest
	}
	return r.c.server.Remove(ctx, idspace.ServerID(body))
}

func appendProposal(out []byte, p consensus.Proposal) []byte {
	out = append(append(out, p.Cluster[:]...), p.Proposer[:]...)
	out = append(out, byte(len(p.Servers)))
	for _, s := range p.Servers {
		out = append(out, s[:]...)
	}
	return out
}

func decodeProposal(b []byte) (p consensus.Proposal, rest []byte, err error) {
	const head = 16 + 16 + 1
	if len(b) < head {
		return p, nil, errBadRequest
	}
	p.Cluster, p.Proposer = idspace.ClusterID(b[:16]), idspace.ServerID(b[16:32])
	n := int(b[32])
	b = b[head:]
	if n > consensus.MaxProposalServers || len(b) < 16*n {
		return p, nil, errBadRequest
	}
	for range n {
		p.Servers = append(p.Servers, idspace.ServerID(b[:16]))
		b = b[16:]
	}
	return p, b, nil
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
	grantedLen = 1 + 16 + 16 + 4 + 8 + 8
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
