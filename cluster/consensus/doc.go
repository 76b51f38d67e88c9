// Package consensus keeps the one thing a cluster must agree on: which node
// number was granted to which life of a node. It runs raft over the registry
// of package idspace.
//
// What it is not: it knows neither gossip nor the mesh. What it needs of them
// comes in through Config: streams to a server by its id (Network), who could
// become a voter (Candidates), how far the clock is off (ClockOffset). It
// forwards nothing: a server that does not lead answers with a NotLeaderError,
// and whoever asked goes to the leader. No data and no client waits for it.
//
// # Nouns
//
//   - Store: what one server remembers: its identity, its promise, the highest
//     boots it has seen, raft's log, terms and snapshots.
//   - Server: one server of the raft group, running on a Store.
//   - Proposer: drives the promise round that founds a cluster.
//
// # Life of a server
//
//	waiting ──────► running ─────► stopped
//	 no cluster id   raft runs      Run has returned
//
// A blank server waits until Promise rounds found a cluster (Proposer) or Join
// names one. From then on it takes part in raft, and is a voter once the
// leader makes it one.
//
// # Identity
//
// The ServerID lies in the same file as raft's log, so that neither survives
// the other: a voter that came back empty under its old id would help to grant
// a number twice. Each opening of the Store counts up a boot counter. Every
// raft stream begins with
//
//	hello    FLMR version:1 length:2  cluster:16 target:16 server:16 start:8 boot:16
//	answer   FLMR version:1 length:2  code:1 server:16 start:8 boot:16
//	verdict  code:1
//
// (integers big-endian). Either end refuses the other when it is not the
// server meant or when its boot is older than one seen before: a restored or
// cloned directory. A server refused so stops with ErrSuperseded; SetAside then
// lets it begin anew. In raft's configuration the address of a server is its
// id; Network alone knows where it is.
//
// # Failure
//
// The first error of a write poisons the Store: every later call fails and raft
// stops, with ErrStoreFailed. The rest of the node can go on without it.
//
// # Concurrency
//
// All methods may be called from any goroutine. Run owns every goroutine;
// callers of Grant, EndLife and Confirm wait only for their context. Locks
// (fsm.mu, streams.mu, contacts.mu, Server.mu, memory.mu) are leaves. Config's
// functions are called without any.
package consensus
