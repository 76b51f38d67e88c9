package attach

import (
	"errors"
	"fmt"
)

// A format is one of the forms of a frame. It does not change, and its methods are
// safe for concurrent use.
type format interface {
	// appendFrame appends a frame of the node to dst as it goes onto the stream.
	appendFrame(dst []byte, r *record) []byte

	// decode reads the body of a frame of a worker into r, whose payloads are parts of
	// body. The error matches errMalformed.
	decode(body []byte, r *record) error
}

// errMalformed: a frame that is none. The message says what is wrong, for whoever
// writes a worker.
var errMalformed = errors.New("malformed frame")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errMalformed}, args...)...)
}
