// Package cluster makes a node one of many: it joins the one port between nodes
// (cluster/port), membership (cluster/gossip), the grants of node numbers
// (cluster/consensus) and the links that carry sends (cluster/mesh).
//
// It knows no client sockets: those are the Owner's, which comes in through
// Config.
//
// # Nouns
//
//   - Cluster is this node's part in the cluster.
//   - The directory knows where other lives are: by boot, by data directory, by
//     node number. Gossip and the mesh fill it; it is a hint.
//   - A view is what is known of the numbers: the last granted, and the life that
//     holds each live one. Consensus fills it, or the leader is asked.
//
// # From start to first number
//
//	blank ──► belongs to a cluster ──► has a number
//	   adopt a member's, or         Grant, by whoever
//	   found one with Expect        leads
//
// # What an id's number says
//
//	its holder is a member            the send goes there
//	≤ last and not live               gone
//	live, and its holder no member    unreachable
//	> last, after a committed read    never issued; without a leader unreachable
//
// # Concurrency
//
// Every method may be called from any goroutine. Run owns every goroutine. The
// directory's lock is a leaf.
package cluster
