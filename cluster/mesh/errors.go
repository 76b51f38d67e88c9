package mesh

import (
	"errors"
	"fmt"

	"flamingo/idspace"
)

// Outcomes of sends, closes and look-ups, told apart with errors.Is. The table
// in outcome.go joins them to the codes on the wire.
var (
	// ErrGone: the connection is closed, or the life of its node has ended.
	ErrGone = errors.New("connection is gone")

	// ErrNeverIssued: the owner never issued this id.
	ErrNeverIssued = errors.New("id was never issued")

	// ErrBackpressure: a queue on the way is full. Not sent.
	ErrBackpressure = errors.New("queue is full")

	// ErrExpired: its deadline passed before it was written. Not sent.
	ErrExpired = errors.New("expired before it was written")

	// ErrUncertain: handed to the network and not acknowledged. Usually the
	// link broke in that moment.
	ErrUncertain = errors.New("handed to the network, answer unknown")

	// ErrTooLarge: the message, or the request, is over a limit.
	ErrTooLarge = errors.New("over the size limit")

	// ErrUnframeable: the message cannot be put into the connection's framing.
	ErrUnframeable = errors.New("cannot be framed")

	// ErrClosed: this node's mesh does not run, or the peer is closing.
	ErrClosed = errors.New("closed")

	// ErrUnreachable: the peer cannot be reached now. Not sent.
	ErrUnreachable = errors.New("peer is unreachable")

	// ErrNotMine: the peer does not hold the number of this id. Usually its
	// numbers as known here are out of date.
	ErrNotMine = errors.New("id belongs to another node")

	// ErrNoAck: the owner cannot tell what the other end of the connection has
	// acknowledged. Not sent.
	ErrNoAck = errors.New("no acknowledgements to wait for")
)

// Conditions of requests, beside those above.
var (
	// ErrRequestFailed: the peer's handler returned an error.
	ErrRequestFailed = errors.New("request failed at the peer")

	// ErrUnknownRequest: the peer knows no request of this kind. Usually it
	// runs an earlier release.
	ErrUnknownRequest = errors.New("request kind is unknown to the peer")

	// ErrBlank: one end belongs to no cluster yet, and the request is not one
	// of the few that such an end takes part in.
	ErrBlank = errors.New("an end of the link belongs to no cluster yet")
)

// ErrBadConfig says that a field of Config is out of its range, or contradicts
// another.
var ErrBadConfig = errors.New("bad config")

// ErrBadPeer says that a peer is the zero boot, or this node's own.
var ErrBadPeer = errors.New("not a peer")

// ErrRefused says that the dialled end refused the handshake; a [RefusedError]
// says why.
var ErrRefused = errors.New("handshake refused")

// RefusedError says which node refused a handshake, and why. It matches
// [ErrRefused].
type RefusedError struct {
	Peer    idspace.BootID // who was meant
	Boot    idspace.BootID // who answered
	Refusal Refusal
	Mine    idspace.ClusterID
	Theirs  idspace.ClusterID

	Speaks, PeerSpeaks Versions // versions of the protocol, here and there
}

// Error implements error.
func (e *RefusedError) Error() string {
	if e.Refusal == RefusalVersion {
		return fmt.Sprintf("mesh: handshake with %v: refused by %v: no common version of the protocol (here %v, there %v)",
			e.Peer, e.Boot, e.Speaks, e.PeerSpeaks)
	}
	return fmt.Sprintf("mesh: handshake with %v: refused by %v: %v (cluster here %v, there %v)",
		e.Peer, e.Boot, e.Refusal, e.Mine, e.Theirs)
}

// Unwrap returns ErrRefused.
func (e *RefusedError) Unwrap() error { return ErrRefused }
