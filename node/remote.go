package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"flamingo/cluster/mesh"
)

// remoteCarrier carries to the connections of one other node, over the mesh.
type remoteCarrier struct{ peer *mesh.Peer }

var _ carrier = remoteCarrier{}

func (c remoteCarrier) sendData(id ID, kind Kind, msg []byte) error {
	return outcomeFor(id, c.peer.SendData(id, kindFor(kind), msg))
}

func (c remoteCarrier) send(ctx context.Context, id ID, kind Kind, stage mesh.Stage, msg []byte) error {
	return outcomeWithin(ctx, id, c.peer.SendTo(ctx, id, kindFor(kind), stage, msg))
}

func (c remoteCarrier) sendBefore(deadline time.Time, id ID, kind Kind, msg []byte) error {
	return outcomeFor(id, c.peer.SendBefore(deadline, id, kindFor(kind), msg))
}

func (c remoteCarrier) sendMany(ids []ID, kind Kind, msg []byte, results []error) {
	c.peer.SendMany(ids, kindFor(kind), msg, results)
	for i := range results {
		results[i] = outcomeFor(ids[i], results[i])
	}
}

// closeTimeout bounds the wait for the owner's word on a close.
const closeTimeout = 5 * time.Second

// sendClose waits for the owner's answer: whether something else ended the
// connection first is the owner's to know. To the owner its reason is that
// another node asked for it.
func (c remoteCarrier) sendClose(ctx context.Context, id ID, end ending) error {
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	return outcomeFor(id, c.peer.Close(ctx, id, uint16(end.code), end.reason))
}

func (c remoteCarrier) describe(ctx context.Context, id ID) (ConnInfo, error) {
	body, err := c.peer.Describe(ctx, id)
	switch {
	case errors.Is(err, mesh.ErrGone), errors.Is(err, mesh.ErrNeverIssued), errors.Is(err, mesh.ErrClosed):
		return ConnInfo{}, outcomeFor(id, err)
	case ctx.Err() != nil:
		return ConnInfo{}, fmt.Errorf("%w: %w", ErrUnreachable, context.Cause(ctx))
	case err != nil: // a question does nothing: no answer is all there is to say
		return ConnInfo{}, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	info, err := decodeConnInfo(body)
	if err != nil {
		return ConnInfo{}, fmt.Errorf("%w: answer of %s: %w", ErrUnreachable, c.peer.Boot(), err)
	}
	return info, nil
}
