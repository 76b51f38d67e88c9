package framing_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"flamingo/framing"
	"flamingo/framing/framingtest"
)

// typedCodec is a program's own framing: each message starts with a byte for
// its type, which stays part of the message, and two bytes for the length of
// the rest, which do too.
type typedCodec struct {
	max int // bytes of a message, header included
}

const typedHeader = 3 // bytes

func (c typedCodec) Decode(data []byte, _ int) ([]byte, int, error) {
	if len(data) > 0 && (data[0] < 'a' || data[0] > 'z') {
		return nil, 0, fmt.Errorf("%w: type %q", framing.ErrMalformed, data[0])
	}
	if len(data) < typedHeader {
		return nil, 0, nil
	}
	size := typedHeader + int(binary.BigEndian.Uint16(data[1:]))
	if size > c.max {
		return nil, 0, fmt.Errorf("%w: %d bytes", framing.ErrTooLarge, size)
	}
	if len(data) < size {
		return nil, 0, nil
	}
	return data[:size:size], size, nil
}

// Encode takes a message with its header, and so checks one.
func (c typedCodec) Encode(dst, msg []byte) ([]byte, error) {
	if len(msg) > c.max {
		return dst, framing.ErrTooLarge
	}
	if _, size, err := c.Decode(msg, 0); err != nil || size != len(msg) || size == 0 {
		return dst, fmt.Errorf("%w: header and length differ", framing.ErrUnframeable)
	}
	return append(dst, msg...), nil
}

// A type with two methods is a codec; framingtest.Run tells whether it is a
// good one.
func ExampleCodec() {
	var codec framing.Codec = typedCodec{max: 1024}

	out, _ := codec.Encode(nil, []byte("g\x00\x05hello"))
	_, err := codec.Encode(out, []byte("g\x00\x09hello"))
	fmt.Println(err)

	msg, size, _ := codec.Decode(append(out, "b\x00"...), 0)
	fmt.Printf("%q in %d bytes\n", msg, size)
	// Output:
	// framing: message does not fit the framing: header and length differ
	// "g\x00\x05hello" in 8 bytes
}

func typedCase() framingtest.Case {
	return framingtest.Case{
		Name:     "typed",
		Codec:    typedCodec{max: 10},
		Messages: byteSlices("a\x00\x00", "g\x00\x05hello", "z\x00\x07longest"),
		BadMessages: []framingtest.Refusal{
			unframeable(""), unframeable("a\x00"), unframeable("A\x00\x00"), unframeable("a\x00\x02x"),
			tooLarge(bytes.Repeat([]byte{'a'}, 11)),
		},
		BadStreams: []framingtest.Refusal{tooLarge([]byte("a\x00\x08")), malformed([]byte("A"))},
	}
}

func TestCodecOfAProgramConforms(t *testing.T) { framingtest.Run(t, typedCase()) }

func FuzzCodecOfAProgram(f *testing.F) { framingtest.Fuzz(f, typedCase()) }
