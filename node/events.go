package node

import (
	"context"

	"flamingo/transport"
)

// An Event is what TakeEvents hands out: an open, a message or a close of a
// connection of this node.
type Event = transport.Event

// EventType says what an Event tells.
type EventType = transport.EventType

// The types of events.
const (
	EventOpen    = transport.EventOpen    // has Conn
	EventMessage = transport.EventMessage // has Kind and Data
	EventClose   = transport.EventClose   // has Why
)

// TakeEvents hands every event of this node's connections to take, a batch at a
// time, until the node is closed and everything was taken; then it returns nil. Of
// one connection they come in order. take does not wait, and does not keep the
// slice; whoever has the events calls DoneEvents for each one, once, when it is
// done with it, whenever that is. Until then a message counts against
// Opts.QueueBytes, and an open or a close against Opts.MaxConns: reading, or
// accepting, pauses at these bounds. The close of a connection comes when all its
// messages are done with. A client that has ended its input gets what is sent to
// it before its last message is done with, and for a while after that.
//
// This is for programs that hand events on, to where they may be lost and have to
// be handed on again; all others use Serve. Unlike there every end is reported, also
// by SendClose of this node, from the first call on.
//
// When ctx is done TakeEvents returns the context's cause. Like Serve it takes from the
// queues of the Recv methods and iterators.
func (n *Node) TakeEvents(ctx context.Context, take func([]Event)) error {
	n.clients.ReportEnds()
	taken, batch := new(events), []Event(nil)
	n.clients.ServeEvents(ctx, func() {
		taken.take(n.clients)
		batch = taken.appendTo(batch[:0])
		take(batch)
		clear(batch)
		taken.clear()
	})
	return context.Cause(ctx)
}

// DoneEvents says that the handling of these events is over.
func (n *Node) DoneEvents(events []Event) { n.clients.DoneEvents(events) }

// appendTo appends the events in their order.
func (e *events) appendTo(batch []Event) []Event {
	for _, o := range e.opens {
		batch = append(batch, o.Event())
	}
	for i := range e.messages {
		batch = append(batch, e.messages[i].Event())
	}
	for _, c := range e.closes {
		batch = append(batch, c.Event())
	}
	return batch
}
