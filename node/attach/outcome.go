package attach

import (
	"errors"

	"flamingo/node"
)

// An outcome is what became of an action or an ask. Append only.
type outcome uint8

const (
	accepted     outcome = 0
	gone         outcome = 1
	neverIssued  outcome = 2
	unreachable  outcome = 3
	backpressure outcome = 4
	expired      outcome = 5
	uncertain    outcome = 6
	tooLarge     outcome = 7
	unframeable  outcome = 8
	badID        outcome = 9
	closed       outcome = 10
	badCloseCode outcome = 11
	badGroup     outcome = 12
	limit        outcome = 13
	forbidden    outcome = 14
	badRequest   outcome = 15
	failed       outcome = 16
)

// outcomes has names, and the error that each stands for, in the order in which an
// error is compared with them: one that matches two has the later code.
var outcomes = [...]struct {
	name string
	err  error
}{
	accepted:     {"accepted", nil},
	gone:         {"gone", node.ErrGone},
	neverIssued:  {"never-issued", node.ErrNeverIssued},
	unreachable:  {"unreachable", node.ErrUnreachable},
	backpressure: {"backpressure", node.ErrBackpressure},
	expired:      {"expired", node.ErrExpired},
	uncertain:    {"uncertain", node.ErrUncertain},
	tooLarge:     {"too-large", node.ErrTooLarge},
	unframeable:  {"unframeable", node.ErrUnframeable},
	badID:        {"bad-id", node.ErrBadID},
	closed:       {"closed", node.ErrClosed},
	badCloseCode: {"bad-close-code", node.ErrBadCloseCode},
	badGroup:     {"bad-group", node.ErrBadGroup},
	limit:        {"limit", node.ErrLimit},
	forbidden:    {"forbidden", nil},
	badRequest:   {"bad-request", node.ErrBadOption},
	failed:       {"failed", nil},
}

// outcomeOf returns the outcome that err stands for. What may have been done is never
// called not done: uncertain goes before all others.
func outcomeOf(err error) outcome {
	switch {
	case err == nil:
		return accepted
	case errors.Is(err, node.ErrUncertain):
		return uncertain
	}
	for i := len(outcomes) - 1; i >= 0; i-- {
		if o := &outcomes[i]; o.err != nil && errors.Is(err, o.err) {
			return outcome(i)
		}
	}
	return failed
}

// An endReason says why a session ended. Append only.
type endReason uint8

const (
	endLost endReason = iota // the stream broke, or the worker closed it
	endLeft
	endClosed
	endSilent
	endStuck
	endStalled
	endProtocol
	endVersion
	endUnauthorized
	endForbidden
	endReplaced
	endFull
	endReasons
)

var endNames = [endReasons]string{
	"lost", "left", "closed", "silent", "stuck", "stalled", "protocol", "version", "unauthorized",
	"forbidden", "replaced", "full",
}

func (r endReason) String() string { return endNames[r] }
