package node

import (
	"context"
	"time"

	"flamingo/cluster/mesh"
	"flamingo/idspace"
)

// What others tell of watches: they put it aside, and review takes it up.

// Tell implements watcher, for connections of this node.
func (w *watches) Tell(id ID, c mesh.Closed) {
	w.heardMu.Lock()
	w.ends = append(w.ends, watchEnd{id, c})
	w.heardMu.Unlock()
	w.signal()
}

// Closed implements mesh.Watching.
func (w *watches) Closed(_ idspace.BootID, id ID, c mesh.Closed) { w.Tell(id, c) }

// Reached implements mesh.Watching.
func (w *watches) Reached(peer idspace.BootID, able bool) {
	r := reachAble
	if !able {
		r = reachUnable
	}
	w.heard(peer, r)
}

// Lost implements mesh.Watching.
func (w *watches) Lost(peer idspace.BootID) { w.heard(peer, reachLost) }

func (w *watches) heard(peer idspace.BootID, r reach) {
	w.heardMu.Lock()
	w.reach[peer] = r
	w.heardMu.Unlock()
	w.signal()
}

// reborn says that this node is another life, to which its peers are others.
func (w *watches) reborn() {
	w.heardMu.Lock()
	w.again = true
	clear(w.reach)
	w.heardMu.Unlock()
	w.signal()
}

var _ mesh.Watching = (*watches)(nil)

// review takes what was put aside, and what the cluster knows. It reports whether
// there are numbers whose node is not known.
func (w *watches) review(ctx context.Context) (unknown bool) {
	ends, reached, again := w.takeHeard()
	w.mu.Lock()
	for _, e := range ends {
		w.closedLocked(e)
	}
	for _, at := range w.numbers {
		if again {
			at.peer = nil
		}
		if at.peer != nil {
			w.reachedLocked(at, reached[at.peer.Boot()])
		}
	}
	w.mu.Unlock()
	return w.seek(ctx)
}

func (w *watches) takeHeard() (ends []watchEnd, reached map[idspace.BootID]reach, again bool) {
	w.heardMu.Lock()
	defer w.heardMu.Unlock()
	ends, reached, again = w.ends, w.reach, w.again
	w.ends, w.reach, w.again = nil, make(map[idspace.BootID]reach), false
	return ends, reached, again
}

func (w *watches) closedLocked(e watchEnd) {
	switch e.end.Fact {
	case mesh.FactClosed:
		w.endLocked(e.id, closedEvent(e.end))
	case mesh.FactNeverIssued:
		w.endLocked(e.id, WatchEvent{State: WatchNeverIssued})
	case mesh.FactNotMine: // what is known of the numbers is out of date
		if at := w.numbers[e.id.Node()]; at != nil {
			w.unbindLocked(at)
			at.look = time.Now().Add(lookEvery) // not again at the pace of answers
		}
	case mesh.FactRefused:
		w.endLocked(e.id, WatchEvent{State: WatchRefused})
	default: // of a later release
		w.endLocked(e.id, WatchEvent{State: WatchRefused})
	}
}

func closedEvent(c mesh.Closed) WatchEvent {
	e := WatchEvent{State: WatchClosed, Reason: Reason(c.Reason)}
	if c.Reason == 0 {
		e.Reason = ReasonUnknown
	}
	if c.At > 0 {
		e.At = time.UnixMilli(c.At)
	}
	return e
}

func (w *watches) reachedLocked(at *watchedNumber, r reach) {
	switch r {
	case reachLost:
		at.loseLocked()
	case reachUnable:
		w.endAllLocked(at, WatchEvent{State: WatchRefused})
	case reachAble:
		w.registerLocked(at)
		if at.lost {
			at.lost = false
			at.tell(WatchEvent{State: WatchReachable})
		}
	}
}
