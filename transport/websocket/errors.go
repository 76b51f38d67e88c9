package websocket

import (
	"errors"
	"fmt"

	"flamingo/framing"
)

// ErrBadOption says that an Upgrader or a Decoder was asked for with a setting
// that is not allowed. Every bad setting is reported, each with what is
// allowed.
var ErrBadOption = errors.New("websocket: bad option")

func badOption(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrBadOption, fmt.Sprintf(format, args...))
}

// A ProtocolError says how a client broke the protocol. It matches
// framing.ErrTooLarge if the code is CloseTooBig, otherwise
// framing.ErrMalformed.
type ProtocolError struct {
	Code   CloseCode // to close the connection with
	Reason string    // for the log and the close frame, which it fits; nothing of it comes from the client
}

// Error returns the code and the reason.
func (e *ProtocolError) Error() string {
	return fmt.Sprintf("websocket: close %v: %s", e.Code, e.Reason)
}

// Unwrap returns what the error is to a reader of any framing.
func (e *ProtocolError) Unwrap() error {
	if e.Code == CloseTooBig {
		return framing.ErrTooLarge
	}
	return framing.ErrMalformed
}

// violation is the error for what §7.4.1 calls a protocol error.
func violation(reason string) error {
	return &ProtocolError{Code: CloseProtocol, Reason: reason}
}

func notUTF8(what string) error {
	return &ProtocolError{Code: CloseInvalidPayload, Reason: what + " is not UTF-8"}
}
