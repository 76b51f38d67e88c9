package websocket

import "fmt"

// Kind says what a frame or an Event is. The values are the opcodes of RFC
// 6455 §5.2.
type Kind uint8

// The kinds. Text and Binary are messages, the others but None are control
// frames.
const (
	None   Kind = 0x0 // no event
	Text   Kind = 0x1
	Binary Kind = 0x2
	Close  Kind = 0x8
	Ping   Kind = 0x9
	Pong   Kind = 0xA
)

// continuation is the opcode of every frame of a message but the first.
const continuation = None

// String returns the kind's name in lower case.
func (k Kind) String() string {
	switch k {
	case None:
		return "none"
	case Text:
		return "text"
	case Binary:
		return "binary"
	case Close:
		return "close"
	case Ping:
		return "ping"
	case Pong:
		return "pong"
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

func (k Kind) isMessage() bool { return k == Text || k == Binary }

func (k Kind) isControl() bool { return k >= Close && k <= Pong }
