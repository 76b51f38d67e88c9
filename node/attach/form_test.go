package attach_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"

	"flamingo/node"
	"flamingo/node/attach"

	"github.com/google/go-cmp/cmp"
	"github.com/vmihailenco/msgpack/v5"
)

// ofForm returns the body of a frame that a library has made of these values.
func ofForm(t testing.TB, values ...any) []byte {
	t.Helper()
	body, err := msgpack.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// same compares records by what they mean: no list is an empty one.
func same(t *testing.T, got, want *attach.Record) {
	t.Helper()
	a, b := fmt.Sprintf("%q", attach.Encode("msgpack", got)), fmt.Sprintf("%q", attach.Encode("msgpack", want))
	if diff := cmp.Diff(b, a); diff != "" {
		t.Errorf("got other than wanted:\n%s", diff)
	}
}

// Whatever another library writes for a frame, and whatever of its forms it takes for
// integers and texts, is the same frame, and the same as its JSON.
func TestFormsMeanTheSame(t *testing.T) {
	id := uint64(conn(1))
	text := strings.Repeat("long ", 100)
	tests := []struct {
		body []byte
		json string
	}{
		{ofForm(t, 1, 1, 1, "token", "name", 10, 1<<20), `{"type":"hello","min":1,"max":1,"token":"token","name":"name","events":10,"bytes":1048576}`},
		{ofForm(t, uint64(1), int64(1), uint8(1), []byte("token"), []byte("name"), uint32(10), 0), `{"type":"hello","min":1,"max":1,"token":"token","name":"name","events":10}`},
		{ofForm(t, 2, 5, 1, 70_000, []any{[]any{1, id, 1, "hi"}, []any{4, id, "room"}}), `{"type":"done","request":5,"first":1,"last":70000,"actions":[{"do":"send","id":"01adc90000000002","kind":"text","text":"hi"},{"do":"join","id":"01adc90000000002","group":"room"}]}`},
		{ofForm(t, 3, 0, []any{[]any{2, []uint64{id, id}, 2, []byte{0, 255}}}), `{"type":"do","actions":[{"do":"send-many","ids":["01adc90000000002","01adc90000000002"],"kind":"binary","base64":"AP8="}]}`},
		{ofForm(t, 3, 0, []any{[]any{6, text, []uint64{}, 0, []byte(text + text)}, []any{3, id, 4001, "bye"}}), `{"type":"do","actions":[{"do":"publish","group":"` + text + `","text":"` + text + text + `"},{"do":"close","id":"01adc90000000002","code":4001,"reason":"bye"}]}`},
		{ofForm(t, 4, 9, 4, 0, "room", 100, 0, []byte{}), `{"type":"ask","request":9,"what":"members","name":"room","number":100}`},
		{ofForm(t, 5, math.MaxUint16, 1<<40), `{"type":"window","events":65535,"bytes":1099511627776}`},
		{ofForm(t, 8), `{"type":"leave"}`},
	}
	for _, tt := range tests {
		var packed, object attach.Record
		if err := attach.Decode("msgpack", tt.body, &packed); err != nil {
			t.Errorf("%x: %v", tt.body, err)
			continue
		}
		if err := attach.Decode("json", []byte(tt.json), &object); err != nil {
			t.Errorf("%s: %v", tt.json, err)
			continue
		}
		same(t, &object, &packed)
		if back := string(attach.Encode("json", &packed)); back != tt.json {
			t.Errorf("JSON of it\n%s\nwant\n%s", back, tt.json)
		}
		var any []any
		if err := msgpack.Unmarshal(attach.Encode("msgpack", &object), &any); err != nil {
			t.Errorf("the library does not read what is written: %v", err)
		}
	}
}

func TestMalformedFramesAreRefused(t *testing.T) {
	for name, body := range map[string][]byte{
		"nothing":           {},
		"no array":          ofForm(t, 1)[1:],
		"kind 0":            ofForm(t, 0),
		"no such kind":      ofForm(t, 9),
		"far kind":          ofForm(t, uint64(math.MaxUint64)),
		"a field missing":   ofForm(t, 5, 1),
		"a field too many":  ofForm(t, 5, 1, 1, 1),
		"a text for u":      ofForm(t, 5, "1", 1),
		"negative":          ofForm(t, 5, -1, 1),
		"float":             ofForm(t, 5, 1.5, 1),
		"nil":               ofForm(t, 5, nil, 1),
		"map":               ofForm(t, 2, 0, 1, 1, map[string]int{}),
		"trailing":          append(ofForm(t, 8), 0),
		"array that lies":   {0x95, 0x02, 0x00, 0x01, 0x01, 0xdd, 0xff, 0xff, 0xff, 0xff},
		"bytes that lie":    {0x93, 0x03, 0x00, 0x91, 0x94, 0x01, 0x01, 0x00, 0xc6, 0xff, 0xff, 0xff, 0xff},
		"too many actions":  ofForm(t, 3, 0, make([]any, 4097)),
		"too many ids":      ofForm(t, 3, 0, []any{[]any{2, make([]uint64, 4097), 0, []byte{}}}),
		"a frame as action": ofForm(t, 3, 0, []any{[]any{9, 1, 1}}),
	} {
		var r attach.Record
		if err := attach.Decode("msgpack", body, &r); err == nil {
			t.Errorf("%s: %x is taken as %s", name, body, attach.Encode("json", &r))
		}
	}
	for _, body := range []string{
		``, `null`, `5`, `[]`, `{}`, `{"type":5}`, `{"type":""}`, `{"type":"leave"}x`, `{"type":"window","events":1.5}`, `{"type":"window","events":"1"}`,
		`{"type":"do","actions":{}}`, `{"type":"do","actions":[[]]}`, `{"type":"do","actions":[null]}`, `{"type":"do","actions":[{"do":"send","kind":"loud"}]}`,
		`{"type":"do","actions":[{"do":"send","base64":"*"}]}`, `{"type":"ask","what":"why"}`,
		`{"type":"do","actions":[{"do":"publish","except":[5]}]}`,
		`{"type":"do","actions":[` + strings.Repeat(`{"do":"join"},`, 4096) + `{"do":"join"}]}`,
	} {
		var r attach.Record
		if err := attach.Decode("json", []byte(body), &r); err == nil {
			t.Errorf("%.80s is taken as %s", body, attach.Encode("json", &r))
		}
	}
}

// An id that is none is an outcome, not a break of the protocol.
func TestBadIDInJSONIsNone(t *testing.T) {
	var r attach.Record
	if err := attach.Decode("json", []byte(`{"type":"do","actions":[{"do":"join","id":"nobody","group":"g"}]}`), &r); err != nil {
		t.Fatal(err)
	}
	var want attach.Record
	if err := attach.Decode("msgpack", ofForm(t, 3, 0, []any{[]any{4, 0, "g"}}), &want); err != nil {
		t.Fatal(err)
	}
	same(t, &r, &want)
}

// The example of the page, byte for byte.
func TestGoldenFrame(t *testing.T) {
	body, err := hex.DecodeString("9502000202919401cf01adc9000000000200c4026869")
	if err != nil {
		t.Fatal(err)
	}
	var r attach.Record
	if err := attach.Decode("msgpack", body, &r); err != nil {
		t.Fatal(err)
	}
	if got, want := string(attach.Encode("json", &r)), `{"type":"done","first":2,"last":2,"actions":[{"do":"send","id":"01adc90000000002","text":"hi"}]}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if again := attach.Encode("msgpack", &r); !bytes.Equal(again, body) {
		t.Errorf("%x, want %x", again, body)
	}
}

// What a length claims costs nothing before it has come.
func TestMemoryFollowsWhatHasCome(t *testing.T) {
	short := binary.BigEndian.AppendUint32(nil, 4<<20)
	_, held, err := attach.ReadFrames(bytes.NewReader(append(short, make([]byte, 5000)...)), 4<<20)
	if !errors.Is(err, io.ErrUnexpectedEOF) || held > 64<<10 {
		t.Errorf("held %d bytes for 5000, %v", held, err)
	}
	if _, held, err = attach.ReadFrames(bytes.NewReader(binary.BigEndian.AppendUint32(nil, 4<<20+1)), 4<<20); err == nil || held > 0 {
		t.Errorf("a frame over the limit: %v, held %d", err, held)
	}
	if _, _, err = attach.ReadLines(strings.NewReader(strings.Repeat("x", 10_002)), 10_000); err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a line over the limit: %v", err)
	}
}

func TestFramesAndLinesOfAnyLength(t *testing.T) {
	var packed, text []byte
	var want [][]byte
	for n := 1; n < 20_000; n = n*3/2 + 1 {
		body := bytes.Repeat([]byte{'a' + byte(n%26)}, n)
		want = append(want, body)
		packed = append(binary.BigEndian.AppendUint32(packed, uint32(n)), body...)
		text = append(append(text, body...), '\n')
	}
	got, _, err := attach.ReadFrames(bytes.NewReader(packed), 1<<20)
	if !errors.Is(err, io.EOF) || !cmp.Equal(got, want) {
		t.Errorf("frames: %d, %v", len(got), err)
	}
	got, _, err = attach.ReadLines(bytes.NewReader(text), 1<<20)
	for i := range got {
		got[i] = bytes.TrimSuffix(got[i], []byte("\n"))
	}
	if !errors.Is(err, io.EOF) || !cmp.Equal(got, want) {
		t.Errorf("lines: %d, %v", len(got), err)
	}
}

func TestOutcomesOfErrors(t *testing.T) {
	for name, err := range map[string]error{
		"accepted": nil, "gone": &node.OpError{Err: node.ErrGone}, "uncertain": fmt.Errorf("%w: %w", node.ErrUncertain, node.ErrGone),
		"expired": fmt.Errorf("%w: %w", node.ErrExpired, io.EOF), "failed": io.EOF, "bad-request": node.ErrBadOption,
		"limit": node.ErrLimit, "bad-close-code": node.ErrBadCloseCode, "too-large": node.ErrTooLarge,
	} {
		if got := attach.OutcomeNames()[attach.OutcomeOf(err)]; got != name {
			t.Errorf("%v is %s, want %s", err, got, name)
		}
	}
}

// fuzzForm checks that what is taken means the same when it is written and read again.
func fuzzForm(f *testing.F, form string) {
	f.Fuzz(func(t *testing.T, body []byte) {
		var r, again attach.Record
		if attach.Decode(form, bytes.Clone(body), &r) != nil {
			return
		}
		wire := attach.Encode("msgpack", &r)
		if len(wire) > len(body)+64 && form == "msgpack" {
			t.Errorf("%d bytes of %d", len(wire), len(body))
		}
		if err := attach.Decode("msgpack", bytes.Clone(wire), &again); err != nil {
			t.Fatalf("what is written is not taken: %v", err)
		}
		same(t, &again, &r)
	})
}

func FuzzMsgpack(f *testing.F) {
	f.Add(ofForm(f, 1, 1, 1, "token", "name", 10, 1<<20))
	f.Add(ofForm(f, 2, 5, 1, 70_000, []any{[]any{1, uint64(conn(1)), 1, "hi"}, []any{2, []int{1, 2}, 0, []byte{1}}}))
	f.Add(ofForm(f, 16, 1, 2, 3, "node", 5, 6))
	fuzzForm(f, "msgpack")
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"type":"done","first":1,"last":2,"actions":[{"do":"send","id":"01adc90000000002","kind":"text","text":"hi"}]}`))
	f.Add([]byte(`{"type":"ask","request":9,"what":"members","name":"room","number":100}`))
	f.Add([]byte(`{"type":"result","request":9,"outcomes":["gone","accepted"]}`))
	fuzzForm(f, "json")
}
