package idspace_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"flamingo/idspace"

	"github.com/vmihailenco/msgpack/v5"
)

// FuzzDecodeValue gives the same bytes to every decoder of ID and NodeNumber:
// none panics, a refusal is marked as one, and what is accepted is valid and
// read from its canonical form.
func FuzzDecodeValue(f *testing.F) {
	for _, form := range forms {
		for _, v := range []value{sampleID(f), sampleID(f).Node()} {
			if b, ok := must(form.encode(v))(f).([]byte); ok {
				f.Add(b)
			}
		}
	}
	for _, s := range badIDTexts[:len(badIDTexts)-1] {
		f.Add([]byte(s))
	}
	f.Add([]byte{0xce, 0x12, 0x34, 0x56, 0x78})
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, form := range forms {
			var id idspace.ID
			if err := form.decode(&id, bytes.Clone(in)); err == nil {
				checkDecoded(t, form, in, id, id.Valid())
			} else if !errors.Is(err, idspace.ErrBadID) || id != 0 {
				t.Errorf("%s of %q into ID: %v, id is %v", form.name, in, err, id)
			}
			var n idspace.NodeNumber
			if err := form.decode(&n, bytes.Clone(in)); err == nil {
				checkDecoded(t, form, in, n, n.Valid())
			} else if !errors.Is(err, idspace.ErrBadNumber) || n != 0 {
				t.Errorf("%s of %q into NodeNumber: %v, number is %v", form.name, in, err, n)
			}
		}
	})
}

func checkDecoded(t *testing.T, f form, in []byte, v value, valid bool) {
	t.Helper()
	if f.name == "json" && string(in) == "null" {
		return
	}
	again, err := f.encode(v)
	if !valid || err != nil {
		t.Fatalf("%s of %q gave %v: valid %t, encodes %v", f.name, in, v, valid, err)
	}
	switch f.name {
	case "text", "binary":
		if !bytes.Equal(again.([]byte), in) {
			t.Errorf("%s of %q is %v, whose form is %q", f.name, in, v, again)
		}
	case "json":
		var a, b string
		if json.Unmarshal(in, &a) != nil || json.Unmarshal(again.([]byte), &b) != nil || a != b {
			t.Errorf("json of %q is %v, whose form is %q", in, v, again)
		}
	case "msgpack":
		var a, b uint64
		if msgpack.Unmarshal(in, &a) != nil || msgpack.Unmarshal(again.([]byte), &b) != nil || a != b {
			t.Errorf("msgpack of %x is %v, whose form is %x", in, v, again)
		}
	}
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(tb testing.TB) T {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
}

func FuzzParseUUID(f *testing.F) {
	f.Add(sampleUUID)
	f.Add("")
	f.Add("00112233-4455-4677-8899-AABBCCDDEEFF")
	f.Fuzz(func(t *testing.T, in string) {
		b, err := idspace.ParseBootID(in)
		switch {
		case err == nil && (b.String() != in || b.IsZero()):
			t.Errorf("ParseBootID(%q) = %v", in, b)
		case err != nil && (!errors.Is(err, idspace.ErrBadUUID) || !b.IsZero()):
			t.Errorf("ParseBootID(%q) = %v, %v", in, b, err)
		}
	})
}

func FuzzDecodeCommand(f *testing.F) {
	for _, c := range []idspace.Command{
		grantTo(1, 1, 100), grantOn(1, 2, 3, 4), idspace.EndLife{Boot: boot(1), Cause: idspace.CauseLeft},
	} {
		f.Add(must(idspace.EncodeCommand(c))(f))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		c, err := idspace.DecodeCommand(in)
		if err != nil {
			if !errors.Is(err, idspace.ErrBadCommand) && !errors.Is(err, idspace.ErrUnknownVersion) {
				t.Errorf("DecodeCommand(%x): %v", in, err)
			}
			return
		}
		if again := must(idspace.EncodeCommand(c))(t); !bytes.Equal(again, in) {
			t.Errorf("DecodeCommand(%x) = %+v, whose form is %x", in, c, again)
		}
		if _, err := idspace.NewRegistry().Apply(c); errors.Is(err, idspace.ErrBadCommand) {
			t.Errorf("DecodeCommand(%x) accepted what Apply refuses: %v", in, err)
		}
	})
}

func FuzzRestore(f *testing.F) {
	f.Add(idspace.NewRegistry().Snapshot())
	f.Add(sampleRegistry(f).Snapshot())
	f.Fuzz(func(t *testing.T, in []byte) {
		r := idspace.NewRegistry()
		if err := r.Restore(in); err != nil {
			if !errors.Is(err, idspace.ErrBadSnapshot) && !errors.Is(err, idspace.ErrUnknownVersion) {
				t.Errorf("Restore(%x): %v", in, err)
			}
			return
		}
		if again := r.Snapshot(); !bytes.Equal(again, in) {
			t.Errorf("Restore(%x) gives the snapshot %x", in, again)
		}
		before := r.Last()
		if res, err := r.Apply(grantTo(0xee, 1, 0)); err == nil && !res.Repeated && res.Number <= before {
			t.Errorf("after Restore(%x): granted %v, last was %v", in, res.Number, before)
		}
	})
}
