package framingtest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
)

// encodingAppendsCopy encodes each message behind nothing, behind bytes without
// room for more, and behind bytes with room for everything.
func encodingAppendsCopy(c Case) error {
	for _, want := range c.Messages {
		framed, err := c.Codec.Encode(nil, want)
		if err != nil {
			return fmt.Errorf("Encode of %q: %w", want, err)
		}
		framed = bytes.Clone(framed)
		before := []byte("before")
		for _, dst := range [][]byte{nil, slices.Clip(bytes.Clone(before)), slices.Grow(bytes.Clone(before), 2*len(framed)+64)} {
			if err := appendsCopy(c, dst, want, framed); err != nil {
				return err
			}
		}
	}
	return nil
}

func appendsCopy(c Case, dst, want, framed []byte) error {
	before := bytes.Clone(dst)
	msg := bytes.Clone(want)
	out, err := c.Codec.Encode(dst, msg)
	if err != nil {
		return fmt.Errorf("Encode of %q: %w", want, err)
	}
	if !bytes.Equal(msg, want) {
		return fmt.Errorf("Encode changed the message from %q to %q", want, msg)
	}
	spoil(msg)
	if expect := slices.Concat(before, framed); !bytes.Equal(out, expect) {
		return fmt.Errorf("Encode of %q to the end of %q, with the message overwritten afterwards\n got %q\nwant %q",
			want, before, out, expect)
	}
	if !bytes.Equal(dst, before) {
		return fmt.Errorf("Encode changed the destination from %q to %q", before, dst)
	}
	return nil
}

func badMessagesAreRefused(c Case) error {
	for _, bad := range c.BadMessages {
		dst := slices.Grow([]byte("before"), 256)
		out, err := c.Codec.Encode(dst, bytes.Clone(bad.Bytes))
		if !errors.Is(err, bad.Err) || err == nil {
			return fmt.Errorf("Encode of %q: error\n got %w\nwant %w", bad.Bytes, err, bad.Err)
		}
		if string(out) != "before" || &out[0] != &dst[0] {
			return fmt.Errorf("Encode of %q returned %q with its error, want the destination as it was", bad.Bytes, out)
		}
	}
	return nil
}

// nothingIsAllocated measures both directions after the first round, in which
// buffers may grow.
func nothingIsAllocated(c Case) error {
	stream, _, err := encoded(c)
	if err != nil {
		return err
	}
	const rounds = 100
	buffer := make([]byte, 0, 2*len(stream)+64)
	if n := testing.AllocsPerRun(rounds, func() {
		buffer = buffer[:0]
		for _, msg := range c.Messages {
			buffer, _ = c.Codec.Encode(buffer, msg)
		}
	}); n > 0 {
		return fmt.Errorf("Encode of %d messages allocated %v times", len(c.Messages), n)
	}
	if n := testing.AllocsPerRun(rounds, func() { decodeInHalves(c, stream) }); n > 0 {
		return fmt.Errorf("Decode of %d messages allocated %v times", len(c.Messages), n)
	}
	return nil
}

// decodeInHalves decodes a stream whose second half arrives after the first,
// so that a message may be incomplete in between.
func decodeInHalves(c Case, stream []byte) {
	consumed, searched := 0, 0
	for _, end := range [2]int{len(stream) / 2, len(stream)} {
		for {
			_, size, err := c.Codec.Decode(stream[consumed:end], searched)
			if size <= 0 || size > end-consumed || err != nil { // others report a bad size
				break
			}
			consumed, searched = consumed+size, 0
		}
		searched = end - consumed
	}
}
