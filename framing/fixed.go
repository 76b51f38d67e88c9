package framing

import "fmt"

// fixed cuts a stream of messages that are all of one length.
type fixed struct {
	size int
}

// Fixed returns a codec of messages of exactly size bytes each (1 to
// MaxMessageLimit). Encode refuses any other length with ErrUnframeable.
func Fixed(size int) (Codec, error) {
	if size < 1 || size > MaxMessageLimit {
		return nil, badOption("fixed size %d: allowed are 1 to %d bytes", size, MaxMessageLimit)
	}
	return &fixed{size: size}, nil
}

func (c *fixed) Decode(data []byte, _ int) ([]byte, int, error) {
	if len(data) < c.size {
		return nil, 0, nil
	}
	return data[:c.size:c.size], c.size, nil
}

func (c *fixed) Encode(dst, msg []byte) ([]byte, error) {
	if len(msg) != c.size {
		return dst, fmt.Errorf("%w: %d bytes, all messages have %d", ErrUnframeable, len(msg), c.size)
	}
	return append(dst, msg...), nil
}
