// Package transport holds the client connections of one node: listeners,
// sockets, event loops, the queues between sockets and program, timeouts.
//
// It knows nothing of clusters and other nodes (cluster, node), issues no ids
// (idspace) and cuts no messages out of bytes (framing): those come in through
// Config.
//
// # Nouns
//
// A Transport has one table of slots, a slot for each connection, and some
// drivers, which move bytes: event loops on epoll, or goroutines elsewhere.
// What a connection goes through is written once, in lifecycle.go; a driver
// only reads, writes, shuts and closes sockets, and keeps deadlines.
//
//	client ── socket ── driver ── wire ── codec ── inbox ─── RecvData
//	                      │                        chain ─── RecvOpen, RecvClose
//	                      └── output ◄─────────── SendData, Send, SendMany, SendClose
//
//	slot: opening ────► open ─────► closing ───────► ended ─────────────► free
//	      every layer     decided     output written     socket closed, messages
//	      ready           once        or given up        and events taken
//
// The program never touches a socket, and a driver never waits for the
// program: received messages go into the inbox, whose bound makes drivers stop
// reading; opens and closes are chained through the slots; a send appends to
// the connection's output and puts the connection on its driver's list.
//
// A listener may want more of its clients than bytes: the header of a proxy, TLS,
// WebSocket, limits. What a connection keeps of that is its wire (wire.go), through
// which input moves from layer to layer; output is encrypted on its way to the
// socket. A plain connection has no wire and is open at once.
//
// # Finding a connection
//
// The serial of an id, modulo the size of an index, is the place of its slot.
// The slot holds the whole id, and whoever acts on it compares that first,
// under the slot's lock: a stale id never finds a newer connection. An epoll
// event carries the id as well. Sockets are closed at the end of a loop's
// turn, so a descriptor's number does not come back while it may be meant.
//
// # Concurrency
//
// Every method of Transport and Conn may be called from any goroutine. The
// locks, none of which is held across a system call that can wait:
//
//	slot.mu                      state, output and socket of one connection
//	shedder.mu                   who ends connections for their output; only tried
//	table.mu, inbox.mu, chain.mu,
//	bell.mu, losses.mu, loop.mu,
//	addressBook.mu, session.mu,
//	handshakes.mu                leaves: nothing is locked under them
//
// Under slot.mu only the codec, the source of ids, and the system calls for
// addresses and options of the socket are called, and crypto/tls for what a
// handshake that is over has settled. During a handshake crypto/tls takes slot.mu
// under its own locks (ADR 14). A driver alone reads, writes and closes a socket;
// others set its options under slot.mu, which the driver takes to give the socket
// up.
//
// # Time
//
// A connection has one place on its driver's wheel, whatever it has deadlines
// for: deadline.go says which comes next, and what becomes of it.
package transport
