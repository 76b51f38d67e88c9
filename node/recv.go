package node

import (
	"iter"
	"net"
	"time"

	"flamingo/transport"
)

// Reason is why a connection ended. The first cause decides it, once.
type Reason = transport.Reason

// The reasons.
const (
	ReasonSent     = transport.ReasonSent     // SendClose on this node
	ReasonClient   = transport.ReasonClient   // the client closed its end
	ReasonError    = transport.ReasonError    // the network failed, or the client reset the connection
	ReasonIdle     = transport.ReasonIdle     // silent for Opts.ActivityTimeout, or its listener's idle-timeout
	ReasonSlow     = transport.ReasonSlow     // the client let its output queue overflow, or took none of it for too long
	ReasonTooLarge = transport.ReasonTooLarge // the client sent a message over the limit
	ReasonProtocol = transport.ReasonProtocol // the client broke the listener's framing
	ReasonShutdown = transport.ReasonShutdown // this node closed
	ReasonRemote   = transport.ReasonRemote   // SendClose on another node, or Disconnect
	ReasonTimeout  = transport.ReasonTimeout  // the first message was not there in time
	ReasonLifetime = transport.ReasonLifetime // the connection reached its listener's max-lifetime
	ReasonDrained  = transport.ReasonDrained  // this node is drained, and it was the connection's turn
	ReasonRetired  = transport.ReasonRetired  // the cluster had given this node up, and it took another number

	// Of watches alone.
	ReasonNodeEnded = transport.ReasonNodeEnded // its node has left, or was started again
	ReasonUnknown   = transport.ReasonUnknown   // nobody remembers
)

// RecvOpen waits for the next connection that this node has accepted. The
// net.Conn is for addresses and socket options; it is a *Conn. Once the node is
// closed, RecvOpen returns the zero id and nil.
func (n *Node) RecvOpen() (ID, net.Conn) {
	c, ok := n.clients.RecvOpen()
	if !ok {
		n.rest()
		return 0, nil
	}
	return c.ID(), c
}

// RecvData waits for the next message from a client of this node. The message
// is the caller's. Messages of one connection come in order, but to several
// goroutines that call RecvData they come at the same time: see Serve. Once
// the node is closed and everything was taken, RecvData returns the zero id
// and nil.
func (n *Node) RecvData() (ID, []byte) {
	id, msg, ok := n.clients.RecvData()
	if !ok {
		n.rest()
	}
	return id, msg
}

// A Message is what a client has sent.
type Message struct {
	ID   ID
	Kind Kind // how it came: KindDefault unless over WebSocket
	Data []byte
}

// RecvMessage is RecvData that says of which kind the message is. ok is false
// once the node is closed and everything was taken.
func (n *Node) RecvMessage() (m Message, ok bool) {
	got, ok := n.clients.RecvMessage()
	if !ok {
		n.rest()
	}
	return Message{got.ID, got.Kind, got.Data}, ok
}

// RecvClose waits for the next connection of this node that ended otherwise
// than by SendClose on this node. Each is reported once, after its last message
// was taken. Once the node is closed and everything was taken, RecvClose
// returns the zero id.
func (n *Node) RecvClose() ID {
	id, _, ok := n.clients.RecvClose()
	if !ok {
		n.rest()
	}
	return id
}

// rest slows down a loop that goes on after the end.
func (n *Node) rest() {
	if n.told.Swap(true) {
		<-time.After(restAfterClose)
	}
}

// Opens ranges over the connections that this node accepts, until it is
// closed. It takes from the queue of RecvOpen: use one or the other.
func (n *Node) Opens() iter.Seq2[ID, net.Conn] {
	return func(yield func(ID, net.Conn) bool) {
		for c, ok := n.clients.RecvOpen(); ok && yield(c.ID(), c); c, ok = n.clients.RecvOpen() {
		}
	}
}

// Messages ranges over the messages of this node's clients, until it is closed
// and everything was taken. It takes from the queue of RecvData: use one or
// the other.
func (n *Node) Messages() iter.Seq2[ID, []byte] {
	return func(yield func(ID, []byte) bool) {
		for id, msg, ok := n.clients.RecvData(); ok && yield(id, msg); id, msg, ok = n.clients.RecvData() {
		}
	}
}

// Closes ranges over the ends of this node's connections, with their reasons,
// until it is closed and everything was taken. It takes from the queue of
// RecvClose: use one or the other.
func (n *Node) Closes() iter.Seq2[ID, Reason] {
	return func(yield func(ID, Reason) bool) {
		for id, why, ok := n.clients.RecvClose(); ok && yield(id, why); id, why, ok = n.clients.RecvClose() {
		}
	}
}

// Undelivered ranges over messages that SendData and the like accepted and that
// were not delivered after all, once for each message, with its outcome: ErrGone,
// ErrUncertain, ErrBackpressure or, for SendDataBefore, ErrExpired, and for a
// connection of another node also what that node has refused it for, or why it was
// not reached. It tells of what this node has sent until the connection's node has
// taken it, and of what waited to be written to a connection of this node when that
// ended, from whichever node it came; with SendDataBefore, the node that sends is
// told of everything. It ends when the node is closed and everything was taken. What
// a loop that is left has not seen, the next one sees, or another that waits.
//
// At most 4,096 notices wait; further ones are dropped and counted in Stats.
// Messages that share connection and outcome share a notice if no other notice
// comes between them.
func (n *Node) Undelivered() iter.Seq2[ID, error] {
	return func(yield func(ID, error) bool) {
		for {
			u, ok := n.clients.RecvUndelivered()
			if !ok {
				return
			}
			for ; u.Count > 0; u.Count-- {
				if !yield(u.ID, u.Outcome) {
					u.Count--
					n.clients.PutBackUndelivered(u)
					return
				}
			}
		}
	}
}
