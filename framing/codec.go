package framing

import "fmt"

// Limits of one message, in bytes.
const (
	// DefaultMaxMessage is the limit of a codec that is given none: 1 MiB.
	DefaultMaxMessage = 1 << 20

	// MaxMessageLimit is the highest limit a codec may be given: 1 GiB, so
	// that a message with its framing fits an int of 32 bits.
	MaxMessageLimit = 1 << 30

	// DefaultBufferSize is the longest message of Raw by default, the
	// customary size of one read.
	DefaultBufferSize = 1024
)

// A Codec cuts a byte stream into messages and puts messages onto it. Its
// methods are pure: no state, no I/O, safe from any goroutine.
type Codec interface {
	// Decode looks for the first message in data, the unconsumed bytes of one
	// stream from a message boundary on, of which there may be none. searched
	// is how many leading bytes of data an earlier call has already seen
	// without finding a message (0 <= searched <= len(data)), so that a message
	// which arrives in pieces is not searched again from its start; zero is
	// always right.
	//
	// It returns the message and size, how many bytes of data the message
	// takes with its framing. The message is a subslice of data, never a copy,
	// and its capacity is its length. A message may be empty; a size of zero
	// with a nil error says that no complete message has arrived yet.
	//
	// An error matches ErrTooLarge or ErrMalformed, is final for the stream,
	// and is returned as soon as the bytes at hand show it; size is zero.
	// Decode neither changes data nor reads beyond its length.
	Decode(data []byte, searched int) (msg []byte, size int, err error)

	// Encode appends msg with its framing to dst and returns the extended
	// slice, which shares no memory with msg. On an error, which matches
	// ErrTooLarge or ErrUnframeable, it returns dst as it was.
	Encode(dst, msg []byte) ([]byte, error)
}

// limitOf returns the limit that a setting asks for: missing if it is zero,
// and an error if it is out of range.
func limitOf(setting string, value, missing int) (int, error) {
	if value == 0 {
		return missing, nil
	}
	if value < 1 || value > MaxMessageLimit {
		return 0, badOption("%s %d: allowed are 1 to %d bytes", setting, value, MaxMessageLimit)
	}
	return value, nil
}

func badOption(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrBadOption, fmt.Sprintf(format, args...))
}

// tooLarge is the error for a message of at least n bytes.
func tooLarge[N int | uint64](n N, limit int) error {
	return fmt.Errorf("%w: at least %d bytes, limit %d", ErrTooLarge, n, limit)
}
