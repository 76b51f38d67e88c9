package node

import (
	"context"
	"net"
	"sync"

	"flamingo/transport"
)

// MaxWorkers is the most goroutines that Serve calls a Handler from.
const MaxWorkers = 1 << 16

// A Handler is what Serve calls. For one connection the calls never overlap
// and come in order: HandleOpen, HandleData for each message, HandleClose.
// Calls for different connections run at the same time.
type Handler interface {
	// HandleOpen is called when a client has connected.
	HandleOpen(id ID, conn net.Conn)

	// HandleData is called with a message, which is the handler's.
	HandleData(id ID, msg []byte)

	// HandleClose is called when a connection has ended otherwise than by
	// SendClose on this node.
	HandleClose(id ID, why Reason)
}

// HandlerFuncs is a Handler made of functions; a nil one does nothing.
type HandlerFuncs struct {
	Open  func(id ID, conn net.Conn)
	Data  func(id ID, msg []byte)
	Close func(id ID, why Reason)
}

// HandleOpen calls f.Open.
func (f HandlerFuncs) HandleOpen(id ID, conn net.Conn) {
	if f.Open != nil {
		f.Open(id, conn)
	}
}

// HandleData calls f.Data.
func (f HandlerFuncs) HandleData(id ID, msg []byte) {
	if f.Data != nil {
		f.Data(id, msg)
	}
}

// HandleClose calls f.Close.
func (f HandlerFuncs) HandleClose(id ID, why Reason) {
	if f.Close != nil {
		f.Close(id, why)
	}
}

// Serve hands every event of this node's connections to h, from the given
// number of goroutines: 1 to MaxWorkers. A connection stays with one of them,
// so a call that takes long delays the others of that goroutine. Serve returns
// nil once the node is closed and everything was handled. An event counts as
// not taken until its call has returned: so calls that take long pause reading
// at Opts.QueueBytes and accepting at Opts.MaxConns.
//
// When ctx is done Serve returns the context's cause after the calls under
// way. What it had taken and not handled is dropped: messages, opens and closes.
// So a later Serve may hand on messages or the close of a connection whose open
// it never had.
//
// A call of h that calls Close, or waits for Serve to return, waits for itself.
//
// Serve takes from the queues of the Recv methods and iterators: use one or
// the others, and one Serve at a time.
func (n *Node) Serve(ctx context.Context, h Handler, workers int) error {
	if workers < 1 || workers > MaxWorkers {
		return badOption("workers", workers, "1 to 65536")
	}
	s := &server{clients: n.clients, handler: h}
	for range workers {
		s.lanes = append(s.lanes, newLane())
	}
	var handling, dispatching sync.WaitGroup
	for _, l := range s.lanes {
		handling.Go(func() { s.work(ctx, l) })
	}
	dispatching.Go(func() { s.dispatchOpens(ctx) })
	dispatching.Go(func() { s.dispatchMessages(ctx) })
	dispatching.Go(func() { s.dispatchCloses(ctx) })
	dispatching.Wait()
	for _, l := range s.lanes {
		l.close()
	}
	handling.Wait()
	return context.Cause(ctx)
}

// A server spreads the events of the transport's three queues over lanes, one
// for each worker, so that for one connection the order is kept across kinds.
//
// That order: an open is queued before the first message, and a close after
// the last message is done with. So whoever takes messages or closes then
// takes every open too, and hands the opens on first. The lanes need no bound
// of their own: until it is handled or dropped, a message counts against
// Opts.QueueBytes, and an open or a close holds one of Opts.MaxConns places.
type server struct {
	clients *transport.Transport
	handler Handler
	lanes   []*lane

	mu sync.Mutex // held from taking events until they are on their lanes
}

func (s *server) lane(id ID) *lane { return s.lanes[uint64(id)%uint64(len(s.lanes))] }

func (s *server) dispatchOpens(ctx context.Context) {
	for s.clients.AwaitOpen(ctx) {
		s.mu.Lock()
		s.opensLocked()
		s.mu.Unlock()
	}
}

func (s *server) opensLocked() {
	for {
		o, ok := s.clients.TryHoldOpen()
		if !ok {
			return
		}
		s.lane(o.Conn.ID()).put(event{open: o})
	}
}

// dispatchBatch is how many messages are taken at a time.
const dispatchBatch = 256

func (s *server) dispatchMessages(ctx context.Context) {
	batch := make([]transport.Message, dispatchBatch)
	for s.clients.AwaitData(ctx) {
		s.mu.Lock()
		taken := batch[:s.clients.TryRecvMany(batch)]
		s.opensLocked()
		for i := range taken {
			s.lane(taken[i].ID).put(event{message: taken[i]})
		}
		s.mu.Unlock()
		clear(taken)
	}
}

func (s *server) dispatchCloses(ctx context.Context) {
	for s.clients.AwaitClose(ctx) {
		s.mu.Lock()
		if c, ok := s.clients.TryHoldClose(); ok {
			s.opensLocked()
			s.lane(c.ID).put(event{end: c})
		}
		s.mu.Unlock()
	}
}

// work calls the handler with the events of one lane.
func (s *server) work(ctx context.Context, l *lane) {
	for {
		events, ok := l.take()
		if !ok {
			return
		}
		for i := range events {
			if ctx.Err() == nil {
				s.handle(&events[i])
			}
			s.done(&events[i])
		}
		clear(events)
	}
}

func (s *server) handle(e *event) {
	switch {
	case e.isOpen():
		s.handler.HandleOpen(e.open.Conn.ID(), e.open.Conn)
	case e.isClose():
		s.handler.HandleClose(e.end.ID, e.end.Why)
	default:
		s.handler.HandleData(e.message.ID, e.message.Data)
	}
}

// done gives back what e holds, handled or dropped.
func (s *server) done(e *event) {
	switch {
	case e.isOpen():
		s.clients.DoneOpen(e.open)
	case e.isClose():
		s.clients.DoneClose(e.end)
	default:
		s.clients.Done(&e.message)
	}
}

// An event is an open, a close or a message.
type event struct {
	open    transport.Opened
	end     transport.Closed
	message transport.Message
}

func (e *event) isOpen() bool  { return e.open.Conn != nil }
func (e *event) isClose() bool { return e.end.ID != 0 }

// A lane is the queue of one worker.
type lane struct {
	mu      sync.Mutex
	events  []event // guarded by mu
	spare   []event // guarded by mu: the memory of what was taken before
	closed  bool    // guarded by mu
	arrived sync.Cond
}

func newLane() *lane {
	l := &lane{}
	l.arrived.L = &l.mu
	return l
}

func (l *lane) put(e event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
	if len(l.events) == 1 {
		l.arrived.Signal()
	}
}

// take waits for events and returns them all; they are the caller's until the
// next take. ok is false when the lane is closed and empty.
func (l *lane) take() (events []event, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.events) == 0 {
		if l.closed {
			return nil, false
		}
		l.arrived.Wait()
	}
	events = l.events
	l.events, l.spare = l.spare[:0], events
	return events, true
}

func (l *lane) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.arrived.Signal()
}
