package node

import (
	"flamingo/cluster/mesh"
	"flamingo/transport"
)

// Kind is how a message travels over WebSocket. Connections of other listeners
// do not heed it.
type Kind = transport.Kind

// The kinds of messages.
const (
	KindDefault = transport.KindDefault // sent: as the listener says, text unless it has send=binary; received: not over WebSocket
	KindText    = transport.KindText    // text in UTF-8; to send anything else as text is ErrUnframeable
	KindBinary  = transport.KindBinary
)

// kindOf returns a kind as another node has sent it.
func kindOf(k mesh.Kind) Kind {
	switch k {
	case mesh.KindText:
		return KindText
	case mesh.KindBinary:
		return KindBinary
	case mesh.KindDefault:
	}
	return KindDefault
}

// kindFor returns a kind as it goes to another node. One that there is not is
// binary, as it is for a connection of this node.
func kindFor(k Kind) mesh.Kind {
	switch k {
	case KindDefault:
		return mesh.KindDefault
	case KindText:
		return mesh.KindText
	case KindBinary:
	}
	return mesh.KindBinary
}
