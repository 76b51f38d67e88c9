// Package attach lets other processes be the application of a node: workers, in
// any language, that take the events of its connections and send to connections of
// the whole cluster. docs/attach.md is the protocol, and enough to write a worker.
//
//	s, err := attach.New(attach.Config{Node: n})
//	...
//	err = s.Run(ctx, ln) // ln on 127.0.0.1:4140, until n is closed
//
// # What it is not
//
// It opens no socket, and reads no flags and no files. What a send or a close means
// is the business of package node; who may connect at all, that of whoever listens:
// without tokens a Server trusts everybody.
//
// # Nouns
//
//   - A session is the time of a worker on one stream.
//   - The hub holds every event until it is acknowledged, and decides who gets it.
//   - A record is a frame, or an action in one, whatever its form.
//
// # Where an event is
//
//	waiting   nobody takes events; one queue for all connections
//	queued    of the session that its connection sticks to, not sent
//	out       sent, not acknowledged; in the order of the numbers
//	done      acknowledged: the node is told, and the event is gone
//
// An event counts against the bounds of the node in each state but the last, so
// the hub needs no bound: when nobody acknowledges, reading and accepting pause.
// When a session ends, what was queued or out goes to others in its order, which
// keeps that of every connection: all its events were in this one session.
//
// # Concurrency
//
// Run owns a goroutine that takes events, one for each listener, and for each session
// a reader, which does what the worker says in its order, a writer, and those of asks
// and watches. hub.mu is a leaf: nothing is called under it.
package attach
