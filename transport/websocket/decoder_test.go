package websocket_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"flamingo/framing"
	"flamingo/transport/websocket"
)

func decoder(cfg websocket.DecoderConfig) *websocket.Decoder {
	return must(websocket.NewDecoder(cfg))
}

// A table is cases with the Decoder that they are for.
type table struct {
	decode decodeFunc
	cases  []streamCase
}

func tables() []table {
	return []table{
		{decoder(websocket.DecoderConfig{MaxMessage: caseLimit}).Decode, slices.Concat(headerCases(), fragmentCases(), controlCases(), closeCases(), textCases())},
		{decoder(websocket.DecoderConfig{MaxMessage: lowLimit}).Decode, limitCases()},
		{decoder(websocket.DecoderConfig{Only: websocket.Text}).Decode, onlyCases(websocket.Text)},
		{decoder(websocket.DecoderConfig{Only: websocket.Binary}).Decode, onlyCases(websocket.Binary)},
	}
}

// violations returns what the decoder gets wrong of a case, a line for each
// way to deliver the stream.
func violations(decode decodeFunc, c streamCase, seed uint64) []string {
	var wrong []string
	for _, split := range splits(seed) {
		if got := feed(decode, split.cut(c.stream)).String(); got != c.want {
			wrong = append(wrong, fmt.Sprintf("%s\n got %s\nwant %s", split.name, got, c.want))
		}
	}
	return wrong
}

func TestStreamsGiveTheSameHoweverTheyAreSplit(t *testing.T) {
	seed := uint64(0)
	for _, table := range tables() {
		for _, c := range table.cases {
			seed++
			t.Run(c.name, func(t *testing.T) {
				for _, wrong := range violations(table.decode, c, seed) {
					t.Errorf("% x (seed %d), %s", c.stream[:min(len(c.stream), 64)], seed, wrong)
				}
			})
		}
	}
}

func TestCasesAreMany(t *testing.T) {
	count := len(handshakeCases())
	for _, table := range tables() {
		count += len(table.cases)
	}
	if count < 200 {
		t.Errorf("%d cases, want at least 200", count)
	}
}

func TestCasesAreOrderedBySection(t *testing.T) {
	lists := [][]string{names(handshakeCases(), func(c handshakeCase) string { return c.name })}
	for _, table := range tables() {
		lists = append(lists, names(table.cases, func(c streamCase) string { return c.name }))
	}
	for _, list := range lists {
		for i, name := range list {
			if slices.Contains(list[:i], name) {
				t.Errorf("%q stands there twice", name)
			}
			if i > 0 && slices.Compare(section(t, list[i-1]), section(t, name)) > 0 {
				t.Errorf("%q comes after %q", name, list[i-1])
			}
		}
	}
}

func names[C any](cases []C, name func(C) string) []string {
	var all []string
	for _, c := range cases {
		all = append(all, name(c))
	}
	return all
}

// section is the number that a name begins with, in parts.
func section(t *testing.T, name string) []int {
	number, _, ok := strings.Cut(name, ": ")
	var parts []int
	for part := range strings.SplitSeq(number, ".") {
		n, err := strconv.Atoi(part)
		if !ok || err != nil {
			t.Fatalf("%q does not begin with a section", name)
		}
		parts = append(parts, n)
	}
	return parts
}

func TestStateBetweenMessagesIsAPointer(t *testing.T) {
	if size := unsafe.Sizeof(websocket.State{}); size > unsafe.Sizeof(uintptr(0)) {
		t.Errorf("a State has %d bytes, want those of a pointer", size)
	}
	var s websocket.State
	d := decoder(websocket.DecoderConfig{})
	for _, b := range join(masked(text, "a"), masked(fin|ping, "p"), masked(fin|cont, "b"), masked(fin|bin, xs(1000))) {
		if _, _, err := d.Decode(&s, []byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	if s != (websocket.State{}) {
		t.Errorf("a State between messages is %+v, want the zero value", s)
	}
}

func TestWholeMessageIsNotCopied(t *testing.T) {
	d := decoder(websocket.DecoderConfig{})
	data := join(masked(fin|text, "Hello"), masked(fin|ping, "p"))
	var s websocket.State
	event, size, err := d.Decode(&s, data)
	if err != nil || event.Owned || &event.Payload[0] != &data[6] || cap(event.Payload) != len("Hello") {
		t.Errorf("got %+v, %v, want the bytes that were given", event, err)
	}
	if event, _, err = d.Decode(&s, data[size:]); err != nil || event.Owned || &event.Payload[0] != &data[size+6] {
		t.Errorf("got %+v, %v, want the bytes that were given", event, err)
	}
}

func TestMessageInPiecesIsMemoryOfItsOwn(t *testing.T) {
	d := decoder(websocket.DecoderConfig{})
	data := masked(fin|bin, xs(100))
	var s websocket.State
	if event, size, err := d.Decode(&s, data[:50]); event.Kind != websocket.None || size != 50 || err != nil {
		t.Fatalf("got %+v, size %d, %v, want to wait", event, size, err)
	}
	event, _, err := d.Decode(&s, data[50:])
	clear(data)
	if err != nil || !event.Owned || string(event.Payload) != xs(100) {
		t.Errorf("got %+v, %v, want 100 bytes that are its own", event, err)
	}
}

func TestAnnouncedBytesHoldNoMemory(t *testing.T) {
	d := decoder(websocket.DecoderConfig{MaxMessage: framing.MaxMessageLimit})
	for _, first := range []byte{text, fin | text, bin, fin | bin} {
		var s websocket.State
		if _, _, err := d.Decode(&s, announced(first, framing.MaxMessageLimit)); err != nil {
			t.Fatal(err)
		}
		if held := s.Buffered(); held != 0 {
			t.Errorf("%#x: %d bytes held for a message of 1 GiB of which none is there", first, held)
		}
		if _, _, err := d.Decode(&s, []byte(xs(1000))); err != nil && first&0xF == bin {
			t.Fatal(err)
		}
		if held := s.Buffered(); held > 2*1000 {
			t.Errorf("%#x: %d bytes held for 1000", first, held)
		}
	}
}

func TestRoomIsNoMoreThanTheMessageNeeds(t *testing.T) {
	d := decoder(websocket.DecoderConfig{MaxMessage: 1100})
	for _, test := range []struct {
		name   string
		stream []byte
		most   int
	}{
		{"the last frame says how long the message is", masked(fin|bin, xs(1050)), 1050},
		{"a message of more frames has the limit", masked(bin, xs(1050)), 1100},
	} {
		var s websocket.State
		if _, _, err := d.Decode(&s, test.stream[:1000]); err != nil {
			t.Fatal(err)
		}
		if held := s.Buffered(); held > test.most {
			t.Errorf("%s: %d bytes held, want at most %d", test.name, held, test.most)
		}
	}
}

// A message in n pieces takes time in proportion to n only if its memory is
// not made anew for each.
func TestManyPiecesTakeFewAllocations(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	const pieces = 10_000
	d := decoder(websocket.DecoderConfig{})
	stream := func(middle []byte) []byte {
		return join(masked(text, ""), bytes.Repeat(middle, pieces), masked(fin|cont, ""))
	}
	for _, test := range []struct {
		name   string
		stream []byte
		step   int
	}{
		{"fragments of a byte", stream(masked(cont, "x")), 1 << 20},
		{"fragments of a byte, in pieces of 7", stream(masked(cont, "x")), 7},
		{"fragments of nothing", stream(masked(cont, "")), 1 << 20},
		{"one frame by bytes", masked(fin|text, xs(pieces)), 1},
	} {
		own := make([]byte, len(test.stream))
		got := testing.AllocsPerRun(5, func() {
			copy(own, test.stream)
			var s websocket.State
			for chunk := range slices.Chunk(own, test.step) {
				for len(chunk) > 0 {
					_, size, err := d.Decode(&s, chunk)
					if err != nil {
						t.Fatal(err)
					}
					chunk = chunk[size:]
				}
			}
		})
		if got > 20 {
			t.Errorf("%s: %v allocations, want at most 20", test.name, got)
		}
	}
}

func TestWholeMessageAllocatesNothing(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	d := decoder(websocket.DecoderConfig{})
	for _, first := range []byte{fin | text, fin | bin, fin | ping, fin | pong} {
		stream := masked(first, xs(64))
		own := make([]byte, len(stream))
		var s websocket.State
		if got := testing.AllocsPerRun(100, func() {
			copy(own, stream)
			if event, _, err := d.Decode(&s, own); err != nil || len(event.Payload) != 64 {
				t.Fatal(event, err)
			}
		}); got != 0 {
			t.Errorf("%#x: %v allocations, want none", first, got)
		}
	}
}

func TestProtocolErrorIsOneOfFraming(t *testing.T) {
	d := decoder(websocket.DecoderConfig{MaxMessage: 1})
	for _, test := range []struct {
		stream []byte
		want   error
	}{
		{announced(fin|bin, 2), framing.ErrTooLarge},
		{masked(fin|text, "\xff"), framing.ErrMalformed},
		{masked(fin|rsv1|text, ""), framing.ErrMalformed},
	} {
		var s websocket.State
		_, _, err := d.Decode(&s, test.stream)
		var broken *websocket.ProtocolError
		if !errors.Is(err, test.want) || !errors.As(err, &broken) {
			t.Fatalf("% x: got %v, want a ProtocolError that is %v", test.stream, err, test.want)
		}
		if _, err := websocket.AppendClose(nil, broken.Code, broken.Reason); err != nil || len(broken.Reason) > websocket.MaxReason {
			t.Errorf("%v does not fit a close frame: %v", broken, err)
		}
	}
}

func TestDecoderRefusesBadSettings(t *testing.T) {
	for _, cfg := range []websocket.DecoderConfig{
		{MaxMessage: -1},
		{MaxMessage: framing.MaxMessageLimit + 1},
		{MaxMessage: math.MinInt},
		{Only: websocket.Ping},
		{Only: 3},
	} {
		if _, err := websocket.NewDecoder(cfg); !errors.Is(err, websocket.ErrBadOption) {
			t.Errorf("%+v: got %v, want ErrBadOption", cfg, err)
		}
	}
	_, err := websocket.NewDecoder(websocket.DecoderConfig{MaxMessage: -1, Only: websocket.Close})
	if err == nil || !strings.Contains(err.Error(), "max message") || !strings.Contains(err.Error(), "only close") {
		t.Errorf("got %v, want both settings reported", err)
	}
}
