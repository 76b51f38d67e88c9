package node

import (
	"context"
	"errors"
	"time"

	"flamingo/cluster/mesh"
	"flamingo/idspace"
	"flamingo/transport"
)

// A carrier carries operations to the connections of one node. Its errors are
// outcomes.
type carrier interface {
	sendData(id ID, kind Kind, msg []byte) error
	send(ctx context.Context, id ID, kind Kind, stage mesh.Stage, msg []byte) error
	sendBefore(deadline time.Time, id ID, kind Kind, msg []byte) error
	sendMany(ids []ID, kind Kind, msg []byte, results []error)
	sendClose(ctx context.Context, id ID, end ending) error
	describe(ctx context.Context, id ID) (ConnInfo, error)
	tie(ctx context.Context, t tie) (tied, error)
}

// An ending says how a connection is to end.
type ending struct {
	why    Reason // to the program of the node that is asked, if it is the owner
	code   int    // to the client of a WebSocket; 0 for none, else one that is allowed
	reason string // to that client
}

// route returns who carries operations to id: the one seam between this node's
// connections and those of others.
func (n *Node) route(ctx context.Context, id ID) (carrier, error) {
	switch number := id.Node(); {
	case !id.Valid():
		return nil, ErrBadID
	case n.closed.Load():
		return nil, ErrClosed
	case n.ids.Owns(number):
		return n.local, nil
	case n.member != nil:
		return n.member.route(ctx, number, n.local)
	case number > n.ids.Newest():
		return nil, ErrNeverIssued // alone, we are the registry
	default:
		return nil, ErrGone
	}
}

// localCarrier carries to the connections of this node.
type localCarrier struct {
	clients *transport.Transport
	ids     *idspace.Sequence
	groups  *groups
}

var _ carrier = (*localCarrier)(nil)

func (c *localCarrier) sendData(id ID, kind Kind, msg []byte) error {
	return c.judge(id, c.clients.SendDataAs(id, kind, msg))
}

func (c *localCarrier) send(ctx context.Context, id ID, kind Kind, stage mesh.Stage, msg []byte) error {
	if stage == mesh.StageAcked {
		return c.judge(id, c.clients.SendAcked(ctx, id, kind, msg))
	}
	return c.judge(id, c.clients.SendAs(ctx, id, kind, msg))
}

func (c *localCarrier) sendBefore(deadline time.Time, id ID, kind Kind, msg []byte) error {
	return c.judge(id, c.clients.SendBefore(deadline, id, kind, msg))
}

func (c *localCarrier) sendMany(ids []ID, kind Kind, msg []byte, results []error) {
	c.clients.SendManyAs(ids, kind, msg, results)
	for i, id := range ids {
		results[i] = c.judge(id, results[i])
	}
}

func (c *localCarrier) sendClose(_ context.Context, id ID, end ending) error {
	return c.judge(id, c.clients.SendCloseWith(id, end.why, end.code, end.reason))
}

func (c *localCarrier) describe(_ context.Context, id ID) (ConnInfo, error) {
	info, err := c.groups.describe(id)
	return info, c.judge(id, err)
}

// judge tells an id that had its connection from one that is still to come.
func (c *localCarrier) judge(id ID, err error) error {
	if err == nil {
		return nil // as nearly always, on the way of every message
	}
	given := !c.ids.Owns(id.Node()) && id.Node() <= c.ids.Newest() // up, with its number: see Sequence.Retire
	if errors.Is(err, ErrGone) && !c.ids.Issued(id) && !given {
		return ErrNeverIssued
	}
	return err
}
