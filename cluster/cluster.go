package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"flamingo/cluster/consensus"
	"flamingo/cluster/gossip"
	"flamingo/cluster/mesh"
	"flamingo/cluster/port"
	"flamingo/idspace"
)

// A Cluster is this node's part in the cluster: New, Listen, Run, in this
// order. Its methods are safe for concurrent use.
type Cluster struct {
	cfg    Config
	port   *port.Port
	store  *consensus.Store
	server *consensus.Server
	gossip *gossip.Gossip
	mesh   *mesh.Mesh
	dir    *directory

	seen    atomic.Pointer[view]
	ordinal atomic.Uint32 // of the grant asked for last
	meta    sync.Mutex    // held while the announcement changes
	list    uint64        // guarded by meta: version of the list of numbers
}

// New returns a Cluster. It opens the data directory, and nothing else; Close
// gives it up.
func New(cfg Config) (*Cluster, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("cluster: config: %w", err)
	}
	cfg = cfg.withDefaults()
	boot, err := idspace.NewBootID(cfg.Random)
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	p, err := port.New(port.Config{Addr: cfg.Address, Insecure: cfg.Insecure, Network: cfg.Network, Logger: cfg.Logger})
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	store, err := consensus.OpenStore(consensus.StoreConfig{Dir: cfg.Dir, Boot: boot, Random: cfg.Random, Logger: cfg.Logger})
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	c := &Cluster{cfg: cfg, port: p, store: store}
	c.dir = newDirectory(func(boot idspace.BootID) *Peer { return &Peer{mesh: c.mesh, boot: boot} })
	if err := c.build(); err != nil {
		store.Close()
		return nil, fmt.Errorf("cluster: %w", err)
	}
	return c, nil
}

// build makes the parts that need no open socket.
func (c *Cluster) build() error {
	var err error
	c.server, err = consensus.New(consensus.Config{
		Store: c.store, Network: raftNetwork{c}, Voters: max(c.cfg.Expect, 3),
		Candidates: c.candidates, AskRemoval: c.askRemoval, Now: c.cfg.Now, Logger: c.cfg.Logger,
		HeartbeatTimeout: c.cfg.Election, ElectionTimeout: c.cfg.Election, LeaseTimeout: c.cfg.Election / 2,
	})
	if err != nil {
		return err
	}
	c.mesh, err = mesh.New(mesh.Config{
		Network: meshNetwork{c}, Identity: identity{c}, Owner: c.cfg.Owner, Requests: requests{c},
		OutcomeOf: c.cfg.OutcomeOf, Undelivered: c.cfg.Undelivered, Heard: c.dir.heard,
		MaxMessage: c.cfg.MaxMessage, Window: windowFor(c.cfg.MaxMessage), SendTimeout: c.cfg.SendTimeout,
		Now: c.cfg.Now, Random: c.cfg.Random, Logger: c.cfg.Logger,
	})
	return err
}

// windowFor returns the window of a lane: the default where that has room for
// the longest message, else the widest.
func windowFor(maxMessage int) int {
	if maxMessage > mesh.DefaultWindow/2 {
		return mesh.MaxWindow
	}
	return 0
}

// Close gives up what New and Listen have opened. Run must have returned.
func (c *Cluster) Close() error { return errors.Join(c.port.Close(), c.store.Close()) }

// Listen opens the port between nodes.
func (c *Cluster) Listen(ctx context.Context) error {
	if err := c.port.Listen(ctx); err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	id := c.store.Identity()
	known, err := c.store.Cluster()
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	c.gossip, err = gossip.New(gossip.Config{
		Port: c.port, Boot: id.Boot, ClusterName: c.cfg.ClusterName, Advertise: c.cfg.Advertise,
		Seeds: c.cfg.Join, Timing: c.cfg.Timing, Logger: c.cfg.Logger,
		Meta: gossip.Meta{
			Name: c.cfg.NodeName, Cluster: known, Server: id.Server, Admin: c.cfg.Admin,
			State: gossip.StateJoining, MinVersion: 1, MaxVersion: 1,
		},
	})
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	return nil
}

// Boot names this life of the node.
func (c *Cluster) Boot() idspace.BootID { return c.store.Identity().Boot }

// Addr returns the address of the port between nodes.
func (c *Cluster) Addr() net.Addr { return net.TCPAddrFromAddrPort(c.port.Addr()) }

// Mesh carries sends to other nodes.
func (c *Cluster) Mesh() *mesh.Mesh { return c.mesh }

// State says how consensus is.
func (c *Cluster) State() consensus.State { return c.server.State() }

// Members returns the nodes that gossip sees, this one among them.
func (c *Cluster) Members() []gossip.Member { return c.gossip.Members() }

// Run takes part in the cluster until ctx is done, and then leaves it in
// order: consensus first, while the mesh still carries its requests; then the
// mesh, the announcement, and the port last. It returns when every goroutine
// has ended. A consensus that has failed does not end it: sends and closes
// need none.
func (c *Cluster) Run(ctx context.Context) error {
	base := context.WithoutCancel(ctx)
	ports := start(base, "port", c.port.Run)
	meshes := start(base, "mesh", c.mesh.Run)
	streams := start(base, "streams", c.acceptMesh)
	members := start(base, "gossip", c.gossip.Run)
	watch := start(base, "members", c.watchMembers)
	votes := start(base, "consensus", c.server.Run)
	found := start(base, "founding", c.join)

	var err error
	select {
	case <-ctx.Done():
	case <-ports.ended:
	case <-members.ended:
	case <-meshes.ended:
	}
	leave, cancel := context.WithTimeout(base, leaveTimeout)
	if e := c.server.Leave(leave); e != nil && !errors.Is(e, consensus.ErrStopped) {
		c.cfg.Logger.Debug("left without handing over", "err", e)
	}
	cancel()
	for _, r := range []*running{found, votes, watch, members, streams, meshes, ports} {
		if e := r.stop(); e != nil {
			err = errors.Join(err, fmt.Errorf("cluster: %s: %w", r.name, e))
		}
	}
	return err
}

// running is a part that runs, and how it ended.
type running struct {
	name   string
	cancel context.CancelFunc
	ended  chan struct{} // closed when the part has returned
	err    error         // set before ended is closed
}

func start(ctx context.Context, name string, run func(context.Context) error) *running {
	ctx, cancel := context.WithCancel(ctx)
	r := &running{name: name, cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		r.err = run(ctx)
	}()
	return r
}

// stop ends the part and returns what it returned.
func (r *running) stop() error {
	r.cancel()
	<-r.ended
	return r.err
}
