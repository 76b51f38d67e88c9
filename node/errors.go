package node

import (
	"errors"
	"fmt"

	"flamingo/cluster"
	"flamingo/framing"
	"flamingo/idspace"
	"flamingo/transport"
)

// Outcomes of sends, closes and look-ups; told apart with errors.Is. Nothing
// that may have been delivered is ever called not delivered.
var (
	// ErrGone: the connection is closed, or the life of its node has ended.
	// Not worth a retry: forget the id. While its node remembers when and why, the
	// error is a *GoneError too, on any node.
	ErrGone = transport.ErrGone

	// ErrNeverIssued: no connection ever had this id. Usual cause: an id from
	// elsewhere, or one made up.
	ErrNeverIssued = errors.New("id was never issued")

	// ErrUnreachable: the connection's node cannot be reached now, or nobody
	// here knows who holds its number. Not sent; a later try may succeed.
	ErrUnreachable = errors.New("node is unreachable")

	// ErrBackpressure: a queue on the way is full. Not sent; a later try may
	// succeed.
	ErrBackpressure = transport.ErrBackpressure

	// ErrExpired: the sender's context ended before the message was written.
	// Not sent.
	ErrExpired = transport.ErrExpired

	// ErrUncertain: handed to the network, and the answer is not known. A
	// retry may deliver it twice.
	ErrUncertain = transport.ErrUncertain

	// ErrTooLarge: the message is over the limit of the connection's framing.
	ErrTooLarge = framing.ErrTooLarge

	// ErrUnframeable: the message cannot be put into the connection's framing.
	// Usual cause: it contains the delimiter.
	ErrUnframeable = framing.ErrUnframeable

	// ErrNoAck: the connection's socket has no acknowledgements to wait for: it is
	// a Unix socket, or its node does not run on Linux. Not sent. It is an
	// errors.ErrUnsupported.
	ErrNoAck = transport.ErrNoAck

	// ErrBadID: not an id. Usual cause: the zero ID of a field never set.
	ErrBadID = idspace.ErrBadID

	// ErrClosed: this node is closed, or closing.
	ErrClosed = transport.ErrClosed

	// ErrBadCloseCode: the code is none that a program may close a WebSocket
	// with. Nothing was done.
	ErrBadCloseCode = transport.ErrBadCloseCode
)

// A GoneError is an ErrGone with time, reason and code of the end, by errors.As. A
// node remembers them of its last Opts.ClosedMemory connections.
type GoneError = transport.GoneError

// Why a group or metadata of a connection cannot be what was asked for.
var (
	// ErrBadGroup: not the name of a group, or not a key or value of metadata.
	// The message says what is allowed. Nothing was done.
	ErrBadGroup = errors.New("bad group or metadata")

	// ErrLimit: a bound of the connection, or of its node, is reached. The message
	// names the option. Nothing was done.
	ErrLimit = errors.New("limit reached")
)

// ErrBadOption says that an option is out of its range, or contradicts another.
// The message names option, value and what is allowed.
var ErrBadOption = transport.ErrBadOption

// Why a node is not retired, beside the outcomes.
var (
	// ErrPresent: the node is there. Drain it instead.
	ErrPresent = cluster.ErrPresent

	// ErrAlone: this node belongs to no cluster.
	ErrAlone = errors.New("this node stands alone")
)

// Why a node cannot be opened, beside its options and its listeners.
var (
	// ErrRefused: the cluster grants this life no number. Usual cause: its data
	// directory is a copy of one that is in use.
	ErrRefused = cluster.ErrRefused

	// ErrInUse: the data directory belongs to a node that is open. Usual
	// cause: a second process with the same Opts.DataDir, or a first one that
	// is still closing.
	ErrInUse = errors.New("in use by another node")

	// ErrFormat: the data directory is of another format than this release reads.
	// Usual cause: a later release has written it, and an earlier one was started
	// on it.
	ErrFormat = errors.New("format of the data directory")

	// ErrVersions: this node and one of the cluster have no version of the protocol
	// between nodes in common. It is ErrRefused, too. Usual cause: one of the two was
	// left out of several upgrades.
	ErrVersions = cluster.ErrVersions

	// ErrClock: the clock says a time before the first node number, and there
	// is no data directory to go by; or one after the last. Usual cause: a
	// machine without a battery that has not yet asked for the time.
	ErrClock = errors.New("clock cannot be right")
)

// An optionError is a fault of an option that package framing has found, or
// whoever asked it: ErrBadOption, too.
type optionError struct{ error }

func (e optionError) Unwrap() error { return e.error }

func (optionError) Is(target error) bool { return target == ErrBadOption }

// An OpError says which operation on which id had which outcome.
type OpError struct {
	Op  string // "send", "close", "describe"
	ID  ID
	Err error // matches one of the outcomes
}

func (e *OpError) Error() string { return fmt.Sprintf("%s %s: %v", e.Op, e.ID, e.Err) }

func (e *OpError) Unwrap() error { return e.Err }
