package mesh

import (
	"sync"
	"sync/atomic"

	"flamingo/idspace"
)

// reports is the queue before Config.Undelivered: what ended in the same way
// for the same id is told in one call. At its bound the newest are dropped and
// counted.
type reports struct {
	limit   int
	counts  [len(outcomes)]atomic.Uint64 // sends and closes, by outcome
	dropped atomic.Uint64                // of those, never told

	mu      sync.Mutex
	more    sync.Cond
	queue   []Undelivered
	places  map[reportKey]int // in queue
	stopped bool
}

type reportKey struct {
	id      idspace.ID
	outcome Outcome
	group   string
	peer    idspace.BootID
}

func newReports(limit int) *reports {
	r := &reports{limit: limit, places: make(map[reportKey]int)}
	r.more.L = &r.mu
	return r
}

// add never blocks.
func (r *reports) add(lost []Undelivered) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, u := range lost {
		r.counts[u.Outcome].Add(uint64(u.Messages + u.Closes))
		key := reportKey{u.ID, u.Outcome, u.Group, u.Peer}
		if i, ok := r.places[key]; ok {
			r.queue[i].Messages += u.Messages
			r.queue[i].Closes += u.Closes
			continue
		}
		if len(r.queue) >= r.limit {
			r.dropped.Add(uint64(u.Messages + u.Closes))
			continue
		}
		r.places[key] = len(r.queue)
		r.queue = append(r.queue, u)
	}
	r.more.Signal()
}

// run tells what is queued until stop was called and nothing is left.
func (r *reports) run(tell func(Undelivered)) {
	for {
		batch := r.take()
		if batch == nil {
			return
		}
		for _, u := range batch {
			tell(u)
		}
	}
}

func (r *reports) take() []Undelivered {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.queue) == 0 && !r.stopped {
		r.more.Wait()
	}
	batch := r.queue
	r.queue = nil
	clear(r.places)
	return batch
}

func (r *reports) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped = true
	r.more.Signal()
}
