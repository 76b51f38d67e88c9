package framing_test

import (
	"bytes"
	"errors"
	"testing"

	"flamingo/framing"
)

func TestConstructorsRefuseBadSettings(t *testing.T) {
	const over = framing.MaxMessageLimit + 1
	longDelimiter := bytes.Repeat([]byte{';'}, framing.MaxDelimiter+1)
	tests := []struct {
		name   string
		build  func() (framing.Codec, error)
		faults int
	}{
		{"raw, negative", func() (framing.Codec, error) { return framing.Raw(-1) }, 1},
		{"raw, over 1 GiB", func() (framing.Codec, error) { return framing.Raw(over) }, 1},
		{"fixed, zero", func() (framing.Codec, error) { return framing.Fixed(0) }, 1},
		{"fixed, negative", func() (framing.Codec, error) { return framing.Fixed(-1) }, 1},
		{"fixed, over 1 GiB", func() (framing.Codec, error) { return framing.Fixed(over) }, 1},
		{"netstring, negative", func() (framing.Codec, error) { return framing.Netstring(-1) }, 1},
		{"delimited, both", func() (framing.Codec, error) {
			return framing.Delimited(framing.DelimiterConfig{Delimiter: longDelimiter, MaxMessage: over})
		}, 2},
		{"line, both", func() (framing.Codec, error) {
			return framing.Line(framing.LineConfig{Ending: framing.CRLF + 1, MaxMessage: -1})
		}, 2},
		{"length, width and limit", func() (framing.Codec, error) {
			return framing.Length(framing.LengthConfig{Width: 3, MaxMessage: -1})
		}, 2},
		{"length, varint with everything", func() (framing.Codec, error) {
			return framing.Length(framing.LengthConfig{
				Width: framing.Varint, LittleEndian: true, IncludesPrefix: true, MaxMessage: over,
			})
		}, 3},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			codec, err := test.build()
			if codec != nil || !errors.Is(err, framing.ErrBadOption) {
				t.Errorf("got %v, %v, want no codec and ErrBadOption", codec, err)
			}
			if got := countFaults(err); got != test.faults {
				t.Errorf("%d faults reported, want %d: %v", got, test.faults, err)
			}
		})
	}
}

// countFaults counts the bad options that are joined in an error.
func countFaults(err error) int {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		if err == nil {
			return 0
		}
		return 1
	}
	n := 0
	for _, err := range joined.Unwrap() {
		n += countFaults(err)
	}
	return n
}

func TestConstructorsAcceptTheLongestSettings(t *testing.T) {
	const highest = framing.MaxMessageLimit
	for name, build := range map[string]func() (framing.Codec, error){
		"raw":       func() (framing.Codec, error) { return framing.Raw(highest) },
		"fixed":     func() (framing.Codec, error) { return framing.Fixed(highest) },
		"netstring": func() (framing.Codec, error) { return framing.Netstring(highest) },
		"line":      func() (framing.Codec, error) { return framing.Line(framing.LineConfig{MaxMessage: highest}) },
		"length":    func() (framing.Codec, error) { return framing.Length(framing.LengthConfig{MaxMessage: highest}) },
		"delimited": func() (framing.Codec, error) {
			return framing.Delimited(framing.DelimiterConfig{
				Delimiter: bytes.Repeat([]byte{';'}, framing.MaxDelimiter), MaxMessage: highest,
			})
		},
	} {
		if _, err := build(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
