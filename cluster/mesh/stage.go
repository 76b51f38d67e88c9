package mesh

import "fmt"

// Stage is how far a message is to have come when who waits for it is told.
type Stage uint8

// The stages. Append only.
const (
	StageWritten Stage = 0 // to the client's socket
	StageAcked   Stage = 1 // acknowledged by the TCP of that socket's other end
)

var stageNames = [...]string{StageWritten: "written", StageAcked: "acked"}

// Valid reports whether s is in the list.
func (s Stage) Valid() bool { return int(s) < len(stageNames) }

// String returns the stage's name.
func (s Stage) String() string {
	if !s.Valid() {
		return fmt.Sprintf("stage %d", uint8(s))
	}
	return stageNames[s]
}
