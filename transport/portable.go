package transport

import (
	"context"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// A portable is the driver that needs nothing but net.Conn: goroutines that
// block. It serves where there is no epoll, and where Config.Portable is set.
//
// Its goroutines: run's own; one acceptor per listener; one clock; for each
// connection a writer, which owns the connection and alone ends it, and a
// reader, which belongs to the writer. Each waits for its own client at most.
//
// None of its locks (the clock's, the gates') is taken while another lock is held
// but shedder.mu, and none is held during a call out of the driver.
type portable struct {
	t         *Transport
	acceptors []*portableAcceptor // immutable
	clock     *clock
	traffic   traffic

	conns portableConns

	// intakes holds the scratch memory of readers. A reader has one while it
	// puts messages into the inbox, so at most that many reads exceed the
	// inbox's bound. Sends never block; never closed.
	intakes chan *intake

	room   gate // opens when the inbox has room again
	change gate // opens on every wake

	stop    chan struct{}  // closed by run: accepting ends
	serving sync.WaitGroup // writers; only acceptors add to it
}

// drivePortably gives the open listeners to one portable driver. It takes them
// over.
func (t *Transport) drivePortably(open []net.Listener) {
	d := &portable{
		t:       t,
		conns:   newPortableConns(t.cfg.MaxConns),
		intakes: make(chan *intake, runtime.GOMAXPROCS(0)),
		stop:    make(chan struct{}),
	}
	d.clock = newClock(d)
	for range cap(d.intakes) {
		d.intakes <- &intake{t: t}
	}
	for i, ln := range open {
		b := t.bound[i]
		b.driver = len(t.drivers)
		d.acceptors = append(d.acceptors, &portableAcceptor{boundListener: b, d: d, ln: ln})
	}
	t.drivers = append(t.drivers, d)
}

func (d *portable) run(ctx context.Context) {
	var accepting, timing sync.WaitGroup
	stopClock := make(chan struct{})
	timing.Go(func() { d.clock.run(stopClock) })
	for _, a := range d.acceptors {
		accepting.Go(a.run)
	}
	d.await(ctx, &d.t.deaf)
	close(d.stop)
	for _, a := range d.acceptors {
		a.ln.Close() // removes the file of a Unix socket too
	}
	accepting.Wait() // from here on there are no new connections
	d.await(ctx, &d.t.closing)
	if ctx.Err() == nil {
		d.conns.each(d.t.table.slots(), func(c *portableConn) { c.condemn(ReasonShutdown) })
		<-ctx.Done()
	}
	d.t.closing.Store(true)
	d.conns.each(d.t.table.slots(), (*portableConn).drop)
	d.serving.Wait()
	close(stopClock)
	timing.Wait()
}

// await waits until flag is set, or the transport closes or ctx is done.
func (d *portable) await(ctx context.Context, flag *atomic.Bool) {
	for {
		change := d.change.passage()
		if flag.Load() || d.t.closing.Load() {
			return
		}
		select {
		case <-change:
		case <-ctx.Done():
			return
		}
	}
}

// attend makes the connection's writer look at its output. What has to happen
// even while the writer is blocked in a write happens here.
func (d *portable) attend(i uint32) {
	s := d.t.table.at(i)
	var now step
	s.mu.Lock()
	s.flags.And(^holdDirty)
	c := d.conns.at(i)
	if c != nil {
		now = c.reviewLocked()
	}
	freed := d.t.table.retireLocked(s, i)
	s.mu.Unlock()
	if freed {
		d.t.put(i)
	}
	if c != nil {
		c.obey(now)
	}
	d.t.shed()
}

func (d *portable) wake() {
	d.change.open()
	// Without room after all, starve asks for another wake on behalf of the
	// readers that go on waiting.
	if d.t.inbox.hasRoom() || !d.t.inbox.starve() {
		d.room.open()
	}
}

func (d *portable) counts(st *Stats) { d.traffic.counts(st) }

// longAgo is a deadline that interrupts what is blocked, and whatever follows.
var longAgo = time.Unix(1, 0)

// A gate lets goroutines wait for something that is told to all of them.
// Whoever waits takes the passage first, then looks whether there is need to
// wait, so that no opening is missed.
type gate struct {
	mu sync.Mutex
	ch chan struct{} // guarded by mu; nil while nobody waits; closed by open
}

// passage returns a channel that is closed by the next open.
func (g *gate) passage() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ch == nil {
		g.ch = make(chan struct{})
	}
	return g.ch
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ch != nil {
		close(g.ch)
		g.ch = nil
	}
}

// portableConns finds the connection of a slot without a lock, since it is
// asked under the slot's. The slot's number is what slot.fd holds here.
type portableConns struct {
	pages []atomic.Pointer[portablePage]
}

type portablePage [slabSize]atomic.Pointer[portableConn]

func newPortableConns(limit int) portableConns {
	return portableConns{pages: make([]atomic.Pointer[portablePage], (limit+slabSize-1)/slabSize)}
}

// at returns the connection whose socket slot i has, or nil.
func (p *portableConns) at(i uint32) *portableConn {
	page := p.pages[i/slabSize].Load()
	if page == nil {
		return nil
	}
	return page[i%slabSize].Load()
}

func (p *portableConns) put(c *portableConn) {
	page := &p.pages[c.i/slabSize]
	if page.Load() == nil {
		page.CompareAndSwap(nil, new(portablePage)) // another acceptor may have been faster
	}
	page.Load()[c.i%slabSize].Store(c)
}

// remove forgets c; the slot may have another connection already.
func (p *portableConns) remove(c *portableConn) {
	p.pages[c.i/slabSize].Load()[c.i%slabSize].CompareAndSwap(c, nil)
}

// each calls do for every connection in the slots below end.
func (p *portableConns) each(end uint32, do func(c *portableConn)) {
	for i := range end {
		if c := p.at(i); c != nil {
			do(c)
		}
	}
}
