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
//   - The seat is its place in consensus: a store and the server on it.
//   - The directory knows where other lives are: by boot, by data directory, by
//     node number. Gossip and the mesh fill it; it is a hint.
//   - A view is what is known of the numbers at one moment: the last granted, and
//     the life that holds each live one. It comes from consensus, or from a voter
//     that is asked, and only moves forward.
//
// # From start to first number
//
//	blank ──► belongs to a cluster ──► has a number
//	   adopt a member's, or         Grant, by whoever
//	   found one with Expect        leads
//
// Waiting says what is missing. 1, 3 or 5 servers vote; every other node asks
// them over the mesh.
//
// # What an id's number says
//
//	its holder is a member            the send goes there
//	≤ last and not live               gone
//	live, and its holder no member    unreachable
//	> last, after a committed read    never issued; without a leader unreachable
//
// # How a life ends
//
//	left in order           the leader records it: gone
//	started again           its directory has a later life: gone
//	directory lost          nobody can tell: unreachable, until it is retired
//	lost for LostAfter      the leader retires it, as does Retire: gone
//	ended while it runs     Run returns ErrLifeEnded, or ErrRetired
//
// A directory that was restored or copied is found out by peers, by the boot
// counter, or by the leader, to whom the original answers. It is set aside, and
// the node begins anew as another server, in the same life. A life is granted
// all its numbers under the directory of the first one.
//
// # Concurrency
//
// Every method may be called from any goroutine. Run owns every goroutine. The
// locks (directory.mu, notice.mu, reads.mu, asking.mu, losses.mu, Cluster.views) are
// leaves, but for Cluster.publishing, which is taken before all others.
package cluster
