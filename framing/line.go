package framing

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// LineEnding is what Line's Encode puts after a line.
type LineEnding uint8

// The line endings. Decode accepts both, whichever Encode writes.
const (
	LF   LineEnding = iota // "\n"
	CRLF                   // "\r\n"
)

// LineConfig holds the settings of Line. The zero value is usable.
type LineConfig struct {
	// Ending is what Encode appends: LF, which is zero, or CRLF.
	Ending LineEnding

	// MaxMessage is the limit in bytes, without the line ending: 1 to
	// MaxMessageLimit. Zero means DefaultMaxMessage.
	MaxMessage int
}

// line ends each message at a line feed. One carriage return directly before
// it belongs to the ending.
type line struct {
	ending string
	max    int
}

// Line returns a codec of lines, delivered without their ending.
//
// Encode refuses with ErrUnframeable a line that contains a line feed, and,
// when it appends LF, one that ends with a carriage return, which Decode would
// take for a part of the ending.
func Line(cfg LineConfig) (Codec, error) {
	limit, err := limitOf("max message", cfg.MaxMessage, DefaultMaxMessage)
	if cfg.Ending > CRLF {
		err = errors.Join(err, badOption("line ending %d: allowed are LF and CRLF", cfg.Ending))
	}
	if err != nil {
		return nil, err
	}
	ending := "\n"
	if cfg.Ending == CRLF {
		ending = "\r\n"
	}
	return &line{ending: ending, max: limit}, nil
}

func (c *line) Decode(data []byte, searched int) ([]byte, int, error) {
	const longestEnding = len("\r\n")
	window := data[:min(len(data), c.max+longestEnding)]
	from := min(searched, len(window))

	at := bytes.IndexByte(window[from:], '\n')
	if at < 0 {
		// The byte after a line of full length may still be a CR before a LF.
		if n := len(window); n > c.max && (n > c.max+1 || window[c.max] != '\r') {
			return nil, 0, tooLarge(c.max+1, c.max)
		}
		return nil, 0, nil
	}
	end := from + at
	size := end + 1
	if end > 0 && data[end-1] == '\r' {
		end--
	}
	if end > c.max {
		return nil, 0, tooLarge(end, c.max)
	}
	return data[:end:end], size, nil
}

func (c *line) Encode(dst, msg []byte) ([]byte, error) {
	if len(msg) > c.max {
		return dst, tooLarge(len(msg), c.max)
	}
	if at := bytes.IndexByte(msg, '\n'); at >= 0 {
		return dst, fmt.Errorf("%w: it contains a line feed at byte %d", ErrUnframeable, at)
	}
	if c.ending == "\n" && bytes.HasSuffix(msg, []byte{'\r'}) {
		return dst, fmt.Errorf("%w: its last carriage return would become part of the line ending", ErrUnframeable)
	}
	dst = slices.Grow(dst, len(msg)+len(c.ending))
	return append(append(dst, msg...), c.ending...), nil
}
