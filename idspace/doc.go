// Package idspace is the space of connection ids: their layout and every
// encoding, the sequence that issues them, and the record of who was granted
// which part of the space.
//
// What it is not: it opens nothing, starts no goroutine and reads no clock.
// The leader's clock reaches it as a [Tick] inside a command, randomness as an
// [io.Reader]. Replicating the commands and asking for grants is the business
// of package cluster; mapping an id to a socket is that of package transport.
//
// # Nouns
//
//   - [ID] names one connection for ever: the node number, then the serial.
//   - [NodeNumber] names one life of a node. It is the tick in which it was
//     granted, so it also tells when that life began.
//   - [Sequence] issues the ids under the numbers one node was granted.
//   - [Registry] is the state machine that grants numbers.
//
// # Layout
//
//	 63                                28 27                          0
//	[         node number : 36          |        serial : 28         ]
//
//	value       text                       binary               msgpack  SQL
//	ID          16 lower-case hex digits   8 bytes, big-endian  uint64   int64
//	NodeNumber  9 lower-case hex digits    8 bytes, big-endian  uint64   int64
//	BootID      UUID, lower case           16 bytes             –        –
//	ServerID    UUID, lower case           16 bytes             –        –
//
// JSON is always the text form, as a string: JavaScript keeps integers exact
// only up to 2^53. Every value has one text form; any other is refused. Zero
// numbers and zero serials are invalid: no encoder writes them and no decoder
// accepts them, so a decoded ID is a valid one.
//
// # Why no id is issued twice
//
// Numbers only grow: number = max(last + 1, tick). While the registry's log
// survives, last keeps two grants apart. When it is lost, time does, on two
// conditions that the leader must keep: it grants at most once per tick, so
// that numbers never run ahead of time, and the first grant of a new registry
// carries the tick of a clock that has not gone back behind the lost one.
// Nothing else enters: no lease, no expiry. Under its number a node never
// repeats a serial, see [Sequence].
//
// # Concurrency
//
// A Sequence is safe for concurrent use and issues without locks. A Registry
// is not: whoever applies its commands guards it. All else is values.
package idspace
