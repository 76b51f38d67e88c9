package framing

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// varintLength reads a varint prefix, in its shortest form only: each message
// then has one encoding, and no peer can pad a prefix.
type varintLength struct {
	max int
}

func (c *varintLength) Decode(data []byte, _ int) ([]byte, int, error) {
	if len(data) > 0 && data[0] < 0x80 { // most messages are short
		return body(data, 1, uint64(data[0]), c.max)
	}
	n, width := binary.Uvarint(data)
	switch {
	case width < 0, width == 0 && len(data) >= binary.MaxVarintLen64:
		return nil, 0, fmt.Errorf("%w: varint prefix over 64 bits", ErrMalformed)
	case width == 0:
		return nil, 0, nil
	case data[width-1] == 0:
		return nil, 0, fmt.Errorf("%w: varint prefix is not in its shortest form", ErrMalformed)
	}
	return body(data, width, n, c.max)
}

func (c *varintLength) Encode(dst, msg []byte) ([]byte, error) {
	if len(msg) > c.max {
		return dst, tooLarge(len(msg), c.max)
	}
	dst = slices.Grow(dst, binary.MaxVarintLen32+len(msg))
	return append(binary.AppendUvarint(dst, uint64(len(msg))), msg...), nil
}
