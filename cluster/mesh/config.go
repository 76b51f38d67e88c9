package mesh

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"flamingo/idspace"
)

// Network reaches peers.
type Network interface {
	// Dial opens a stream to peer, or to whoever is at its address: the
	// handshake finds out. It returns when ctx is done.
	Dial(ctx context.Context, peer idspace.BootID) (net.Conn, error)
}

// Identity says who this node is. Its methods return at once.
type Identity interface {
	Boot() idspace.BootID       // never changes
	Cluster() idspace.ClusterID // zero while blank
	Last() idspace.NodeNumber   // the greatest number known to be granted
	Numbers() []idspace.NodeNumber

	// Owns reports whether a number is one of this life. A stream that was told
	// so once need not ask again: a life keeps its numbers to its end.
	Owns(idspace.NodeNumber) bool
}

// Owner holds this node's connections. Every call returns at once; msg and ids
// are not kept. An error means that nothing was taken.
type Owner interface {
	Deliver(id idspace.ID, kind Kind, msg []byte) error

	// DeliverMany is Deliver for each of ids; results has their length.
	DeliverMany(ids []idspace.ID, kind Kind, msg []byte, results []error)

	// DeliverWaited calls done exactly once, from any goroutine, with nil when
	// msg has come as far as stage or with what became of it. timeout is what
	// is left of the sender's patience, 0 for no end.
	DeliverWaited(id idspace.ID, kind Kind, stage Stage, msg []byte, timeout time.Duration, done func(error))

	// Close ends the connection. code is 0 if the sender gave none, and may be
	// one that the owner does not know; reason has at most 123 bytes, which may
	// be no UTF-8.
	Close(id idspace.ID, code uint16, reason string) error

	// Describe returns what Peer.Describe hands to the asking node.
	Describe(id idspace.ID) ([]byte, error)
}

// Requests answers the requests of peers. A call may block until ctx is done;
// calls overlap. The answer is at most 64 KiB. For a kind it does not know it
// returns ErrUnknownRequest; any other error reaches the peer as
// ErrRequestFailed, so whatever the peer is to learn belongs into the answer.
type Requests interface {
	Handle(ctx context.Context, peer idspace.BootID, kind RequestKind, body []byte) ([]byte, error)
}

// Undelivered says what became of asynchronous sends after they were accepted.
type Undelivered struct {
	ID       idspace.ID
	Outcome  Outcome
	End      End // of the first one told of, if Outcome is OutcomeGone
	Messages int // sends that ended so
	Closes   int // closes that ended so

	// Of what was published: the group and the peer, while ID is zero.
	Group string
	Peer  idspace.BootID
}

// Defaults of Config.
const (
	DefaultWindow           = 8 << 20
	DefaultMaxMessage       = 1 << 20
	DefaultSendTimeout      = 5 * time.Second
	DefaultIdleTimeout      = 60 * time.Second
	DefaultReconnectTimeout = 10 * time.Second
	DefaultUnreachableAfter = time.Second
	DefaultPingEvery        = time.Second
	DefaultDeadAfter        = 4 * time.Second
	DefaultHandshakeTimeout = 5 * time.Second
	DefaultMaxPeers         = 1024
	DefaultMaxInbound       = 1024
	DefaultSessionTimeout   = 30 * time.Second
	DefaultMaxSessions      = 1024
	DefaultMaxSessionBytes  = 64 << 20
	DefaultMaxWaits         = 16 << 10
	DefaultMaxRequests      = 64
	DefaultReports          = 16 << 10
)

// MaxWindow is the most that Config.Window can be, in bytes. It holds 262,144
// ids. When all are refused, and as many waits as there can be, 131,072, end at the
// same time, that leaves 131,072 of maxOutcomes for those that are read before the
// sender's word on these, which goes behind what it has queued.
const MaxWindow = 16 << 20

// LongestMessage is the most that Config.MaxMessage can be, in bytes: what fits
// into the widest window.
const LongestMessage = 15 << 20

// Config holds the settings of a Mesh.
type Config struct {
	Network  Network  // required
	Identity Identity // required
	Owner    Owner    // required
	Requests Requests // nil: every request is unknown
	Groups   Groups   // nil: no group has members here

	Watched  Watched  // nil: no peer can watch
	Watching Watching // nil: nobody is told

	// OutcomeOf gives the code for an error of Owner. Required. A code that is
	// not valid, or that says accepted, is sent as uncertain.
	OutcomeOf func(error) Outcome

	// EndOf says when and why a connection ended, for an error of Owner whose code
	// is OutcomeGone. Nil: nothing is said.
	EndOf func(error) End

	// Press is asked about a connection for which Owner has refused a message with
	// OutcomeBackpressure: whether it is full, so that peers refuse what they would
	// send to it. After true, Relieve is called once it takes messages again or has
	// ended, which may be before Press returns. It must not block. Nil: nothing is
	// told to peers.
	Press func(idspace.ID) bool

	// Undelivered is told of asynchronous sends that failed after they were
	// accepted, one call at a time. It must not block. Nil: they are counted
	// only.
	Undelivered func(Undelivered)

	// Heard is told the numbers of a peer and the greatest number it knows,
	// after a handshake and when they change. Numbers add to those told before.
	// It must not block and keeps nothing of the slice. Nil: nobody is told.
	Heard func(peer idspace.BootID, numbers []idspace.NodeNumber, last idspace.NodeNumber)

	// Retired reports whether one of the numbers belongs to a life that was
	// retired: no stream with it is opened. It must not block. Nil: none does.
	Retired func(numbers []idspace.NodeNumber) bool

	// Dismissed is told that peer has refused this life as retired. It must not
	// block. Nil: nobody is told.
	Dismissed func(peer idspace.BootID)

	// Lanes is how many streams carry the messages of a link. Zero means 1; at
	// most 16.
	Lanes int

	// Window bounds, for one lane, what is queued and what is not acknowledged,
	// in bytes, with 64 for each id beside the payload. All of it is kept, to be
	// sent again when a stream breaks. Senders wait at the
	// bound. Zero means DefaultWindow; at most 16 MiB, which keeps the outcomes
	// that may be due within the protocol's bound; at least MaxMessage + 128 KiB.
	Window int

	// MaxMessage is the longest message sent or taken, in bytes. Zero means
	// DefaultMaxMessage; at most LongestMessage.
	MaxMessage int

	// SendTimeout is how long a send waits for room in the window. Zero means
	// DefaultSendTimeout; at most 1 h.
	SendTimeout time.Duration

	// IdleTimeout closes a stream that has nothing to do for so long. Zero
	// means DefaultIdleTimeout; at least PingEvery.
	IdleTimeout time.Duration

	// ReconnectTimeout is how long what is queued waits for a stream, and what
	// was sent for its session to be resumed: then the former ends as
	// unreachable and the latter as uncertain. What is sent also ends so when
	// streams break one after another for so long and nothing is acknowledged.
	// Zero means DefaultReconnectTimeout.
	ReconnectTimeout time.Duration

	// SessionTimeout is how long a session from a peer is remembered without a
	// stream. It should be more than the peer's ReconnectTimeout, DeadAfter and
	// HandshakeTimeout together: what the peer sent under a session that is
	// forgotten ends as uncertain. Zero means DefaultSessionTimeout.
	SessionTimeout time.Duration

	// UnreachableAfter is how long attempts may fail before sends, closes and
	// requests are refused with ErrUnreachable; an attempt that is under way
	// has not failed, until HandshakeTimeout. They are accepted again once a
	// handshake succeeds; what was accepted before waits on. Above
	// ReconnectTimeout it changes nothing: what was given up is refused anyhow.
	// Zero means DefaultUnreachableAfter.
	UnreachableAfter time.Duration

	// PingEvery is the time between pings, and the grain of IdleTimeout and
	// DeadAfter. Zero means DefaultPingEvery; at least 1 ms.
	PingEvery time.Duration

	// DeadAfter ends the streams of a peer from which nothing was received for
	// so long. Zero means DefaultDeadAfter; at least twice PingEvery.
	DeadAfter time.Duration

	// HandshakeTimeout bounds a handshake, dialling included. Zero means
	// DefaultHandshakeTimeout.
	HandshakeTimeout time.Duration

	// MaxPeers bounds the peers with a link from here; one over the bound is
	// unreachable. Zero means DefaultMaxPeers.
	MaxPeers int

	// MaxInbound bounds the streams taken from peers, those in a handshake
	// included; one over the bound is closed unread. One peer has at most as
	// many as a link can have streams. Zero means DefaultMaxInbound.
	MaxInbound int

	// MaxSessions bounds the sessions that are remembered without a stream, and
	// MaxSessionBytes what is kept for them, in bytes: outcomes that the peer has
	// not acknowledged and the beginnings of long messages. Over a bound, which is
	// looked at each PingEvery, those are forgotten first whose stream ended first.
	// Zero means DefaultMaxSessions,
	// at most 65536, and DefaultMaxSessionBytes, at most 1 GiB.
	MaxSessions     int
	MaxSessionBytes int

	// MaxWaits bounds the sends and closes that wait for their outcome on one
	// lane, at either end; one over the bound is refused with backpressure.
	// Zero means DefaultMaxWaits.
	MaxWaits int

	// MaxRequests bounds the requests under way on one control stream, at
	// either end; one over the bound is refused with backpressure. Zero means
	// DefaultMaxRequests.
	MaxRequests int

	// Reports bounds the ids for which Undelivered has not been called yet.
	// Further reports are counted and dropped. Zero means DefaultReports.
	Reports int

	// Now is the clock for round-trip times, ReconnectTimeout and
	// UnreachableAfter, and the wall clock that peers are told and compared
	// with. Nil means time.Now.
	Now func() time.Time

	// Random is read for session ids and jitter, from several goroutines at
	// once. Nil means crypto/rand.
	Random io.Reader

	// Logger receives what an operator should see. Nil means slog.Default().
	Logger *slog.Logger
}

func (c *Config) validate() error {
	var faults []error
	bad := func(wrong bool, field string, value any, allowed string) {
		if wrong {
			faults = append(faults, fmt.Errorf("%w: %s %v: allowed is %s", ErrBadConfig, field, value, allowed))
		}
	}
	bad(c.Network == nil, "Network", "(nil)", "a network")
	bad(c.Identity == nil, "Identity", "(nil)", "an identity")
	bad(c.Owner == nil, "Owner", "(nil)", "an owner")
	bad(c.OutcomeOf == nil, "OutcomeOf", "(nil)", "a function")
	bad(c.Identity != nil && c.Identity.Boot().IsZero(), "Identity.Boot", "(zero)", "a boot id")
	for _, n := range c.counts() {
		bad(*n.value < 0 || *n.value > n.most, n.name, *n.value, fmt.Sprintf("0 to %d", n.most))
	}
	for _, d := range c.durations() {
		bad(*d.value < 0 || *d.value > time.Hour, d.name, *d.value, "0 to 1h")
	}
	f := c.withDefaults()
	bad(f.Window < f.MaxMessage+messageRoom, "Window", f.Window, fmt.Sprintf("at least MaxMessage + %d", messageRoom))
	bad(f.PingEvery < time.Millisecond, "PingEvery", f.PingEvery, "at least 1ms")
	bad(f.DeadAfter < 2*f.PingEvery, "DeadAfter", f.DeadAfter, "at least twice PingEvery")
	bad(f.IdleTimeout < f.PingEvery, "IdleTimeout", f.IdleTimeout, "at least PingEvery")
	return errors.Join(faults...)
}

// messageRoom is what the window must have beside one message, in bytes: the
// cost of maxIDs ids, doubled.
const messageRoom = 2 * maxIDs * idCost

type count struct {
	name        string
	value       *int
	unset, most int
}

func (c *Config) counts() []count {
	return []count{
		{"Lanes", &c.Lanes, 1, maxLanes},
		{"Window", &c.Window, DefaultWindow, MaxWindow},
		{"MaxMessage", &c.MaxMessage, DefaultMaxMessage, LongestMessage},
		{"MaxPeers", &c.MaxPeers, DefaultMaxPeers, 1 << 16},
		{"MaxInbound", &c.MaxInbound, DefaultMaxInbound, 1 << 16},
		{"MaxSessions", &c.MaxSessions, DefaultMaxSessions, 1 << 16},
		{"MaxSessionBytes", &c.MaxSessionBytes, DefaultMaxSessionBytes, 1 << 30},
		{"MaxWaits", &c.MaxWaits, DefaultMaxWaits, 1 << 17},
		{"MaxRequests", &c.MaxRequests, DefaultMaxRequests, 1 << 12},
		{"Reports", &c.Reports, DefaultReports, 1 << 24},
	}
}

type duration struct {
	name  string
	value *time.Duration
	unset time.Duration
}

func (c *Config) durations() []duration {
	return []duration{
		{"SendTimeout", &c.SendTimeout, DefaultSendTimeout},
		{"IdleTimeout", &c.IdleTimeout, DefaultIdleTimeout},
		{"ReconnectTimeout", &c.ReconnectTimeout, DefaultReconnectTimeout},
		{"SessionTimeout", &c.SessionTimeout, DefaultSessionTimeout},
		{"UnreachableAfter", &c.UnreachableAfter, DefaultUnreachableAfter},
		{"PingEvery", &c.PingEvery, DefaultPingEvery},
		{"DeadAfter", &c.DeadAfter, DefaultDeadAfter},
		{"HandshakeTimeout", &c.HandshakeTimeout, DefaultHandshakeTimeout},
	}
}

func (c Config) withDefaults() Config {
	for _, n := range c.counts() {
		if *n.value == 0 {
			*n.value = n.unset
		}
	}
	for _, d := range c.durations() {
		if *d.value == 0 {
			*d.value = d.unset
		}
	}
	if c.Undelivered == nil {
		c.Undelivered = func(Undelivered) {}
	}
	if c.Heard == nil {
		c.Heard = func(idspace.BootID, []idspace.NodeNumber, idspace.NodeNumber) {}
	}
	if c.Retired == nil {
		c.Retired = func([]idspace.NodeNumber) bool { return false }
	}
	if c.Dismissed == nil {
		c.Dismissed = func(idspace.BootID) {}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}
