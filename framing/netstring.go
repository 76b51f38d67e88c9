package framing

import (
	"fmt"
	"slices"
	"strconv"
)

// netstring reads messages of the form "5:hello,".
type netstring struct {
	max int
}

// Netstring returns a codec of netstrings: the length in decimal digits without
// leading zeros, a colon, the message, a comma. maxMessage is the limit in
// bytes, without the framing: 1 to MaxMessageLimit; zero means
// DefaultMaxMessage.
func Netstring(maxMessage int) (Codec, error) {
	limit, err := limitOf("max message", maxMessage, DefaultMaxMessage)
	if err != nil {
		return nil, err
	}
	return &netstring{max: limit}, nil
}

func (c *netstring) Decode(data []byte, _ int) ([]byte, int, error) {
	n, prefix, err := c.prefix(data)
	if err != nil || prefix == 0 {
		return nil, 0, err
	}
	end := prefix + n
	if len(data) <= end {
		return nil, 0, nil
	}
	if data[end] != ',' {
		return nil, 0, fmt.Errorf("%w: netstring of %d bytes ends with %q, not a comma", ErrMalformed, n, data[end])
	}
	return data[prefix:end:end], end + 1, nil
}

// prefix reads the length and the colon, and returns how many bytes they take:
// zero if they have not all arrived. It judges each byte by those before it
// alone, so that every split of the stream fails in the same way.
func (c *netstring) prefix(data []byte) (n, size int, err error) {
	var count uint64 // one digit beyond the limit fits, also where int has 32 bits
	for i, b := range data {
		switch {
		case b == ':' && i > 0:
			return int(count), i + 1, nil
		case b < '0' || b > '9':
			return 0, 0, fmt.Errorf("%w: %q in the length of a netstring", ErrMalformed, b)
		case i > 0 && count == 0:
			return 0, 0, fmt.Errorf("%w: length of a netstring has a leading zero", ErrMalformed)
		}
		if count = 10*count + uint64(b-'0'); count > uint64(c.max) {
			return 0, 0, tooLarge(count, c.max)
		}
	}
	return 0, 0, nil
}

func (c *netstring) Encode(dst, msg []byte) ([]byte, error) {
	const longestFraming = len("1073741824:,")
	if len(msg) > c.max {
		return dst, tooLarge(len(msg), c.max)
	}
	dst = slices.Grow(dst, len(msg)+longestFraming)
	dst = strconv.AppendInt(dst, int64(len(msg)), 10)
	dst = append(dst, ':')
	dst = append(dst, msg...)
	return append(dst, ','), nil
}
