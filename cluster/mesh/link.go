package mesh

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"flamingo/idspace"
)

// A link is what leads from here to one peer: lanes and a control stream, each
// with a goroutine of its own while it is needed.
type link struct {
	mesh    *Mesh
	peer    idspace.BootID
	ctx     context.Context // done when the mesh stops or the peer is gone
	cancel  context.CancelFunc
	lanes   []*lane
	control *control

	gone    atomic.Bool
	retired atomic.Bool  // evicted: another link takes its place when one is wanted
	lanesUp atomic.Int32 // lanes whose goroutine runs
	heard   atomic.Bool  // bytes were received since the last tick
	rtt     atomic.Int64 // smoothed, in nanoseconds; 0 before the first pong
	traffic traffic

	missed int // ticks without bytes; of the goroutine that ticks

	mu   sync.Mutex
	over bool           // guarded by mu: shut for good; what runs from now on opens nothing
	busy sync.WaitGroup // what runs in spawn; Add under mu, while not over
}

func newLink(m *Mesh, peer idspace.BootID) *link {
	l := &link{mesh: m, peer: peer}
	l.ctx, l.cancel = context.WithCancel(m.ctx)
	for i := range m.cfg.Lanes {
		l.lanes = append(l.lanes, newLane(l, i))
	}
	l.control = newControl(l)
	return l
}

// spawn runs f, the goroutine of a stream, as Mesh.spawn does.
func (l *link) spawn(f func()) bool {
	l.mu.Lock()
	counted := !l.over
	if counted {
		l.busy.Add(1)
	}
	l.mu.Unlock()
	done := func() {
		if counted {
			l.busy.Done()
		}
	}
	ok := l.mesh.spawn(func() {
		defer done()
		f()
	})
	if !ok {
		done()
	}
	return ok
}

// drop ends everything of the link because the peer is gone, and returns when no
// stream of it is left.
func (l *link) drop() {
	l.gone.Store(true)
	l.shut(ErrGone)
	l.mu.Lock()
	l.over = true
	l.mu.Unlock()
	l.busy.Wait()
}

// laneOf returns the lane of an id, always the same one.
func (l *link) laneOf(id idspace.ID) *lane {
	if len(l.lanes) == 1 { // no division on the way of every send
		return l.lanes[0]
	}
	return l.lanes[laneIndex(id, len(l.lanes))]
}

// laneIndex spreads ids by their serials, which count up.
func laneIndex(id idspace.ID, lanes int) int { return int(uint64(id) % uint64(lanes)) }

// ending is the reason of a stream that ends because ctx is done.
func (l *link) ending() Reason {
	if l.gone.Load() {
		return ReasonGone
	}
	return ReasonClosed
}

// failure is the outcome of what is queued when connect has given up.
func (l *link) failure(ctx context.Context) Outcome {
	switch {
	case l.gone.Load():
		return OutcomeGone
	case ctx.Err() != nil:
		return OutcomeClosed
	default:
		return OutcomeUnreachable
	}
}

// shut ends everything of the link; sends are refused with err from now on.
func (l *link) shut(err error) {
	for _, n := range l.lanes {
		n.shut(err)
	}
	l.control.shut(err)
	l.cancel()
}

// fail ends everything that is queued with o.
func (l *link) fail(o Outcome) {
	for _, n := range l.lanes {
		n.fail(o)
	}
	l.control.fail(o)
}

// unreachable reports whether sends or requests are refused for now.
func (l *link) unreachable() bool {
	return l.control.contact.unreachable() || slices.ContainsFunc(l.lanes, (*lane).unreachable)
}

// opened notes that the stream of k has come about. After attempts that failed
// the peer is back, and the other streams need not wait with theirs. Otherwise
// they do: a peer with which streams open and break at once gets no more of
// them for that.
func (l *link) opened(k *contact, back bool) {
	control := l.control.contact
	for _, n := range l.lanes {
		if k == control { // what was given up may be wanted again
			n.contact.state.CompareAndSwap(contactLost, contactNone)
		}
		if back {
			n.contact.hurry()
		}
	}
	if back {
		control.hurry()
	}
}

// tick is called every PingEvery.
func (l *link) tick() {
	for _, n := range l.lanes {
		n.probe()
		n.expire()
	}
	l.control.probe()
	if l.heard.Swap(false) {
		l.missed = 0
	} else if l.missed++; l.missed >= l.mesh.deadTicks {
		l.missed = 0
		for _, n := range l.lanes {
			n.kill(ReasonDead)
		}
		l.control.kill(ReasonDead)
		return
	}
	for _, n := range l.lanes {
		n.tick(l.mesh.idleTicks)
	}
	l.control.tick(l.mesh.idleTicks)
}

// retire ends a link that has no goroutine; it reports false if it has one. All
// locks are held at once, so that no send comes between.
func (l *link) retire() bool {
	for _, n := range l.lanes {
		n.mu.Lock()
		defer n.mu.Unlock()
	}
	l.control.mu.Lock()
	defer l.control.mu.Unlock()
	if l.control.running || slices.ContainsFunc(l.lanes, func(n *lane) bool { return n.running }) {
		return false
	}
	for _, n := range l.lanes {
		n.stopped = cmp.Or(n.stopped, ErrUnreachable)
	}
	l.control.stopped = cmp.Or(l.control.stopped, ErrUnreachable)
	l.retired.Store(true)
	l.cancel()
	return true
}

func idOf(v uint64) idspace.ID { return idspace.ID(v) }
