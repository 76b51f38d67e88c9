package load

import "errors"

// What a Run may end with, besides a failure of the network.
var (
	// ErrConfig is a setting out of its range.
	ErrConfig = errors.New("load")

	// ErrWrongReply is a reply that is not what was sent: the server is no
	// echo, or loses, doubles, changes or misdirects messages.
	ErrWrongReply = errors.New("wrong reply")

	// ErrLost is the end of all connections, by the server or the network.
	ErrLost = errors.New("all connections are lost")
)
