package mesh

import (
	"math"

	"flamingo/idspace"
)

// A Closed says what has become of a connection that a peer watches. It ends the
// watch.
type Closed struct {
	Fact   Fact
	At     int64 // of FactClosed: Unix milliseconds by the owner's clock; 0 if not known
	Reason uint8 // of FactClosed: the owner's, which the mesh knows nothing of; 0 if not known
}

// Fact is what an owner says of a watched id. Append only.
type Fact uint8

// The facts.
const (
	FactClosed      Fact = 1 // the connection has ended
	FactNeverIssued Fact = 2 // there never was one
	FactRefused     Fact = 3 // the owner has too many watches
	FactNotMine     Fact = 4 // the number is none of the owner's
)

var factNames = [...]string{FactClosed: "closed", FactNeverIssued: "never-issued", FactRefused: "refused", FactNotMine: "not-mine"}

// Watched keeps the watches of peers on this node's connections. Its methods
// return at once, and may tell of ids before they do.
type Watched interface {
	// Watch begins the watches of w, or ends them if on is false. It keeps nothing
	// of ids. A watch that was begun twice is one.
	Watch(w *Watcher, ids []idspace.ID, on bool)

	// Forget ends every watch of w: there is nobody to tell any more.
	Forget(w *Watcher)
}

// Watching is told what becomes of this node's watches on the connections of
// peers. Its methods must not block, nor call the mesh.
type Watching interface {
	// Closed is told the end of a watch.
	Closed(peer idspace.BootID, id idspace.ID, c Closed)

	// Reached says that there is a new control stream to a peer with watches: it
	// knows of none of them. able is false if it cannot have any.
	Reached(peer idspace.BootID, able bool)

	// Lost says that there is none, and that attempts to have one have failed for
	// UnreachableAfter. It is said once, until Reached.
	Lost(peer idspace.BootID)
}

// A Watcher is a peer that watches, through one control stream.
type Watcher struct {
	peer idspace.BootID
	box  *outbox
}

// Peer names the peer.
func (w *Watcher) Peer() idspace.BootID { return w.peer }

// Tell tells the peer of an id. It returns at once; a stream whose peer does not
// read ends.
func (w *Watcher) Tell(id idspace.ID, c Closed) {
	w.box.put(func(e *encoder) {
		e.uints(kindClosed, uint64(id), uint64(c.Fact), uint64(max(c.At, 0)), uint64(c.Reason))
	})
}

// watch takes a frame of the peer.
func (s *inStream) watch(w *Watcher, f *frame) error {
	if f.u[0] > 1 || s.hello.features&s.mesh.features&featureWatch == 0 || s.mesh.cfg.Watched == nil {
		return reasonError{ReasonUnexpected}
	}
	mine := f.ids[:0]
	for _, id := range f.ids {
		switch {
		case !id.Valid():
			return reasonError{ReasonMalformed}
		case s.mesh.cfg.Identity.Owns(id.Node()):
			mine = append(mine, id)
		case f.u[0] == 1:
			w.Tell(id, Closed{Fact: FactNotMine})
		}
	}
	s.mesh.cfg.Watched.Watch(w, mine, f.u[0] == 1)
	return nil
}

// Watch begins watches on ids of the peer, or ends them: while there is any,
// which Pin says, the control stream is kept. Without a stream it does nothing:
// Watching.Reached says when there is one. It reports false for a peer that cannot
// be watched.
func (p *Peer) Watch(ids []idspace.ID, on bool) bool {
	l, err := p.link()
	return err != nil || l.control.watch(ids, on)
}

// Pin says whether there are watches on the peer. When there are none before,
// Watching is told anew how it stands: of a stream that is there, and of attempts
// that go on failing. It reports false if there can be no link: then nothing is told.
func (p *Peer) Pin(on bool) bool {
	l, err := p.link()
	if err == nil {
		l.control.pin(on)
	}
	return err == nil
}

func (c *control) watch(ids []idspace.ID, on bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.box == nil {
		return true
	}
	if c.features&featureWatch == 0 {
		return false
	}
	var flag uint64
	if on {
		flag = 1
	}
	for len(ids) > 0 {
		some := ids[:min(len(ids), maxIDs)]
		c.box.put(func(e *encoder) { e.watch(flag, some) }) // without room the stream ends, and the next is told anew
		ids = ids[len(some):]
	}
	return true
}

func (e *encoder) watch(flag uint64, ids []idspace.ID) {
	start := e.begin(kindWatch)
	e.uint(flag)
	e.array(len(ids))
	for _, id := range ids {
		e.uint(uint64(id))
	}
	e.end(start)
}

func (c *control) pin(on bool) {
	c.mu.Lock()
	first := on && !c.pinned
	c.pinned = on
	start := on && c.stopped == nil && c.startLocked()
	if first {
		c.toldLost = false
	}
	there := c.box != nil
	c.mu.Unlock()
	c.spawnIf(start)
	if first && there {
		c.reached()
	}
}

// closed takes a frame of the peer.
func (c *control) closed(f *frame) error {
	id := idOf(f.u[0])
	if !id.Valid() || f.u[2] > math.MaxInt64 {
		return reasonError{ReasonMalformed}
	}
	if w := c.link.mesh.cfg.Watching; w != nil {
		w.Closed(c.link.peer, id, Closed{Fact(min(f.u[1], math.MaxUint8)), int64(f.u[2]), uint8(min(f.u[3], math.MaxUint8))})
	}
	return nil
}

// reached tells of a new stream, and lost of attempts that have failed for long.
func (c *control) reached() {
	c.mu.Lock()
	c.toldLost = false
	tell, able := c.pinned, c.features&featureWatch != 0
	c.mu.Unlock()
	if w := c.link.mesh.cfg.Watching; tell && w != nil {
		w.Reached(c.link.peer, able)
	}
}

func (c *control) lost() {
	c.mu.Lock()
	tell := c.pinned && !c.toldLost
	c.toldLost = c.toldLost || tell
	c.mu.Unlock()
	if w := c.link.mesh.cfg.Watching; tell && w != nil {
		w.Lost(c.link.peer)
	}
}
