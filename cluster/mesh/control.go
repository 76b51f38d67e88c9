package mesh

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"

	"flamingo/idspace"
)

// control is the control stream from here to a peer: requests and their
// replies, pings, numbers.
type control struct {
	link    *link // immutable, as the next
	contact *contact

	mu         sync.Mutex
	calls      map[uint64]*call // under way
	lastCall   uint64
	box        *outbox  // of the session, while there is one
	restricted bool     // an end had no cluster at the handshake
	renewing   bool     // a request waits for a session that is not, once those under way have ended
	features   features // of both ends at the handshake
	pinned     bool     // there are watches on the peer
	toldLost   bool     // Watching was told, and not yet of the next stream
	running    bool     // its goroutine runs, or is about to
	wanted     bool     // to be connected at least once more
	probing    bool     // to be so from the next tick on
	stopped    error
	idleTicks  int
	stamp      uint64    // of the last ping; counts
	pinging    bool      // that ping is under way
	pinged     time.Time // when it was sent
	clock      clockEstimate
}

// A call is a request under way.
type call struct {
	number uint64
	kind   RequestKind
	body   []byte
	sent   bool
	done   chan answer // room for one
}

type answer struct {
	body []byte
	err  error
}

func newControl(l *link) *control {
	c := &control{link: l, calls: make(map[uint64]*call)}
	c.contact = newContact(l, c.greeting, c.greeted)
	return c
}

// request asks the peer and waits for its reply. body is not kept.
func (c *control) request(ctx context.Context, kind RequestKind, body []byte) ([]byte, error) {
	if len(body) > maxRequest {
		return nil, ErrTooLarge
	}
	q, err := c.begin(kind, body)
	if err != nil {
		return nil, err
	}
	select {
	case a := <-q.done:
		return a.body, a.err
	case <-ctx.Done():
		return c.abandon(q)
	}
}

// begin sends a request, or leaves it to the next session.
func (c *control) begin(kind RequestKind, body []byte) (*call, error) {
	c.mu.Lock()
	if err := c.refusalLocked(); err != nil {
		c.mu.Unlock()
		return nil, err
	}
	c.renewing = c.renewing || c.box != nil && c.restricted && !kind.blank()
	c.lastCall++
	q := &call{number: c.lastCall, kind: kind, body: slices.Clone(body), done: make(chan answer, 1)}
	c.calls[q.number] = q
	q.sent = c.box != nil && !c.renewing && c.box.put(q.encode)
	c.renewLocked()
	start := c.startLocked()
	c.mu.Unlock()
	c.spawnIf(start)
	return q, nil
}

// renewLocked ends a session that is to be renewed, unless a request is under way
// on it: that shall not end as uncertain for the sake of another.
func (c *control) renewLocked() {
	if !c.renewing || c.box == nil {
		return
	}
	for _, q := range c.calls {
		if q.sent {
			return
		}
	}
	c.box.end(ReasonIdle)
	c.box = nil
}

func (q *call) encode(e *encoder) { e.call(kindRequest, q.number, uint64(q.kind), q.body) }

func (c *control) refusalLocked() error {
	switch {
	case c.stopped != nil:
		return c.stopped
	case c.contact.unreachable():
		c.probing = true
		return ErrUnreachable
	case len(c.calls) >= c.link.mesh.cfg.MaxRequests:
		return ErrBackpressure
	default:
		return nil
	}
}

func (c *control) abandon(q *call) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case a := <-q.done:
		return a.body, a.err
	default:
	}
	delete(c.calls, q.number)
	c.renewLocked()
	if q.sent {
		return nil, ErrUncertain
	}
	return nil, ErrExpired
}

// ensure has the stream connected.
func (c *control) ensure() {
	c.mu.Lock()
	c.wanted = true
	start := c.stopped == nil && c.startLocked()
	c.mu.Unlock()
	c.spawnIf(start)
}

// probe has the stream connected if a request was refused since the last tick.
func (c *control) probe() {
	c.mu.Lock()
	probing := c.probing
	c.probing = false
	c.mu.Unlock()
	if probing {
		c.ensure()
	}
}

func (c *control) startLocked() (start bool) {
	start = !c.running
	c.running = true
	return start
}

func (c *control) spawnIf(start bool) {
	if !start || c.link.spawn(func() { c.run(c.link.ctx) }) {
		return
	}
	c.shut(ErrClosed)
	c.fail(OutcomeClosed)
}

func (c *control) run(ctx context.Context) {
	c.contact.wait = 0
	for c.more(ctx) {
		conn, err := c.contact.connect(ctx)
		if err != nil {
			c.fail(c.link.failure(ctx))
			continue
		}
		if c.serve(ctx, conn) {
			c.contact.wait = 0
		}
		c.contact.ended()
		c.interrupted()
	}
}

// more reports whether the goroutine is needed on; if not, it is at rest.
func (c *control) more(ctx context.Context) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	lanes := c.link.lanesUp.Load() > 0 && ctx.Err() == nil
	c.running = (c.wanted || c.pinned) && ctx.Err() == nil || len(c.calls) > 0 || lanes
	return c.running
}

func (c *control) greeting(h *hello) {
	h.kind, h.nextSeq, h.nextOutcome = streamControl, 1, 1
}

func (c *control) greeted(h *hello, w *welcome) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if w.refusal == RefusalNone {
		c.restricted = h.cluster.IsZero() || w.cluster.IsZero()
		c.features = h.features & w.features
	}
	return nil
}

// serve moves frames until the session ends. It reports whether the peer has
// said anything.
func (c *control) serve(ctx context.Context, conn net.Conn) (progress bool) {
	s := newStream(conn, &c.link.traffic, &c.link.heard)
	defer context.AfterFunc(ctx, func() { s.end(c.link.ending()) })()
	box := newOutbox(s)
	var writer sync.WaitGroup
	writer.Go(func() { box.write(s) })
	c.attach(box)
	c.reached()
	c.link.mesh.announceTo(box, maxNumbers)
	progress, err := c.read(s)
	s.endFor(err)
	c.mu.Lock()
	c.box = nil
	c.mu.Unlock()
	box.stop()
	writer.Wait()
	c.link.mesh.ended(s, c.link.peer)
	return progress
}

// attach makes box the way out, pings, and sends what waits for a session.
func (c *control) attach(box *outbox) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.box, c.wanted, c.renewing, c.idleTicks = box, false, false, 0
	c.clock.anew()
	c.pingLocked()
	numbers := make([]uint64, 0, len(c.calls))
	for n, q := range c.calls {
		if c.restricted && !q.kind.blank() {
			c.finishLocked(q, nil, ErrBlank)
			continue
		}
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	for _, n := range numbers {
		c.calls[n].sent = box.put(c.calls[n].encode)
	}
}

func (c *control) finishLocked(q *call, body []byte, err error) {
	delete(c.calls, q.number)
	q.done <- answer{body, err}
}

func (c *control) read(s *stream) (progress bool, err error) {
	r, d, f := frameReader{stream: s}, newDecoder(), frame{}
	defer r.count()
	for {
		body, err := r.next()
		if err == nil {
			err = d.frame(body, &f)
		}
		if err != nil {
			return progress, err
		}
		progress = true
		switch f.kind { //nolint:exhaustive // every other kind has no place on this end of a control stream
		case kindPong:
			err = c.pong(f.u[0], f.u[1])
		case kindReply:
			c.replied(&f)
		case kindNumbers:
			err = c.link.mesh.hearNumbers(c.link.peer, &f)
		case kindClosed:
			err = c.closed(&f)
		default:
			err = reasonError{ReasonUnexpected}
		}
		if err != nil {
			return progress, err
		}
	}
}

// replied ends a call. The reply to one that was given up finds none.
func (c *control) replied(f *frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	q := c.calls[f.u[0]]
	if q == nil {
		return
	}
	defer c.renewLocked()
	if err := replyCode(min(f.u[1], 255)).err(); err != nil {
		c.finishLocked(q, nil, err)
		return
	}
	c.finishLocked(q, slices.Clone(f.payload), nil)
}

// interrupted ends the calls that a session took along.
func (c *control) interrupted() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, q := range c.calls {
		if q.sent {
			c.finishLocked(q, nil, ErrUncertain)
		}
	}
}

// fail ends all calls: none of them is on its way.
func (c *control) fail(o Outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wanted = false
	for _, q := range c.calls {
		c.finishLocked(q, nil, o.Err())
	}
}

func (c *control) shut(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped == nil {
		c.stopped = err
	}
}

func (c *control) kill(r Reason) {
	c.mu.Lock()
	box := c.box
	c.mu.Unlock()
	if box != nil {
		box.end(r)
	}
}

// tick pings, and ends a stream that nobody has needed for long.
func (c *control) tick(limit int) {
	c.mu.Lock()
	box := c.box
	if box == nil {
		c.mu.Unlock()
		return
	}
	if len(c.calls) > 0 || c.pinned || c.link.lanesUp.Load() > 0 {
		c.idleTicks = 0
	} else {
		c.idleTicks++
	}
	idle := c.idleTicks >= limit || c.restricted && c.idleTicks > 0
	if idle {
		c.box = nil // a request from here on waits for the next session
	}
	if !idle && !c.pinging {
		c.pingLocked()
	}
	c.mu.Unlock()
	if idle {
		box.end(ReasonIdle)
	}
}

// describe asks for a connection of the peer.
func (c *control) describe(ctx context.Context, id idspace.ID) ([]byte, error) {
	e := newEncoder()
	e.uint(uint64(id))
	reply, err := c.request(ctx, RequestDescribe, e.buf)
	if err != nil {
		return nil, err
	}
	if len(reply) == 0 {
		return nil, ErrRequestFailed
	}
	if o := Outcome(reply[0]); o != OutcomeAccepted {
		return nil, describedAs(o, reply[1:]).Err()
	}
	return reply[1:], nil
}
