//go:build linux

// Package worker is what every process under test in meshbench has: the orders
// that its driver gives over standard input, the loads of a sender, the
// messages, and the counters that the client program shares with all.
//
// It knows nothing of how messages travel. That is a [Sender], one for each
// design measured, and lies beside the process that uses it.
//
//	driver ──orders──► sender process ══the design══► owner process
//	   ▲  ▲──answers──────┘                              │ client sockets
//	   └──────────── board ◄── counts ── sink process ◄──┘
//
// Every message says to which connection and as which one of how many it was
// sent. A [Receiver] in the client program checks that, so that each figure
// comes with what was lost, doubled or out of order.
package worker
