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
//	SendData ─► window ─► chunks ─► lane ════ TCP ════► reader ─► Owner
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
// When a session breaks, what was handed to its stream and not acknowledged
// ends as uncertain. What was not goes to the next session, if the peer is the
// same boot and there in time; else it ends as unreachable, gone or closed.
// Meanwhile, from UnreachableAfter on, further sends are refused. ADR 9 has the
// reasons.
//
// # Bounds
//
//	what                         bound            at the bound
//	queued or unacknowledged     Window           senders wait, then ErrBackpressure
//	sends that wait              MaxWaits         ErrBackpressure
//	requests under way           MaxRequests      ErrBackpressure
//	links, inbound streams       MaxPeers, MaxInbound   ErrUnreachable; closed unread
//	reports to Undelivered       Reports          counted and dropped
//	outcomes owed, outboxes      protocol         the stream ends
//	a stream that does not come  UnreachableAfter sends are refused as unreachable
//	attempts to connect          ReconnectTimeout what is queued ends as unreachable
//	restarts of a long message   8                it ends as unreachable
//
// # Concurrency
//
// Every method may be called from any goroutine. Run owns the goroutines: two
// for each open stream, one for each request being handled, the ticker and the
// reporter. A reader never waits for an owner, a window or a writer. The locks
// lane.mu, control.mu, outbox.mu, reports.mu and Mesh.inMu are leaves, except
// that control.mu is held while an outbox takes a frame, and those of a link
// while Mesh.mu is and the link is evicted. Identity and OutcomeOf are called
// without locks.
package mesh
