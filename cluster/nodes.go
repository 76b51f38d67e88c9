package cluster

import (
	"bytes"
	"cmp"
	"net/netip"
	"slices"
	"time"

	"flamingo/cluster/gossip"
	"flamingo/cluster/mesh"
	"flamingo/idspace"
)

// A Node is one life of a node, as this one sees it.
type Node struct {
	Boot    idspace.BootID
	Name    string               // of one that is not present the last one known; may be empty
	Numbers []idspace.NodeNumber // ascending
	State   gossip.State
	Role    gossip.Role
	Address netip.AddrPort
	Admin   netip.AddrPort // zero for none
	Self    bool

	Release string        // that it runs, as it says; empty of one that is not present
	Speaks  mesh.Versions // of the protocol between nodes; zero of one that is not present

	// Present: it is a member. One that is not holds live numbers all the
	// same: it has not come back since it was lost.
	Present bool

	Link mesh.State    // of the link from here
	RTT  time.Duration // zero before it is known
}

// Nodes returns the members and the lives that hold live numbers without being
// one, by name, then by boot.
func (c *Cluster) Nodes() []Node {
	nodes := make(map[idspace.BootID]*Node)
	for _, m := range c.Members() {
		nodes[m.Boot] = &Node{
			Boot: m.Boot, Name: m.Meta.Name, State: m.Meta.State, Role: m.Meta.Role,
			Address: m.Addr, Admin: m.Meta.Admin, Self: m.Boot == c.boot, Present: true,
			Release: m.Meta.Release, Speaks: versionsOf(m),
		}
	}
	for n, boot := range c.view().live {
		if nodes[boot] == nil {
			nodes[boot] = &Node{Boot: boot, Name: c.lost.name(boot), Self: boot == c.boot}
		}
		nodes[boot].Numbers = append(nodes[boot].Numbers, n)
	}
	for boot, n := range nodes { // what is granted may not be in our view yet
		n.Numbers = append(n.Numbers, c.dir.numbersOf(boot)...)
		if n.Present && n.State == gossip.StateJoining && len(n.Numbers) > 0 {
			n.State = gossip.StateReady // the news of its number came first
		}
	}
	for _, p := range c.mesh.Peers() {
		if n := nodes[p.Boot]; n != nil {
			n.Link, n.RTT = p.State, p.RTT
		}
	}
	all := make([]Node, 0, len(nodes))
	for _, n := range nodes {
		slices.Sort(n.Numbers)
		n.Numbers = slices.Compact(n.Numbers)
		all = append(all, *n)
	}
	slices.SortFunc(all, func(a, b Node) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), bytes.Compare(a.Boot[:], b.Boot[:]))
	})
	return all
}
