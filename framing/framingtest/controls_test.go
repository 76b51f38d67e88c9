package framingtest_test

import (
	"bytes"
	"errors"
	"sync/atomic"
	"testing"

	"flamingo/framing"
	"flamingo/framing/framingtest"
)

const limit = 16

// broken is a codec of messages that end with "\r\n", with a fault in one of
// its methods.
type broken struct {
	framing.Codec
	decode decodeFunc
	encode encodeFunc
}

// Methods of a broken codec, which may fall back on the good one.
type (
	decodeFunc func(good framing.Codec, data []byte, searched int) ([]byte, int, error)
	encodeFunc func(good framing.Codec, dst, msg []byte) ([]byte, error)
)

func (b broken) Decode(data []byte, searched int) ([]byte, int, error) {
	if b.decode == nil {
		return b.Codec.Decode(data, searched)
	}
	return b.decode(b.Codec, data, searched)
}

func (b broken) Encode(dst, msg []byte) ([]byte, error) {
	if b.encode == nil {
		return b.Codec.Encode(dst, msg)
	}
	return b.encode(b.Codec, dst, msg)
}

func goodCodec(maxMessage int) framing.Codec {
	codec, err := framing.Delimited(framing.DelimiterConfig{
		Delimiter: []byte("\r\n"), Strip: true, MaxMessage: maxMessage,
	})
	if err != nil {
		panic(err)
	}
	return codec
}

func caseOf(name string, codec framing.Codec) framingtest.Case {
	return framingtest.Case{
		Name:     name,
		Codec:    codec,
		Messages: [][]byte{[]byte("hello"), {}, []byte("World\r"), bytes.Repeat([]byte{'x'}, limit)},
		BadMessages: []framingtest.Refusal{
			{Bytes: []byte("a\r\nb"), Err: framing.ErrUnframeable},
			{Bytes: make([]byte, limit+1), Err: framing.ErrTooLarge},
		},
		BadStreams: []framingtest.Refusal{{Bytes: make([]byte, limit+2), Err: framing.ErrTooLarge}},
		Seed:       1,
	}
}

// The names of the properties, as failures print them.
const (
	enough    = "case says enough"
	roundTrip = "decoding reverses encoding"
	splits    = "any split gives the same messages"
	apart     = "streams do not meet"
	inTime    = "bad streams are refused in time"
	copies    = "encoding appends a copy"
	refusals  = "bad messages are refused"
	allocs    = "nothing is allocated"
)

func TestGoodCodecHasNoViolation(t *testing.T) {
	for name, err := range framingtest.Violations(caseOf("good", goodCodec(limit))) {
		t.Errorf("%s: %v", name, err)
	}
	framingtest.Run(t, caseOf("good", goodCodec(limit)))
}

// brokenDecoders have one fault each in Decode.
var brokenDecoders = []struct {
	name   string
	caught string // as a violation of this property
	decode decodeFunc
}{
	{"misses a delimiter that is split", splits, func(good framing.Codec, data []byte, searched int) ([]byte, int, error) {
		if at := bytes.Index(data, []byte("\r\n")); at >= 0 && at < searched {
			return nil, 0, nil
		}
		return good.Decode(data, searched)
	}},
	{"loses a byte on a split", splits, func(good framing.Codec, data []byte, searched int) ([]byte, int, error) {
		msg, size, err := good.Decode(data, searched)
		if searched > 0 && len(msg) > 0 {
			msg = msg[1:]
		}
		return msg, size, err
	}},
	{"reads a byte again", roundTrip, func(good framing.Codec, data []byte, searched int) ([]byte, int, error) {
		msg, size, err := good.Decode(data, searched)
		return msg, max(0, size-1), err
	}},
	{"copies", roundTrip, func(good framing.Codec, data []byte, searched int) ([]byte, int, error) {
		msg, size, err := good.Decode(data, searched)
		return append(make([]byte, 0, len(msg)), msg...), size, err
	}},
	{"leaves capacity", roundTrip, func(good framing.Codec, data []byte, searched int) ([]byte, int, error) {
		msg, size, err := good.Decode(data, searched)
		return data[:len(msg)], size, err
	}},
	{"reads beyond its data", roundTrip, func(good framing.Codec, data []byte, searched int) ([]byte, int, error) {
		return good.Decode(data[:cap(data)], searched)
	}},
	{"takes more than its data", roundTrip, func(good framing.Codec, data []byte, _ int) ([]byte, int, error) {
		msg, size, err := good.Decode(append(data[:len(data):len(data)], "\r\n"...), 0)
		return msg[:min(len(msg), len(data))], size, err
	}},
	{"changes its data", roundTrip, func(good framing.Codec, data []byte, searched int) ([]byte, int, error) {
		copy(data, bytes.ToLower(data))
		return good.Decode(data, searched)
	}},
	{"ignores the limit", inTime, func(_ framing.Codec, data []byte, searched int) ([]byte, int, error) {
		return goodCodec(1<<20).Decode(data, searched)
	}},
	{"notices the limit late", inTime, func(good framing.Codec, data []byte, searched int) ([]byte, int, error) {
		msg, size, err := good.Decode(data, searched)
		if err != nil && len(data) < limit+3 {
			err = nil
		}
		return msg, size, err
	}},
	{"judges the limit by what has arrived", splits, func(good framing.Codec, data []byte, searched int) ([]byte, int, error) {
		msg, size, err := good.Decode(data, searched)
		if err != nil && bytes.Contains(data, []byte("\r\n")) {
			return goodCodec(1<<20).Decode(data, searched)
		}
		return msg, size, err
	}},
	{"has an error of its own", inTime, func(good framing.Codec, data []byte, searched int) ([]byte, int, error) {
		msg, size, err := good.Decode(data, searched)
		if err != nil {
			err = errors.New("too large")
		}
		return msg, size, err
	}},
	{"remembers the stream before", apart, remembering()},
	{"keeps what it was given", splits, keeping()},
	{"allocates", allocs, func(good framing.Codec, data []byte, searched int) ([]byte, int, error) {
		_, _, _ = good.Decode(bytes.Clone(data), searched)
		return good.Decode(data, searched)
	}},
}

func TestEachBrokenDecoderIsCaught(t *testing.T) {
	for _, control := range brokenDecoders {
		t.Run(control.name, func(t *testing.T) {
			c := caseOf(control.name, broken{Codec: goodCodec(limit), decode: control.decode})
			// Too long, but complete: the error must not depend on the split.
			late := append(bytes.Repeat([]byte{'x'}, limit+1), "\r\n"...)
			c.BadStreams = append(c.BadStreams, framingtest.Refusal{Bytes: late, Err: framing.ErrTooLarge})
			expectCaught(t, c, control.caught)
		})
	}
}

// remembering relies on being asked about one stream only.
func remembering() decodeFunc {
	var lastSeen atomic.Int64
	return func(good framing.Codec, data []byte, searched int) ([]byte, int, error) {
		if before := lastSeen.Swap(int64(len(data))); searched > 0 && before != int64(searched) {
			return nil, 0, nil
		}
		return good.Decode(data, searched)
	}
}

// keeping looks again at the memory of the call before.
func keeping() decodeFunc {
	var kept atomic.Pointer[[]byte]
	return func(good framing.Codec, data []byte, searched int) ([]byte, int, error) {
		before := kept.Swap(&data)
		if searched > 0 && !bytes.HasPrefix(data, (*before)[:min(searched, len(*before))]) {
			return nil, 0, framing.ErrMalformed
		}
		return good.Decode(data, searched)
	}
}

// brokenEncoders have one fault each in Encode.
var brokenEncoders = []struct {
	name   string
	caught string // as a violation of this property
	encode encodeFunc
}{
	{"appends nothing", roundTrip, func(_ framing.Codec, dst, msg []byte) ([]byte, error) {
		return append(dst, msg...), nil
	}},
	{"overwrites the destination", copies, func(good framing.Codec, dst, msg []byte) ([]byte, error) {
		if len(dst) > 0 && cap(dst) > len(dst) {
			dst[0] = 'x'
		}
		return good.Encode(dst, msg)
	}},
	{"drops the destination", copies, func(good framing.Codec, dst, msg []byte) ([]byte, error) {
		if len(dst) == cap(dst) {
			dst = nil
		}
		return good.Encode(dst, msg)
	}},
	{"changes the message", copies, func(good framing.Codec, dst, msg []byte) ([]byte, error) {
		dst, err := good.Encode(dst, msg)
		if len(msg) > 0 {
			msg[0] ^= 1
		}
		return dst, err
	}},
	{"refuses what it should take", roundTrip, func(good framing.Codec, dst, msg []byte) ([]byte, error) {
		if len(msg) == 0 {
			return dst, framing.ErrUnframeable
		}
		return good.Encode(dst, msg)
	}},
	{"takes a message with the delimiter", refusals, func(good framing.Codec, dst, msg []byte) ([]byte, error) {
		if out, err := good.Encode(dst, msg); !errors.Is(err, framing.ErrUnframeable) {
			return out, err
		}
		return append(append(dst, msg...), "\r\n"...), nil
	}},
	{"takes a message over the limit", refusals, func(_ framing.Codec, dst, msg []byte) ([]byte, error) {
		return goodCodec(1<<20).Encode(dst, msg)
	}},
	{"returns half a message with its error", refusals, func(good framing.Codec, dst, msg []byte) ([]byte, error) {
		out, err := good.Encode(dst, msg)
		if err != nil {
			out = append(dst, msg...)
		}
		return out, err
	}},
	{"allocates", allocs, func(good framing.Codec, dst, msg []byte) ([]byte, error) {
		return good.Encode(dst, bytes.Clone(append(msg, "\r\n"...))[:len(msg)])
	}},
}

func TestEachBrokenEncoderIsCaught(t *testing.T) {
	for _, control := range brokenEncoders {
		t.Run(control.name, func(t *testing.T) {
			expectCaught(t, caseOf(control.name, broken{Codec: goodCodec(limit), encode: control.encode}), control.caught)
		})
	}
}

func TestEncoderThatReturnsTheMessageItselfIsCaught(t *testing.T) {
	raw, err := framing.Raw(0)
	if err != nil {
		t.Fatal(err)
	}
	lends := broken{Codec: raw, encode: func(good framing.Codec, dst, msg []byte) ([]byte, error) {
		if len(dst) == 0 {
			return msg, nil
		}
		return good.Encode(dst, msg)
	}}
	c := framingtest.Case{Name: "lends", Codec: lends, Messages: [][]byte{[]byte("hello")}, Stream: true}
	expectCaught(t, c, copies)
}

func expectCaught(t *testing.T, c framingtest.Case, property string) {
	t.Helper()
	if property == allocs && framingtest.RaceDetector {
		t.Skip("the race detector allocates")
	}
	violations := framingtest.Violations(c)
	if violations[property] == nil {
		t.Errorf("not caught as a violation of %q, but of %v", property, violations)
	}
}

func TestCaseThatTestsTooLittleIsCaught(t *testing.T) {
	without := func(remove func(*framingtest.Case)) framingtest.Case {
		c := caseOf("incomplete", goodCodec(limit))
		remove(&c)
		return c
	}
	for _, c := range []framingtest.Case{
		without(func(c *framingtest.Case) { c.Codec = nil; c.Messages = nil }),
		without(func(c *framingtest.Case) { c.Messages = nil }),
		without(func(c *framingtest.Case) { c.BadStreams = nil }),
	} {
		if violations := framingtest.Violations(c); violations[enough] == nil {
			t.Errorf("case of %d messages and %d bad streams passes as complete: %v", len(c.Messages), len(c.BadStreams), violations)
		}
	}
}

func TestFuzzInputsCatchBrokenCodecs(t *testing.T) {
	loses := broken{Codec: goodCodec(limit), decode: func(good framing.Codec, data []byte, searched int) ([]byte, int, error) {
		if msg, size, err := good.Decode(data[searched:], 0); searched > 0 {
			return msg, size, err
		}
		return good.Decode(data, searched)
	}}
	if framingtest.CheckStream(caseOf("loses", loses), []byte("hello\r\n"), 1) == nil {
		t.Error("a stream does not show that the searched bytes are lost")
	}
	takes := broken{Codec: goodCodec(limit), encode: func(_ framing.Codec, dst, msg []byte) ([]byte, error) {
		return append(append(dst, msg...), "\r\n"...), nil
	}}
	for _, msg := range []string{"a\r\nb", "this message is over the limit"} {
		if framingtest.CheckMessage(caseOf("takes", takes), []byte(msg)) == nil {
			t.Errorf("message %q does not show that it is encoded but not decoded", msg)
		}
	}
}
