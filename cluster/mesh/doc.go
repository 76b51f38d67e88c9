// Package mesh carries messages between nodes, over links of frames.
//
// It knows nothing of sockets of clients, of gossip and of raft: streams, the
// owner of connections and the handler of requests come in through Config. It
// does not encrypt: a stream is a net.Conn, and TLS belongs beneath it. Which
// node owns an id, and where a node is, is for the caller to know.
//
// # Nouns
//
// A Mesh is one node's end of everything; a Peer, from Mesh.To, is what one sends
// with. A link leads to one peer and is opened when there is something for it; the
// way back is a link of its own. A link has lanes, which carry messages, and a
// control stream: requests, pings, numbers. Handshakes, frames and codes are in
// docs/protocol.md.
//
//	SendData ─► window ─► journal ─► lane ═══ TCP ════► reader ─► Owner
//	                                 ▲                    │
//	Undelivered ◄── reports ◄── outcomes, acks ◄─────── outbox
//
// # What becomes of a send
//
//	refused at once    an error; nothing was sent
//	accepted           it is acknowledged by the owner, in order for each id,
//	                   or Undelivered is told: exactly one of the two
//	waited for         the error is the outcome; nil says written
//
// A stream that breaks is a delay: lane and peer have a session that outlives it,
// keep in their journals what is not acknowledged, and go on by the next stream
// where the last one ended. When a session is over, because the peer does not know
// it any more or stays away for ReconnectTimeout, what was handed to the network
// ends as uncertain; what was not goes to the next session or ends as unreachable,
// gone or closed. From UnreachableAfter on further sends are refused. ADRs 9 and 19
// have the reasons.
//
// # Bounds
//
//	what                         bound            at the bound
//	queued or unacknowledged     Window           senders wait, then ErrBackpressure
//	sends that wait              MaxWaits         ErrBackpressure
//	requests under way           MaxRequests      ErrBackpressure
//	sessions without a stream    MaxSessions, MaxSessionBytes, SessionTimeout   forgotten
//	links, inbound streams       MaxPeers, MaxInbound   ErrUnreachable; closed unread
//	reports to Undelivered       Reports          counted and dropped
//	ids known to be full     4096 a lane      further ones are refused by the owner, counted
//	notices of pressure      65536            peers are not told, counted
//	outcomes owed, outboxes      protocol         the stream and its session end
//	a stream that does not come  UnreachableAfter sends are refused as unreachable
//	attempts to connect          ReconnectTimeout queued: unreachable; sent: uncertain
//	streams without progress     ReconnectTimeout what was sent ends as uncertain
//	restarts of a long message   8                it ends as unreachable
//
// # Concurrency
//
// Every method may be called from any goroutine. Run owns the goroutines: two
// for each open stream, one for each request being handled, the ticker and the
// reporter. A reader never waits for an owner, a window or a writer. The locks
// lane.mu, control.mu, outbox.mu, reports.mu and Mesh.inMu are leaves, except that
// control.mu and notices.mu are held while an outbox takes a frame, and those of a link
// while Mesh.mu is and the link is evicted. Identity and OutcomeOf are called
// without locks.
package mesh
