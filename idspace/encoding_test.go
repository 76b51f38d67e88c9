package idspace_test

import (
	"bytes"
	"database/sql"
	"database/sql/driver"
	"encoding"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"testing"

	"flamingo/idspace"

	"github.com/google/go-cmp/cmp"
	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"
)

// value is what ID and NodeNumber both write; pointer is what they both read.
type value interface {
	encoding.TextMarshaler
	encoding.TextAppender
	encoding.BinaryMarshaler
	encoding.BinaryAppender
	json.Marshaler
	msgpack.Marshaler
	driver.Valuer
	slog.LogValuer
}

type pointer interface {
	encoding.TextUnmarshaler
	encoding.BinaryUnmarshaler
	json.Unmarshaler
	msgpack.Unmarshaler
	sql.Scanner
}

var (
	_ value   = idspace.ID(0)
	_ value   = idspace.NodeNumber(0)
	_ pointer = (*idspace.ID)(nil)
	_ pointer = (*idspace.NodeNumber)(nil)
)

// form is one encoding of both types.
type form struct {
	name   string
	encode func(value) (any, error)
	decode func(pointer, any) error
}

func bytesForm(name string, enc func(value) ([]byte, error), dec func(pointer, []byte) error) form {
	return form{
		name,
		func(v value) (any, error) { return enc(v) },
		func(p pointer, x any) error { return dec(p, x.([]byte)) },
	}
}

var forms = []form{
	bytesForm("text", value.MarshalText, pointer.UnmarshalText),
	bytesForm("json", value.MarshalJSON, pointer.UnmarshalJSON),
	bytesForm("binary", value.MarshalBinary, pointer.UnmarshalBinary),
	bytesForm("msgpack", value.MarshalMsgpack, pointer.UnmarshalMsgpack),
	{"sql", func(v value) (any, error) { return v.Value() }, pointer.Scan},
}

func TestEveryFormIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := drawID(t)
		for _, f := range forms {
			var gotID idspace.ID
			var gotNumber idspace.NodeNumber
			x, err := f.encode(id)
			if err != nil || f.decode(&gotID, x) != nil || gotID != id {
				t.Fatalf("%s: %v became %v (%v), then %v", f.name, id, x, err, gotID)
			}
			x, err = f.encode(id.Node())
			if err != nil || f.decode(&gotNumber, x) != nil || gotNumber != id.Node() {
				t.Fatalf("%s: %v became %v (%v), then %v", f.name, id.Node(), x, err, gotNumber)
			}
		}
	})
}

func TestFormsAreThoseOfTheTable(t *testing.T) {
	id := sampleID(t)
	for i, want := range []any{
		[]byte(sampleText),
		[]byte(`"` + sampleText + `"`),
		[]byte("\x01\xad\xc9\x00\x00\x00\x00\x2a"),
		[]byte("\xcf\x01\xad\xc9\x00\x00\x00\x00\x2a"),
		driver.Value(int64(0x01adc9000000002a)),
	} {
		if got, err := forms[i].encode(id); err != nil || !cmp.Equal(got, want) {
			t.Errorf("%s of %v = %v, %v, want %v", forms[i].name, id, got, err, want)
		}
	}
	for i, want := range []any{
		[]byte("01adc9000"),
		[]byte(`"01adc9000"`),
		[]byte("\x00\x00\x00\x00\x1a\xdc\x90\x00"),
		[]byte("\xcf\x00\x00\x00\x00\x1a\xdc\x90\x00"),
		driver.Value(int64(0x1adc9000)),
	} {
		if got, err := forms[i].encode(id.Node()); err != nil || !cmp.Equal(got, want) {
			t.Errorf("%s of %v = %v, %v, want %v", forms[i].name, id.Node(), got, err, want)
		}
	}
}

func TestNoFormWritesAnInvalidValue(t *testing.T) {
	for _, f := range forms {
		for _, id := range []idspace.ID{0, 42, 1 << 28} {
			if x, err := f.encode(id); !errors.Is(err, idspace.ErrBadID) {
				t.Errorf("%s of ID %d = %v, %v, want ErrBadID", f.name, id, x, err)
			}
		}
		for _, n := range []idspace.NodeNumber{0, idspace.MaxNumber + 1, math.MaxUint64} {
			if x, err := f.encode(n); !errors.Is(err, idspace.ErrBadNumber) {
				t.Errorf("%s of NodeNumber %d = %v, %v, want ErrBadNumber", f.name, n, x, err)
			}
		}
	}
}

func TestAppendingKeepsWhatIsThere(t *testing.T) {
	id := sampleID(t)
	b, _ := id.AppendText([]byte("id="))
	b, _ = id.AppendBinary(append(b, ' '))
	b, _ = id.Node().AppendText(append(b, ' '))
	want := "id=" + sampleText + " \x01\xad\xc9\x00\x00\x00\x00\x2a 01adc9000"
	if string(b) != want {
		t.Errorf("appended %q, want %q", b, want)
	}
	for _, v := range []value{idspace.ID(0), idspace.NodeNumber(0)} {
		got, err := v.AppendText([]byte("id="))
		got2, err2 := v.AppendBinary([]byte("id="))
		if err == nil || err2 == nil || string(got) != "id=" || string(got2) != "id=" {
			t.Errorf("appending %T 0: %q, %v and %q, %v, want the prefix and errors", v, got, err, got2, err2)
		}
	}
}

func TestRefusedInputLeavesTheValueAlone(t *testing.T) {
	type input struct {
		form string
		in   any
	}
	both := []input{
		{"json", []byte(`120973766846054442`)},
		{"json", []byte(`1e3`)},
		{"json", []byte(`true`)},
		{"json", []byte(`{}`)},
		{"json", []byte(`[]`)},
		{"json", []byte(`""`)},
		{"json", []byte(`"\ud800"`)},
		{"json", []byte(`"`)},
		{"json", []byte(``)},
		{"binary", []byte{}},
		{"binary", []byte("\x01\xad\xc9\x00\x00\x00\x00")},
		{"binary", []byte("\x01\xad\xc9\x00\x00\x00\x00\x2a\x00")},
		{"binary", make([]byte, 8)},
		{"msgpack", []byte{}},
		{"msgpack", []byte{0x00}},                         // zero
		{"msgpack", []byte{0xc0}},                         // nil
		{"msgpack", []byte{0xff}},                         // -1
		{"msgpack", []byte{0xd3, 1, 1, 1, 1, 1, 1, 1, 1}}, // signed
		{"msgpack", []byte{0xcb, 1, 1, 1, 1, 1, 1, 1, 1}}, // float
		{"msgpack", []byte{0xcf, 0, 0, 0, 0, 1, 1, 1}},    // short
		{"msgpack", []byte{0xcf, 0, 0, 0, 0, 1, 1, 1, 1, 1}},
		{"msgpack", []byte{0xcc}},
		{"msgpack", []byte{0xcd, 1}},
		{"msgpack", []byte{0xce, 1, 1, 1}},
		{"sql", nil},
		{"sql", int64(0)},
		{"sql", 1.5},
		{"sql", true},
		{"sql", "120973766846054442"}, // decimal
		{"sql", []byte("120973766846054442")},
	}
	ids := both
	for _, s := range badIDTexts {
		ids = append(ids, input{"text", []byte(s)}, input{"sql", s}, input{"sql", []byte(s)})
	}
	numbers := append([]input{
		{"text", []byte("01adc900")},
		{"text", []byte("01adc90000")},
		{"text", []byte("01ADC9000")},
		{"text", []byte("000000000")},
		{"text", []byte("")},
		{"binary", []byte("\x00\x00\x00\x10\x00\x00\x00\x00")}, // 2^36
		{"msgpack", []byte{0xcf, 0, 0, 0, 0x10, 0, 0, 0, 0}},
		{"sql", int64(idspace.MaxNumber) + 1},
		{"sql", int64(-1)},
		{"sql", "01adc9000"},
		{"sql", []byte("450662400")}, // decimal, and nine digits
	}, both...)
	for _, f := range forms {
		for _, in := range ids {
			got := sampleID(t)
			if in.form != f.name {
				continue
			}
			if err := f.decode(&got, in.in); !errors.Is(err, idspace.ErrBadID) || got != sampleID(t) {
				t.Errorf("%s into ID: %.60q: %v, id is %v, want ErrBadID and %v", f.name, in.in, err, got, sampleID(t))
			}
		}
		for _, in := range numbers {
			got := idspace.NodeNumber(7)
			if in.form != f.name {
				continue
			}
			if err := f.decode(&got, in.in); !errors.Is(err, idspace.ErrBadNumber) || got != 7 {
				t.Errorf("%s into NodeNumber: %.60q: %v, number is %v, want ErrBadNumber and 7", f.name, in.in, err, got)
			}
		}
	}
}

func TestJSONOfStructsAndMapKeys(t *testing.T) {
	type doc struct {
		ID     idspace.ID                          `json:"id"`
		None   idspace.ID                          `json:"none,omitzero"`
		ByID   map[idspace.ID]int                  `json:"by_id"`
		ByNode map[idspace.NodeNumber]string       `json:"by_node"`
		Ptr    *idspace.ID                         `json:"ptr"`
		Boots  map[idspace.BootID]idspace.ServerID `json:"boots"`
	}
	id := sampleID(t)
	in := doc{
		ID: id, ByID: map[idspace.ID]int{id: 1}, ByNode: map[idspace.NodeNumber]string{id.Node(): "x"},
		Boots: map[idspace.BootID]idspace.ServerID{{1}: {2}},
	}
	want := `{"id":"01adc9000000002a","by_id":{"01adc9000000002a":1},"by_node":{"01adc9000":"x"},"ptr":null,` +
		`"boots":{"01000000-0000-0000-0000-000000000000":"02000000-0000-0000-0000-000000000000"}}`
	b, err := json.Marshal(in)
	if err != nil || string(b) != want {
		t.Fatalf("Marshal: %v\n got %s\nwant %s", err, b, want)
	}
	var out doc
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(in, out); diff != "" {
		t.Errorf("read back (-in +out):\n%s", diff)
	}
	if _, err := json.Marshal(doc{}); !errors.Is(err, idspace.ErrBadID) {
		t.Errorf("Marshal of a struct without its id: %v, want ErrBadID", err)
	}
	if err := json.Unmarshal([]byte(`{"by_id":{"7":1}}`), &out); !errors.Is(err, idspace.ErrBadID) {
		t.Errorf("Unmarshal of a decimal key: %v, want ErrBadID", err)
	}
}

func TestJSONNullChangesNothing(t *testing.T) {
	id, n := sampleID(t), idspace.NodeNumber(7)
	if err := errors.Join(json.Unmarshal([]byte("null"), &id), json.Unmarshal([]byte("null"), &n)); err != nil {
		t.Fatal(err)
	}
	if id != sampleID(t) || n != 7 {
		t.Errorf("after null: %v and %v, want %v and 7", id, n, sampleID(t))
	}
}

func TestJSONEscapesAreTheSameText(t *testing.T) {
	var id idspace.ID
	if err := json.Unmarshal([]byte(`"\u0030`+sampleText[1:]+`"`), &id); err != nil || id != sampleID(t) {
		t.Errorf("got %v, %v, want %v", id, err, sampleID(t))
	}
}

func TestSQLAcceptsIntegerTextAndBytes(t *testing.T) {
	for _, src := range []any{
		int64(0x01adc9000000002a), sampleText, []byte(sampleText), []byte("\x01\xad\xc9\x00\x00\x00\x00\x2a"),
	} {
		var id idspace.ID
		if err := id.Scan(src); err != nil || id != sampleID(t) {
			t.Errorf("Scan(%T %v) = %v, %v, want %v", src, src, id, err, sampleID(t))
		}
	}
}

func TestSQLIntegerIsSignedFromTheTopBitOn(t *testing.T) {
	id := mustID(t, idspace.MaxNumber, idspace.MaxSerial)
	v, err := id.Value()
	if err != nil || v != int64(-1) {
		t.Fatalf("Value of %v = %v, %v, want -1", id, v, err)
	}
	var got idspace.ID
	if err := got.Scan(v); err != nil || got != id {
		t.Errorf("Scan(-1) = %v, %v, want %v", got, err, id)
	}
}

func TestSQLNullHoldsAnOptionalID(t *testing.T) {
	var opt sql.Null[idspace.ID]
	if err := opt.Scan(nil); err != nil || opt.Valid {
		t.Errorf("Scan(nil): %v, valid %t", err, opt.Valid)
	}
	if err := opt.Scan(sampleText); err != nil || opt.V != sampleID(t) {
		t.Errorf("Scan(%q): %v, %v", sampleText, opt.V, err)
	}
	if v, err := opt.Value(); err != nil || v != int64(sampleID(t)) {
		t.Errorf("Value: %v, %v, want %d", v, err, sampleID(t))
	}
}

// TestMsgpackAgreesWithTheLibrary writes ids with one side and reads them with
// the other, which believes them to be uint64.
func TestMsgpackAgreesWithTheLibrary(t *testing.T) {
	type typed struct {
		ID   idspace.ID
		Node idspace.NodeNumber
		Map  map[idspace.ID]idspace.NodeNumber
	}
	type plain struct {
		ID   uint64
		Node uint64
		Map  map[uint64]uint64
	}
	rapid.Check(t, func(t *rapid.T) {
		id := drawID(t)
		in := typed{id, id.Node(), map[idspace.ID]idspace.NodeNumber{id: id.Node()}}
		raw := plain{uint64(id), uint64(id.Node()), map[uint64]uint64{uint64(id): uint64(id.Node())}}
		var asPlain plain
		var asTyped typed
		b := msgpackOf(t, in, false)
		if err := msgpack.Unmarshal(b, &asPlain); err != nil || !cmp.Equal(asPlain, raw) {
			t.Fatalf("ids read as integers: %v, %v, want %v", asPlain, err, raw)
		}
		if full := msgpackOf(t, raw, false); !bytes.Equal(b, full) {
			t.Fatalf("ids are written as %x, integers as %x", b, full)
		}
		for _, compact := range []bool{false, true} {
			if err := msgpack.Unmarshal(msgpackOf(t, raw, compact), &asTyped); err != nil || !cmp.Equal(asTyped, in) {
				t.Fatalf("integers (compact %t) read as ids: %v, %v, want %v", compact, asTyped, err, in)
			}
		}
		var top idspace.ID
		if err := msgpack.Unmarshal(msgpackOf(t, id, false), &top); err != nil || top != id {
			t.Fatalf("top level: %v, %v, want %v", top, err, id)
		}
	})
}

func msgpackOf(t *rapid.T, v any, compact bool) []byte {
	var b bytes.Buffer
	enc := msgpack.NewEncoder(&b)
	enc.UseCompactInts(compact)
	if err := enc.Encode(v); err != nil {
		t.Fatalf("msgpack of %v: %v", v, err)
	}
	return b.Bytes()
}

func TestMsgpackAcceptsEveryWidth(t *testing.T) {
	for _, tc := range []struct {
		in   []byte
		want idspace.NodeNumber
	}{
		{[]byte{0x7f}, 0x7f},
		{[]byte{0xcc, 0xff}, 0xff},
		{[]byte{0xcc, 0x01}, 1}, // wider than needed
		{[]byte{0xcd, 0x12, 0x34}, 0x1234},
		{[]byte{0xce, 0x12, 0x34, 0x56, 0x78}, 0x12345678},
		{[]byte{0xcf, 0, 0, 0, 0x0f, 0xff, 0xff, 0xff, 0xff}, idspace.MaxNumber},
	} {
		var got idspace.NodeNumber
		if err := got.UnmarshalMsgpack(tc.in); err != nil || got != tc.want {
			t.Errorf("UnmarshalMsgpack(%x) = %v, %v, want %v", tc.in, got, err, tc.want)
		}
	}
}
