package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"flamingo/cluster/mesh"
)

// SendAcked is Send that waits on, until the TCP at the other end of the client's
// socket has acknowledged the message, wherever the connection is. Its system has
// the message then; whether the program there has read it, or ever will, nobody
// can tell but that program. Behind a proxy that end is the proxy's: where it says
// so by the PROXY protocol, Describe does too, with ConnInfo.Proxied.
//
// When ctx is done, or the connection ends, before the acknowledgement was seen,
// a message that was written is ErrUncertain; one that was not ends as by Send. A
// connection that its client ends right after it has received the message may end
// before anybody has looked: that is ErrUncertain too. ErrNoAck says that the
// connection has no such thing, and that nothing was sent.
func (n *Node) SendAcked(ctx context.Context, id ID, msg []byte) error {
	return n.SendAckedAs(ctx, id, KindDefault, msg)
}

// SendAckedAs is SendAcked of a message of that kind.
func (n *Node) SendAckedAs(ctx context.Context, id ID, kind Kind, msg []byte) error {
	return n.sendTo(ctx, id, kind, mesh.StageAcked, msg)
}

// SendDataBefore is SendData of a message that is of no use after deadline. If it
// was not written to the client's socket by then it never is, and Undelivered says
// that it has expired. A deadline that has passed is ErrExpired at once.
//
// Each such message has its outcome kept for it until it is written, so there is a
// bound beside those of SendData: 16,384 of them for connections of this node and as
// many on the link to each other node, where sends that wait count too; one more is
// ErrBackpressure. Clocks of nodes are not compared: for a connection of another node
// the time that the message spends on the network between the two is not counted,
// a few seconds at most when that stalls.
func (n *Node) SendDataBefore(deadline time.Time, id ID, msg []byte) error {
	return n.SendDataBeforeAs(deadline, id, KindDefault, msg)
}

// SendDataBeforeAs is SendDataBefore of a message of that kind.
func (n *Node) SendDataBeforeAs(deadline time.Time, id ID, kind Kind, msg []byte) error {
	ctx, cancel := context.WithDeadline(n.life, deadline) // for the question who holds its number
	defer cancel()
	c, err := n.route(ctx, id)
	switch {
	case err == nil:
		err = c.sendBefore(deadline, id, kind, msg)
	case errors.Is(err, ErrUnreachable) && ctx.Err() != nil && n.life.Err() == nil:
		err = fmt.Errorf("%w: %w", ErrExpired, context.Cause(ctx))
	}
	return n.outcome("send", id, err)
}
