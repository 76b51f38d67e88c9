package node

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"flamingo/cluster/mesh"
	"flamingo/transport"
)

// An owner takes what other nodes send to the connections of this one.
type owner struct {
	local atomic.Pointer[localCarrier] // nil until this node issues ids
	waits sync.WaitGroup               // of sends whose outcome another node waits for
}

var _ mesh.Owner = (*owner)(nil)

// hold returns what carries to our connections.
func (o *owner) hold() (*localCarrier, error) {
	if c := o.local.Load(); c != nil {
		return c, nil
	}
	return nil, ErrNeverIssued // the number is granted, and no id issued under it
}

// Deliver implements mesh.Owner.
func (o *owner) Deliver(id ID, kind mesh.Kind, msg []byte) error {
	c, err := o.hold()
	if err != nil {
		return err
	}
	return c.ending(id, c.clients.Deliver(id, kindOf(kind), msg))
}

// DeliverMany implements mesh.Owner.
func (o *owner) DeliverMany(ids []ID, kind mesh.Kind, msg []byte, results []error) {
	c, err := o.hold()
	if err == nil {
		c.clients.DeliverMany(ids, kindOf(kind), msg, results)
	}
	for i, id := range ids {
		if err == nil {
			results[i] = c.ending(id, results[i])
		} else {
			results[i] = err
		}
	}
}

// DeliverWaited implements mesh.Owner. The message is queued before it
// returns, so that it keeps its place among the others.
func (o *owner) DeliverWaited(id ID, kind mesh.Kind, stage mesh.Stage, msg []byte, timeout time.Duration, done func(error)) {
	c, err := o.hold()
	if err != nil {
		done(err)
		return
	}
	track, wait := c.clients.Track, transport.Tracked.Settle // who waits there has left when the time is over
	if stage == mesh.StageAcked {
		track, wait = c.clients.TrackAcked, transport.Tracked.WaitAcked
	}
	sent, err := track(id, kindOf(kind), msg)
	if err != nil {
		done(c.ending(id, err))
		return
	}
	o.waits.Go(func() {
		ctx := context.Background()
		if timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, timeout)
			defer cancel()
		}
		done(wait(sent, ctx))
	})
}

// Close implements mesh.Owner. The connection ends also with a code that this
// release does not know to be one for programs: as with none.
func (o *owner) Close(id ID, code uint16, reason string) error {
	c, err := o.hold()
	if err != nil {
		return err
	}
	return c.ending(id, endWith(c.clients, id, ending{ReasonRemote, int(code), reason}))
}

// full tells whether a connection is to be spared, for cluster.Config.Press.
func (o *owner) full(id ID) bool {
	c, err := o.hold()
	return err == nil && c.clients.Press(id)
}

// Describe implements mesh.Owner.
func (o *owner) Describe(id ID) ([]byte, error) {
	c, err := o.hold()
	if err != nil {
		return nil, err
	}
	info, err := c.groups.describe(id)
	if err != nil {
		return nil, c.ending(id, err)
	}
	return encodeConnInfo(info)
}

// ending is judge for other nodes: to them a connection of a node that closes
// is gone.
func (c *localCarrier) ending(id ID, err error) error {
	if err != nil && errors.Is(err, ErrClosed) {
		err = c.clients.Gone(id)
	}
	return c.judge(id, err)
}
