//go:build linux

// Package worker is what every process under test in meshbench has: the orders
// that its driver gives over standard input, the loads of a sender, the
// counters that the client program shares with both.
//
// It knows nothing of how messages travel. That is a [Sender], one for each
// design measured, and lies beside the process that uses it.
//
//	driver ──orders──► sender process ══the design══► owner process
//	   ▲  ▲──answers──────┘                              │ client sockets
//	   └──────────── board ◄── counts ── sink process ◄──┘
package worker
