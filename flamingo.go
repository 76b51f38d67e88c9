package flamingo

import (
	"context"

	"flamingo/idspace"
	"flamingo/node"
)

// New opens a node and returns it. It panics when an option is wrong or a
// listener cannot be opened: it is the short form for programs that have
// nothing else to do then. See Open.
func New(opts Opts) *Node {
	n, err := node.Open(opts)
	if err != nil {
		panic(err)
	}
	return n
}

// Open opens a node: it returns when its listeners are open. All faults of the
// options are reported at once, in an error that matches ErrBadOption.
func Open(opts Opts) (*Node, error) { return node.Open(opts) }

// OpenContext is Open that gives up when ctx is done. Later ctx is of no
// concern to the node.
func OpenContext(ctx context.Context, opts Opts) (*Node, error) { return node.OpenContext(ctx, opts) }

// Version returns the version of Flamingo that this program was built with, as the go
// command knows it.
func Version() string { return node.Version() }

// ParseID reads an id in its text form of 16 lower-case hexadecimal digits.
func ParseID(text string) (ID, error) { return idspace.ParseID(text) }

// The names an embedding program needs, from package node.
type (
	// Opts are the options of a node.
	Opts = node.Opts
	// Node is one running node.
	Node = node.Node
	// ID names one connection, on whatever node, forever.
	ID = node.ID
	// NodeNumber names one life of one node, forever.
	NodeNumber = node.NodeNumber
	// NodeInfo describes a node of the cluster.
	NodeInfo = node.NodeInfo
	// Conn has the addresses of a connection and the options of its socket.
	Conn = node.Conn
	// ConnInfo describes an open connection.
	ConnInfo = node.ConnInfo
	// WebSocketInfo says what a client asked for when it opened a WebSocket.
	WebSocketInfo = node.WebSocketInfo
	// Message is what a client has sent.
	Message = node.Message
	// Kind is how a message travels over WebSocket.
	Kind = node.Kind
	// Stats are the counts of a node.
	Stats = node.Stats
	// Handler is what Node.Serve calls.
	Handler = node.Handler
	// A MessageHandler is a Handler that wants to know of which kind a message is.
	MessageHandler = node.MessageHandler

	// HandlerFuncs is a MessageHandler made of functions.
	HandlerFuncs = node.HandlerFuncs
	// Reason is why a connection ended.
	Reason = node.Reason
	// DrainPlan says how a node is taken out of service.
	DrainPlan = node.DrainPlan
	// DrainProgress says how far that has come.
	DrainProgress = node.DrainProgress
	// DrainPhase is a part of it.
	DrainPhase = node.DrainPhase
	// WatchEvent says what became of a connection that is watched.
	WatchEvent = node.WatchEvent
	// WatchState is such a fact.
	WatchState = node.WatchState
	// Published says whom a message to a group has reached.
	Published = node.Published
	// MembersPage is a part of the members of a group.
	MembersPage = node.MembersPage
	// GroupsPage is a part of a list of groups.
	GroupsPage = node.GroupsPage
	// NodeError says why a node's part of an answer is missing.
	NodeError = node.NodeError
	// Page is a part of a list of connections.
	Page = node.Page
	// SlowClient says what becomes of a send to a client that reads too slowly.
	SlowClient = node.SlowClient
	// Ignore says which events a program does not want.
	Ignore = node.Ignore
	// OpError says which operation on which id had which outcome.
	OpError = node.OpError
	// GoneError is an ErrGone that says when and why the connection ended.
	GoneError = node.GoneError
)

// Values of Opts.SlowClient and Opts.Ignore.
const (
	SlowClose      = node.SlowClose
	SlowDropNewest = node.SlowDropNewest
	SlowFailSender = node.SlowFailSender

	IgnoreOpens  = node.IgnoreOpens
	IgnoreCloses = node.IgnoreCloses
)

// Kinds of messages; package node says what each means.
const (
	KindDefault = node.KindDefault
	KindText    = node.KindText
	KindBinary  = node.KindBinary
)

// Reasons; package node says what each means.
const (
	ReasonSent     = node.ReasonSent
	ReasonClient   = node.ReasonClient
	ReasonError    = node.ReasonError
	ReasonIdle     = node.ReasonIdle
	ReasonSlow     = node.ReasonSlow
	ReasonTooLarge = node.ReasonTooLarge
	ReasonProtocol = node.ReasonProtocol
	ReasonShutdown = node.ReasonShutdown
	ReasonRemote   = node.ReasonRemote
	ReasonTimeout  = node.ReasonTimeout
	ReasonLifetime = node.ReasonLifetime
	ReasonDrained  = node.ReasonDrained
	ReasonRetired  = node.ReasonRetired

	ReasonNodeEnded = node.ReasonNodeEnded
	ReasonUnknown   = node.ReasonUnknown
)

// What a watch tells; package node says what each means.
const (
	WatchUnreachable = node.WatchUnreachable
	WatchReachable   = node.WatchReachable
	WatchClosed      = node.WatchClosed
	WatchRefused     = node.WatchRefused
	WatchNeverIssued = node.WatchNeverIssued
)

// Phases of a drain; package node says what each means.
const (
	DrainNone    = node.DrainNone
	DrainWaiting = node.DrainWaiting
	DrainEnding  = node.DrainEnding
	DrainOver    = node.DrainOver
)

// Outcomes; told apart with errors.Is. Package node says what each means.
var (
	ErrGone         = node.ErrGone
	ErrNeverIssued  = node.ErrNeverIssued
	ErrUnreachable  = node.ErrUnreachable
	ErrBackpressure = node.ErrBackpressure
	ErrExpired      = node.ErrExpired
	ErrUncertain    = node.ErrUncertain
	ErrTooLarge     = node.ErrTooLarge
	ErrUnframeable  = node.ErrUnframeable
	ErrNoAck        = node.ErrNoAck
	ErrBadID        = node.ErrBadID
	ErrClosed       = node.ErrClosed
	ErrBadCloseCode = node.ErrBadCloseCode
	ErrBadGroup     = node.ErrBadGroup
	ErrLimit        = node.ErrLimit
	ErrBadOption    = node.ErrBadOption
)

// Why Open fails beside ErrBadOption; package node says what each means.
var (
	ErrInUse    = node.ErrInUse
	ErrFormat   = node.ErrFormat
	ErrVersions = node.ErrVersions
	ErrClock    = node.ErrClock
	ErrRefused  = node.ErrRefused
)
