package node

import (
	"context"
	"net"
	"slices"
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

// A MessageHandler is a Handler that wants to know of which kind a message is.
type MessageHandler interface {
	Handler

	// HandleMessage is called in place of HandleData.
	HandleMessage(m Message)
}

// HandlerFuncs is a MessageHandler made of functions; a nil one does nothing.
type HandlerFuncs struct {
	Open    func(id ID, conn net.Conn)
	Data    func(id ID, msg []byte) // unless there is Message
	Message func(m Message)
	Close   func(id ID, why Reason)
}

// HandleMessage calls f.Message, or f.Data if that is nil.
func (f HandlerFuncs) HandleMessage(m Message) {
	if f.Message != nil {
		f.Message(m)
		return
	}
	f.HandleData(m.ID, m.Data)
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
// at Opts.QueueBytes and accepting at Opts.MaxConns. Messages of one connection
// may count until the last of several has been handled, in all at most a quarter
// of Opts.QueueBytes.
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
	messages, ok := h.(MessageHandler)
	if !ok {
		messages = dataHandler{h}
	}
	s := &server{clients: n.clients, handler: messages, late: n.clients.QueueBytes() / 4 / int64(workers)}
	if workers == 1 {
		s.alone(ctx)
	} else {
		s.spread(ctx, workers)
	}
	return context.Cause(ctx)
}

// dataHandler is a Handler that does not ask for kinds.
type dataHandler struct{ Handler }

func (h dataHandler) HandleMessage(m Message) { h.HandleData(m.ID, m.Data) }

// A server takes events from the transport's three queues and hands them to the
// handler.
type server struct {
	clients *transport.Transport
	handler MessageHandler

	// late bounds the bytes of messages that a worker has handled and not yet
	// said so. For all workers together it is a quarter of Opts.QueueBytes: so a
	// call that takes long cannot keep reading paused with what is handled.
	late int64
}

// alone has one goroutine take events and call the handler with them.
func (s *server) alone(ctx context.Context) {
	var handling sync.WaitGroup
	handling.Go(func() {
		taken := new(events)
		s.clients.ServeEvents(ctx, func() {
			taken.take(s.clients)
			s.handle(ctx, taken)
		})
	})
	handling.Wait()
}

// spread has one goroutine take events and put them on lanes, one for each
// worker, from where the workers call the handler with them. The lanes need no
// bound of their own: until it is handled or dropped, a message counts against
// Opts.QueueBytes, and an open or a close holds one of Opts.MaxConns places.
func (s *server) spread(ctx context.Context, workers int) {
	lanes := make(lanes, workers)
	var handling sync.WaitGroup
	for i := range lanes {
		l := newLane()
		lanes[i] = l
		handling.Go(func() {
			for taken := new(events); l.take(taken); {
				s.handle(ctx, taken)
			}
		})
	}
	taken := new(events)
	s.clients.ServeEvents(ctx, func() {
		taken.take(s.clients)
		lanes.put(taken)
	})
	for _, l := range lanes {
		l.close()
	}
	handling.Wait()
}

// handle calls the handler with events, unless ctx is done, and gives back what
// they hold, handled or dropped. It leaves none.
func (s *server) handle(ctx context.Context, taken *events) {
	for _, o := range taken.opens {
		if ctx.Err() == nil {
			s.handler.HandleOpen(o.Conn.ID(), o.Conn)
		}
		s.clients.DoneOpen(o)
	}
	for rest := taken.messages; len(rest) > 0; {
		rest = rest[s.handleRun(ctx, rest):]
	}
	for _, c := range taken.closes {
		if ctx.Err() == nil {
			s.handler.HandleClose(c.ID, c.Why)
		}
		s.clients.DoneClose(c)
	}
	taken.clear()
}

// handleRun handles the first message and those of its connection that follow
// it, and returns how many. Up to the bound of late they are done with together.
func (s *server) handleRun(ctx context.Context, messages []transport.Message) (n int) {
	id, done, late := messages[0].ID, 0, int64(0)
	for n < len(messages) && messages[n].ID == id {
		if ctx.Err() == nil {
			s.handler.HandleMessage(Message{id, messages[n].Kind, messages[n].Data})
		}
		late += messages[n].Cost()
		n++
		if late > s.late {
			s.clients.Done(messages[done:n])
			done, late = n, 0
		}
	}
	s.clients.Done(messages[done:n])
	return n
}

// events are what was taken from the transport and not handled, by kind. Whoever
// handles all opens, then all messages, then all closes keeps the order of every
// connection: its open is queued before its first message, and its close once
// its last message is done with, so never beside one of its messages.
type events struct {
	opens    []transport.Opened
	messages []transport.Message
	closes   []transport.Closed
}

// takenAtOnce is how many messages are taken at a time at most.
const takenAtOnce = 256

// take fills e, which is empty. Opens are taken last: so those of the messages
// and closes are among them, or were taken before.
func (e *events) take(from *transport.Transport) {
	e.messages = slices.Grow(e.messages, takenAtOnce)[:takenAtOnce]
	e.messages = e.messages[:from.TryRecvMany(e.messages)]
	e.closes = from.HoldCloses(e.closes)
	e.opens = from.HoldOpens(e.opens)
}

// clear empties e and keeps its memory.
func (e *events) clear() {
	e.opens, e.messages, e.closes = emptied(e.opens), emptied(e.messages), emptied(e.closes)
}

func emptied[T any](list []T) []T {
	clear(list)
	return list[:0]
}

func (e *events) isEmpty() bool { return len(e.opens)+len(e.messages)+len(e.closes) == 0 }

// moveTo appends the events to those of another and empties e.
func (e *events) moveTo(to *events) {
	if to.isEmpty() {
		*to, *e = *e, *to
		return
	}
	to.opens = append(to.opens, e.opens...)
	to.messages = append(to.messages, e.messages...)
	to.closes = append(to.closes, e.closes...)
	e.clear()
}

// lanes are those of all workers. A connection stays with one.
type lanes []*lane

func (ls lanes) of(id ID) *lane { return ls[uint64(id)%uint64(len(ls))] }

// put spreads the events over the lanes and empties taken. Each lane gets its
// share at once.
func (ls lanes) put(taken *events) {
	for _, o := range taken.opens {
		l := ls.of(o.Conn.ID())
		l.share.opens = append(l.share.opens, o)
	}
	for _, m := range taken.messages {
		l := ls.of(m.ID)
		l.share.messages = append(l.share.messages, m)
	}
	for _, c := range taken.closes {
		l := ls.of(c.ID)
		l.share.closes = append(l.share.closes, c)
	}
	for _, o := range taken.opens {
		ls.of(o.Conn.ID()).putShare()
	}
	for _, m := range taken.messages {
		ls.of(m.ID).putShare()
	}
	for _, c := range taken.closes {
		ls.of(c.ID).putShare()
	}
	taken.clear()
}

// A lane is the queue of one worker.
type lane struct {
	share events // owned by who puts: what goes to the worker next

	mu      sync.Mutex
	waiting events // guarded by mu
	closed  bool   // guarded by mu
	arrived sync.Cond
}

func newLane() *lane {
	l := &lane{}
	l.arrived.L = &l.mu
	return l
}

// putShare gives the worker its share, if there is one.
func (l *lane) putShare() {
	if l.share.isEmpty() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting.isEmpty() {
		l.arrived.Signal()
	}
	l.share.moveTo(&l.waiting)
}

// take waits for events and moves them into taken, which is empty. It reports
// false when the lane is closed and empty.
func (l *lane) take(taken *events) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.waiting.isEmpty() {
		if l.closed {
			return false
		}
		l.arrived.Wait()
	}
	l.waiting.moveTo(taken)
	return true
}

func (l *lane) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.arrived.Signal()
}
