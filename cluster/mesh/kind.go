package mesh

import "fmt"

// Kind is how a message is to travel to its client, where there is a choice. The
// mesh carries it to the owner, who knows what it means.
type Kind uint8

// The kinds. Append only.
const (
	KindDefault Kind = 0 // the sender has not said
	KindText    Kind = 1
	KindBinary  Kind = 2
)

var kindNames = [...]string{KindDefault: "default", KindText: "text", KindBinary: "binary"}

// String returns the kind's name.
func (k Kind) String() string {
	if int(k) >= len(kindNames) {
		return fmt.Sprintf("kind %d", uint8(k))
	}
	return kindNames[k]
}

// kindOf returns the kind in a frame. One that only a later release knows is the
// default: what is in the message matters more than how it travels.
func kindOf(v uint64) Kind {
	if v > uint64(KindBinary) {
		return KindDefault
	}
	return Kind(v)
}
