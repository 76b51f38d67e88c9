package node

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"flamingo/cluster/mesh"
	"flamingo/transport"
)

// A watcher is told of the ends of connections. Tell returns at once, and takes no
// lock that is held while watched is called.
type watcher interface {
	Tell(id ID, c mesh.Closed)
}

// watched are the watches on the connections of this node: those of other nodes,
// one watcher for each, and of this one. A watch ends when it is told, so each is
// told once.
type watched struct {
	look  func(ID) error // nil for an open connection
	limit int            // of all watches
	each  int            // of one watcher

	any     atomic.Bool   // there may be watches: looked at on the way of every close
	refused atomic.Uint64 // over a limit

	mu    sync.Mutex
	count int                         // guarded by mu, as the others
	ids   map[ID][]watcher            // who watches
	by    map[watcher]map[ID]struct{} // what each watches
}

func newWatched(look func(ID) error, limit, each int) *watched {
	return &watched{
		look: look, limit: limit, each: each,
		ids: make(map[ID][]watcher), by: make(map[watcher]map[ID]struct{}),
	}
}

// Watch begins the watches of w on ids, or ends them. First it is noted, and then
// looked whether the connection is open: so an end in between is told, once.
func (d *watched) Watch(w watcher, ids []ID, on bool) {
	for _, id := range ids {
		if !on {
			d.drop(w, id)
			continue
		}
		if !d.add(w, id) {
			d.refused.Add(1)
			w.Tell(id, mesh.Closed{Fact: mesh.FactRefused})
			continue
		}
		if c, over := closedFact(d.look(id)); over && d.drop(w, id) {
			w.Tell(id, c)
		}
	}
}

func (d *watched) add(w watcher, id ID) bool {
	d.any.Store(true)
	d.mu.Lock()
	defer d.mu.Unlock()
	mine := d.by[w]
	if _, twice := mine[id]; twice {
		return true
	}
	if d.count >= d.limit || len(mine) >= d.each {
		return false
	}
	if mine == nil {
		mine = make(map[ID]struct{})
		d.by[w] = mine
	}
	mine[id] = struct{}{}
	d.ids[id] = append(d.ids[id], w)
	d.count++
	return true
}

// drop ends a watch, and reports whether there was one.
func (d *watched) drop(w watcher, id ID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.by[w][id]; !ok {
		return false
	}
	rest := d.ids[id][:0]
	for _, other := range d.ids[id] {
		if other != w {
			rest = append(rest, other)
		}
	}
	if d.ids[id] = rest; len(rest) == 0 {
		delete(d.ids, id)
	}
	d.forgetLocked(w, id)
	return true
}

func (d *watched) forgetLocked(w watcher, id ID) {
	d.count--
	if delete(d.by[w], id); len(d.by[w]) == 0 {
		delete(d.by, w)
	}
}

// forget ends every watch of w.
func (d *watched) forget(w watcher) {
	d.mu.Lock()
	ids := make([]ID, 0, len(d.by[w]))
	for id := range d.by[w] {
		ids = append(ids, id)
	}
	d.mu.Unlock()
	for _, id := range ids {
		d.drop(w, id)
	}
}

// ended tells who watches a connection that it has ended.
func (d *watched) ended(id ID, why transport.Reason) {
	if !d.any.Load() {
		return
	}
	d.mu.Lock()
	all := d.ids[id]
	delete(d.ids, id)
	for _, w := range all {
		d.forgetLocked(w, id)
	}
	d.mu.Unlock()
	for _, w := range all {
		w.Tell(id, mesh.Closed{Fact: mesh.FactClosed, At: time.Now().UnixMilli(), Reason: uint8(why)})
	}
}

func (d *watched) counts() (watches int, refused uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.count, d.refused.Load()
}

// peerWatches are the watches of other nodes, as the mesh tells of them.
type peerWatches struct{ *watched }

var _ mesh.Watched = peerWatches{}

// Watch implements mesh.Watched.
func (p peerWatches) Watch(w *mesh.Watcher, ids []ID, on bool) { p.watched.Watch(w, ids, on) }

// Forget implements mesh.Watched.
func (p peerWatches) Forget(w *mesh.Watcher) { p.forget(w) }

// lookAt returns nil for a connection of this node that is open, else why it is
// not.
func (o *owner) lookAt(id ID) error {
	c, err := o.hold()
	if err == nil {
		_, err = c.clients.Describe(id)
		err = c.ending(id, err)
	}
	return err
}

// closedFact says what is to be told of a connection of this node; ok is false
// while it is open.
func closedFact(err error) (c mesh.Closed, ok bool) {
	switch {
	case err == nil:
		return c, false
	case errors.Is(err, ErrNeverIssued):
		return mesh.Closed{Fact: mesh.FactNeverIssued}, true
	}
	end := endOf(err)
	return mesh.Closed{Fact: mesh.FactClosed, At: end.At, Reason: end.Reason}, true
}
