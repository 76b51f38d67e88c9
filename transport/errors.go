package transport

import (
	"errors"
	"fmt"
	"time"

	"flamingo/framing"
	"flamingo/idspace"
)

// Outcomes of sends and closes. They are told apart with errors.Is.
var (
	// ErrGone: the connection has ended, or is ending. Usual cause: the client
	// left, or a SendClose came first. Not worth a retry.
	ErrGone = errors.New("connection is gone")

	// ErrBackpressure: the connection's output queue is full and its policy is
	// to fail the sender. Usual cause: a client that reads too slowly. The
	// message was not sent; a later try may succeed.
	ErrBackpressure = errors.New("output queue is full")

	// ErrExpired: the sender's context ended before any byte of the message
	// was written, and the message was taken back.
	ErrExpired = errors.New("expired before it was written")

	// ErrUncertain: part of the message may have reached the client. Usual
	// cause: the connection broke in the middle of a write.
	ErrUncertain = errors.New("handed to the network, delivery unknown")

	// ErrNoAck: the connection's socket does not say what the other end has
	// acknowledged: it is none of TCP, or the system is not Linux. Nothing was sent.
	// It is an errors.ErrUnsupported.
	ErrNoAck = fmt.Errorf("no acknowledgements of TCP to wait for: %w", errors.ErrUnsupported)

	// ErrClosed: the transport is closed, or closing.
	ErrClosed = errors.New("closed")
)

// Errors of use and of configuration.
var (
	// ErrBadOption: a setting is out of its range. The message names the
	// option, its value and what is allowed.
	ErrBadOption = errors.New("bad option")

	// ErrBadCloseCode: the code of a close is none that a program may send.
	ErrBadCloseCode = errors.New("bad close code")

	// ErrNotStream: a Conn was used to read, to write or to set a deadline.
	// Messages go through RecvData and SendData.
	ErrNotStream = errors.New("a pipeline connection is not a stream: use RecvData and SendData")

	// ErrUnsupported: this kind of socket, or this platform, has no such option.
	ErrUnsupported = errors.New("socket option is not supported here")
)

func isTooLarge(err error) bool { return errors.Is(err, framing.ErrTooLarge) }

// A GoneError is an ErrGone of which is remembered when and why the connection
// ended: whoever owned it keeps that for a while.
type GoneError struct {
	ID     idspace.ID
	At     time.Time // from when on it took no more sends, by its node's clock, to 1 ms
	Reason Reason
	Code   int // of a WebSocket's close frame; 0 for none
}

// Error implements error.
func (e *GoneError) Error() string {
	text := fmt.Sprintf("%v: closed %s, reason %v", ErrGone, e.At.UTC().Format("2006-01-02T15:04:05.000Z"), e.Reason)
	if e.Code != 0 {
		text += fmt.Sprintf(", code %d", e.Code)
	}
	return text
}

// Unwrap returns ErrGone.
func (e *GoneError) Unwrap() error { return ErrGone }

// Is reports whether target tells of the same end: a connection has one.
func (e *GoneError) Is(target error) bool {
	other, ok := target.(*GoneError)
	return ok && other.ID == e.ID
}
