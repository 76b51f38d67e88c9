package cluster

import (
	"context"
	"sync"

	"flamingo/cluster/mesh"
	"flamingo/idspace"
)

// Locate returns the life that holds number n, by the rule for outcomes:
// mesh.ErrGone for a number that was granted and is not live, or was passed
// over; mesh.ErrNeverIssued for one that is to come, after a committed read;
// mesh.ErrUnreachable if that cannot be had, or if the life is live and no
// member. It asks the leader only for a number that is newer than its view of them
// and that nobody is known to hold, for at most 3 s; otherwise it returns at once.
// Calls that ask at the same time share one read.
func (c *Cluster) Locate(ctx context.Context, n idspace.NodeNumber) (*mesh.Peer, error) {
	if p, ok := c.dir.route(n); ok {
		return p, nil
	}
	return c.locateAbsent(ctx, n)
}

// locateAbsent is Locate for a number that no present member holds, as far as
// known.
func (c *Cluster) locateAbsent(ctx context.Context, n idspace.NodeNumber) (*mesh.Peer, error) {
	v := c.view()
	if _, heard := c.dir.ownerOf(n); n > v.last && !heard {
		if !c.reads.wait(ctx) {
			return nil, mesh.ErrUnreachable
		}
		if v = c.view(); n > v.last {
			return nil, mesh.ErrNeverIssued
		}
	}
	boot, live := v.live[n]
	_, present := c.dir.member(boot)
	switch {
	case v.gone(n):
		return nil, mesh.ErrGone
	case !live: // heard of, and not in our view yet
		return nil, mesh.ErrUnreachable
	case present || c.mesh.Up(boot): // a live link outranks a gossiped death
		return c.mesh.To(boot), nil
	default:
		return nil, mesh.ErrUnreachable
	}
}

// reads lets any number of callers share committed reads, one at a time: each
// waits for one that begins after it came.
type reads struct {
	wanted chan struct{} // a token while next is not nil; never closed

	mu   sync.Mutex
	next *read // guarded by mu: what who comes now waits for; nil for none
}

// A read is one that has not begun, or is under way.
type read struct {
	done chan struct{} // closed by serveReads
	err  error         // set before done is closed
}

func newReads() reads { return reads{wanted: make(chan struct{}, 1)} }

// wait reports whether a read that began after the call has succeeded, within
// askTimeout.
func (r *reads) wait(ctx context.Context) bool {
	if ctx.Err() != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	r.mu.Lock()
	if r.next == nil {
		r.next = &read{done: make(chan struct{})}
		r.wanted <- struct{}{} // has room: there was no next
	}
	n := r.next
	r.mu.Unlock()
	select {
	case <-n.done:
		return n.err == nil
	case <-ctx.Done():
		return false
	}
}

// begin returns the read that is to begin: who comes from here on waits for the
// one after.
func (r *reads) begin() *read {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.next
	r.next = nil
	return n
}

// serveReads reads whenever somebody waits, until ctx is done.
func (c *Cluster) serveReads(ctx context.Context) error {
	for {
		select {
		case <-c.reads.wanted:
		case <-ctx.Done():
			return nil
		}
		n := c.reads.begin()
		limit, cancel := context.WithTimeout(ctx, askTimeout)
		n.err = c.confirmView(limit)
		cancel()
		close(n.done)
	}
}
