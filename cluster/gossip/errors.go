package gossip

import (
	"errors"
	"fmt"
	"net/netip"

	"flamingo/idspace"
)

// Conditions of setting up and of running.
var (
	// ErrBadConfig: New refuses the Config. The text names each option that
	// is at fault, its value, and what is allowed.
	ErrBadConfig = errors.New("bad config")

	// ErrBadSeed: not a seed. Usually a port out of range, or a prefix other
	// than dns:, srv:, file:, exec:.
	ErrBadSeed = errors.New("not a seed")

	// ErrTooMuch: a seed has more addresses than are used, or a file or program
	// more text than is read. Usually a seed that is meant for something else.
	ErrTooMuch = errors.New("too much for a seed")

	// ErrRunning: Run was called twice. A Gossip runs once.
	ErrRunning = errors.New("gossip runs or has run")

	// ErrEnded: Run has returned.
	ErrEnded = errors.New("gossip has ended")

	// ErrPortEnded: the port ended before Run was told to. Usually the node
	// is being stopped in the wrong order.
	ErrPortEnded = errors.New("the port has ended")
)

// Conditions of announcing and of reading what others announce.
var (
	// ErrBadMeta: a field is missing or out of range, or the bytes are no
	// meta. Usually a stranger, or a programming error of the announcer.
	ErrBadMeta = errors.New("bad meta")

	// ErrClusterChanged: a node that has a cluster id got another one. That
	// takes a new life of the node.
	ErrClusterChanged = errors.New("cluster id is fixed for a life")

	// ErrNotSpread: an update was not seen off in time. It holds, and others
	// learn it with the next exchange of full state.
	ErrNotSpread = errors.New("update not spread in time")
)

// Conditions of meeting another node.
var (
	// ErrOtherCluster: the node belongs to another cluster id; matched by a
	// *MismatchError. Usually two clusters were bootstrapped apart, and their
	// seeds overlap.
	ErrOtherCluster = errors.New("member of another cluster")

	// ErrOtherName: the node was given another cluster name. Usually two
	// installations share a network.
	ErrOtherName = errors.New("another cluster name")

	// ErrSelf: the address is this node's own, which is no fault.
	ErrSelf = errors.New("the address is this node's own")

	// ErrNotThere: another life is at the address of a member. Usually the
	// node was restarted.
	ErrNotThere = errors.New("another node is at this address")

	// ErrBadHello: the stream does not begin with a hello. Usually a
	// stranger.
	ErrBadHello = errors.New("bad hello")

	// ErrTooManyMembers: MaxMembers are present. Usually strangers make
	// members up.
	ErrTooManyMembers = errors.New("too many members")
)

// MismatchError says that a node of another cluster was met. It matches
// ErrOtherCluster.
type MismatchError struct {
	Ours, Theirs idspace.ClusterID
	Peer         idspace.BootID
	Addr         netip.AddrPort // zero if only hearsay
}

// Error names both cluster ids.
func (e *MismatchError) Error() string {
	at := ""
	if e.Addr.IsValid() {
		at = " at " + e.Addr.String()
	}
	return fmt.Sprintf("%v: node %v%s is in cluster %v, this node in cluster %v",
		ErrOtherCluster, e.Peer, at, e.Theirs, e.Ours)
}

// Unwrap returns ErrOtherCluster.
func (e *MismatchError) Unwrap() error { return ErrOtherCluster }
