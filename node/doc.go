// Package node joins the clients of a process into a node of a connection
// fabric: it is the only package that an embedding program needs. Package
// flamingo is its front door.
//
// A Node holds long-lived client connections and lets a program work with them
// pipeline-style, by id:
//
//	RecvOpen, Opens      a client has connected
//	RecvData, Messages   a client has sent a message
//	RecvClose, Closes    a connection has ended, not by our SendClose
//	SendData             send a message to a connection
//	SendClose            end a connection
//
// JoinGroup makes a connection a member of a group, and Publish sends to its
// members, wherever they are. SetMeta notes something about a connection. Watch
// tells what becomes of one, on whatever node.
//
// Serve calls a Handler instead, in order for each connection; TakeEvents hands
// events to a program that is done with them later. Send waits until a message is
// written, SendAcked until the system at the other end has it, and SendDataBefore has
// a deadline; SendMany sends one message to many. Disconnect ends a
// connection for somebody else than the program. Describe, Connections and Stats
// look. Drain takes the node out of service, its connections one after the other.
//
// An ID names one connection forever: it is never used again, and a send to an
// id whose connection has ended answers ErrGone. An id is an address, not a
// right: ids can be guessed, so clients must not choose whom to send to
// unchecked.
//
// # What it is not
//
// Package node knows no sockets (transport does), no message boundaries
// (framing) and no layout of ids (idspace); it reads no flags and no files of
// configuration (cmd/flamingo).
//
// # Uniqueness of ids
//
// An id holds the number of the node's life and a serial. In a cluster most of
// the voters agree on who is granted a number, and none is granted twice; should
// all their disks be lost, the clock stands for that. Alone, a node takes
// as its number the present sixteenth of a second, and waits until that is over
// before it accepts; with Opts.DataDir it also remembers the last number. A
// life that uses up half of a number's serials takes a further one, at least
// the successor of the last. So without a data directory ids can repeat if the
// clock is set back: between two lives; or during a life, if the next one
// begins before the clock has passed the numbers of this one. With a data
// directory they never do.
//
// # Events that are not taken
//
// Received messages that are not taken hold memory, up to Opts.QueueBytes; then
// reading from clients pauses, and nothing else. Opens and closes that are not
// taken hold their connection's place; when all Opts.MaxConns places are taken,
// accepting pauses and the log says why. A program that does not want them says
// so with Opts.Ignore. Under Serve an event counts until its call has returned.
//
// All methods are safe for concurrent use.
package node
