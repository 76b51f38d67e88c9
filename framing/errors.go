package framing

import "errors"

// Errors of Decode. They are final: after one of them the stream has no
// message boundary to go on from. They arrive wrapped, with the numbers.
var (
	// ErrTooLarge says that a message is over the codec's limit. Encode
	// returns it too. The usual causes are a peer that speaks another
	// framing, and a limit set too low for what is sent.
	ErrTooLarge = errors.New("framing: message too large")

	// ErrMalformed says that the bytes do not follow the framing. The usual
	// cause is a peer that speaks another one.
	ErrMalformed = errors.New("framing: malformed stream")
)

// ErrUnframeable says that a message cannot be put into this framing, because
// it would not be decoded as it is. The usual cause is a message that contains
// the delimiter of its codec, such as a line break.
var ErrUnframeable = errors.New("framing: message does not fit the framing")

// ErrBadOption says that a codec was asked for with a setting that it does not
// have, or with a value that is not allowed. The usual cause is a mistyped
// listener URL. Every bad setting is reported, each with what is allowed.
var ErrBadOption = errors.New("framing: bad option")
