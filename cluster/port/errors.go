package port

import "errors"

// Conditions of setting up.
var (
	// ErrBadConfig: New refuses the Config. The text names each option that
	// is at fault, its value, and what is allowed.
	ErrBadConfig = errors.New("bad config")

	// ErrInsecure: clear text would leave this machine. Usually Insecure is
	// not set on a node that has an address others can reach.
	ErrInsecure = errors.New("clear text beyond loopback")

	// ErrRunning: Run was called twice. A Port runs once.
	ErrRunning = errors.New("port runs or has run")

	// ErrTaken: another consumer holds the protocol, or the packets. Usually
	// a component was started again before its predecessor ended.
	ErrTaken = errors.New("already has a consumer")

	// ErrNotListening: a packet was sent before Listen. Usually a component
	// was started before the port.
	ErrNotListening = errors.New("port does not listen")

	// ErrUnknownProtocol: not a protocol of this version. Usually the other
	// end is a later release.
	ErrUnknownProtocol = errors.New("unknown protocol")
)

// Conditions of classifying a connection.
var (
	// ErrStranger: the first bytes are no preamble. Usually a port scan, or a
	// client that was given the address of the nodes.
	ErrStranger = errors.New("first bytes are no preamble")

	// ErrUnknownVersion: a preamble of another version. Usually the other end
	// is a later release.
	ErrUnknownVersion = errors.New("unknown preamble version")
)
