package framing

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Varint is the Width of a prefix of 1 to 10 bytes: the unsigned LEB128 number
// of package encoding/binary.
const Varint = -1

// LengthConfig holds the settings of Length. The zero value is usable.
type LengthConfig struct {
	// Width of the prefix in bytes: 1, 2, 4, 8, or Varint. Zero means 4.
	Width int

	// LittleEndian puts the least significant byte of the prefix first;
	// otherwise it comes last. A varint has no byte order to choose.
	LittleEndian bool

	// IncludesPrefix makes the prefix count its own bytes too. Not with
	// Varint: its own width would depend on the number it holds.
	IncludesPrefix bool

	// MaxMessage is the limit in bytes, without the prefix: 1 to
	// MaxMessageLimit. Zero means DefaultMaxMessage. What the prefix cannot
	// count is over the limit, whatever the limit is.
	MaxMessage int
}

// Length returns a codec of messages that follow a prefix with their length.
func Length(cfg LengthConfig) (Codec, error) {
	limit, err := limitOf("max message", cfg.MaxMessage, DefaultMaxMessage)
	if err = errors.Join(err, cfg.check()); err != nil {
		return nil, err
	}
	if cfg.Width == Varint {
		return &varintLength{max: limit}, nil
	}
	c := &length{width: cfg.Width, little: cfg.LittleEndian, max: limit}
	if c.width == 0 {
		c.width = 4
	}
	if cfg.IncludesPrefix {
		c.own = c.width
	}
	if c.width < 4 { // wider prefixes count beyond MaxMessageLimit
		c.max = min(c.max, 1<<(8*c.width)-1-c.own)
	}
	return c, nil
}

func (cfg LengthConfig) check() error {
	switch cfg.Width {
	case 0, 1, 2, 4, 8:
		return nil
	case Varint:
	default:
		return badOption("prefix width %d: allowed are 1, 2, 4, 8 and Varint", cfg.Width)
	}
	var err error
	if cfg.LittleEndian {
		err = badOption("little endian: a varint prefix has no byte order to choose")
	}
	if cfg.IncludesPrefix {
		err = errors.Join(err, badOption("includes prefix: a varint prefix cannot count itself"))
	}
	return err
}

// length reads a prefix of fixed width.
type length struct {
	width  int // bytes of the prefix: 1, 2, 4 or 8
	own    int // bytes of the prefix that it counts itself: width or none
	little bool
	max    int
}

func (c *length) Decode(data []byte, _ int) ([]byte, int, error) {
	if len(data) < c.width {
		return nil, 0, nil
	}
	counted := c.read(data)
	if counted < uint64(c.own) {
		return nil, 0, fmt.Errorf("%w: length %d does not cover the prefix of %d bytes", ErrMalformed, counted, c.own)
	}
	return body(data, c.width, counted-uint64(c.own), c.max)
}

// body returns the message of n bytes that follows a prefix.
func body(data []byte, prefix int, n uint64, limit int) ([]byte, int, error) {
	if n > uint64(limit) { // compared before n becomes an int
		return nil, 0, tooLarge(n, limit)
	}
	size := prefix + int(n)
	if len(data) < size {
		return nil, 0, nil
	}
	return data[prefix:size:size], size, nil
}

func (c *length) read(data []byte) uint64 {
	switch {
	case c.width == 1:
		return uint64(data[0])
	case c.width == 2 && c.little:
		return uint64(binary.LittleEndian.Uint16(data))
	case c.width == 2:
		return uint64(binary.BigEndian.Uint16(data))
	case c.width == 4 && c.little:
		return uint64(binary.LittleEndian.Uint32(data))
	case c.width == 4:
		return uint64(binary.BigEndian.Uint32(data))
	case c.little:
		return binary.LittleEndian.Uint64(data)
	default:
		return binary.BigEndian.Uint64(data)
	}
}

func (c *length) Encode(dst, msg []byte) ([]byte, error) {
	if len(msg) > c.max {
		return dst, tooLarge(len(msg), c.max)
	}
	dst = slices.Grow(dst, c.width+len(msg))
	return append(c.write(dst, uint64(len(msg)+c.own)), msg...), nil
}

func (c *length) write(dst []byte, n uint64) []byte {
	switch {
	case c.width == 1:
		return append(dst, byte(n))
	case c.width == 2 && c.little:
		return binary.LittleEndian.AppendUint16(dst, uint16(n))
	case c.width == 2:
		return binary.BigEndian.AppendUint16(dst, uint16(n))
	case c.width == 4 && c.little:
		return binary.LittleEndian.AppendUint32(dst, uint32(n))
	case c.width == 4:
		return binary.BigEndian.AppendUint32(dst, uint32(n))
	case c.little:
		return binary.LittleEndian.AppendUint64(dst, n)
	default:
		return binary.BigEndian.AppendUint64(dst, n)
	}
}
