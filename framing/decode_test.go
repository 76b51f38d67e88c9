package framing_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flamingo/framing"
)

// decodeAll takes all messages out of a stream that has arrived at once.
func decodeAll(codec framing.Codec, stream string) (messages []string, rest string, err error) {
	data := []byte(stream)
	for {
		msg, size, err := codec.Decode(data, 0)
		if size == 0 {
			return messages, string(data), err
		}
		messages = append(messages, string(msg))
		data = data[size:]
	}
}

func TestDecodeCutsStreamIntoMessages(t *testing.T) {
	line := must(framing.Line(framing.LineConfig{MaxMessage: 5}))
	delimited := func(delimiter string, strip bool) framing.Codec {
		return must(framing.Delimited(framing.DelimiterConfig{Delimiter: []byte(delimiter), Strip: strip, MaxMessage: 5}))
	}
	length := func(cfg framing.LengthConfig) framing.Codec { return must(framing.Length(cfg)) }

	tests := []struct {
		name     string
		codec    framing.Codec
		stream   string
		messages []string
		rest     string
		err      error
	}{
		{"raw cuts at its maximum", must(framing.Raw(3)), "abcdefgh", []string{"abc", "def", "gh"}, "", nil},
		{"delimiter is kept by default", delimited("", false), "a\n\nb", []string{"a\n", "\n"}, "b", nil},
		{"delimiter is stripped", delimited(";", true), "a;;b", []string{"a", ""}, "b", nil},
		{"delimiter ends at its first occurrence", delimited("aa", true), "baaab", []string{"b"}, "ab", nil},
		{"delimiter leaves a carriage return alone", delimited("\n", true), "a\r\n", []string{"a\r"}, "", nil},
		{"delimiter in time", delimited("--", true), "12345--", []string{"12345"}, "", nil},
		{"delimiter too late", delimited("--", true), "123456--", nil, "123456--", framing.ErrTooLarge},
		{"kept delimiter does not count", delimited("--", false), "12345--", []string{"12345--"}, "", nil},
		{"kept delimiter too late", delimited("--", false), "123456--", nil, "123456--", framing.ErrTooLarge},
		{"line endings may be mixed", line, "a\nb\r\n\n\r\nc\rd\n", []string{"a", "b", "", "", "c\rd"}, "", nil},
		{"line loses one carriage return", line, "a\r\r\n", []string{"a\r"}, "", nil},
		{"line of full length", line, "12345\r\n12345\n", []string{"12345", "12345"}, "", nil},
		{"line too long", line, "a\n123456\n", []string{"a"}, "123456\n", framing.ErrTooLarge},
		{"line too long by a carriage return", line, "12345\r\r\n", nil, "12345\r\r\n", framing.ErrTooLarge},
		{"length of 4 bytes, big endian, by default", length(framing.LengthConfig{}), "\x00\x00\x00\x02ab\x00", []string{"ab"}, "\x00", nil},
		{"length of 2 bytes, little endian", length(framing.LengthConfig{Width: 2, LittleEndian: true}), "\x01\x00a\x00\x00", []string{"a", ""}, "", nil},
		{"length counts its prefix", length(framing.LengthConfig{Width: 2, IncludesPrefix: true}), "\x00\x03a\x00\x02", []string{"a", ""}, "", nil},
		{"length below its prefix", length(framing.LengthConfig{Width: 2, IncludesPrefix: true}), "\x00\x01a", nil, "\x00\x01a", framing.ErrMalformed},
		{"length of 2^63 and more", length(framing.LengthConfig{Width: 8}), "\x80\x00\x00\x00\x00\x00\x00\x01", nil, "\x80\x00\x00\x00\x00\x00\x00\x01", framing.ErrTooLarge},
		{"varint", length(framing.LengthConfig{Width: framing.Varint}), "\x01a\x00\x81\x01" + strings.Repeat("b", 129), []string{"a", "", strings.Repeat("b", 129)}, "", nil},
		{"fixed", must(framing.Fixed(2)), "abcde", []string{"ab", "cd"}, "e", nil},
		{"netstring", must(framing.Netstring(0)), "0:,3:a,b,1", []string{"", "a,b"}, "1", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			messages, rest, err := decodeAll(test.codec, test.stream)
			if diff := cmp.Diff(test.messages, messages); diff != "" {
				t.Errorf("messages of %q (-want +got):\n%s", test.stream, diff)
			}
			if rest != test.rest || !errors.Is(err, test.err) {
				t.Errorf("after the messages of %q\n got %q, %v\nwant %q, %v", test.stream, rest, err, test.rest, test.err)
			}
		})
	}
}

func TestEncodeWritesFraming(t *testing.T) {
	tests := []struct {
		name  string
		codec framing.Codec
		want  string
	}{
		{"raw", must(framing.Raw(2)), "hello"},
		{"delimiter kept", must(framing.Delimited(framing.DelimiterConfig{MaxMessage: 1})), "hello"},
		{"delimiter stripped", must(framing.Delimited(framing.DelimiterConfig{Strip: true})), "hello\n"},
		{"line", must(framing.Line(framing.LineConfig{})), "hello\n"},
		{"line with CRLF", must(framing.Line(framing.LineConfig{Ending: framing.CRLF})), "hello\r\n"},
		{"length", must(framing.Length(framing.LengthConfig{})), "\x00\x00\x00\x05hello"},
		{"length of 8 bytes, little endian, counting itself", must(framing.Length(framing.LengthConfig{
			Width: 8, LittleEndian: true, IncludesPrefix: true,
		})), "\x0d\x00\x00\x00\x00\x00\x00\x00hello"},
		{"varint", must(framing.Length(framing.LengthConfig{Width: framing.Varint})), "\x05hello"},
		{"fixed", must(framing.Fixed(5)), "hello"},
		{"netstring", must(framing.Netstring(0)), "5:hello,"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := test.codec.Encode([]byte("> "), []byte("hello"))
			if err != nil || string(got) != "> "+test.want {
				t.Errorf("got %q, %v, want %q", got, err, "> "+test.want)
			}
		})
	}
}

func TestPrefixIsAMessageLimitOfItsOwn(t *testing.T) {
	tests := []struct {
		cfg     framing.LengthConfig
		longest int
	}{
		{framing.LengthConfig{Width: 1}, math.MaxUint8},
		{framing.LengthConfig{Width: 1, IncludesPrefix: true}, math.MaxUint8 - 1},
		{framing.LengthConfig{Width: 2}, math.MaxUint16},
		{framing.LengthConfig{Width: 2, LittleEndian: true, IncludesPrefix: true}, math.MaxUint16 - 2},
	}
	for _, test := range tests {
		codec := must(framing.Length(test.cfg))
		framed, err := codec.Encode(nil, filled(test.longest))
		if err != nil {
			t.Errorf("%+v: Encode of %d bytes: %v", test.cfg, test.longest, err)
		}
		if msg, _, err := codec.Decode(framed, 0); err != nil || len(msg) != test.longest {
			t.Errorf("%+v: Decode of %d bytes: got %d bytes, %v", test.cfg, test.longest, len(msg), err)
		}
		if _, err := codec.Encode(nil, filled(test.longest+1)); !errors.Is(err, framing.ErrTooLarge) {
			t.Errorf("%+v: Encode of %d bytes: got %v, want ErrTooLarge", test.cfg, test.longest+1, err)
		}
	}
}

func TestHighestLimitIsHeld(t *testing.T) {
	codec := must(framing.Length(framing.LengthConfig{Width: 8, MaxMessage: framing.MaxMessageLimit}))
	for _, announced := range []uint64{framing.MaxMessageLimit + 1, math.MaxUint32, math.MaxInt64, math.MaxInt64 + 1, math.MaxUint64} {
		if _, _, err := codec.Decode(binary.BigEndian.AppendUint64(nil, announced), 0); !errors.Is(err, framing.ErrTooLarge) {
			t.Errorf("%d bytes announced: got %v, want ErrTooLarge", announced, err)
		}
	}
	if _, size, err := codec.Decode(binary.BigEndian.AppendUint64(nil, framing.MaxMessageLimit), 0); size != 0 || err != nil {
		t.Errorf("%d bytes announced: got size %d, %v, want to wait", framing.MaxMessageLimit, size, err)
	}
	netstring := must(framing.Netstring(framing.MaxMessageLimit))
	if _, size, err := netstring.Decode([]byte("1073741824:x"), 0); size != 0 || err != nil {
		t.Errorf("netstring of 1 GiB: got size %d, %v, want to wait", size, err)
	}
	if _, _, err := netstring.Decode([]byte("1073741825"), 0); !errors.Is(err, framing.ErrTooLarge) {
		t.Errorf("netstring of 1 GiB and a byte: got %v, want ErrTooLarge", err)
	}
}

func TestDelimiterIsNotSearchedAgainFromTheStart(t *testing.T) {
	// A decoder that honours searched cannot see the delimiter that was put
	// there behind its back; one that starts afresh finds it.
	for _, codec := range []framing.Codec{
		must(framing.Delimited(framing.DelimiterConfig{Delimiter: []byte("\n")})),
		must(framing.Delimited(framing.DelimiterConfig{Delimiter: []byte("\r\n")})),
		must(framing.Line(framing.LineConfig{})),
	} {
		data := []byte("a\r\nbcdef")
		if msg, size, err := codec.Decode(data, len(data)-1); size != 0 || err != nil {
			t.Errorf("%T: got %q, size %d, %v, want nothing in the bytes not searched", codec, msg, size, err)
		}
	}
}

func TestDelimiterOfTheCallerMayBeReused(t *testing.T) {
	delimiter := []byte(";")
	codec := must(framing.Delimited(framing.DelimiterConfig{Delimiter: delimiter, Strip: true}))
	delimiter[0] = ','
	if got, err := codec.Encode(nil, []byte("a,b")); err != nil || !bytes.Equal(got, []byte("a,b;")) {
		t.Errorf("got %q, %v, want %q", got, err, "a,b;")
	}
}
