package transport

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A Transport holds the client connections of one node: New, Listen, Run, in
// this order. Its methods are safe for concurrent use.
type Transport struct {
	cfg    Config
	table  *table
	inbox  *inbox
	opens  *chain
	closes *chain
	bell   *bell // rung by the three
	losses *losses
	ended  *closings

	// Set by Listen, immutable from then on.
	drivers []driver
	bound   []*boundListener

	sockets bool        // immutable: connections are sockets of the operating system
	start   time.Time   // tick 1 of the wheels
	deaf    atomic.Bool // accepts no more; closing implies it
	closing atomic.Bool

	reportsEnds atomic.Bool // ends by SendClose of ReasonSent too

	emptied chan struct{} // closed by empty, once no slot is in use while closing
	empty   func()

	handshakes *handshakes
	shedder    shedder
	timing     timing
	totals     totals
}

// A driver moves the bytes of its connections and alone touches their sockets.
type driver interface {
	// attend makes the driver look at connection i: it has output, or its
	// circumstances changed. Called once until the driver clears holdDirty.
	attend(i uint32)

	// wake makes the driver look at what concerns all its connections: room in
	// the inbox, a free slot, the end of the transport.
	wake()

	// addrs, setOption and control act on a socket. The caller holds the mu of its
	// slot, which keeps the driver from closing it. control calls f with the
	// system's number of the socket; ErrNoAck says that it has none.
	addrs(fd int32) (local, remote net.Addr)
	setOption(fd int32, o socketOption, value int) error
	control(fd int32, f func(fd int)) error

	// counts adds what the driver has moved to st.
	counts(st *Stats)

	// run moves bytes until ctx is done, then drops every connection and
	// closes every socket, the listening ones too.
	run(ctx context.Context)
}

// New returns a Transport. It opens nothing and starts nothing.
func New(cfg Config) (*Transport, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("transport: config: %w", err)
	}
	sockets := cfg.Listen == nil
	cfg = cfg.withDefaults()
	t := &Transport{
		sockets: sockets,
		cfg:     cfg,
		table:   newTable(cfg.MaxConns),
		losses:  newLosses(),
		ended:   newClosings(cfg.ClosedMemory),
		bell:    newBell(),
		start:   time.Now(),
		emptied: make(chan struct{}),
	}
	t.shedder.limit = cfg.TotalOutputBytes >> outputUnit
	t.empty = sync.OnceFunc(func() { close(t.emptied) })
	t.handshakes = newHandshakes(t)
	t.inbox = newInbox(cfg.QueueBytes, t.bell, t.wakeAll)
	t.opens = newChain(t.bell, func(i uint32) *uint32 { return &t.table.at(i).openNext })
	t.closes = newChain(t.bell, func(i uint32) *uint32 { return &t.table.at(i).closeNext })
	return t, nil
}

// Run serves the listeners until ctx is done, then drops every connection.
// When it returns, every socket is closed and every goroutine of the transport
// has ended. Listen comes first; Run is called once.
func (t *Transport) Run(ctx context.Context) error {
	var running sync.WaitGroup
	for _, d := range t.drivers {
		running.Go(func() { d.run(ctx) })
	}
	running.Wait()
	t.handshakes.running.Wait()
	t.closing.Store(true)
	t.closeQueues()
	t.timing.close()
	t.losses.close() // last: connections that were dropped have lost something
	return nil
}

// Shutdown stops accepting and reading, ends every connection once what it was
// sent is written, and waits until everything queued was taken, or until ctx
// is done. From then on the queues answer that they are closed; after an error
// that of closes, which Run goes on filling, does so once Run has returned, and
// that of undelivered messages always.
func (t *Transport) Shutdown(ctx context.Context) error {
	t.closing.Store(true)
	t.wakeAll()
	if t.table.live.Load() == 0 {
		t.empty()
	}
	var err error
	select {
	case <-t.emptied:
	case <-ctx.Done():
		if left := t.table.live.Load(); left > 0 {
			err = fmt.Errorf("transport: shutdown: %d connections or events left: %w", left, context.Cause(ctx))
		}
	}
	t.inbox.close()
	t.opens.close()
	if err == nil {
		t.closes.close()
	}
	return err
}

// StopAccepting closes the listeners for good: soon, not before it returns. Those
// whom the system has let in by then are taken, as far as there is room, where
// there are event loops. Everything else goes on.
func (t *Transport) StopAccepting() {
	t.deaf.Store(true)
	t.wakeAll()
}

// Closing reports whether the transport accepts no more connections for good:
// Shutdown was called, or Run is about to return.
func (t *Transport) Closing() bool { return t.closing.Load() }

func (t *Transport) closeQueues() {
	t.inbox.close()
	t.opens.close()
	t.closes.close()
}

func (t *Transport) wakeAll() {
	for _, d := range t.drivers {
		d.wake()
	}
}

// tick is the current tick of the wheels; never 0.
func (t *Transport) tick() uint32 { return uint32(time.Since(t.start)/wheelTick) + 1 }

// ticks is d in ticks, rounded up.
func ticks(d time.Duration) uint32 { return uint32((d + wheelTick - 1) / wheelTick) }
