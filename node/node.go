package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"flamingo/cluster"
	"flamingo/cluster/gossip"
	"flamingo/cluster/port"
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
	member  *member // the granter, too; nil alone
	ids     *idspace.Sequence
	clients *transport.Transport
	local   *localCarrier
	groups  *groups
	drain   *draining
	owner   *owner   // of local, for whoever may come before it
	watches *watches // that this node has begun
	watched *watched // on its connections
	logger  *slog.Logger

	// life is done when stop is called, which ends every goroutine of the node;
	// running waits for them.
	life    context.Context
	stop    context.CancelFunc
	running sync.WaitGroup

	closing chan struct{} // holds a token while a Close is under way; never closed
	closed  atomic.Bool   // written by the Close under way, when it is done

	failures failures // of what the program asked for

	told atomic.Bool // some Recv method has said that the node is closed
}

// Open starts a node: it returns when the node has a number and its listeners
// are open. It waits until the present sixteenth of a second is over, for the
// disk if there is a data directory, for the names of the listeners to be
// resolved, and up to a second for whoever may serve a Unix socket's path. In a
// cluster it waits for a number until most of the voters are there, however
// long that takes; the log says what it waits for.
//
// Every fault of the options is reported at once; they match ErrBadOption. A
// data directory in use is ErrInUse, one of another format ErrFormat, a clock that cannot be right ErrClock, a
// number that the cluster will not grant ErrRefused.
func Open(opts Opts) (*Node, error) { return OpenContext(context.Background(), opts) }

// OpenContext is Open that gives up when ctx is done. Later ctx is of no
// concern to the node.
func OpenContext(ctx context.Context, opts Opts) (*Node, error) {
	return open(ctx, opts, surroundings{clock: systemClock})
}

// Check returns every fault of the options that Open would find before it opens
// anything, and opens nothing itself. They match ErrBadOption.
func (o Opts) Check() error {
	o.Logger = slog.New(slog.DiscardHandler)
	n := &Node{opts: o, logger: o.Logger, drain: newDraining(), closing: make(chan struct{}, 1)}
	if _, err := n.configure(surroundings{clock: systemClock}); err != nil {
		return fmt.Errorf("flamingo: %w", err)
	}
	return nil
}

// surroundings are what tests replace.
type surroundings struct {
	clock   clock
	network port.Network // between nodes; the zero value is the operating system's

	// listen opens what clients connect to; nil: the operating system's.
	listen func(context.Context, transport.Listener) (net.Listener, error)

	gossip   gossip.Timing // zero: as on a local network
	election time.Duration // zero: 1 s
	flush    time.Duration // zero: flushTimeout
}

func open(ctx context.Context, opts Opts, s surroundings) (*Node, error) {
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	n := &Node{opts: opts, logger: opts.Logger, drain: newDraining(), closing: make(chan struct{}, 1)}
	n.life, n.stop = context.WithCancel(context.WithoutCancel(ctx))
	if err := n.build(s); err != nil {
		n.stop()
		return nil, fmt.Errorf("flamingo: %w", err)
	}
	if err := n.start(ctx, s.clock); err != nil {
		n.stop()
		return nil, fmt.Errorf("flamingo: %w", errors.Join(err, n.granter.Close()))
	}
	return n, nil
}

// build checks the options, all at once, and then makes what needs no open
// socket.
func (n *Node) build(s surroundings) error {
	membership, err := n.configure(s)
	if err != nil {
		return err
	}
	if n.opts.DataDir == "" {
		return n.open(membership, s)
	}
	if err := readFormat(n.opts.DataDir); err != nil {
		return err
	}
	if err := n.open(membership, s); err != nil {
		return err
	}
	if err := noteFormat(n.opts.DataDir); err != nil {
		return errors.Join(err, n.granter.Close())
	}
	return nil
}

// configure makes the parts that open nothing, and returns what is left for the
// cluster; the error is every fault of the options.
func (n *Node) configure(s surroundings) (cluster.Config, error) {
	cfg, faults := n.opts.transportConfig()
	n.groups = newGroups(&n.opts)
	own := &owner{}
	n.owner, n.watches = own, newWatches(n)
	n.watched = newWatched(own.lookAt, cmp.Or(n.opts.MaxWatched, DefaultMaxWatched), cmp.Or(n.opts.MaxWatches, DefaultMaxWatches))
	cfg.IDs, cfg.Listen, cfg.Ended, cfg.Over = lateIDs{n}, s.listen, n.groups.ended, n.watched.ended
	cfg.Relieved = n.relieved
	var err error
	if n.clients, err = transport.New(cfg); err != nil {
		faults = append(faults, err)
	}
	n.groups.clients = n.clients
	membership, more := n.opts.clusterConfig()
	membership.Network, membership.Now = s.network, s.clock.now
	membership.Timing, membership.Election = s.gossip, s.election
	membership.Owner, membership.Groups, membership.Asked = own, n.groups, peerRequests{groupRequests{n.groups, own}, n}
	membership.Watched, membership.Watching, membership.Changed = peerWatches{n.watched}, n.watches, n.watches.signal
	membership.Moved, membership.Press = n.groups.move, own.full
	if err := membership.Check(); err != nil {
		more = append(more, clusterFault(err))
	}
	return membership, errors.Join(append(faults, more...)...)
}

// open opens the data directory, and makes what grants numbers.
func (n *Node) open(membership cluster.Config, s surroundings) (err error) {
	if !n.opts.clustered() {
		n.granter, err = newStandalone(s.clock, n.opts.DataDir)
		return err
	}
	if n.member, err = newMember(membership, n.owner, n.clients.AddUndelivered, n.groups.lose); err != nil {
		return err
	}
	n.member.flush = cmp.Or(s.flush, flushTimeout)
	n.granter = n.member
	n.member.reborn = n.watches.reborn
	return nil
}

// start joins the cluster if there is one, obtains a number, opens the
// listeners and runs the node. After an error nothing runs but the granter.
func (n *Node) start(ctx context.Context, c clock) error {
	if n.member != nil {
		if err := n.member.run(ctx); err != nil {
			return err
		}
	}
	first, err := n.granter.Grant(ctx)
	if err != nil {
		return err
	}
	ext := &extender{granter: n.granter, wanted: make(chan struct{}, 1), clock: c, logger: n.logger, retire: n.endRetired}
	if n.member != nil {
		ext.retired = n.member.retired
	}
	if n.ids, err = idspace.NewSequence(first, ext.want); err != nil {
		return err
	}
	if err := n.clients.Listen(ctx); err != nil {
		return err
	}
	n.local = &localCarrier{clients: n.clients, ids: n.ids, groups: n.groups}
	n.owner.local.Store(n.local)
	if n.member != nil {
		herald := n.newAnnouncer()
		n.groups.announcer.Store(herald)
		n.running.Go(func() { herald.run(n.life) })
	}
	n.running.Go(func() { ext.run(n.life, n.ids) })
	n.running.Go(n.serve)
	return nil
}

// serve runs the clients, and then no more the watches, which are told how those
// have ended.
func (n *Node) serve() {
	ctx, stop := context.WithCancel(context.WithoutCancel(n.life))
	var watching sync.WaitGroup
	defer watching.Wait()
	defer stop()
	watching.Go(func() { n.watches.run(ctx) })
	_ = n.clients.Run(n.life)
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
// ErrClosed. A drain that is under way ends with it. A later Close returns nil at once; one during another waits for
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
	n.drain.end()
	if n.member != nil {
		n.member.drain()
	}
	err := n.clients.Shutdown(ctx)
	if n.member != nil {
		n.member.leave(ctx) // while Undelivered can still be told
	}
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

// Closing reports whether the node ends all its connections at once: Close was
// called. An operation on a connection that is still open succeeds until it ends.
func (n *Node) Closing() bool { return n.clients.Closing() }

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
