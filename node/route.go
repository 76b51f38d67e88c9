package node

import (
	"context"
	"errors"

	"flamingo/idspace"
	"flamingo/transport"
)

// A carrier carries operations to the connections of one node. Its errors are
// outcomes.
type carrier interface {
	sendData(id ID, msg []byte) error
	send(ctx context.Context, id ID, msg []byte) error
	sendMany(ids []ID, msg []byte, results []error)
	sendClose(ctx context.Context, id ID, why Reason) error
	describe(ctx context.Context, id ID) (ConnInfo, error)
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
}

var _ carrier = (*localCarrier)(nil)

func (c *localCarrier) sendData(id ID, msg []byte) error {
	return c.judge(id, c.clients.SendData(id, msg))
}

func (c *localCarrier) send(ctx context.Context, id ID, msg []byte) error {
	return c.judge(id, c.clients.Send(ctx, id, msg))
}

func (c *localCarrier) sendMany(ids []ID, msg []byte, results []error) {
	c.clients.SendMany(ids, msg, results)
	for i, id := range ids {
		results[i] = c.judge(id, results[i])
	}
}

func (c *localCarrier) sendClose(_ context.Context, id ID, why Reason) error {
	return c.judge(id, c.clients.SendClose(id, why))
}

func (c *localCarrier) describe(_ context.Context, id ID) (ConnInfo, error) {
	info, err := c.clients.Describe(id)
	return info, c.judge(id, err)
}

// judge tells an id that had its connection from one that is still to come.
func (c *localCarrier) judge(id ID, err error) error {
	if err != nil && errors.Is(err, ErrGone) && !c.ids.Issued(id) {
		return ErrNeverIssued
	}
	return err
}
