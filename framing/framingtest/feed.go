package framingtest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"flamingo/framing"
)

// poison is what a codec finds where it must not look. It is no delimiter and
// no digit, and as a prefix it is too large.
const poison = 0xe7

// A feeder does to a codec what the owner of a connection does: it buffers a
// stream as it arrives and takes out the messages. It checks every call.
type feeder struct {
	codec framing.Codec

	// between, if set, is called before each Decode.
	between func()
}

// outcome is all that a stream came to.
type outcome struct {
	messages [][]byte // copies
	consumed int      // bytes that became messages
	err      error    // of Decode, or nil
}

// feed decodes stream, of which the bytes up to each cut arrive together; cuts
// ascend. The error reports a breach of the contract.
func (f feeder) feed(stream []byte, cuts ...int) (outcome, error) {
	var out outcome
	searched := 0
	for _, end := range append(cuts[:len(cuts):len(cuts)], len(stream)) {
		for out.err == nil {
			size, err := f.step(&out, stream[out.consumed:end], searched)
			if err != nil {
				return out, fmt.Errorf("with %d bytes there and %d searched, after %d: %w",
					end-out.consumed, searched, out.consumed, err)
			}
			out.consumed += size
			searched = 0
			if size == 0 {
				break
			}
		}
		searched = end - out.consumed
	}
	return out, nil
}

// step makes one call of Decode, in memory of its own that it spoils
// afterwards: who kept a reference finds poison.
func (f feeder) step(out *outcome, want []byte, searched int) (size int, err error) {
	if f.between != nil {
		f.between()
	}
	data := spoiled(len(want) + 64)[:len(want)]
	copy(data, want)
	msg, size, decodeErr := f.codec.Decode(data, searched)
	defer spoil(data)

	if !bytes.Equal(data, want) {
		return 0, fmt.Errorf("Decode changed its data from %q to %q", want, data)
	}
	if decodeErr != nil {
		out.err = decodeErr
		return 0, checkError(size, decodeErr)
	}
	if err := checkMessage(data, msg, size); err != nil {
		return 0, err
	}
	if size > 0 {
		out.messages = append(out.messages, bytes.Clone(msg))
	}
	return size, nil
}

func checkError(size int, err error) error {
	if size != 0 {
		return fmt.Errorf("Decode returned size %d with the error %w", size, err)
	}
	if !errors.Is(err, framing.ErrTooLarge) && !errors.Is(err, framing.ErrMalformed) {
		return fmt.Errorf("Decode returned an error that is neither ErrTooLarge nor ErrMalformed: %w", err)
	}
	return nil
}

func checkMessage(data, msg []byte, size int) error {
	switch {
	case size < 0 || size > len(data):
		return fmt.Errorf("Decode returned size %d for %d bytes", size, len(data))
	case len(msg) > size:
		return fmt.Errorf("Decode returned a message of %d bytes with size %d", len(msg), size)
	case cap(msg) != len(msg):
		return fmt.Errorf("Decode returned a message of %d bytes with capacity %d: an append would run into what follows",
			len(msg), cap(msg))
	case len(msg) > 0 && !within(data[:size], msg):
		return fmt.Errorf("Decode returned %q, which is not a part of its data", msg)
	}
	return nil
}

// within reports whether msg is a subslice of data, not a copy.
func within(data, msg []byte) bool {
	for i := 0; i+len(msg) <= len(data); i++ {
		if &data[i] == &msg[0] {
			return true
		}
	}
	return false
}

// sameOutcome compares what one stream came to in two ways.
func sameOutcome(c Case, got, want outcome) error {
	if c.Stream {
		got.messages = [][]byte{bytes.Join(got.messages, nil)}
		want.messages = [][]byte{bytes.Join(want.messages, nil)}
	}
	if !slices.EqualFunc(got.messages, want.messages, bytes.Equal) {
		return fmt.Errorf("messages\n got %q\nwant %q", got.messages, want.messages)
	}
	if !errors.Is(kind(got.err), kind(want.err)) {
		return fmt.Errorf("after %d messages: error\n got %w\nwant %w", len(want.messages), got.err, want.err)
	}
	if got.consumed != want.consumed {
		return fmt.Errorf("messages took %d bytes, want %d", got.consumed, want.consumed)
	}
	return nil
}

// kind reduces an error of Decode to its sentinel: the numbers in its text may
// depend on how much had arrived.
func kind(err error) error {
	for _, sentinel := range []error{framing.ErrTooLarge, framing.ErrMalformed} {
		if errors.Is(err, sentinel) {
			return sentinel
		}
	}
	return err
}

func spoiled(n int) []byte {
	b := make([]byte, n)
	spoil(b)
	return b
}

func spoil(b []byte) {
	for i := range b {
		b[i] = poison
	}
}
