package cluster

import (
	"errors"
	"fmt"

	"flamingo/cluster/gossip"
	"flamingo/cluster/mesh"
)

// Nodes of a cluster reach each other, all of them: one that has no version of the
// protocol in common with another does not become a member. Who comes later gives
// up; those that are there say whom they do not understand (ADR 28).

// ErrVersions says that two nodes of a cluster have no version of the protocol
// between nodes in common. Usually one was left out of several upgrades.
var ErrVersions = errors.New("no common version of the protocol between nodes")

// understands reports whether this node and a member have a version in common.
func (c *Cluster) understands(m gossip.Member) bool { return c.speaks.Meet(versionsOf(m)) }

func versionsOf(m gossip.Member) mesh.Versions {
	return mesh.Versions{Min: uint64(m.Meta.MinVersion), Max: uint64(m.Meta.MaxVersion)}
}

// foreign names both ranges.
func (c *Cluster) foreign(m gossip.Member) error {
	return fmt.Errorf("%w: this node, release %q, speaks %v, and %q at %v, release %q, speaks %v",
		ErrVersions, c.cfg.Release, c.speaks, m.Meta.Name, m.Addr, m.Meta.Release, versionsOf(m))
}

// estranged returns an error matching ErrVersions if this life has no number yet,
// and a member that has one does not understand it. A member that is about to leave
// is in nobody's way.
func (c *Cluster) estranged() error {
	if c.asking.ordinal.Load() > 0 {
		return nil
	}
	for _, m := range c.dir.others(c.boot) {
		if m.Meta.State == gossip.StateReady && !c.understands(m) {
			return c.foreign(m)
		}
	}
	return nil
}
