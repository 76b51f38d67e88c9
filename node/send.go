package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"flamingo/cluster/mesh"
	"flamingo/transport"
)

// SendData sends msg to the connection id, wherever it is. It returns once the
// message is accepted for delivery, or with an error, which matches an
// outcome. It waits for no client: for a connection of another node it waits for
// room on the way there, at most Opts.SendTimeout, and for an id of a number that
// nobody here has heard of up to 3 s for the cluster's word. To one connection,
// what one node sends arrives in order and at most once. msg is the caller's again
// on return.
//
// A message that is accepted and not delivered after all is reported by Undelivered:
// of this node, unless the node of the connection has taken it; then of that node,
// where it was queued when the connection ended. A connection of another node that
// is full, as that node has said when it refused a message for it, is
// ErrBackpressure.
func (n *Node) SendData(id ID, msg []byte) error { return n.SendDataAs(id, KindDefault, msg) }

// SendDataAs is SendData of a message of that kind.
func (n *Node) SendDataAs(id ID, kind Kind, msg []byte) error {
	c, err := n.route(n.life, id)
	if err == nil {
		err = c.sendData(id, kind, msg)
	}
	return n.outcome("send", id, err)
}

// Send is SendData that waits until the message is written to the client's
// socket. When ctx is done first, the message is taken back if it can be: then
// the error matches ErrExpired, else ErrUncertain; both match the context's
// cause too.
func (n *Node) Send(ctx context.Context, id ID, msg []byte) error {
	return n.SendAs(ctx, id, KindDefault, msg)
}

// SendAs is Send of a message of that kind.
func (n *Node) SendAs(ctx context.Context, id ID, kind Kind, msg []byte) error {
	return n.sendTo(ctx, id, kind, mesh.StageWritten, msg)
}

func (n *Node) sendTo(ctx context.Context, id ID, kind Kind, stage mesh.Stage, msg []byte) error {
	c, err := n.route(ctx, id)
	switch {
	case err == nil:
		err = c.send(ctx, id, kind, stage, msg)
	case errors.Is(err, ErrUnreachable) && ctx.Err() != nil: // while we asked who holds its number
		err = fmt.Errorf("%w: %w", ErrExpired, context.Cause(ctx))
	}
	return n.outcome("send", id, err)
}

// SendMany is SendData to each of ids, and waits no longer than for one of them.
// results[i] is the outcome for ids[i]. msg is framed once for each listener
// whose connections are among ids.
func (n *Node) SendMany(ids []ID, msg []byte) (results []error) {
	return n.SendManyAs(ids, KindDefault, msg)
}

// SendManyAs is SendMany of a message of that kind.
func (n *Node) SendManyAs(ids []ID, kind Kind, msg []byte) (results []error) {
	results = make([]error, len(ids))
	sendEach(n.routeMany(n.life, ids, results), ids, kind, msg, results)
	for i, id := range ids {
		results[i] = n.outcome("send", id, results[i])
	}
	return results
}

// sendEach has every carrier send to its places in ids, all at the same time: a
// link without room holds up no other node, nor this one.
func sendEach(routes map[carrier][]int, ids []ID, kind Kind, msg []byte, results []error) {
	var sending sync.WaitGroup
	for c, places := range routes {
		if len(routes) == 1 {
			sendPlaces(c, places, ids, kind, msg, results)
			return
		}
		sending.Go(func() { sendPlaces(c, places, ids, kind, msg, results) })
	}
	sending.Wait()
}

func sendPlaces(c carrier, places []int, ids []ID, kind Kind, msg []byte, results []error) {
	part, outcomes := make([]ID, len(places)), make([]error, len(places))
	for k, i := range places {
		part[k] = ids[i]
	}
	c.sendMany(part, kind, msg, outcomes)
	for k, i := range places {
		results[i] = outcomes[k]
	}
}

// lookUpTimeout bounds the wait for the cluster's word on all the ids of a
// SendMany, which for one of them is as long.
const lookUpTimeout = 3 * time.Second

// routeMany returns for each carrier the places in ids that are its own, and
// puts the outcome of ids that have none into results. It asks once for each
// node number.
func (n *Node) routeMany(ctx context.Context, ids []ID, results []error) map[carrier][]int {
	ctx, cancel := context.WithTimeout(ctx, lookUpTimeout)
	defer cancel()
	type answer struct {
		carrier carrier
		err     error
	}
	answers := make(map[NodeNumber]answer)
	routes := make(map[carrier][]int)
	for i, id := range ids {
		if !id.Valid() {
			results[i] = ErrBadID
			continue
		}
		a, asked := answers[id.Node()]
		if !asked {
			a.carrier, a.err = n.route(ctx, id)
			answers[id.Node()] = a
		}
		if results[i] = a.err; a.err == nil {
			routes[a.carrier] = append(routes[a.carrier], i)
		}
	}
	return routes
}

// SendClose ends the connection id, wherever it is, once what was accepted for
// it before is written, within Opts.CloseTimeout. It does not wait for that; for
// a connection of another node it waits for that node's answer, at most 5 s, and
// then returns ErrUncertain, for the connection may still be ended, or
// ErrExpired if the link had no room for the question. The error matches ErrGone
// if something else ended the connection first. The end is not reported by
// RecvClose of this node.
func (n *Node) SendClose(id ID) error { return n.close(id, ending{why: ReasonSent}) }

// SendCloseWith is SendClose that tells the client of a WebSocket why, with a code
// and a reason: 1000, 1001, 1003, 1007 to 1009, 1011 to 1014, or one of the
// program's own of 3000 to 4999; 0 is 1000. Another one is ErrBadCloseCode, and
// nothing is done. The reason is cut to 123 bytes of UTF-8. Connections of other
// listeners end without.
func (n *Node) SendCloseWith(id ID, code int, reason string) error {
	return n.close(id, ending{ReasonSent, code, reason})
}

// Disconnect is SendClose on behalf of somebody else than this program, such as
// an operator: the end of a connection of this node is reported by RecvClose,
// with ReasonRemote.
func (n *Node) Disconnect(id ID) error { return n.close(id, ending{why: ReasonRemote}) }

// DisconnectWith is to Disconnect what SendCloseWith is to SendClose.
func (n *Node) DisconnectWith(id ID, code int, reason string) error {
	return n.close(id, ending{ReasonRemote, code, reason})
}

func (n *Node) close(id ID, end ending) (err error) {
	if end.reason, err = transport.CheckClose(end.code, end.reason); err != nil {
		return n.outcome("close", id, err)
	}
	c, err := n.route(n.life, id)
	if err == nil {
		err = c.sendClose(n.life, id, end)
	}
	return n.outcome("close", id, err)
}
