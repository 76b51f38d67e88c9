package framingtest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"flamingo/framing"
)

// Fuzz holds the codecs to the contract on streams and messages that nobody
// listed: no panic, the same outcome of any split, and what Encode accepts
// comes back. The cases are the corpus to begin with; their limits should be
// low, as the fuzzer's inputs are short.
func Fuzz(f *testing.F, cases ...Case) {
	f.Helper()
	for i, c := range cases {
		stream, _, err := encoded(c)
		if err != nil {
			f.Fatalf("%s: %v", c.Name, err)
		}
		for _, msg := range c.Messages {
			f.Add(uint8(i), stream, msg, uint64(1))
		}
		for _, bad := range c.BadStreams {
			f.Add(uint8(i), slices.Concat(stream, bad.Bytes), []byte{}, uint64(2))
		}
		for _, bad := range c.BadMessages {
			f.Add(uint8(i), []byte{}, bad.Bytes, uint64(3))
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, stream, msg []byte, seed uint64) {
		c := cases[int(which)%len(cases)].withDefaults()
		if err := checkStream(c, stream, seed); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
		if err := checkAnyMessage(c, msg); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
	})
}

// checkStream decodes any bytes at once and in pieces. The pieces are few when
// the stream is long, to keep the fuzzer fast.
func checkStream(c Case, stream []byte, seed uint64) error {
	want, err := feeder{codec: c.Codec}.feed(stream)
	if err != nil {
		return fmt.Errorf("stream %q: %w", stream, err)
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	splits := [][]int{randomCuts(rng, len(stream)), randomCuts(rng, len(stream))}
	if len(stream) <= 256 {
		splits = append(splits, everyByte(stream))
	}
	for _, cuts := range splits {
		got, err := feeder{codec: c.Codec}.feed(stream, cuts...)
		if err == nil {
			err = sameOutcome(c, got, want)
		}
		if err != nil {
			return splitError(stream, cuts, err)
		}
	}
	return nil
}

// checkAnyMessage encodes any message. One that is accepted must come back, as
// the first of the stream, whatever follows; one that is refused must be
// refused for a reason.
func checkAnyMessage(c Case, msg []byte) error {
	framed, err := c.Codec.Encode(nil, msg)
	switch {
	case err != nil && c.PassThrough:
		return fmt.Errorf("Encode of %q: %w, want it passed through", msg, err)
	case err != nil && !errors.Is(err, framing.ErrTooLarge) && !errors.Is(err, framing.ErrUnframeable):
		return fmt.Errorf("Encode returned an error that is neither ErrTooLarge nor ErrUnframeable: %w", err)
	case err != nil:
		return nil //nolint:nilerr // refused, and for one of the reasons there are
	case c.PassThrough && !bytes.Equal(framed, msg):
		return fmt.Errorf("Encode of %q is %q, want it passed through", msg, framed)
	case c.PassThrough:
		return nil
	}
	var out outcome
	size, err := feeder{codec: c.Codec}.step(&out, append(framed, msg...), 0)
	if err = errors.Join(err, out.err); err != nil {
		return fmt.Errorf("message %q, encoded as %q: %w", msg, framed, err)
	}
	if size != len(framed) || !bytes.Equal(out.messages[0], msg) {
		return fmt.Errorf("message %q, encoded as %q, is decoded as %q", msg, framed, out.messages)
	}
	return nil
}
