package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"flamingo/cluster"
	"flamingo/cluster/mesh"
	"flamingo/idspace"
)

// A watch is one call of Watch.
type watch struct {
	id     ID
	events chan WatchEvent // room for one; written and closed under watches.mu
	stop   func() bool     // ends the wait for its context
}

// A watchedNumber is what is watched of one node number.
type watchedNumber struct {
	ids  map[ID][]*watch
	peer *mesh.Peer // to the node that holds it; nil while that is not known
	here bool       // this node holds it, or did
	lost bool       // its watches were told that it is unreachable
	look time.Time  // when its node is to be looked for; zero: at once
}

// watches are those of this node. What others tell is put aside under a lock that
// is a leaf, and run takes it from there; mu is held while the mesh is told of
// watches, so that it hears of them in order.
type watches struct {
	n     *Node
	limit int
	wake  chan struct{} // a token: there is something to do; never closed

	refused atomic.Uint64 // calls of Watch over the limit

	mu      sync.Mutex
	over    bool
	count   int // of all numbers
	numbers map[NodeNumber]*watchedNumber

	heardMu sync.Mutex
	ends    []watchEnd               // guarded by heardMu: at most one for each watched id and stream
	reach   map[idspace.BootID]reach // guarded by heardMu: the last word for each peer
	again   bool                     // guarded by heardMu: every peer is another
}

type watchEnd struct {
	id  ID
	end mesh.Closed
}

// reach is how it stands with a peer.
type reach uint8

const (
	reachLost reach = iota + 1
	reachAble
	reachUnable
)

func newWatches(n *Node) *watches {
	return &watches{
		n: n, limit: cmp.Or(n.opts.MaxWatches, DefaultMaxWatches), wake: make(chan struct{}, 1),
		numbers: make(map[NodeNumber]*watchedNumber), reach: make(map[idspace.BootID]reach),
	}
}

// begin begins a watch. What is known at once is told by run, too.
func (w *watches) begin(ctx context.Context, id ID) (<-chan WatchEvent, error) {
	if !id.Valid() {
		return nil, ErrBadID
	}
	here, err := w.locate(ctx, id)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.over:
		return nil, ErrClosed
	case w.count >= w.limit:
		w.refused.Add(1)
		return nil, ErrBackpressure
	}
	at := w.numbers[id.Node()]
	if at == nil {
		at = &watchedNumber{ids: make(map[ID][]*watch), here: here}
		w.numbers[id.Node()] = at
	}
	one := &watch{id: id, events: make(chan WatchEvent, 1)}
	one.stop = context.AfterFunc(ctx, func() { w.abandon(one) })
	w.count++
	at.ids[id] = append(at.ids[id], one)
	switch {
	case at.here:
		w.n.watched.Watch(w, []ID{id}, true)
	case at.peer != nil: // else run looks for it
		at.peer.Watch([]ID{id}, true)
		if at.lost {
			one.tell(WatchEvent{State: WatchUnreachable})
		}
	}
	w.signal()
	return one.events, nil
}

// locate reports whether id is one of this node. ErrNeverIssued says that it is
// nobody's yet.
func (w *watches) locate(ctx context.Context, id ID) (here bool, err error) {
	n, number := w.n, id.Node()
	switch {
	case n.closed.Load():
		return false, ErrClosed
	case n.ids.Owns(number):
		if !n.ids.Issued(id) {
			return false, ErrNeverIssued
		}
		return true, nil
	case n.member == nil && number > n.ids.Newest():
		return false, ErrNeverIssued
	case n.member == nil:
		return false, nil
	}
	peer, err := n.member.cluster().Locate(ctx, number)
	if errors.Is(err, mesh.ErrNeverIssued) {
		return false, ErrNeverIssued
	}
	return err == nil && peer.Boot() == n.member.cluster().Boot(), nil // granted to us a moment ago
}

// bindLocked has the node of a number watch all that is watched of it.
func (w *watches) bindLocked(at *watchedNumber, peer *mesh.Peer) {
	if !peer.Pin(true) {
		at.loseLocked()
		return
	}
	at.peer = peer
	w.registerLocked(at)
}

// loseLocked says once that the node of a number is unreachable.
func (at *watchedNumber) loseLocked() {
	if !at.lost {
		at.lost = true
		at.tell(WatchEvent{State: WatchUnreachable})
	}
}

func (w *watches) registerLocked(at *watchedNumber) {
	ids := make([]ID, 0, len(at.ids))
	for id := range at.ids {
		ids = append(ids, id)
	}
	if !at.peer.Watch(ids, true) {
		w.endAllLocked(at, WatchEvent{State: WatchRefused})
	}
}

// tell puts e in the place of what was not taken.
func (one *watch) tell(e WatchEvent) {
	select {
	case <-one.events:
	default:
	}
	one.events <- e // has room: nobody else writes
}

func (at *watchedNumber) tell(e WatchEvent) {
	for _, list := range at.ids {
		for _, one := range list {
			one.tell(e)
		}
	}
}

// endLocked ends the watches of an id with e.
func (w *watches) endLocked(id ID, e WatchEvent) {
	at := w.numbers[id.Node()]
	if at == nil {
		return
	}
	for _, one := range at.ids[id] {
		one.tell(e)
		close(one.events)
		one.stop()
		w.count--
	}
	w.dropLocked(at, id)
}

func (w *watches) endAllLocked(at *watchedNumber, e WatchEvent) {
	for id := range at.ids {
		w.endLocked(id, e)
	}
}

// dropLocked forgets an id of which nothing is watched any more.
func (w *watches) dropLocked(at *watchedNumber, id ID) {
	delete(at.ids, id)
	if len(at.ids) > 0 {
		return
	}
	delete(w.numbers, id.Node())
	w.unbindLocked(at)
}

// unbindLocked forgets the way to the node of a number.
func (w *watches) unbindLocked(at *watchedNumber) {
	peer := at.peer
	at.peer = nil
	if peer != nil && !w.watchesLocked(peer.Boot()) {
		peer.Pin(false)
	}
}

// watchesLocked reports whether anything of a peer is watched.
func (w *watches) watchesLocked(boot idspace.BootID) bool {
	for _, at := range w.numbers {
		if at.peer != nil && at.peer.Boot() == boot {
			return true
		}
	}
	return false
}

// abandon ends a watch whose context is done.
func (w *watches) abandon(one *watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := w.numbers[one.id.Node()]
	if at == nil || !slices.Contains(at.ids[one.id], one) {
		return
	}
	at.ids[one.id] = slices.DeleteFunc(at.ids[one.id], func(o *watch) bool { return o == one })
	close(one.events)
	w.count--
	if len(at.ids[one.id]) > 0 {
		return
	}
	switch {
	case at.here:
		w.n.watched.Watch(w, []ID{one.id}, false)
	case at.peer != nil:
		at.peer.Watch([]ID{one.id}, false)
	}
	w.dropLocked(at, one.id)
}

// lookEvery is how often it is looked for the nodes of numbers that are not known.
const lookEvery = time.Second

// run tells what comes, until ctx is done, and then ends every watch.
func (w *watches) run(ctx context.Context) {
	for ctx.Err() == nil {
		unknown := w.review(ctx)
		var look <-chan time.Time
		if unknown {
			look = time.After(lookEvery)
		}
		select {
		case <-w.wake:
		case <-look:
		case <-ctx.Done():
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	ends, _, _ := w.takeHeard()
	for _, e := range ends {
		w.closedLocked(e)
	}
	for _, at := range w.numbers {
		for id, list := range at.ids {
			for _, one := range list {
				close(one.events)
				one.stop()
			}
			delete(at.ids, id)
		}
	}
	clear(w.numbers)
	w.count = 0
}

// seek ends what the cluster says is over, and looks for the nodes of the numbers
// that are left without one.
func (w *watches) seek(ctx context.Context) (unknown bool) {
	w.mu.Lock()
	var missing []NodeNumber
	for number, at := range w.numbers {
		switch fate := w.fate(number, at); {
		case fate == cluster.FateRetired:
			w.endAllLocked(at, WatchEvent{State: WatchClosed, Reason: ReasonRetired})
		case fate == cluster.FateEnded:
			w.endAllLocked(at, WatchEvent{State: WatchClosed, Reason: ReasonNodeEnded})
		case at.peer == nil && !at.here:
			unknown = true
			if !time.Now().Before(at.look) {
				missing = append(missing, number)
			}
		}
	}
	w.mu.Unlock()
	limit, cancel := context.WithTimeout(ctx, lookEvery/4) // for all: what comes meanwhile waits
	defer cancel()
	for _, number := range missing {
		peer, err := w.n.member.cluster().Locate(limit, number)
		w.mu.Lock()
		if at := w.numbers[number]; at != nil && at.peer == nil {
			switch {
			case err == nil && peer.Boot() != w.n.member.cluster().Boot():
				w.bindLocked(at, peer)
			case errors.Is(err, mesh.ErrNeverIssued):
				w.endAllLocked(at, WatchEvent{State: WatchNeverIssued})
			case !errors.Is(err, mesh.ErrGone): // which it is, and soon said to be
				at.loseLocked()
			}
		}
		w.mu.Unlock()
	}
	return unknown
}

func (w *watches) fate(number NodeNumber, at *watchedNumber) cluster.Fate {
	switch {
	case at.here:
		return cluster.FateOpen // its connections say so themselves
	case w.n.member == nil:
		return cluster.FateEnded
	default:
		return w.n.member.cluster().Fate(number)
	}
}

func (w *watches) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// watchFaults are the faults of the options for watches.
func (o *Opts) watchFaults() (faults []error) {
	if o.MaxWatches < 0 || o.MaxWatches > watchesLimit {
		faults = append(faults, badOption("MaxWatches", o.MaxWatches, fmt.Sprintf("0 to %d", watchesLimit)))
	}
	if o.MaxWatched < 0 || o.MaxWatched > watchesLimit {
		faults = append(faults, badOption("MaxWatched", o.MaxWatched, fmt.Sprintf("0 to %d", watchesLimit)))
	}
	return faults
}
