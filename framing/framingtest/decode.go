package framingtest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
)

// How much splitting is enough.
const (
	everySplitBytes = 1024 // streams up to here are split at every byte
	randomSplits    = 200  // of each stream, in several pieces
)

// encoded returns all messages of the case as one stream, and what the stream
// must come to.
func encoded(c Case) ([]byte, outcome, error) {
	var stream []byte
	for _, msg := range c.Messages {
		var err error
		if stream, err = c.Codec.Encode(stream, bytes.Clone(msg)); err != nil {
			return nil, outcome{}, fmt.Errorf("Encode of %q: %w", msg, err)
		}
	}
	return stream, outcome{messages: c.Messages, consumed: len(stream)}, nil
}

func decodingReversesEncoding(c Case) error {
	stream, want, err := encoded(c)
	if err != nil {
		return err
	}
	if c.PassThrough && !bytes.Equal(stream, bytes.Join(c.Messages, nil)) {
		return fmt.Errorf("stream is %q, want the messages %q and nothing else", stream, c.Messages)
	}
	got, err := feeder{codec: c.Codec}.feed(stream)
	if err != nil {
		return err
	}
	return sameOutcome(c, got, want)
}

// anySplitIsTheSame splits the messages as one stream, and again with each bad
// stream behind them.
func anySplitIsTheSame(c Case) error {
	stream, want, err := encoded(c)
	if err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(c.Seed, 0))
	if err := sameInAnySplit(c, stream, want, rng); err != nil {
		return err
	}
	for _, bad := range c.BadStreams {
		want.err = bad.Err
		if err := sameInAnySplit(c, slices.Concat(stream, bad.Bytes), want, rng); err != nil {
			return fmt.Errorf("with the bad stream %q at the end: %w", bad.Bytes, err)
		}
	}
	return nil
}

// sameInAnySplit splits stream at every byte, between all bytes, and at random.
func sameInAnySplit(c Case, stream []byte, want outcome, rng *rand.Rand) error {
	splits := [][]int{everyByte(stream)}
	if len(stream) <= everySplitBytes {
		for cut := range len(stream) {
			splits = append(splits, []int{cut})
		}
	}
	for range randomSplits {
		splits = append(splits, randomCuts(rng, len(stream)))
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

func splitError(stream []byte, cuts []int, err error) error {
	if len(cuts) == len(stream) && len(cuts) > 8 {
		return fmt.Errorf("stream %q split at every byte: %w", stream, err)
	}
	return fmt.Errorf("stream %q split at %v: %w", stream, cuts, err)
}

func everyByte(stream []byte) []int {
	cuts := make([]int, len(stream))
	for i := range cuts {
		cuts[i] = i
	}
	return cuts
}

func randomCuts(rng *rand.Rand, n int) []int {
	cuts := make([]int, rng.IntN(8))
	for i := range cuts {
		cuts[i] = rng.IntN(n + 1)
	}
	slices.Sort(cuts)
	return cuts
}

// streamsDoNotMeet decodes several streams at once, in turns and side by side.
func streamsDoNotMeet(c Case) error {
	stream, want, err := encoded(c)
	if err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(c.Seed, 1))
	other := append(slices.Clone(stream), stream...)
	turns := feeder{codec: c.Codec, between: func() {
		// What these return is checked elsewhere.
		from := rng.IntN(len(stream) + 1)
		_, _, _ = c.Codec.Decode(other[from:from+rng.IntN(len(stream)+1)], 0)
		_, _ = c.Codec.Encode(nil, c.Messages[rng.IntN(len(c.Messages))])
	}}
	got, err := turns.feed(stream, everyByte(stream)...)
	if err == nil {
		err = sameOutcome(c, got, want)
	}
	if err != nil {
		return fmt.Errorf("in turns with another stream: %w", err)
	}
	return sideBySide(4, func() error { return decodingReversesEncoding(c) })
}

// sideBySide calls check from several goroutines: the race detector sees what
// the results do not show.
func sideBySide(goroutines int, check func() error) error {
	var wg sync.WaitGroup
	errs := make([]error, goroutines)
	for i := range errs {
		wg.Go(func() { errs[i] = check() })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// badStreamsAreRefused feeds each bad stream byte by byte, as from a peer that
// goes on for ever, and at once with more behind it.
func badStreamsAreRefused(c Case) error {
	for _, bad := range c.BadStreams {
		want := outcome{err: bad.Err}
		got, err := feeder{codec: c.Codec}.feed(bad.Bytes, everyByte(bad.Bytes)...)
		if err == nil {
			err = sameOutcome(c, got, want)
		}
		if err != nil {
			return fmt.Errorf("stream %q byte by byte: %w", bad.Bytes, err)
		}
		longer := slices.Concat(bad.Bytes, spoiled(64), make([]byte, 64))
		if got, err = (feeder{codec: c.Codec}).feed(longer); err == nil {
			err = sameOutcome(c, got, want)
		}
		if err != nil {
			return fmt.Errorf("stream %q: %w", longer, err)
		}
	}
	return nil
}
