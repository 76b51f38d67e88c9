package consensus

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"flamingo/idspace"
)

// Network carries raft's streams between servers, wherever they are.
type Network interface {
	// Dial opens a stream to a server, until ctx is done.
	Dial(ctx context.Context, to idspace.ServerID) (net.Conn, error)

	// Accept returns the next inbound stream, which is then the caller's. It
	// returns an error once ctx is done, or when there will be no more. Calls do
	// not overlap, and none follows an error.
	Accept(ctx context.Context) (net.Conn, error)
}

// maxHandshakes bounds the inbound handshakes at once: a few per voter. A
// stream over it is closed and counted as RefusedBusy.
const maxHandshakes = 32

// streams is the raft.StreamLayer: it opens streams by ServerID, and gives
// raft only those whose handshake was accepted.
type streams struct {
	s      *Server
	ctx    context.Context // ends with cancel: no dialling, no accepting
	cancel context.CancelFunc

	inbound chan net.Conn // sent by handshakes, taken by raft; never closed
	closed  chan struct{} // closed by Close
	once    sync.Once

	raftHolds sync.WaitGroup // the streams raft has not closed

	mu   sync.Mutex
	cut  bool // no stream may be added
	open map[*stream]struct{}
}

func newStreams(s *Server) *streams {
	l := &streams{
		s:       s,
		inbound: make(chan net.Conn),
		closed:  make(chan struct{}),
		open:    make(map[*stream]struct{}),
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// run accepts streams and shakes hands until cutOff, and returns when the last
// handshake has ended.
func (l *streams) run() {
	var handshakes sync.WaitGroup
	defer handshakes.Wait()
	slots := make(chan struct{}, maxHandshakes)
	for {
		c, err := l.s.cfg.Network.Accept(l.ctx)
		if err != nil {
			if l.ctx.Err() == nil {
				l.s.stop.set(fmt.Errorf("accept: %w", err))
			}
			return
		}
		select {
		case slots <- struct{}{}:
			handshakes.Go(func() {
				defer func() { <-slots }()
				l.shake(c)
			})
		default:
			l.s.refused[RefusedBusy].Add(1)
			c.Close()
		}
	}
}

// shake owns c until raft takes it.
func (l *streams) shake(c net.Conn) {
	stop := context.AfterFunc(l.ctx, func() { c.Close() })
	defer stop()
	if err := l.s.receive(c); err != nil {
		c.Close()
		return
	}
	st, ok := l.add(c)
	if !ok {
		return
	}
	select {
	case l.inbound <- st:
	case <-l.ctx.Done():
		st.Close()
	}
}

// Dial implements [raft.StreamLayer].
func (l *streams) Dial(addr raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	to, err := idspace.ParseServerID(string(addr))
	if err != nil {
		return nil, err
	}
	ctx, cancel := l.ctx, context.CancelFunc(func() {})
	if timeout > 0 {
		ctx, cancel = context.WithTimeout(l.ctx, timeout)
	}
	defer cancel()
	c, err := l.s.cfg.Network.Dial(ctx, to)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	err = l.s.introduce(c, to)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	st, ok := l.add(c)
	if !ok {
		return nil, net.ErrClosed
	}
	return st, nil
}

// Accept implements [net.Listener].
func (l *streams) Accept() (net.Conn, error) {
	select {
	case c := <-l.inbound:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Addr implements [net.Listener] with our id.
func (l *streams) Addr() net.Addr { return address(l.s.self.Server) }

// Close implements [net.Listener]. raft calls it when it has ended.
func (l *streams) Close() error {
	l.once.Do(func() { close(l.closed) })
	l.cutOff()
	return nil
}

// cutOff ends every stream, and raft opens no more: nothing is said on behalf
// of this server any longer.
func (l *streams) cutOff() {
	l.cancel()
	l.mu.Lock()
	l.cut = true
	open := make([]*stream, 0, len(l.open))
	for st := range l.open {
		open = append(open, st)
	}
	l.mu.Unlock()
	for _, st := range open {
		st.Conn.Close()
	}
}

// add closes c when it comes too late.
func (l *streams) add(c net.Conn) (*stream, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		c.Close()
		return nil, false
	}
	st := &stream{Conn: c, layer: l}
	l.open[st] = struct{}{}
	l.raftHolds.Add(1)
	return st, true
}

// stream is one that raft holds until it calls Close.
type stream struct {
	net.Conn
	layer *streams
	once  sync.Once
}

func (st *stream) Close() error {
	err := st.Conn.Close()
	st.once.Do(func() {
		st.layer.mu.Lock()
		delete(st.layer.open, st)
		st.layer.mu.Unlock()
		st.layer.raftHolds.Done()
	})
	return err
}

// address is a ServerID where the net package wants an address.
type address idspace.ServerID

func (address) Network() string  { return "flamingo" }
func (a address) String() string { return idspace.ServerID(a).String() }
