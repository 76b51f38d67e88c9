package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"flamingo/cluster"
	"flamingo/cluster/consensus"
	"flamingo/cluster/gossip"
	"flamingo/cluster/mesh"
	"flamingo/transport"
)

// clustered reports whether the node is to belong to a cluster.
func (o *Opts) clustered() bool { return o.Cluster != "" || len(o.Join) > 0 || o.Expect != 0 }

// clusterConfig returns what the options mean for the cluster, and every fault
// that the cluster does not find itself. A node that is to stand alone has one,
// too, so that no fault waits for the day when it is not.
func (o *Opts) clusterConfig() (cfg cluster.Config, faults []error) {
	cfg = cluster.Config{
		ClusterName: o.ClusterName,
		NodeName:    o.Name,
		Release:     Version(),
		Insecure:    o.Insecure,
		KeyFile:     o.ClusterKeyFile,
		TLSCert:     o.ClusterTLSCert,
		TLSKey:      o.ClusterTLSKey,
		TLSCA:       o.ClusterTLSCA,
		Join:        o.Join,
		Expect:      o.Expect,
		Dir:         o.DataDir,
		MaxMessage:  min(max(o.MaxMessage, mesh.DefaultMaxMessage), maxForwarded),
		SendTimeout: o.SendTimeout,
		OutcomeOf:   codeOf,
		EndOf:       endOf,
		LostAfter:   o.LostAfter,
		Waiting:     o.Waiting,
		Logger:      o.Logger,
	}
	var err error
	if cfg.Address, err = parseAddr(o.Cluster); err != nil {
		faults = append(faults, badOption("Cluster", strconv.Quote(o.Cluster), "IP:PORT or :PORT"))
	}
	if cfg.Advertise, err = parseAddr(o.Advertise); err != nil || cfg.Advertise.IsValid() && cfg.Advertise.Addr().IsUnspecified() {
		faults = append(faults, badOption("Advertise", strconv.Quote(o.Advertise), "IP:PORT, of one address"))
	}
	if cfg.Admin, err = parseAddr(o.Admin); err != nil || cfg.Admin.IsValid() && cfg.Admin.Addr().IsUnspecified() {
		faults = append(faults, badOption("Admin", strconv.Quote(o.Admin), "IP:PORT, of one address"))
	}
	if o.Expect == 0 && len(o.Join) == 0 {
		cfg.Expect = 1
	}
	switch {
	case cfg.NodeName != "":
	case !o.clustered():
		cfg.NodeName = "alone" // it does without
	default:
		if cfg.NodeName, err = os.Hostname(); err != nil {
			faults = append(faults, badOption("Name", `""`, "a name, as the host has none: "+err.Error()))
		}
	}
	return cfg, faults
}

// maxForwarded is the longest message that nodes forward, in bytes.
const maxForwarded = 15 << 20

// parseAddr reads IP:PORT or :PORT. Nothing is the zero value.
func parseAddr(text string) (netip.AddrPort, error) {
	if text == "" {
		return netip.AddrPort{}, nil
	}
	host, portText, err := net.SplitHostPort(text)
	if err == nil && host == "" {
		text = net.JoinHostPort(netip.IPv6Unspecified().String(), portText)
	}
	return netip.ParseAddrPort(text)
}

// A member is the node's part in a cluster: it grants numbers, and knows who
// holds those of others.
type member struct {
	cfg      cluster.Config                  // immutable: of every life
	current  atomic.Pointer[cluster.Cluster] // the life that is, or was last
	retired  chan struct{}                   // a token: a life was retired; never closed
	reborn   func()                          // told of a further life
	draining atomic.Bool                     // drain was called
	between  atomic.Bool                     // one life was retired, and the next has not begun
	given    bool                            // the last one is closed already; read after running.Wait
	owner    *owner
	logger   *slog.Logger
	flush    time.Duration      // flushTimeout, or less in tests
	stop     context.CancelFunc // nil until it runs
	late     context.Context    // done when there is no time left to leave, in whichever life
	beLate   context.CancelFunc // ends late; nil until it runs
	running  sync.WaitGroup     // of the cluster, until stop is called or it fails
	over     atomic.Bool        // the cluster does not run any more
	err      error              // how it ended; read after running.Wait
}

// newMember returns a member that runs nothing yet, for the owner of cfg. tell is
// told of messages that were accepted for connections of other nodes and not
// delivered, lose of those for the members of a group.
func newMember(cfg cluster.Config, own *owner, tell func(transport.Undelivered), lose func(mesh.Undelivered, *slog.Logger)) (*member, error) {
	m := &member{owner: own, logger: cfg.Logger, retired: make(chan struct{}, 1), reborn: func() {}}
	cfg.Undelivered = func(u mesh.Undelivered) {
		if u.Group != "" {
			lose(u, cfg.Logger)
			return
		}
		tell(transport.Undelivered{ID: u.ID, Outcome: lostTo(u), Count: u.Messages})
	}
	c, err := cluster.New(cfg)
	if err != nil {
		return nil, clusterFault(err)
	}
	m.cfg = cfg
	m.current.Store(c)
	return m, nil
}

// cluster is the part in the cluster that this node has now: another one in each
// life.
func (m *member) cluster() *cluster.Cluster { return m.current.Load() }

// drain has others learn that this node accepts no more clients, in this life and
// in those that follow.
func (m *member) drain() {
	m.draining.Store(true) // before: a life that begins meanwhile sees it, or is the one below
	m.cluster().Drain()
}

// clusterFault gives an error of the cluster the names of this package.
func clusterFault(err error) error {
	if errors.Is(err, cluster.ErrBadConfig) || errors.Is(err, gossip.ErrBadConfig) {
		return optionError{err}
	}
	if errors.Is(err, consensus.ErrLocked) {
		return fmt.Errorf("%w: %w", ErrInUse, err)
	}
	return err
}

// run opens the port between nodes and takes part in the cluster, until Close.
func (m *member) run(ctx context.Context) error {
	if err := m.cluster().Listen(ctx); err != nil {
		return clusterFault(err)
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	m.stop = stop
	m.late, m.beLate = context.WithCancel(context.WithoutCancel(ctx))
	m.running.Go(func() {
		m.err = m.live(life)
		m.over.Store(true)
		if life.Err() == nil {
			m.logger.Error("cluster left; only clients of this node can be reached from here, and they from no other node",
				"err", m.err)
		}
	})
	return nil
}

// Grant implements granter.
func (m *member) Grant(ctx context.Context) (NodeNumber, error) {
	if m.between.Load() {
		return 0, errBetweenLives
	}
	return m.cluster().Grant(ctx)
}

// flushTimeout bounds how long a node that closes waits for the outcomes of
// what it sent to others.
const flushTimeout = 5 * time.Second

// leave waits until what was sent to other nodes has its outcomes, and leaves the
// cluster in order, both at most until ctx is done. What has no outcome by then
// is reported by Undelivered. A client that does not read, or a program that
// goes on sending, takes nothing of the time for the goodbye.
func (m *member) leave(ctx context.Context) {
	defer context.AfterFunc(ctx, m.beLate)() // another life may begin meanwhile, and it has no more time
	flushing, cancel := context.WithTimeout(ctx, m.flush)
	_ = m.cluster().Mesh().Flush(flushing) // late is no fault
	cancel()
	m.cluster().Leave(ctx)
	m.stop()
	m.running.Wait()
}

// Close leaves the cluster, if it was not left, and gives up the data directory.
// It waits for what other nodes wait for; no connection is left to keep that.
func (m *member) Close() error {
	if m.stop != nil {
		m.stop()
		m.running.Wait()
		m.beLate()
	}
	m.owner.waits.Wait()
	if m.given {
		return m.err
	}
	return errors.Join(m.err, m.cluster().Close())
}

// route returns who carries to the connections of a number that is not this
// node's own, as far as this node knows.
func (m *member) route(ctx context.Context, n NodeNumber, local carrier) (carrier, error) {
	if m.over.Load() || m.between.Load() {
		return nil, ErrUnreachable
	}
	peer, err := m.cluster().Locate(ctx, n)
	switch {
	case err != nil:
		return nil, outcomeOf(err)
	case peer.Boot() == m.cluster().Boot():
		return local, nil // granted to us a moment ago
	default:
		return remoteCarrier{peer}, nil
	}
}
