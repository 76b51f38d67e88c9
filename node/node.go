package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"flamingo/idspace"
	"flamingo/transport"
)

// ID names one connection, on whatever node, forever.
type ID = idspace.ID

// NodeNumber names one life of one node, forever.
type NodeNumber = idspace.NodeNumber

// A Node is one running node. Its methods are safe for concurrent use.
type Node struct {
	opts    Opts
	granter granter
	ids     *idspace.Sequence
	clients *transport.Transport
	local   *localCarrier
	logger  *slog.Logger

	// stop ends every goroutine of the node; running waits for them.
	stop    context.CancelFunc
	running sync.WaitGroup

	closing chan struct{} // holds a token while a Close is under way; never closed
	closed  atomic.Bool   // written by the Close under way, when it is done

	told atomic.Bool // some Recv method has said that the node is closed
}

// Open starts a node: it returns when the node has a number and its listeners
// are open. It waits until the present sixteenth of a second is over, for the
// disk if there is a data directory, for the names of the listeners to be
// resolved, and up to a second for whoever may serve a Unix socket's path.
//
// Every fault of the options is reported at once; they match ErrBadOption. A
// data directory in use is ErrInUse, a clock that cannot be right ErrClock.
func Open(opts Opts) (*Node, error) { return open(opts, systemClock) }

func open(opts Opts, c clock) (*Node, error) {
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	n := &Node{opts: opts, logger: opts.Logger, closing: make(chan struct{}, 1)}
	clients, err := n.configure()
	if err != nil {
		return nil, fmt.Errorf("flamingo: %w", err)
	}
	g, err := newStandalone(c, opts.DataDir)
	if err != nil {
		return nil, fmt.Errorf("flamingo: %w", err)
	}
	n.granter = g
	if err := n.start(clients, c); err != nil {
		g.Close()
		return nil, fmt.Errorf("flamingo: %w", err)
	}
	return n, nil
}

// configure checks the options, all at once, before a number is taken for
// them.
func (n *Node) configure() (*transport.Transport, error) {
	cfg, faults := n.opts.transportConfig()
	cfg.IDs = lateIDs{n}
	clients, err := transport.New(cfg)
	if err != nil {
		faults = append(faults, err)
	}
	return clients, errors.Join(faults...)
}

// start obtains a number, opens the listeners and runs the node.
func (n *Node) start(clients *transport.Transport, c clock) error {
	ctx, stop := context.WithCancel(context.Background())
	n.stop = stop
	ext := &extender{granter: n.granter, wanted: make(chan struct{}, 1), clock: c, logger: n.logger}
	err := n.listen(ctx, clients, ext.want)
	if err != nil {
		stop()
		return err
	}
	n.running.Go(func() { ext.run(ctx, n.ids) })
	n.running.Go(func() { _ = n.clients.Run(ctx) })
	return nil
}

func (n *Node) listen(ctx context.Context, clients *transport.Transport, wanted func()) error {
	first, err := n.granter.Grant(ctx)
	if err != nil {
		return err
	}
	if n.ids, err = idspace.NewSequence(first, wanted); err != nil {
		return err
	}
	if err := clients.Listen(ctx); err != nil {
		return err
	}
	n.clients = clients
	n.local = &localCarrier{clients: clients, ids: n.ids}
	return nil
}

// lateIDs issues the ids of a node that has its number by the time one is
// needed: before the listeners are open.
type lateIDs struct{ n *Node }

func (l lateIDs) Next() (ID, error) { return l.n.ids.Next() }

// Number returns the newest node number of this node, which the ids of its
// next connections carry.
func (n *Node) Number() NodeNumber { return n.ids.Newest() }

// Addrs returns where clients can connect, in the order of Opts.Listen, with
// the ports that the system chose.
func (n *Node) Addrs() []net.Addr { return n.clients.Addrs() }

// Close stops accepting and reading, ends every connection once what it was
// sent is written, lets the Recv methods hand out what is queued, and returns
// when that is taken. When ctx is done first it drops the connections that are
// left and returns an error; what was received from them can still be taken.
// From then on the Recv methods return the zero id and every send answers
// ErrClosed. A later Close returns nil at once; one during another waits for
// it, or until its own ctx is done.
//
// A Handler, or a loop over Opens, Messages or Closes, that calls Close waits
// for itself until ctx is done: it calls Close from another goroutine.
func (n *Node) Close(ctx context.Context) error {
	if err := n.beginClose(ctx); err != nil {
		return fmt.Errorf("flamingo: close: %w", err)
	}
	defer func() { <-n.closing }()
	if n.closed.Load() {
		return nil
	}
	err := n.clients.Shutdown(ctx)
	n.stop()
	n.running.Wait()
	n.closed.Store(true)
	if closeErr := n.granter.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("flamingo: close: %w", err)
	}
	return nil
}

// beginClose waits until no other Close is under way. A ctx that is done does
// not keep the first one from closing.
func (n *Node) beginClose(ctx context.Context) error {
	select {
	case n.closing <- struct{}{}:
		return nil
	default:
	}
	select {
	case n.closing <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("another one is under way: %w", context.Cause(ctx))
	}
}

// restAfterClose is how long a Recv method waits once the node is closed,
// after it has said so once: a loop that was written for ever must not burn a
// core.
const restAfterClose = 10 * time.Millisecond
