package consensus

import (
	"errors"
	"fmt"

	"flamingo/idspace"
)

// Conditions of opening a store and of running on it.
var (
	// ErrLocked: another process has the file of the store open. Usually a
	// second node was started with the same data directory.
	ErrLocked = errors.New("another process has the file open")

	// ErrStoreFailed: a write failed, and nothing of this store is trusted
	// any more. Usually the disk is full or broken; restart the node.
	ErrStoreFailed = errors.New("store failed")

	// ErrSnapshotMissing: the log begins after entries that no snapshot
	// holds. Usually somebody tidied up in the data directory; set it aside.
	ErrSnapshotMissing = errors.New("snapshot missing")

	// ErrBadRecord: the store holds bytes this release did not write. Usually
	// a later release did, or the file is damaged.
	ErrBadRecord = errors.New("bad record in store")
)

// misread says what this release cannot read. All that a store holds begins with the
// version of its form.
func misread(what string, b []byte) error {
	if len(b) == 0 {
		return fmt.Errorf("%w: %s is empty", ErrBadRecord, what)
	}
	return fmt.Errorf("%w: %s of version %d and %d bytes", ErrBadRecord, what, b[0], len(b))
}

// Conditions that end Run.
var (
	// ErrSuperseded: peers have seen a later boot of this very server.
	// Usually its data directory is an old backup or a clone; set it aside.
	ErrSuperseded = errors.New("a later boot of this server was seen")

	// ErrRemoved: this server was taken out of the voters and raft has ended.
	// Set the store aside before it takes part again.
	ErrRemoved = errors.New("removed from the voters")

	// ErrWrongCluster: the committed cluster id is not the one this server
	// was told. Usually two clusters were given the same data.
	ErrWrongCluster = errors.New("wrong cluster")

	// ErrStalled: as leader this server could neither commit nor hand over.
	// Usually its disk hung. If the store has not failed meanwhile, see
	// CloseSound, another server may take its place on it.
	ErrStalled = errors.New("leader stalled")

	// ErrDiverged: a committed entry cannot be applied. Usually it was
	// written by a later release; to skip it would make servers differ.
	ErrDiverged = errors.New("committed entry not understood")
)

// Conditions of asking for something.
var (
	// ErrNotLeader: another server leads, or none; see NotLeaderError.
	ErrNotLeader = errors.New("not the leader")

	// ErrBusy: too many requests wait already. Usually many nodes start at
	// once; ask again.
	ErrBusy = errors.New("too many requests wait")

	// ErrUncertain: the command may have been committed or not. Usually
	// leadership was lost. Repeat the request with the same boot and ordinal:
	// it then has the effect of one.
	ErrUncertain = errors.New("may have been committed")

	// ErrClockUntrusted: the first number of a cluster needs a clock that
	// agrees with the other voters'. Usually the clock of this machine is
	// wrong.
	ErrClockUntrusted = errors.New("clock not trusted for the first number")

	// ErrStopped: the server does not run, not yet or no more.
	ErrStopped = errors.New("consensus not running")
)

// Conditions of founding and joining a cluster.
var (
	// ErrClusterKnown: a cluster exists already, and this server or one that
	// was asked belongs to it.
	ErrClusterKnown = errors.New("a cluster exists already")

	// ErrPromised: this server has made a promise to another proposal.
	ErrPromised = errors.New("promised to another proposal")

	// ErrYielded: a lower competing proposal stands, and this one was
	// abandoned for it.
	ErrYielded = errors.New("yielded to a competing proposal")

	// ErrOutdated: the servers to propose have changed, and the proposal of
	// those before was abandoned. Usually more nodes have been found meanwhile.
	ErrOutdated = errors.New("other servers are to found the cluster")

	// ErrBadProposal: fields are missing, or the servers are not sorted.
	// Usually a programming error or a damaged message.
	ErrBadProposal = errors.New("bad proposal")
)

// ErrRefused is what every RefusedError matches.
var ErrRefused = errors.New("raft stream refused")

// NotLeaderError says who leads instead. It matches ErrNotLeader.
type NotLeaderError struct {
	Leader idspace.ServerID // zero if none is known
}

func (e *NotLeaderError) Error() string {
	if e.Leader.IsZero() {
		return ErrNotLeader.Error() + "; no leader is known"
	}
	return fmt.Sprintf("%v; the leader is %v", ErrNotLeader, e.Leader)
}

// Is makes the error match ErrNotLeader.
func (e *NotLeaderError) Is(target error) bool { return target == ErrNotLeader }

// RefusedError is a raft stream that was refused in its handshake. It matches
// ErrRefused.
type RefusedError struct {
	Peer   idspace.ServerID // zero while it has not said who it is
	Reason Refusal
	Remote bool // the peer refused us; otherwise we refused it
}

func (e *RefusedError) Error() string {
	if e.Remote {
		return fmt.Sprintf("refused by %v: %v", e.Peer, e.Reason)
	}
	return fmt.Sprintf("refused %v: %v", e.Peer, e.Reason)
}

// Is makes the error match ErrRefused.
func (e *RefusedError) Is(target error) bool { return target == ErrRefused }
