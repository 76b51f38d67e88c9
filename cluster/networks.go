package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"

	"flamingo/cluster/consensus"
	"flamingo/cluster/port"
	"flamingo/idspace"
)

// errNowhere: nobody has said where the node is. Usually it is not a member
// any more.
var errNowhere = errors.New("address is not known")

// raftNetwork carries the streams of one server of raft over the port. A server
// is dialled where gossip sees it, else where it was last.
type raftNetwork struct {
	c *Cluster

	// streams are claimed by the first Accept and given up by the one that
	// fails: what comes between two calls waits. Owned by who accepts.
	streams *port.Streams
}

func (n *raftNetwork) Dial(ctx context.Context, to idspace.ServerID) (net.Conn, error) {
	addr, ok := n.c.dir.placeOf(to)
	if !ok {
		return nil, fmt.Errorf("server %s: %w", to, errNowhere)
	}
	return n.c.port.Dial(ctx, addr, port.Raft)
}

func (n *raftNetwork) Accept(ctx context.Context) (net.Conn, error) {
	if n.streams == nil {
		streams, err := n.c.port.Streams(port.Raft)
		if err != nil {
			return nil, err
		}
		n.streams = streams
	}
	streams := n.streams
	defer context.AfterFunc(ctx, func() { streams.Close() })()
	conn, err := streams.Accept()
	if err != nil {
		streams.Close()
		n.streams = nil
	}
	return conn, err
}

// meshNetwork carries links over the port.
type meshNetwork struct{ c *Cluster }

func (n meshNetwork) Dial(ctx context.Context, peer idspace.BootID) (net.Conn, error) {
	m, ok := n.c.dir.member(peer)
	if !ok {
		return nil, fmt.Errorf("node %s: %w", peer, errNowhere)
	}
	return n.c.port.Dial(ctx, m.Addr, port.Mesh)
}

// acceptMesh hands the streams of the mesh to it until ctx is done.
func (c *Cluster) acceptMesh(ctx context.Context) error {
	streams, err := c.port.Streams(port.Mesh)
	if err != nil {
		return err
	}
	defer streams.Close()
	defer context.AfterFunc(ctx, func() { streams.Close() })()
	for {
		conn, err := streams.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}
		c.mesh.Serve(conn) //nolint:contextcheck // the stream is the mesh's, whose Run has its own
	}
}

// identity tells the mesh who this node is.
type identity struct{ c *Cluster }

func (i identity) Boot() idspace.BootID { return i.c.boot }

func (i identity) Cluster() idspace.ClusterID { return i.c.cluster() }

func (i identity) Last() idspace.NodeNumber { return i.c.view().last }

func (i identity) Owns(n idspace.NodeNumber) bool { return i.c.dir.owns(i.c.boot, n) }

func (i identity) Numbers() []idspace.NodeNumber { return i.c.dir.numbersOf(i.c.boot) }

// candidates are the servers that could vote: members of this cluster with a
// data directory, or in memory like this one.
func (c *Cluster) candidates() []consensus.Candidate {
	known := c.cluster()
	list := []consensus.Candidate{{Server: c.seat().store.Identity().Server, Reachable: true, WantsVote: true}}
	for _, m := range c.dir.others(c.boot) {
		if !m.Meta.Server.IsZero() && m.Meta.Cluster == known {
			list = append(list, consensus.Candidate{Server: m.Meta.Server, Reachable: true, WantsVote: true})
		}
	}
	return list
}
