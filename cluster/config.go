package cluster

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"flamingo/cluster/gossip"
	"flamingo/cluster/mesh"
	"flamingo/cluster/port"
	"flamingo/cluster/trust"
	"flamingo/idspace"
)

// Config holds the settings of a Cluster.
type Config struct {
	// ClusterName keeps clusters of other names away. Empty means "flamingo".
	ClusterName string

	// NodeName is for people. Required: 1 to 64 bytes of printable UTF-8.
	NodeName string

	// Cluster is the one that an earlier life of this process belonged to. Zero: it
	// is what the data directory says, or found.
	Cluster idspace.ClusterID

	// Address is the one port between nodes, TCP and UDP. Zero means
	// 127.0.0.1:4110.
	Address netip.AddrPort

	// Advertise is where other nodes reach it. Zero means Address.
	Advertise netip.AddrPort

	// Insecure allows clear text on other addresses than loopback; not beside
	// KeyFile, with which nothing is in clear text.
	Insecure bool

	// KeyFile holds the keys that the nodes of the cluster share, a key a line:
	// the first is used, all are accepted. The file is followed. Empty means clear
	// text.
	KeyFile string

	// TLSCert, TLSKey and TLSCA are files in PEM form that tell nodes apart
	// beside the key: this node's certificate, its private key, and the CA of all
	// nodes. All or none; they are followed, too.
	TLSCert, TLSKey, TLSCA string

	// Join is where to look for other nodes; see gossip.Config.Seeds. The same
	// list may be given to every node.
	Join []string

	// Expect is how many blank nodes found a cluster together: 1, 3 or 5. Zero
	// founds none, and waits for one.
	Expect int

	// Dir is the data directory. Empty keeps everything in memory: the node is
	// another server after each start.
	Dir string

	// Release names the software that this node runs, for people who look at the
	// nodes of a cluster: up to 64 bytes of printable UTF-8.
	Release string

	// Admin is where the node's admin API listens, for other nodes to show.
	Admin netip.AddrPort

	// Owner holds this node's connections. Required.
	Owner mesh.Owner

	// Groups holds the groups of this node's connections. Nil: none has members.
	Groups mesh.Groups

	// Asked answers what other nodes ask about groups and about this node: the
	// requests from mesh.RequestTie to mesh.RequestInterests, mesh.RequestLoad and
	// mesh.RequestDrain. Nil: they are unknown.
	Asked mesh.Requests

	// Watched keeps the watches of other nodes on those connections; Watching is
	// told of this node's on theirs. Nil: there are none.
	Watched  mesh.Watched
	Watching mesh.Watching

	// Press is asked whether a connection of which Owner has refused a message is
	// full, so that other nodes do not send to it until Cluster.Relieve. It must
	// not block. Nil: they go on sending.
	Press func(idspace.ID) bool

	// OutcomeOf gives the wire's code for an error of Owner. Required.
	OutcomeOf func(error) mesh.Outcome

	// EndOf says when and why a connection ended, for such an error. Nil: nothing
	// is said.
	EndOf func(error) mesh.End

	// Undelivered is told of asynchronous sends that failed after they were
	// accepted. It must not block. Nil: they are counted only.
	Undelivered func(mesh.Undelivered)

	// MaxMessage is the longest message that goes to or comes from another
	// node, in bytes. Zero means 1 MiB; at most 15 MiB.
	MaxMessage int

	// SendTimeout is how long a send waits for room on the way to another node.
	// Zero means 5 s; at most 1 h.
	SendTimeout time.Duration

	// Waiting is told what the node waits for, as Cluster.Waiting says it, when
	// that changes, up to 1 s later; empty when it waits no more. It must not
	// block. Nil: the log alone says so.
	Waiting func(string)

	// Changed is told that lives may have ended, once nothing comes from them any
	// more: Fate says of which. It is called by one goroutine at a time, and must
	// not block. Nil: nobody is told.
	Changed func()

	// Moved is told that other nodes have come or gone, or are reached by other
	// numbers than before: Nodes and Locate know it by then. It must not block, nor
	// ask the cluster anything. Nil: nobody is told.
	Moved func()

	// LostAfter is how long none of the voters may have had contact with a life
	// before it is retired: neither gossip nor a stream of the mesh. Each voter
	// counts from its own start on. Zero means 1 h; at least 1 min, at most 30
	// days. Negative: it is never retired so.
	LostAfter time.Duration

	// Timing of gossip. Zero means gossip.LAN().
	Timing gossip.Timing

	// Election scales raft's timeouts: what a leader may be silent before
	// another is elected. Zero means 1 s.
	Election time.Duration

	// Network replaces the operating system's. The zero value does not.
	Network port.Network

	// Now reads the wall clock, for node numbers. Nil means time.Now. All waits
	// go by package time.
	Now func() time.Time

	// Random makes ids; nil means crypto/rand.
	Random io.Reader

	// Logger receives what an operator should see. Nil means slog.Default().
	Logger *slog.Logger
}

// ErrBadConfig says that New refuses the Config. The text names the option, its
// value and what is allowed.
var ErrBadConfig = errors.New("bad config")

// Check returns everything that New and Listen would refuse c for, as far as it
// can be told before anything is opened. The error matches ErrBadConfig.
func (c *Config) Check() error {
	faults := []error{c.validate(), gossip.Check(c.ClusterName, c.NodeName, c.Join)}
	secrets, err := c.openTrust()
	cfg := c.portConfig(secrets)
	if err != nil {
		faults = append(faults, err)
		cfg.Insecure = true // that there is no key says err
	}
	if _, err := port.New(cfg); err != nil {
		faults = append(faults, err)
	}
	if err := errors.Join(faults...); err != nil {
		return configError{err}
	}
	return nil
}

// A configError is a fault that another package has found, too: ErrBadConfig.
type configError struct{ error }

func (e configError) Unwrap() error { return e.error }

func (configError) Is(target error) bool { return target == ErrBadConfig }

func (c *Config) portConfig(secrets *trust.Trust) port.Config {
	return port.Config{Addr: c.Address, Insecure: c.Insecure, Trust: secrets, Network: c.Network, Logger: c.Logger}
}

// openTrust reads the files of keys and certificates; nil if there are none.
func (c *Config) openTrust() (*trust.Trust, error) {
	if c.KeyFile+c.TLSCert+c.TLSKey+c.TLSCA == "" {
		return nil, nil //nolint:nilnil // clear text
	}
	return trust.New(trust.Config{
		ClusterName: cmp.Or(c.ClusterName, gossip.DefaultClusterName), KeyFile: c.KeyFile,
		Cert: c.TLSCert, Key: c.TLSKey, CA: c.TLSCA, Now: c.Now, Logger: c.Logger,
	})
}

func (c *Config) validate() error {
	var faults []error
	bad := func(option string, value any, allowed string) {
		faults = append(faults, fmt.Errorf("%w: %s %v: allowed is %s", ErrBadConfig, option, value, allowed))
	}
	if c.Expect != 0 && c.Expect != 1 && c.Expect != 3 && c.Expect != 5 {
		bad("Expect", c.Expect, "0, 1, 3 or 5")
	}
	if c.Expect == 0 && len(c.Join) == 0 {
		bad("Join", "(none)", "at least one place to look, when no cluster is founded")
	}
	if c.Insecure && c.KeyFile != "" {
		bad("Insecure", c.Insecure, "false beside a key file: with a key nothing is in clear text")
	}
	if c.Owner == nil {
		bad("Owner", "(nil)", "who holds the connections")
	}
	if c.OutcomeOf == nil {
		bad("OutcomeOf", "(nil)", "the codes for the errors of Owner")
	}
	if c.MaxMessage < 0 || c.MaxMessage > mesh.LongestMessage {
		bad("MaxMessage", c.MaxMessage, "0 to 15 MiB")
	}
	if c.SendTimeout < 0 || c.SendTimeout > time.Hour {
		bad("SendTimeout", c.SendTimeout, "0 to 1h")
	}
	if c.LostAfter > 0 && c.LostAfter < minLostAfter || c.LostAfter > maxLostAfter {
		bad("LostAfter", c.LostAfter, "0, 1m to 720h, or less than 0 for never")
	}
	if c.Election < 0 || c.Election > time.Minute {
		bad("Election", c.Election, "0 to 1m")
	}
	return errors.Join(faults...)
}

func (c Config) withDefaults() Config {
	if c.Waiting == nil {
		c.Waiting = func(string) {}
	}
	if c.Changed == nil {
		c.Changed = func() {}
	}
	if c.Moved == nil {
		c.Moved = func() {}
	}
	if c.LostAfter == 0 {
		c.LostAfter = DefaultLostAfter
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Timing == (gossip.Timing{}) {
		c.Timing = gossip.LAN()
	}
	if c.Election == 0 {
		c.Election = time.Second
	}
	return c
}
