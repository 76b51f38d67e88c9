// Package chaos breaks a cluster of real processes on purpose, and judges from
// what they and their clients have recorded whether it kept its word.
//
// A run has three parts. The world, behind the build tag e2e, is a process with a
// network of its own; in it every node is a process of package subject, in a
// further network that hangs on a bridge. No network has a name: they go with the
// processes, however these end. The nemesis carries out a Plan, which follows from
// a seed: it kills, stops, cuts off, drains and retires nodes, aborts links, wipes and
// spoils disks, lays a relay of packets between two nodes and sends strangers. Each
// fault must show that it took effect, or the run fails. In every other run nodes
// have a key. A History is what came of it, and Violations are what must not have.
//
//	1   nothing reaches another connection than it was sent to
//	2   what arrives is in order, for each sender and connection
//	3   nothing arrives twice
//	4   nothing arrives damaged
//	5   what arrives has no holes but those that were reported; nothing after gone
//	6   every send has an answer in time, and a true one
//	7   a connection opens, has its messages and closes, once
//	8   no number and no id is issued twice
//	9   a node that is cut off serves its clients on, and there is a leader again
//	13  what was accepted for a connection that its node ended, as in a drain, has
//	    arrived or is reported
//	16  no stranger is granted a number
//	17  the counts of a node agree with what was seen
//	18  a watch tells of the end of a connection, once and with the true reason, and
//	    of what is unreachable that it is reached again; then nothing is delivered
//	19  a publish reaches each member on each node that it does not name as failed, or
//	    is counted as lost
//	20  sends to a life that has ended are answered gone; a node whose number was
//	    retired takes a greater one
//
// Every one of these checks has a bad history that it must find, in a test beside
// it, and a subject whose defence is switched off (controls_test.go), which it
// must find out in a run.
//
// # Which outcomes may be when
//
// While a node is killed, stopped or cut off, until all nodes that live reach each
// other again, sends from or to it may end as unreachable, uncertain, expired or
// with backpressure; those between the others may not. When links are aborted
// between processes that live, when packets are lost and delayed, or gossip alone is
// cut off, everything must be delivered. Outside of faults, too.
//
// # What it is not
//
// It measures nothing, and does not know how nodes do what they promise: a subject
// embeds package node as a program would.
package chaos
