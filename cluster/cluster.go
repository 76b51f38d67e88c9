package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"flamingo/cluster/consensus"
	"flamingo/cluster/gossip"
	"flamingo/cluster/mesh"
	"flamingo/cluster/port"
	"flamingo/cluster/trust"
	"flamingo/idspace"
)

// A Cluster is this node's part in the cluster: New, Listen, Run, in this
// order. Its methods are safe for concurrent use.
type Cluster struct {
	cfg    Config         // immutable
	boot   idspace.BootID // immutable
	port   *port.Port
	trust  *trust.Trust   // nil in clear text
	gossip *gossip.Gossip // set by Listen
	mesh   *mesh.Mesh
	dir    *directory
	notice notice
	reads  reads
	lost   losses

	// clocks says how far the clock of another node is ahead of this one's: the
	// mesh's, unless a test knows better.
	clocks func(peer idspace.BootID) (ahead time.Duration, known bool)

	seats    atomic.Pointer[seat]              // the one taken
	reseated atomic.Uint64                     // times that it was taken again; see reseat.go
	known    atomic.Pointer[idspace.ClusterID] // nil while blank

	views sync.Mutex           // held while seen is replaced
	seen  atomic.Pointer[view] // the newest
	// publishing is held from the moment a view is seen until nothing comes any
	// more from the lives that it has ended, and it is settled. It is taken before
	// every other lock.
	publishing sync.Mutex
	settled    atomic.Pointer[view] // nil before the first

	speaks mesh.Versions // immutable: what this release speaks, but in tests

	look chan struct{} // a token: a newer one is wanted soon; never closed

	asking  asking        // of Grant
	leaving atomic.Bool   // Leave was called: an ended life is no surprise
	ended   chan struct{} // closed when this life turns out to have been ended
	endErr  error         // ErrLifeEnded or ErrRetired; set before ended is closed
	endOnce sync.Once

	left      chan struct{}      // closed when Leave, called for the first time, is done
	departing context.Context    // of leaving, whoever begins it; ended by hasten
	hasten    context.CancelFunc // gives leaving no more time

	// trustCopies leaves out the question whether the earlier life of a
	// directory is up. Tests set it, to see what the question is good for.
	trustCopies atomic.Bool

	// pageSize is how many live numbers are in one page of an answer. Tests make it
	// less.
	pageSize atomic.Int64

	// trustRetired opens streams with lives that were retired. Tests set it, to
	// see what it is good for not to.
	trustRetired atomic.Bool

	// credulous promises whatever is proposed. Tests set it, to see what it is
	// good for to agree.
	credulous atomic.Bool
}

// New returns a Cluster. It opens the data directory, and nothing else; Close
// gives it up.
func New(cfg Config) (*Cluster, error) {
	if err := cfg.Check(); err != nil {
		return nil, fmt.Errorf("cluster: config: %w", err)
	}
	cfg = cfg.withDefaults()
	boot, err := idspace.NewBootID(cfg.Random)
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	secrets, err := cfg.openTrust()
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	p, err := port.New(cfg.portConfig(secrets))
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	c := &Cluster{
		cfg: cfg, boot: boot, port: p, trust: secrets, notice: newNotice(), reads: newReads(), lost: newLosses(),
		speaks: mesh.Spoken(), look: make(chan struct{}, 1), ended: make(chan struct{}), left: make(chan struct{}),
	}
	c.dir = newDirectory(
		func(boot idspace.BootID) *mesh.Peer { return c.mesh.To(boot) },
		func(n idspace.NodeNumber) bool { return c.view().gone(n) },
		cfg.Moved,
	)
	c.departing, c.hasten = context.WithCancel(context.Background())
	c.pageSize.Store(numbersPerPage)
	if !cfg.Cluster.IsZero() {
		c.known.Store(&cfg.Cluster)
	}
	if err := c.takeSeat(); err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	if c.mesh, err = c.newMesh(); err != nil {
		c.seat().store.Close()
		return nil, fmt.Errorf("cluster: %w", err)
	}
	c.clocks = c.mesh.ClockOffset
	return c, nil
}

func (c *Cluster) newMesh() (*mesh.Mesh, error) {
	return mesh.New(mesh.Config{
		Network: meshNetwork{c}, Identity: identity{c}, Owner: c.cfg.Owner, Requests: requests{c},
		Groups: c.cfg.Groups, Watched: c.cfg.Watched, Watching: c.cfg.Watching, Press: c.cfg.Press,
		OutcomeOf: c.cfg.OutcomeOf, EndOf: c.cfg.EndOf, Undelivered: c.cfg.Undelivered,
		Heard: func(peer idspace.BootID, numbers []idspace.NodeNumber, _ idspace.NodeNumber) {
			c.dir.heard(peer, numbers)
		},
		Retired:    func(numbers []idspace.NodeNumber) bool { return !c.trustRetired.Load() && c.view().anyRetired(numbers) },
		Dismissed:  func(idspace.BootID) { c.endSelf(true) },
		MaxMessage: c.cfg.MaxMessage, Window: windowFor(c.cfg.MaxMessage), SendTimeout: c.cfg.SendTimeout,
		Now: c.cfg.Now, Random: c.cfg.Random, Logger: c.cfg.Logger,
	})
}

// windowFor returns the window of a lane: the default where that has room for
// the longest message, else the widest.
func windowFor(maxMessage int) int {
	if maxMessage > mesh.DefaultWindow/2 {
		return mesh.MaxWindow
	}
	return 0
}

// Close gives up what New and Listen have opened. A Run that was begun must
// have returned.
func (c *Cluster) Close() error {
	c.hasten()
	return errors.Join(c.port.Close(), c.seat().store.Close())
}

// Listen opens the port between nodes.
func (c *Cluster) Listen(ctx context.Context) error {
	if err := c.port.Listen(ctx); err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	meta := gossip.Meta{
		Name: c.cfg.NodeName, Cluster: c.cluster(), Server: c.seat().store.Identity().Server, Admin: c.cfg.Admin,
		State: gossip.StateJoining, MinVersion: uint16(c.speaks.Min), MaxVersion: uint16(c.speaks.Max),
		Release: c.cfg.Release,
	}
	g, err := gossip.New(gossip.Config{
		Port: c.port, Boot: c.boot, ClusterName: c.cfg.ClusterName, Advertise: c.cfg.Advertise,
		Keys: c.gossipKeys(), Seeds: c.cfg.Join, Timing: c.cfg.Timing, LeaveTimeout: goodbyeTimeout, Logger: c.cfg.Logger, Meta: meta,
	})
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	c.gossip = g
	c.warnOfClearText()
	c.announce(func(m *gossip.Meta) { *m = meta })
	return nil
}

// Boot names this life of the node.
func (c *Cluster) Boot() idspace.BootID { return c.boot }

// cluster returns the cluster this node belongs to, zero while it is blank.
func (c *Cluster) cluster() (id idspace.ClusterID) {
	if known := c.known.Load(); known != nil {
		id = *known
	}
	return id
}

// ID returns the cluster this node belongs to, zero while it is blank.
func (c *Cluster) ID() idspace.ClusterID { return c.cluster() }

// Addr returns the address of the port between nodes.
func (c *Cluster) Addr() net.Addr { return net.TCPAddrFromAddrPort(c.port.Addr()) }

// Mesh carries sends to other nodes.
func (c *Cluster) Mesh() *mesh.Mesh { return c.mesh }

// State says how consensus is.
func (c *Cluster) State() consensus.State { return c.seat().server.State() }

// Members returns the nodes that gossip sees, this one among them. It is empty
// before Run.
func (c *Cluster) Members() []gossip.Member {
	if c.gossip == nil {
		return nil
	}
	return c.gossip.Members()
}
