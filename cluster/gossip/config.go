package gossip

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"flamingo/cluster/port"
	"flamingo/idspace"
)

// Defaults and bounds of Config.
const (
	DefaultClusterName   = "flamingo"
	DefaultMaxMembers    = 1024
	DefaultLeaveTimeout  = 5 * time.Second
	DefaultUpdateTimeout = 5 * time.Second

	maxSeeds   = 64
	maxMembers = 1 << 16
	maxTimeout = time.Minute
)

// Config holds the settings of a Gossip.
type Config struct {
	// Port is where members meet. Required, and listening, so that its
	// address is known; it has to run until after Gossip.Run has returned,
	// which says goodbye through it.
	Port *port.Port

	// Boot names this life of the node. Required.
	Boot idspace.BootID

	// ClusterName keeps clusters of other names away, before and after
	// bootstrap. Empty means DefaultClusterName; at most MaxNameLen bytes.
	ClusterName string

	// Keys encrypt packets and streams, 32 bytes each: the first is used, all are
	// accepted; see SetKeys. None means clear text.
	Keys [][]byte

	// Advertise is where other nodes reach the port. Zero means its own
	// address, which must then be that of one interface.
	Advertise netip.AddrPort

	// Meta is what the node announces at first, without Address.
	Meta Meta

	// Seeds are where to look for members, at most 64:
	//
	//	10.0.0.1, 10.0.0.1:4110, [::1]:4110, node1, node1:4110
	//	dns:nodes.example.org        every address of a name, dns:name:port
	//	srv:_flamingo._tcp.example.org
	//	file:/etc/flamingo/nodes     a seed a line; # begins a comment
	//	exec:/usr/local/bin/nodes eu what a program prints, as in a file
	//
	// A program is run without a shell, its arguments parted by spaces; it has 5 s.
	// A line of a file or a program cannot name another file or program. Names,
	// files and programs are looked up anew at each attempt. The list may be
	// the same on every node: each passes over itself.
	Seeds []string

	// Resolver looks names up. Nil means net.DefaultResolver.
	Resolver Resolver

	// Timing is how often and how patiently. Zero means LAN().
	Timing Timing

	// MaxMembers bounds the members that are present, this node included;
	// further ones are refused. Zero means DefaultMaxMembers; at most 65536.
	MaxMembers int

	// LeaveTimeout bounds the goodbye when Run ends, UpdateTimeout an
	// Update. Zero means 5 s; at most one minute.
	LeaveTimeout, UpdateTimeout time.Duration

	// Jitter returns numbers from 0 up to but not 1, which spread the pauses
	// between attempts. Nil means at random.
	Jitter func() float64

	// Logger gets what an operator may want to know; at level debug also
	// what memberlist has to say. Nil means none.
	Logger *slog.Logger
}

// validate returns every fault of c, which has its defaults, joined.
func (c Config) validate() error {
	var faults []error
	bad := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf(format, args...))
	}
	if c.Port == nil {
		bad("Port: want a port")
	} else if !dialable(c.Advertise) {
		bad("Advertise %v: want an IP address without zone that others can dial, and a port", c.Advertise)
	}
	if c.Boot.IsZero() {
		bad("Boot: want a boot id")
	}
	if !validName(c.ClusterName) {
		bad("ClusterName %.*q: want 1 to %d bytes of printable UTF-8", quoteLimit, c.ClusterName, MaxNameLen)
	}
	if err := checkKeys(c.Keys); err != nil {
		faults = append(faults, err)
	}
	if c.Port != nil && dialable(c.Advertise) { // else Meta would only repeat it
		if err := c.Meta.check(); err != nil {
			bad("Meta: %w", err)
		}
	}
	faults = append(faults, c.checkBounds())
	return errors.Join(faults...)
}

// Check returns what New would find wrong with two names and the seeds, before
// there is a port. An empty cluster name is the default. The error matches
// [ErrBadConfig].
func Check(clusterName, nodeName string, seeds []string) error {
	var faults []error
	bad := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("%w: "+format, append([]any{ErrBadConfig}, args...)...))
	}
	if clusterName != "" && !validName(clusterName) {
		bad("ClusterName %.*q: want 1 to %d bytes of printable UTF-8", quoteLimit, clusterName, MaxNameLen)
	}
	if !validName(nodeName) {
		bad("Name %.*q: want 1 to %d bytes of printable UTF-8", quoteLimit, nodeName, MaxNameLen)
	}
	if len(seeds) > maxSeeds {
		bad("Join: %d places: want at most %d", len(seeds), maxSeeds)
	}
	if _, err := parseSeeds(seeds); err != nil {
		bad("Join: %w", err)
	}
	return errors.Join(faults...)
}

// checkBounds is the part of validate about numbers and lists.
func (c Config) checkBounds() error {
	var faults []error
	bad := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf(format, args...))
	}
	if len(c.Seeds) > maxSeeds {
		bad("Seeds: %d of them: want at most %d", len(c.Seeds), maxSeeds)
	}
	if _, err := parseSeeds(c.Seeds); err != nil {
		bad("Seeds: %w", err)
	}
	if err := c.Timing.validate(); err != nil {
		faults = append(faults, err)
	}
	if c.MaxMembers < 1 || c.MaxMembers > maxMembers {
		bad("MaxMembers %d: want 0 (for %d) to %d", c.MaxMembers, DefaultMaxMembers, maxMembers)
	}
	if c.LeaveTimeout < 0 || c.LeaveTimeout > maxTimeout {
		bad("LeaveTimeout %v: want 0 (for %v) to %v", c.LeaveTimeout, DefaultLeaveTimeout, maxTimeout)
	}
	if c.UpdateTimeout < 0 || c.UpdateTimeout > maxTimeout {
		bad("UpdateTimeout %v: want 0 (for %v) to %v", c.UpdateTimeout, DefaultUpdateTimeout, maxTimeout)
	}
	return errors.Join(faults...)
}

// withDefaults returns c with the meaning of its zeros.
func (c Config) withDefaults() Config {
	if c.ClusterName == "" {
		c.ClusterName = DefaultClusterName
	}
	if c.Advertise == (netip.AddrPort{}) && c.Port != nil {
		c.Advertise = c.Port.Addr()
	}
	c.Advertise = netip.AddrPortFrom(c.Advertise.Addr().Unmap(), c.Advertise.Port())
	c.Meta.Address = c.Advertise
	if c.Resolver == nil {
		c.Resolver = net.DefaultResolver
	}
	if c.Timing == (Timing{}) {
		c.Timing = LAN()
	}
	if c.MaxMembers == 0 {
		c.MaxMembers = DefaultMaxMembers
	}
	if c.LeaveTimeout == 0 {
		c.LeaveTimeout = DefaultLeaveTimeout
	}
	if c.UpdateTimeout == 0 {
		c.UpdateTimeout = DefaultUpdateTimeout
	}
	if c.Jitter == nil {
		c.Jitter = rand.Float64
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}
