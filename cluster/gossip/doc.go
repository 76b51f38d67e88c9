// Package gossip is membership: which nodes there are, as far as they tell
// each other, and what each announces about itself.
//
// What it is not: it decides nothing. That a member is present or gone is a
// hint; a live link of the mesh outranks it (cluster/mesh). Node numbers are
// granted by consensus (cluster/consensus), and their list travels over the
// mesh: a member announces only its newest number and the version of its list.
//
// # Nouns
//
//   - [Gossip] is this node among the members. It runs on a port.Port, with
//     the packets and the streams of protocol gossip.
//   - [Member] is one life of a node, named by its boot id. A node that was
//     killed and started again is another member: the old one goes, the new
//     one joins, in either order.
//   - [Meta] is what a member announces: under 300 bytes, see Meta.Encode.
//   - A seed is a place to look for members: an address, or dns:, srv:, file:,
//     exec:.
//
// # Bytes
//
// A stream begins with a hello in each direction, that of the dialing end
// first; memberlist's bytes follow. By the hello a node knows itself when it
// was given its own address, and a node of another cluster, with both ids.
//
//	hello  version:1 length:1 verdict:1 boot:16 cluster:16 n:1 name:n
//
// # Two clusters that meet
//
// A member of another cluster id is refused in the hello, by the rules for
// joining, and whenever somebody tells of it. It is then no longer spoken to, so
// that each side takes the other for dead. Blank nodes, without a cluster id,
// meet anybody, until they have one.
//
// # Coming back
//
// A node that fails is forgotten by memberlist after a while, on both sides of
// a partition. So seeds that no present member stands for, and the addresses
// of members that were lost, are tried again for ever, with backoff and jitter.
//
// # Concurrency
//
// Every method may be called from any goroutine. Callbacks of memberlist run
// under its lock: they change the table of members and return. The table is
// itself the queue of changes: a subscriber is told how each member differs from
// what it was last told, so it may be slow and never holds anybody up.
//
// Gossip.mu, table.mu, refusals.mu, lost.mu, seeker.mu and transport.mu are
// leaves, and nothing of memberlist is called under them.
package gossip
