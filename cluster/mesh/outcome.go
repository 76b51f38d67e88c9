package mesh

import "fmt"

// Outcome is the answer to one frame as the wire carries it. Append only.
type Outcome uint8

// The outcomes.
const (
	OutcomeAccepted     Outcome = 0 // taken; for a send that waits: written
	OutcomeGone         Outcome = 1
	OutcomeNeverIssued  Outcome = 2
	OutcomeBackpressure Outcome = 3
	OutcomeExpired      Outcome = 4
	OutcomeUncertain    Outcome = 5
	OutcomeTooLarge     Outcome = 6
	OutcomeUnframeable  Outcome = 7
	OutcomeClosed       Outcome = 8
	OutcomeUnreachable  Outcome = 9
	OutcomeNotMine      Outcome = 10
	OutcomeNoAck        Outcome = 11
)

// outcomes joins codes, names and sentinels. The index is the code.
var outcomes = [...]struct {
	name string
	err  error
}{
	OutcomeAccepted:     {"accepted", nil},
	OutcomeGone:         {"gone", ErrGone},
	OutcomeNeverIssued:  {"never-issued", ErrNeverIssued},
	OutcomeBackpressure: {"backpressure", ErrBackpressure},
	OutcomeExpired:      {"expired", ErrExpired},
	OutcomeUncertain:    {"uncertain", ErrUncertain},
	OutcomeTooLarge:     {"too-large", ErrTooLarge},
	OutcomeUnframeable:  {"unframeable", ErrUnframeable},
	OutcomeClosed:       {"closed", ErrClosed},
	OutcomeUnreachable:  {"unreachable", ErrUnreachable},
	OutcomeNotMine:      {"not-mine", ErrNotMine},
	OutcomeNoAck:        {"no-ack", ErrNoAck},
}

// Valid reports whether o is in the list.
func (o Outcome) Valid() bool { return int(o) < len(outcomes) }

// Err returns the sentinel of o: nil for OutcomeAccepted, and ErrUncertain for
// a code that only a later release knows.
func (o Outcome) Err() error {
	if !o.Valid() {
		return ErrUncertain
	}
	return outcomes[o].err
}

// String returns the outcome's name.
func (o Outcome) String() string {
	if !o.Valid() {
		return fmt.Sprintf("outcome %d", uint8(o))
	}
	return outcomes[o].name
}
