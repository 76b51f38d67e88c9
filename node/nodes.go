package node

import (
	"os"
	"time"

	"flamingo/cluster/mesh"
)

// NodeInfo describes a node of the cluster, as this node sees it.
type NodeInfo struct {
	Name    string        // for people
	Number  NodeNumber    // its newest; zero while it has none
	State   string        // joining, ready or draining
	Self    bool          // it is this node
	Cluster string        // address of its port between nodes; empty alone
	Link    string        // how the link from here is: idle, connecting, up, unreachable; empty for this node
	RTT     time.Duration // round trip of that link, smoothed; 0 before the first
}

// Nodes returns the nodes of the cluster that this node sees, itself among
// them. Alone it is the only one.
func (n *Node) Nodes() []NodeInfo {
	if n.member == nil {
		name := n.opts.Name
		if name == "" {
			name, _ = os.Hostname() // alone, a node does without
		}
		return []NodeInfo{{Name: name, Number: n.Number(), State: "ready", Self: true}}
	}
	c := n.member.cluster
	links := make(map[[16]byte]mesh.PeerStats)
	for _, p := range c.Mesh().Peers() {
		links[p.Boot] = p
	}
	var nodes []NodeInfo
	for _, m := range c.Members() {
		info := NodeInfo{
			Name: m.Meta.Name, Number: m.Meta.Number, State: m.Meta.State.String(),
			Self: m.Boot == c.Boot(), Cluster: m.Addr.String(),
		}
		if !info.Self {
			info.Link, info.RTT = links[m.Boot].State.String(), links[m.Boot].RTT
		}
		nodes = append(nodes, info)
	}
	return nodes
}
