// Package port is the one port between nodes: a TCP listener and a UDP socket
// on the cluster address, shared by all that nodes have to say to each other.
//
// What it is not: with Trust it lets in nodes of the cluster alone (cluster/trust),
// but it does not know which one is at the other end. Which node, which cluster
// and which life of a node are the business of the handshake of each protocol
// (cluster/gossip, cluster/consensus, cluster/mesh), which follows on the stream.
//
// # Nouns
//
//   - [Port] owns the sockets. It is listened on, then run.
//   - [Protocol] says what a stream is for.
//   - [Streams] is the consumer of the incoming streams of one protocol,
//     [Packets] that of the UDP packets.
//
// # Preamble
//
// Who dials says which protocol follows, in the first bytes of the stream:
//
//	offset  bytes        meaning
//	0       f7 66 6c 6d  magic; the first byte is no ASCII and no TLS record
//	4       01           version of the preamble
//	5       01 … 03      protocol: gossip, raft, mesh
//
// Nothing is answered: a stream that is not wanted is closed. This is clear
// text, which New allows on loopback only, unless Insecure is set. With Trust the
// protocol is that of ALPN, flamingo-gossip/1, flamingo-raft/1 or flamingo-mesh/1,
// and handed over is a stream whose ends are sure of each other.
//
// # What happens to a connection
//
//	accepted ──► unclassified ──► queue of its protocol ──► Accept
//	                 │                │
//	                 │                └ full, or nobody claimed it: closed
//	                 └ stranger, not trusted, slow, oldest of too many: closed
//
// Everything that is closed unserved is counted under a [Reason]. When
// connections come faster than they are classified, the oldest unclassified
// one is closed: a node sends its preamble at once, so that what waits longest
// is most likely a stranger.
//
// # Concurrency
//
// Every method may be called from any goroutine. A consumer that is slow,
// closed or missing never holds up another one. Port.mu and Streams.mu are
// leaves: nothing is locked under them, and nothing that can wait is done.
package port
