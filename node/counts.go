package node

import (
	"errors"
	"sync/atomic"

	"flamingo/cluster"
)

// ClusterStats are counts of a node's part in its cluster since that began, and its
// state at this moment. A node that was retired and lives on begins anew.
type ClusterStats = cluster.Stats

// ClusterStats returns the counts of this node's part in its cluster. ok is false
// of a node that stands alone.
func (n *Node) ClusterStats() (stats ClusterStats, ok bool) {
	if n.member == nil {
		return ClusterStats{}, false
	}
	return n.member.cluster().Stats(), true
}

// NumberStats says what a node has to issue ids from.
type NumberStats struct {
	Numbers   int    // node numbers held
	Remaining uint64 // ids that can be issued without a further number
	Wanting   bool   // a further number is asked for
}

// NumberStats returns what this node has to issue ids from.
func (n *Node) NumberStats() NumberStats {
	return NumberStats{Numbers: len(n.ids.Numbers()), Remaining: n.ids.Remaining(), Wanting: n.ids.Wanting()}
}

// outcomes are what a failure is counted as; the first that matches counts.
// ErrUncertain is the first, for what may have happened is never called otherwise.
var outcomes = [...]error{
	ErrUncertain, ErrGone, ErrNeverIssued, ErrUnreachable, ErrBackpressure, ErrExpired, ErrTooLarge, ErrUnframeable,
	ErrBadID, ErrClosed, ErrBadCloseCode, ErrBadGroup, ErrLimit,
}

// operations are what an OpError can name.
var operations = [...]string{
	"send", "close", "describe", "watch", "join", "leave", "groups", "set metadata of",
}

// Failures counts operations that a program asked this node for and that it has
// refused, or that have failed. What succeeds is not counted: it is seen in what
// connections were sent.
type Failures struct {
	Op      string // as in OpError
	Outcome error  // one of the outcomes; nil for a failure that is none of them
	Count   uint64
}

// failures are counters of operations that failed, by operation and outcome; the
// last of each is for what has no name here.
type failures [len(operations) + 1][len(outcomes) + 1]atomic.Uint64

// Failures returns the counts of this node for every operation and outcome, zeros
// included.
func (n *Node) Failures() []Failures {
	all := make([]Failures, 0, len(operations)*(len(outcomes)+1))
	for i, op := range append(operations[:], "other") {
		for k := range n.failures[i] {
			f := Failures{Op: op, Count: n.failures[i][k].Load()}
			if k < len(outcomes) {
				f.Outcome = outcomes[k]
			}
			all = append(all, f)
		}
	}
	return all
}

// outcome names operation and id of an error that has none yet, and counts it.
func (n *Node) outcome(op string, id ID, err error) error {
	if err == nil {
		return nil
	}
	n.failures.add(op, err)
	return &OpError{Op: op, ID: id, Err: err}
}

func (f *failures) add(op string, err error) {
	i, k := 0, 0
	for i < len(operations) && operations[i] != op {
		i++
	}
	for k < len(outcomes) && !errors.Is(err, outcomes[k]) {
		k++
	}
	f[i][k].Add(1)
}
