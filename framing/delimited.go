package framing

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// MaxDelimiter is the longest delimiter, in bytes: far above any in use, and
// small beside the smallest buffer worth having.
const MaxDelimiter = 256

// DelimiterConfig holds the settings of Delimited. The zero value is usable.
type DelimiterConfig struct {
	// Delimiter ends each message: 1 to MaxDelimiter bytes, any values.
	// Empty means a line feed.
	Delimiter []byte

	// Strip removes the delimiter from the messages decoded, and appends it
	// to those encoded. Otherwise it stays part of the message, and Encode
	// passes any bytes through.
	Strip bool

	// MaxMessage is the limit in bytes, without the delimiter: 1 to
	// MaxMessageLimit. Zero means DefaultMaxMessage.
	MaxMessage int
}

// delimited ends each message at the first occurrence of a byte string.
type delimited struct {
	delimiter []byte
	strip     bool
	max       int

	// heads are those proper prefixes of the delimiter after which the
	// delimiter itself begins with the rest of the delimiter, as "a" in "aa".
	// A message with such an end is cut short by its own delimiter.
	heads [][]byte
}

// Delimited returns a codec of messages that end with a delimiter.
func Delimited(cfg DelimiterConfig) (Codec, error) {
	limit, err := limitOf("max message", cfg.MaxMessage, DefaultMaxMessage)
	if n := len(cfg.Delimiter); n > MaxDelimiter {
		err = errors.Join(err, badOption("delimiter of %d bytes: allowed are 1 to %d", n, MaxDelimiter))
	}
	if err != nil {
		return nil, err
	}
	delimiter := slices.Clone(cfg.Delimiter)
	if len(delimiter) == 0 {
		delimiter = []byte{'\n'}
	}
	return &delimited{
		delimiter: delimiter,
		strip:     cfg.Strip,
		max:       limit,
		heads:     selfOverlaps(delimiter),
	}, nil
}

// selfOverlaps returns each proper prefix p of d for which p+d begins with d.
func selfOverlaps(d []byte) [][]byte {
	var heads [][]byte
	for n := 1; n < len(d); n++ {
		if bytes.HasPrefix(d, d[n:]) {
			heads = append(heads, d[:n])
		}
	}
	return heads
}

func (c *delimited) Decode(data []byte, searched int) ([]byte, int, error) {
	// A delimiter that ends beyond the window would end too long a message,
	// whether or not those bytes have arrived: every split gives one answer.
	window := data[:min(len(data), c.max+len(c.delimiter))]
	// All but the last byte of a delimiter may lie among the searched bytes.
	from := min(max(0, searched-len(c.delimiter)+1), len(window))

	at := c.index(window[from:])
	if at < 0 {
		if len(window) == c.max+len(c.delimiter) {
			return nil, 0, tooLarge(c.max+1, c.max)
		}
		return nil, 0, nil
	}
	end := from + at
	size := end + len(c.delimiter)
	if !c.strip {
		end = size
	}
	return data[:end:end], size, nil
}

func (c *delimited) index(data []byte) int {
	if len(c.delimiter) == 1 {
		return bytes.IndexByte(data, c.delimiter[0])
	}
	return bytes.Index(data, c.delimiter)
}

func (c *delimited) Encode(dst, msg []byte) ([]byte, error) {
	if !c.strip {
		return append(dst, msg...), nil
	}
	if len(msg) > c.max {
		return dst, tooLarge(len(msg), c.max)
	}
	if at := c.index(msg); at >= 0 {
		return dst, fmt.Errorf("%w: it contains the delimiter %q at byte %d", ErrUnframeable, c.delimiter, at)
	}
	for _, head := range c.heads {
		if bytes.HasSuffix(msg, head) {
			return dst, fmt.Errorf("%w: its end %q and the delimiter %q contain an earlier delimiter",
				ErrUnframeable, head, c.delimiter)
		}
	}
	dst = slices.Grow(dst, len(msg)+len(c.delimiter))
	return append(append(dst, msg...), c.delimiter...), nil
}
