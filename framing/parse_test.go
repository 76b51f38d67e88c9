package framing_test

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flamingo/framing"
)

func parse(t *testing.T, listener string) (framing.Codec, error) {
	t.Helper()
	u, err := url.Parse(listener)
	if err != nil {
		t.Fatal(err)
	}
	return framing.Parse(u.Query().Get("framing"), u.Query())
}

func TestParseBuildsTheCodecOfAListenerURL(t *testing.T) {
	tests := []struct {
		listener string
		stream   string
		messages []string
		err      error // after the messages
	}{
		{"tcp://:4100", "a\nb", []string{"a\nb"}, nil},
		{"tcp://:4100?framing=raw&max-conns=10000", "a\nb", []string{"a\nb"}, nil},
		{"tcp://:4100?framing=raw&buffer-size=2", "abc", []string{"ab", "c"}, nil},
		{"tcp://:4100?framing=delimiter", "a\nb", []string{"a\n"}, nil},
		{"tcp://:4100?framing=delimiter&delimiter=%00%FF&delimiter-keep=true", "a\x00\xffb", []string{"a\x00\xff"}, nil},
		{"tcp://:4100?framing=delimiter&delimiter=%2B&delimiter-keep=false", "a+b", []string{"a"}, nil},
		{"tcp://:4100?framing=delimiter&max-message=2", "ab\nabc\n", []string{"ab\n"}, framing.ErrTooLarge},
		{"tcp://:4100?framing=line&max-message=2", "ab\r\nabc\n", []string{"ab"}, framing.ErrTooLarge},
		{"tcp://:4100?framing=length", "\x00\x00\x00\x01a", []string{"a"}, nil},
		{"tcp://:4100?framing=length&length-bytes=1", "\x01a", []string{"a"}, nil},
		{"tcp://:4100?framing=length&length-bytes=2&length-order=little", "\x01\x00a", []string{"a"}, nil},
		{"tcp://:4100?framing=length&length-bytes=8&length-includes-prefix=true", "\x00\x00\x00\x00\x00\x00\x00\x09a", []string{"a"}, nil},
		{"tcp://:4100?framing=length&length-bytes=varint&length-includes-prefix=false&max-message=1", "\x01a\x02", []string{"a"}, framing.ErrTooLarge},
		{"tcp://:4100?framing=fixed&fixed-size=2", "abc", []string{"ab"}, nil},
		{"tcp://:4100?framing=netstring&max-message=1", "1:a,2", []string{"a"}, framing.ErrTooLarge},
	}
	for _, test := range tests {
		codec, err := parse(t, test.listener)
		if err != nil {
			t.Errorf("%s: %v", test.listener, err)
			continue
		}
		messages, _, err := decodeAll(codec, test.stream)
		if diff := cmp.Diff(test.messages, messages); diff != "" || !errors.Is(err, test.err) {
			t.Errorf("%s: messages of %q: error %v, want %v; messages (-want +got):\n%s",
				test.listener, test.stream, err, test.err, diff)
		}
	}
}

func TestParseSetsTheLineEnding(t *testing.T) {
	for listener, want := range map[string]string{
		"tcp://:4100?framing=line":                  "a\n",
		"tcp://:4100?framing=line&line-ending=lf":   "a\n",
		"tcp://:4100?framing=line&line-ending=crlf": "a\r\n",
	} {
		codec, err := parse(t, listener)
		if err != nil {
			t.Fatalf("%s: %v", listener, err)
		}
		if got, err := codec.Encode(nil, []byte("a")); err != nil || string(got) != want {
			t.Errorf("%s: got %q, %v, want %q", listener, got, err, want)
		}
	}
}

func TestParseReportsEveryFault(t *testing.T) {
	long := strings.Repeat("x", framing.MaxDelimiter+1)
	tests := []struct {
		query string
		says  [][]string // per fault: option and value, what is allowed
	}{
		{"framing=lines", [][]string{{`framing="lines"`, "raw, delimiter, line, length, fixed, netstring"}}},
		{"framing=Line", [][]string{{`framing="Line"`, "line"}}},
		{"framing=raw&buffer-size=0", [][]string{{`buffer-size="0"`, "1 to 1073741824"}}},
		{"framing=raw&max-message=5", [][]string{{`max-message="5"`, "framing=raw", "delimiter, line, length, netstring"}}},
		{"framing=raw&delimiter=", [][]string{{`delimiter=""`, "framing=raw", "delimiter"}}},
		{"framing=line&max-message=1073741825", [][]string{{`max-message="1073741825"`, "1 to 1073741824"}}},
		{"framing=line&max-message=-1", [][]string{{`max-message="-1"`, "1 to 1073741824"}}},
		{"framing=line&max-message=", [][]string{{`max-message=""`, "1 to 1073741824"}}},
		{"framing=line&max-message=99999999999999999999", [][]string{{`max-message="99999999999999999999"`, "1 to 1073741824"}}},
		{"framing=line&max-message=1&max-message=2", [][]string{{`max-message=["1" "2"]`, "2 times", "once"}}},
		{"framing=line&max-message=64k&line-ending=cr&fixed-size=3&buffer-size=9", [][]string{
			{`max-message="64k"`, "1 to 1073741824"},
			{`line-ending="cr"`, "lf, crlf"},
			{`fixed-size="3"`, "framing=line", "fixed"},
			{`buffer-size="9"`, "framing=line", "raw"},
		}},
		{"framing=delimiter&delimiter=&delimiter-keep=yes&max-message=x", [][]string{
			{`delimiter=""`, "1 to 256"},
			{`delimiter-keep="yes"`, "true, false"},
			{`max-message="x"`, "1 to 1073741824"},
		}},
		{"framing=delimiter&delimiter=" + long, [][]string{{`delimiter="xxx`, "1 to 256"}}},
		{"framing=length&length-bytes=3&length-order=middle&length-includes-prefix=1", [][]string{
			{`length-bytes="3"`, "1, 2, 4, 8, varint"},
			{`length-order="middle"`, "big, little"},
			{`length-includes-prefix="1"`, "true, false"},
		}},
		{"framing=length&length-bytes=varint&length-order=big&length-includes-prefix=true", [][]string{
			{`length-order="big"`, "varint"},
			{`length-includes-prefix="true"`, "varint", "false"},
		}},
		{"framing=fixed", [][]string{{"fixed-size", "required", "1 to 1073741824"}}},
		{"framing=fixed&fixed-size=0", [][]string{{`fixed-size="0"`, "1 to 1073741824"}}},
		{"framing=netstring&max-message=1.5&length-bytes=4", [][]string{
			{`max-message="1.5"`, "1 to 1073741824"},
			{`length-bytes="4"`, "framing=netstring", "length"},
		}},
	}
	for _, test := range tests {
		codec, err := parse(t, "tcp://:4100?"+test.query)
		if codec != nil || !errors.Is(err, framing.ErrBadOption) {
			t.Errorf("%s: got %v, %v, want no codec and ErrBadOption", test.query, codec, err)
			continue
		}
		faults := strings.Split(err.Error(), "\n")
		if len(faults) != len(test.says) {
			t.Errorf("%s: %d faults reported, want %d:\n%v", test.query, len(faults), len(test.says), err)
		}
		for _, parts := range test.says {
			if !slices.ContainsFunc(faults, func(fault string) bool { return containsAll(fault, parts) }) {
				t.Errorf("%s: no line with each of %q in\n%v", test.query, parts, err)
			}
		}
	}
}

func containsAll(text string, parts []string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}

func TestOptionsAreThoseThatParseReads(t *testing.T) {
	want := []string{
		"buffer-size", "delimiter", "delimiter-keep", "fixed-size", "length-bytes",
		"length-includes-prefix", "length-order", "line-ending", "max-message",
	}
	if diff := cmp.Diff(want, framing.Options()); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
	for _, option := range framing.Options() {
		refused := 0
		for _, name := range framing.Names() {
			if _, err := framing.Parse(name, url.Values{option: {"no such value"}}); err != nil {
				refused++
			}
		}
		if takesAnything := option == "delimiter"; refused < len(framing.Names()) && !takesAnything {
			t.Errorf("%s: a bad value is refused by %d framings of %d", option, refused, len(framing.Names()))
		}
	}
}

func TestParseLeavesOptionsOfTheListenerAlone(t *testing.T) {
	for _, name := range framing.Names() {
		options := url.Values{"max-conns": {"x", "y"}, "framing": {"?"}, "MAX-MESSAGE": {"x"}}
		if name == "fixed" {
			options.Set("fixed-size", "8")
		}
		if _, err := framing.Parse(name, options); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
