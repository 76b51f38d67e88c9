package framing_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"flamingo/framing"
	"flamingo/framing/framingtest"
)

// limit is the message limit of the cases: low, so that both sides of it are
// within reach of a split at every byte.
const limit = 40

// must is for codecs whose settings are known to be good.
func must(codec framing.Codec, err error) framing.Codec {
	if err != nil {
		panic(err)
	}
	return codec
}

func filled(n int) []byte { return bytes.Repeat([]byte{'x'}, n) }

func byteSlices(texts ...string) [][]byte {
	var out [][]byte
	for _, text := range texts {
		out = append(out, []byte(text))
	}
	return out
}

func tooLarge(b []byte) framingtest.Refusal {
	return framingtest.Refusal{Bytes: b, Err: framing.ErrTooLarge}
}

func malformed(b []byte) framingtest.Refusal {
	return framingtest.Refusal{Bytes: b, Err: framing.ErrMalformed}
}

func unframeable(text string) framingtest.Refusal {
	return framingtest.Refusal{Bytes: []byte(text), Err: framing.ErrUnframeable}
}

func rawCases() []framingtest.Case {
	return []framingtest.Case{
		{
			Name:     "raw",
			Codec:    must(framing.Raw(5)),
			Messages: byteSlices("a", "hello", "", "longer than the buffer\n\x00"),
			Stream:   true,
		},
		{
			Name:     "raw/default",
			Codec:    must(framing.Raw(0)),
			Messages: [][]byte{filled(framing.DefaultBufferSize), []byte("rest")},
			Stream:   true,
		},
	}
}

func delimitedCases() []framingtest.Case {
	var cases []framingtest.Case
	for _, delimiter := range []string{"\n", "\x00", "\xff", "\r\n", "aa", "aba", "END\xe7\x00"} {
		stripping := framing.DelimiterConfig{Delimiter: []byte(delimiter), Strip: true, MaxMessage: limit}
		keeping := stripping
		keeping.Strip = false

		messages := byteSlices("", "b", "hello", "\x01\xfe", string(filled(limit)), "again")
		var kept [][]byte
		for _, msg := range messages {
			kept = append(kept, slices.Concat(msg, []byte(delimiter)))
		}
		endless := tooLarge(filled(limit + len(delimiter)))
		late := tooLarge(slices.Concat(filled(limit+1), []byte(delimiter)))
		cases = append(cases, framingtest.Case{
			Name:        fmt.Sprintf("delimiter/strip/%q", delimiter),
			Codec:       must(framing.Delimited(stripping)),
			Messages:    messages,
			BadMessages: append(overlapping(delimiter), unframeable("x"+delimiter+"y"), tooLarge(filled(limit+1))),
			BadStreams:  []framingtest.Refusal{endless, late},
		}, framingtest.Case{
			Name:        fmt.Sprintf("delimiter/keep/%q", delimiter),
			Codec:       must(framing.Delimited(keeping)),
			Messages:    kept,
			BadStreams:  []framingtest.Refusal{endless, late},
			PassThrough: true,
		})
	}
	return cases
}

// overlapping returns messages without the delimiter that have it as soon as
// it is appended.
func overlapping(delimiter string) []framingtest.Refusal {
	var refusals []framingtest.Refusal
	for n := 1; n < len(delimiter); n++ {
		msg := "x" + delimiter[:n]
		if strings.Index(msg+delimiter, delimiter) < len(msg) {
			refusals = append(refusals, unframeable(msg))
		}
	}
	return refusals
}

func lineCases() []framingtest.Case {
	messages := byteSlices("", "hello", "a\rb", "\r\r.", string(filled(limit)), "again")
	badStreams := []framingtest.Refusal{
		tooLarge(filled(limit + 1)),
		tooLarge(append(filled(limit), "\r\r"...)),
		tooLarge(append(filled(limit), "\rx"...)),
		tooLarge(append(filled(limit+1), '\n')),
	}
	return []framingtest.Case{
		{
			Name:     "line/lf",
			Codec:    must(framing.Line(framing.LineConfig{MaxMessage: limit})),
			Messages: messages,
			BadMessages: []framingtest.Refusal{
				unframeable("\n"), unframeable("a\nb"), unframeable("a\r\n"), unframeable("a\r"), unframeable("\r"),
				tooLarge(filled(limit + 1)),
			},
			BadStreams: badStreams,
		},
		{
			Name:     "line/crlf",
			Codec:    must(framing.Line(framing.LineConfig{Ending: framing.CRLF, MaxMessage: limit})),
			Messages: append(messages, byteSlices("a\r", "\r")...),
			BadMessages: []framingtest.Refusal{
				unframeable("\n"), unframeable("a\nb"), unframeable("a\r\n"), tooLarge(filled(limit + 1)),
			},
			BadStreams: badStreams,
		},
	}
}

func lengthCases() []framingtest.Case {
	var cases []framingtest.Case
	for _, width := range []int{1, 2, 4, 8} {
		for _, little := range []bool{false, true} {
			for _, includes := range []bool{false, true} {
				cases = append(cases, lengthCase(width, little, includes))
			}
		}
	}
	return append(cases, varintCase())
}

func lengthCase(width int, little, includes bool) framingtest.Case {
	// Eight bytes, of which the prefix takes those that count least.
	prefix := func(n uint64) []byte {
		if little {
			return binary.LittleEndian.AppendUint64(nil, n)[:width]
		}
		return binary.BigEndian.AppendUint64(nil, n)[8-width:]
	}
	c := framingtest.Case{
		Name: fmt.Sprintf("length/%d/little=%v/includes=%v", width, little, includes),
		Codec: must(framing.Length(framing.LengthConfig{
			Width: width, LittleEndian: little, IncludesPrefix: includes, MaxMessage: limit,
		})),
		Messages:    byteSlices("", "x", "\x00\x00", string(filled(limit)), "again"),
		BadMessages: []framingtest.Refusal{tooLarge(filled(limit + 1))},
		BadStreams:  []framingtest.Refusal{tooLarge(prefix(math.MaxUint64))},
	}
	if includes {
		c.BadStreams = append(c.BadStreams, tooLarge(prefix(uint64(limit+width+1))),
			malformed(prefix(0)), malformed(prefix(uint64(width-1))))
	} else {
		c.BadStreams = append(c.BadStreams, tooLarge(prefix(limit+1)))
	}
	return c
}

func varintCase() framingtest.Case {
	const limit = 300 // two bytes of prefix
	return framingtest.Case{
		Name:        "length/varint",
		Codec:       must(framing.Length(framing.LengthConfig{Width: framing.Varint, MaxMessage: limit})),
		Messages:    [][]byte{{}, filled(1), filled(127), filled(128), filled(limit), filled(2)},
		BadMessages: []framingtest.Refusal{tooLarge(filled(limit + 1))},
		BadStreams: []framingtest.Refusal{
			tooLarge(binary.AppendUvarint(nil, limit+1)),
			tooLarge(binary.AppendUvarint(nil, math.MaxInt64+1)),
			tooLarge(binary.AppendUvarint(nil, math.MaxUint64)),
			malformed([]byte{0x80, 0x00}),                            // 0 in two bytes
			malformed([]byte{0x81, 0x80, 0x00}),                      // 1 in three
			malformed(append(bytes.Repeat([]byte{0x80}, 9), 0x02)),   // 2^64
			malformed(append(bytes.Repeat([]byte{0xff}, 9), 0x80)),   // an eleventh byte
			malformed(append(bytes.Repeat([]byte{0x80}, 9), 0x00)),   // 0 in ten
			malformed(append(bytes.Repeat([]byte{0x80}, 10), 0x01)),  // 2^70
			malformed(append(bytes.Repeat([]byte{0xff}, 100), 0x01)), // without end
		},
	}
}

func fixedCases() []framingtest.Case {
	return []framingtest.Case{
		{
			Name:        "fixed/1",
			Codec:       must(framing.Fixed(1)),
			Messages:    byteSlices("a", "\x00", "\n"),
			BadMessages: []framingtest.Refusal{unframeable(""), unframeable("ab")},
			NoLimit:     true,
		},
		{
			Name:        "fixed/5",
			Codec:       must(framing.Fixed(5)),
			Messages:    byteSlices("hello", "again", "\x00\x01\x02\n\r"),
			BadMessages: []framingtest.Refusal{unframeable(""), unframeable("four"), unframeable("sixsix")},
			NoLimit:     true,
		},
	}
}

func netstringCases() []framingtest.Case {
	return []framingtest.Case{{
		Name:        "netstring",
		Codec:       must(framing.Netstring(limit)),
		Messages:    byteSlices("", "x", "5:hello,", string(filled(limit)), "again"),
		BadMessages: []framingtest.Refusal{tooLarge(filled(limit + 1))},
		BadStreams: []framingtest.Refusal{
			tooLarge([]byte("41")), tooLarge([]byte("400")), tooLarge([]byte("99999999999999999999")),
			malformed([]byte(":")), malformed([]byte("00")), malformed([]byte("05")), malformed([]byte("-")),
			malformed([]byte("+1")), malformed([]byte(" 1")), malformed([]byte("1;")), malformed([]byte("1,")),
			malformed([]byte("1:ab")), malformed([]byte("0:x")),
		},
	}}
}

func allCases() []framingtest.Case {
	return slices.Concat(rawCases(), delimitedCases(), lineCases(), lengthCases(), fixedCases(), netstringCases())
}
