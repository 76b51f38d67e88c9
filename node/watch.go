package node

import (
	"context"
	"fmt"
	"time"
)

// Defaults and the bound of Opts.MaxWatches and Opts.MaxWatched: a watch takes some
// 300 bytes where it was begun, and 200 at the connection's node. All that a node
// watches on one other fits into what waits for a new stream to it, 24 MiB.
const (
	DefaultMaxWatches = 1 << 16
	DefaultMaxWatched = 1 << 18
	watchesLimit      = 1 << 21
)

// A WatchEvent says what has become of a connection that is watched.
type WatchEvent struct {
	State WatchState

	// Reason is why it ended, and At when, by the clock of its node. They are
	// ReasonUnknown and zero if nobody remembers. Of WatchClosed only.
	Reason Reason
	At     time.Time
}

// WatchState is what a WatchEvent says.
type WatchState uint8

// The states. Of a watch the first two may come any number of times, one after the
// other; then at most one of the others, as the last.
const (
	// WatchUnreachable: the node of the connection cannot be reached from here.
	// Nothing is known of the connection, which may live on.
	WatchUnreachable WatchState = iota + 1

	// WatchReachable: it is reached again, and the connection has not ended.
	WatchReachable

	// WatchClosed: the connection has ended, for good.
	WatchClosed

	// WatchRefused: the node of the connection tells nothing, as it has too many
	// watches, or a release that does not know of any.
	WatchRefused

	// WatchNeverIssued: no connection ever had this id.
	WatchNeverIssued
)

var watchStates = [...]string{"", "unreachable", "reachable", "closed", "refused", "never-issued"}

// String returns the name of s.
func (s WatchState) String() string {
	if int(s) < len(watchStates) {
		return watchStates[s]
	}
	return fmt.Sprintf("WatchState(%d)", uint8(s))
}

// Watch tells what becomes of connection id, wherever it is. The channel yields
// WatchUnreachable and WatchReachable as they come, of those that were not taken
// the last one, and in the end exactly one WatchClosed: when the connection has
// ended, its node has left or was started again (ReasonNodeEnded), or the cluster
// has given its node up (ReasonRetired); then nothing comes from the connection
// any more, and nothing that is sent from this node reaches it. Of a connection
// that has ended before it comes at once; an id that its node has never issued yields
// WatchNeverIssued instead. Behind the last event the channel is
// closed; without one when ctx is done, or this node closes.
//
// Watch itself waits only when the cluster has to be asked whether such an id can
// be, at most 3 s. The error matches ErrBadID, ErrNeverIssued, ErrClosed, or
// ErrBackpressure for more than Opts.MaxWatches. A channel that is not read holds
// up nobody.
func (n *Node) Watch(ctx context.Context, id ID) (<-chan WatchEvent, error) {
	events, err := n.watches.begin(ctx, id)
	return events, n.outcome("watch", id, err)
}

// WatchStats are counts of watches.
type WatchStats struct {
	Watches int    // of this node
	Watched int    // of other nodes and this one, on connections of this node
	Refused uint64 // of either, over a bound
}

// WatchStats returns the counts of this node's watches.
func (n *Node) WatchStats() WatchStats {
	n.watches.mu.Lock()
	count := n.watches.count
	n.watches.mu.Unlock()
	watched, refused := n.watched.counts()
	return WatchStats{Watches: count, Watched: watched, Refused: refused + n.watches.refused.Load()}
}
