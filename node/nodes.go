package node

import (
	"net/netip"
	"os"
	"slices"
	"time"

	"flamingo/cluster"
	"flamingo/cluster/gossip"
)

// NodeInfo describes a life of a node of the cluster, as this node sees it.
type NodeInfo struct {
	Name    string        // for people; of one that is not present the last one known, may be empty
	Number  NodeNumber    // its newest; zero while it has none
	Numbers []NodeNumber  // all, ascending
	State   string        // joining, ready or draining; absent if it has not come back since it was lost
	Role    string        // in granting numbers: voter, nonvoter or outside; empty alone
	Self    bool          // it is this node
	Cluster string        // address of its port between nodes; empty alone
	Admin   string        // address of its admin API; empty for none
	Link    string        // how the link from here is: idle, connecting, up, unreachable or gone; empty for this node
	Version string        // of Flamingo that it runs; empty if it is absent
	Speaks  [2]int        // least and greatest version of the protocol between nodes; zero if it is absent
	RTT     time.Duration // round trip of that link, smoothed; 0 before the first
}

// stateAbsent is the State of a life that holds numbers and is no member.
const stateAbsent = "absent"

// Nodes returns the nodes of the cluster that this node sees, itself among
// them, by name. Alone it is the only one.
func (n *Node) Nodes() []NodeInfo {
	if n.member == nil {
		name := n.opts.Name
		if name == "" {
			name, _ = os.Hostname() // alone, a node does without
		}
		state := gossip.StateReady
		if n.Closing() || n.DrainProgress().Phase != DrainNone {
			state = gossip.StateDraining
		}
		numbers := n.ids.Numbers()
		least, greatest := Protocol()
		return []NodeInfo{{
			Name: name, Number: slices.Max(numbers), Numbers: numbers, State: state.String(), Self: true,
			Version: Version(), Speaks: [2]int{least, greatest},
		}}
	}
	var nodes []NodeInfo
	for _, life := range n.member.cluster().Nodes() {
		nodes = append(nodes, nodeInfo(&life))
	}
	return nodes
}

func nodeInfo(life *cluster.Node) NodeInfo {
	info := NodeInfo{
		Name: life.Name, Numbers: life.Numbers, State: stateAbsent, Self: life.Self,
		Cluster: addrText(life.Address), Admin: addrText(life.Admin),
		Version: life.Release, Speaks: [2]int{int(life.Speaks.Min), int(life.Speaks.Max)},
	}
	if len(life.Numbers) > 0 {
		info.Number = slices.Max(life.Numbers)
	}
	if life.Present {
		info.State, info.Role = life.State.String(), life.Role.String()
	}
	if !life.Self {
		info.Link, info.RTT = life.Link.String(), life.RTT
	}
	return info
}

func addrText(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
