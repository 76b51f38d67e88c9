package mesh_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math"
	"runtime"
	"testing"

	"flamingo/cluster/mesh"
	"flamingo/idspace"

	"github.com/google/go-cmp/cmp"
	"github.com/vmihailenco/msgpack/v5"
)

func encoded(f mesh.Wire) []byte {
	e := mesh.NewWireEncoder()
	e.Encode(f)
	return e.Bytes()
}

// samples has one frame of every kind but the handshakes.
var samples = []mesh.Wire{
	{Kind: 1, Ints: [7]uint64{1, 0x01adc9000000002a, 1}, Payload: []byte("hi")},
	{Kind: 2, Ints: [7]uint64{2, 0x01adc9000000002a, 2, 1, 5001}, Payload: []byte("hi")},
	{Kind: 3, Ints: [7]uint64{300, 2}, IDs: []idspace.ID{0x01adc9000000002a, 0x01adc9000000002b}, Payload: []byte("hi")},
	{Kind: 4, Ints: [7]uint64{4, 0x01adc9000000002a}, Payload: []byte{}},
	{Kind: 5, Ints: [7]uint64{5, 0x01adc9000000002a, 4001}, Payload: []byte("bye")},
	{Kind: 6, Ints: [7]uint64{70000, 1, 1}, Payload: []byte("part")},
	{Kind: 7, Ints: [7]uint64{7}, Payload: []byte("void")},
	{Kind: 8, Ints: [7]uint64{200}},
	{Kind: 9, Ints: [7]uint64{1 << 40}},
	{Kind: 10, Ints: [7]uint64{1, 9, 0x01adc9000000002a, 1, 1798761600123, 2, 4001}},
	{Kind: 11, Ints: [7]uint64{123456789}},
	{Kind: 12, Ints: [7]uint64{123456789, 1767225600000000000}},
	{Kind: 13, Ints: [7]uint64{1, 4}, Payload: []byte("q")},
	{Kind: 14, Ints: [7]uint64{1, 0}, Payload: []byte("a")},
	{Kind: 15, Ints: [7]uint64{0x1adc9000}, IDs: []idspace.ID{0x1adc9000}},
	{Kind: 18, Ints: [7]uint64{3, 1, 4001, 2}, IDs: []idspace.ID{0x01adc9000000002a}, Group: "g", Payload: []byte("bye")},
	{Kind: 19, Ints: [7]uint64{9, 0x01adc9000000002a, 1}},
	{Kind: 20, Ints: [7]uint64{1}, IDs: []idspace.ID{0x01adc9000000002a}},
	{Kind: 22, Ints: [7]uint64{0x01adc9000000002a, 1, 1767225600000, 2}},
}

func TestFramesAreFrozen(t *testing.T) {
	for i, want := range []string{
		"00000011" + "95" + "01" + "01" + "cf01adc9000000002a" + "01" + "c4026869",
		"00000017" + "97" + "02" + "02" + "cf01adc9000000002a" + "02" + "01" + "ce00001389" + "c4026869",
		"0000001d" + "95" + "03" + "cd012c" + "92cf01adc9000000002acf01adc9000000002b" + "02" + "c4026869",
		"0000000f" + "95" + "04" + "04" + "cf01adc9000000002a" + "00" + "c400",
		"00000014" + "95" + "05" + "05" + "cf01adc9000000002a" + "cd0fa1" + "c403627965",
		"0000000f" + "95" + "06" + "ce00011170" + "01" + "01" + "c40470617274",
		"00000009" + "93" + "07" + "07" + "c404766f6964",
		"00000004" + "92" + "08" + "ccc8",
		"0000000b" + "92" + "09" + "cf0000010000000000",
		"0000001b" + "98" + "0a" + "01" + "09" + "cf01adc9000000002a" + "01" + "cf000001a2ce8bd47b" + "02" + "cd0fa1",
		"00000007" + "92" + "0b" + "ce075bcd15",
		"00000010" + "93" + "0c" + "ce075bcd15" + "cf18867251edfa0000",
		"00000007" + "94" + "0d" + "01" + "04" + "c40171",
		"00000007" + "94" + "0e" + "01" + "00" + "c40161",
		"0000000d" + "93" + "0f" + "ce1adc9000" + "91" + "ce1adc9000",
		"0000001a" + "98" + "12" + "03" + "01" + "cd0fa1" + "02" + "c40167" + "91cf01adc9000000002a" + "c403627965",
	} {
		if got := hex.EncodeToString(encoded(samples[i])); got != want {
			t.Errorf("%+v\n got %s\nwant %s", samples[i], got, want)
		}
	}
}

// TestLibraryReadsTheFrames holds the encoder to what the library makes of its
// bytes in a way of its own, and the decoder to what the library writes.
func TestLibraryReadsTheFrames(t *testing.T) {
	d := mesh.NewWireDecoder()
	for _, f := range samples {
		body := encoded(f)[4:]
		var loose []any
		if err := msgpack.Unmarshal(body, &loose); err != nil {
			t.Fatalf("%+v: library: %v", f, err)
		}
		for _, compact := range []bool{false, true} {
			var buf bytes.Buffer
			e := msgpack.NewEncoder(&buf)
			e.UseCompactInts(compact)
			if err := e.Encode(loose); err != nil {
				t.Fatal(err)
			}
			// The library writes a small integer it has read back as int8.
			got, err := d.Decode(unsigned(loose, compact))
			if err != nil || !sameFrame(got, f) {
				t.Errorf("library's form of %+v: got %+v, %v", f, got, err)
			}
		}
		got, err := d.Decode(body)
		if err != nil || !sameFrame(got, f) {
			t.Errorf("decoded %+v, %v, want %+v", got, err, f)
		}
	}
}

// unsigned writes what the library has read with every integer unsigned.
func unsigned(v any, compact bool) []byte {
	var buf bytes.Buffer
	e := msgpack.NewEncoder(&buf)
	e.UseCompactInts(compact)
	var put func(v any)
	put = func(v any) {
		switch v := v.(type) {
		case []any:
			_ = e.EncodeArrayLen(len(v))
			for _, x := range v {
				put(x)
			}
		case []byte:
			_ = e.EncodeBytes(v)
		case int8:
			_ = e.Encode(uint64(v))
		default:
			_ = e.Encode(v)
		}
	}
	put(v)
	return buf.Bytes()
}

func sameFrame(a, b mesh.Wire) bool {
	return a.Kind == b.Kind && a.Ints == b.Ints && a.Group == b.Group && bytes.Equal(a.Payload, b.Payload) &&
		len(a.IDs) == len(b.IDs) && (len(a.IDs) == 0 || cmp.Equal(a.IDs, b.IDs))
}

func TestDecoderRefusesOtherLayouts(t *testing.T) {
	d := mesh.NewWireDecoder()
	for name, in := range map[string]string{
		"empty":                  "",
		"nil":                    "c0",
		"a map":                  "8101a0",
		"array32 of 4 G":         "ddffffffff",
		"array16 of 65535":       "dcffff",
		"kind zero":              "9100",
		"kind unknown":           "927f01",
		"kind of a later list":   "92ccff01",
		"kind as bytes":          "92c40101",
		"too few fields":         "940101cf01adc9000000002ac4026869",
		"too many fields":        "9601" + "01cf01adc9000000002a00c40000",
		"negative number":        "9208ff",
		"signed number":          "9208d001",
		"float":                  "9208cb3ff0000000000000",
		"nil for a number":       "9208c0",
		"nil for bytes":          "950101" + "cf01adc9000000002a" + "00" + "c0",
		"text for bytes":         "950101" + "cf01adc9000000002a" + "00" + "a26869",
		"bin32 of 4 G":           "950101" + "cf01adc9000000002a" + "00" + "c6ffffffff",
		"bytes longer than left": "950101" + "cf01adc9000000002a" + "00" + "c4036869",
		"number cut short":       "9208cf00",
		"trailing byte":          "920801" + "00",
		"array32 of ids":         "950301" + "ddffffffff" + "00c400",
		"ids over the limit":     "950301" + "dc0401" + "00c400",
		"nested arrays":          "950301" + "919191919191" + "00c400",
		"a hello":                "9f10",
	} {
		b, err := hex.DecodeString(in)
		if err != nil {
			t.Fatal(err)
		}
		if f, err := d.Decode(b); err == nil {
			t.Errorf("%s: %s decoded as %+v", name, in, f)
		}
	}
}

func TestDecoderRefusesEveryTruncation(t *testing.T) {
	d := mesh.NewWireDecoder()
	for _, f := range samples {
		body := encoded(f)[4:]
		for n := range body {
			if got, err := d.Decode(body[:n]); err == nil {
				t.Errorf("%d of %d bytes of %+v decoded as %+v", n, len(body), f, got)
			}
		}
	}
}

func TestCodecDoesNotAllocate(t *testing.T) {
	e, d := mesh.NewWireEncoder(), mesh.NewWireDecoder()
	for _, f := range samples {
		if f.Kind == 15 { // its test hook converts a slice
			continue
		}
		e.Reset()
		e.Encode(f)
		if got := testing.AllocsPerRun(100, func() { e.Reset(); e.Encode(f) }); got != 0 {
			t.Errorf("encoding kind %d allocates %v times, want 0", f.Kind, got)
		}
		if got := testing.AllocsPerRun(100, func() { _, _ = d.Decode(e.Bytes()[4:]) }); got != 0 {
			t.Errorf("decoding kind %d allocates %v times, want 0", f.Kind, got)
		}
	}
}

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestVoidHasTheNumberAndTheLengthOfWhatItWas tries the lengths at which one form
// of bytes ends and the next begins.
func TestVoidHasTheNumberAndTheLengthOfWhatItWas(t *testing.T) {
	d := mesh.NewWireDecoder()
	for _, seq := range []uint64{1, 128, 256, 1 << 16, 1 << 32} {
		for size := range 300 {
			for _, f := range []mesh.Wire{
				{Kind: 2, Ints: [7]uint64{seq, 0x01adc9000000002a, 1, 0}, Payload: make([]byte, size)},
				{Kind: 6, Ints: [7]uint64{seq, 1, 0}, Payload: make([]byte, size)},
				{Kind: 6, Ints: [7]uint64{seq, 1, 1}, Payload: make([]byte, mesh.PartSize-size)},
			} {
				b := encoded(f)
				mesh.Void(b)
				got, err := d.Decode(b[4:])
				if err != nil || got.Kind != 7 || got.Ints != [7]uint64{seq} || int(binary.BigEndian.Uint32(b)) != len(b)-4 {
					t.Fatalf("frame %d of %d bytes under %d: void is %.20x, decodes as %v, %v", f.Kind, len(f.Payload), seq, b, got.Ints, err)
				}
			}
		}
	}
}

func TestDataFramesTakeTheShorterWayUnlessTheyAreOdd(t *testing.T) {
	const id = 0x01adc9000000002a
	data := func(seq, id, kind uint64, size int) []byte {
		return encoded(mesh.Wire{Kind: 1, Ints: [7]uint64{seq, id, kind}, Payload: make([]byte, size)})[4:]
	}
	whole := data(70_000, id, 1, 300)
	for _, c := range []struct {
		name  string
		body  []byte
		quick bool
	}{
		{"empty", data(70_000, id, 0, 0), true},
		{"255 bytes", data(math.MaxUint32, id, 2, 255), true},
		{"256 bytes", data(1<<16, id, 2, 256), true},
		{"65,535 bytes", data(1<<16, id, 2, 65_535), true},
		{"65,536 bytes", data(1<<16, id, 2, 65_536), false},
		{"a low number", data(65_535, id, 1, 64), false},
		{"a high number", data(1<<32, id, 1, 64), false},
		{"a short id", data(70_000, 1<<28, 1, 64), false},
		{"a kind to come", data(70_000, id, 200, 64), false},
		{"cut", whole[:len(whole)-1], false},
		{"a byte too many", append(bytes.Clone(whole), 0), false},
		{"another kind", encoded(mesh.Wire{Kind: 2, Ints: [7]uint64{70_000, id, 1, 1}, Payload: make([]byte, 64)})[4:], false},
		{"nothing", nil, false},
		{"no length", whole[:17], false},
	} {
		d := mesh.NewWireDecoder()
		if got := d.IsQuick(c.body); got != c.quick {
			t.Errorf("%s: takes the shorter way: %t, want %t", c.name, got, c.quick)
		}
		got, err := d.Decode(c.body)
		want, wantErr := mesh.NewWireDecoder().DecodeAny(c.body)
		if (err == nil) != (wantErr == nil) || err == nil && !sameFrame(got, want) {
			t.Errorf("%s: %+v, %v; by the long way %+v, %v", c.name, got, err, want, wantErr)
		}
	}
}

func FuzzFrame(f *testing.F) {
	for _, s := range samples {
		f.Add(encoded(s)[4:])
	}
	for _, s := range []string{"ddffffffff", "c6ffffffff", "950301ddffffffff00c400", "950101cf01adc9000000002a00c6ffffffff"} {
		b, _ := hex.DecodeString(s)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		d := mesh.NewWireDecoder()
		var got mesh.Wire
		var err error
		// An id takes a byte of input and eight of memory, and a slice grows by
		// doubling.
		if n := allocated(func() { got, err = d.Decode(body) }); n > uint64(32*len(body))+16<<10 {
			t.Fatalf("%d bytes of input allocate %d", len(body), n)
		}
		same, slow := mesh.NewWireDecoder().DecodeAny(body)
		if (err == nil) != (slow == nil) || err == nil && !sameFrame(same, got) {
			t.Fatalf("%x is %+v, %v; by the long way %+v, %v", body, got, err, same, slow)
		}
		if err != nil {
			return
		}
		kind := map[uint8]uint64{1: got.Ints[2], 2: got.Ints[2], 3: got.Ints[1], 10: got.Ints[5], 18: max(got.Ints[1], got.Ints[2]), 22: max(got.Ints[1], got.Ints[3])}[got.Kind]
		code := map[uint8]uint64{4: got.Ints[2], 5: got.Ints[2], 10: got.Ints[6]}[got.Kind]
		if got.Kind == 10 && got.Ints[4] > math.MaxInt64 || got.Kind == 22 && got.Ints[2] > math.MaxInt64 {
			return
		}
		if kind > math.MaxUint8 || code > math.MaxUint16 || got.Kind == 6 && got.Ints[2] > 1 { // a lane looks at these itself
			return
		}
		got.IDs = append([]idspace.ID(nil), got.IDs...)
		again, err := d.Decode(encoded(got)[4:])
		if err != nil || !sameFrame(again, got) {
			t.Fatalf("%+v encoded and decoded is %+v, %v", got, again, err)
		}
	})
}

func FuzzHandshake(f *testing.F) {
	hello := mesh.HelloFor(theCluster, bootOf(1), bootOf(2), [2]uint64{1, 1}, 1, 0, 0, 1)
	f.Add(hello[len(mesh.Magic)+4:])
	f.Add(mesh.WelcomeTo(theCluster, bootOf(2))[len(mesh.Magic)+4:])
	f.Fuzz(func(t *testing.T, body []byte) {
		for name, read := range map[string]func([]byte) ([]byte, error){"hello": mesh.Hello, "welcome": mesh.Welcome} {
			var again []byte
			var err error
			if n := allocated(func() { again, err = read(body) }); n > uint64(64*len(body))+32<<10 {
				t.Fatalf("%s: %d bytes of input allocate %d", name, len(body), n)
			}
			if err != nil {
				continue
			}
			third, err := read(again[4:])
			if err != nil || !bytes.Equal(third, again) {
				t.Fatalf("%s %x: encoded again %x, then %x, %v", name, body, again, third, err)
			}
		}
	})
}

func TestHandshakeFramesAreFrozen(t *testing.T) {
	boot1, boot2 := "c410"+"b000000000000000000000000000"+"0001", "c410"+"b000000000000000000000000000"+"0002"
	cluster, zero := "c410"+"c1000000000000000000000000000000", "c410"+"00000000000000000000000000000000"
	got := mesh.HelloFor(theCluster, bootOf(1), bootOf(2), [2]uint64{1, 1}, 1, 3, 0, 9)
	want := hex.EncodeToString([]byte("flmesh/1")) + "00000057" + "dc0010" + "10" + "0101" + "00" + cluster + boot1 + boot2 +
		"01" + "03" + zero + "00" + "09" + "01" + "01" + "00" + "90"
	if hex.EncodeToString(got) != want {
		t.Errorf("hello\n got %x\nwant %s", got, want)
	}
	got = mesh.WelcomeTo(theCluster, bootOf(2))
	want = hex.EncodeToString([]byte("flmesh/1")) + "00000030" + "9d" + "11" + "00" + "01" + "0101" + "00" + cluster + boot2 +
		"01" + "01" + "00" + "00" + "90"
	if hex.EncodeToString(got) != want {
		t.Errorf("welcome\n got %x\nwant %s", got, want)
	}
}

func TestLongestFrameFitsTheLimit(t *testing.T) {
	ids := make([]idspace.ID, mesh.MaxIDs)
	for i := range ids {
		ids[i] = math.MaxUint64
	}
	b := encoded(mesh.Wire{Kind: 3, Ints: [7]uint64{math.MaxUint64}, IDs: ids, Payload: make([]byte, mesh.PartSize)})
	if n := binary.BigEndian.Uint32(b); n > mesh.MaxFrame {
		t.Errorf("longest frame has %d bytes, limit %d", n, mesh.MaxFrame)
	}
}

// TestCodecAgreesWithTheLibraryAtTheBoundaries tries the lengths and numbers at
// which one form ends and the next begins.
func TestCodecAgreesWithTheLibraryAtTheBoundaries(t *testing.T) {
	var frames []mesh.Wire
	for _, v := range []uint64{
		0, 1, 127, 128, 255, 256, math.MaxUint16, math.MaxUint16 + 1, math.MaxUint32, math.MaxUint32 + 1, math.MaxUint64,
	} {
		frames = append(frames, mesh.Wire{Kind: 9, Ints: [7]uint64{v}})
	}
	for _, n := range []int{0, 1, 255, 256, math.MaxUint16, math.MaxUint16 + 1} {
		frames = append(frames, mesh.Wire{Kind: 13, Ints: [7]uint64{1, 4}, Payload: make([]byte, n)})
	}
	for _, n := range []int{0, 1, 15, 16, mesh.MaxIDs} {
		frames = append(frames, mesh.Wire{Kind: 3, Ints: [7]uint64{1}, IDs: make([]idspace.ID, n), Payload: []byte{}})
	}
	d := mesh.NewWireDecoder()
	for _, f := range frames {
		body := encoded(f)[4:]
		var loose []any
		if err := msgpack.Unmarshal(body, &loose); err != nil {
			t.Fatalf("%+v: library: %v", f, err)
		}
		if theirs := unsigned(loose, true); !bytes.Equal(body, theirs) {
			t.Errorf("kind %d: %.20x, the library writes %.20x", f.Kind, body, theirs)
		}
		if got, err := d.Decode(body); err != nil || !sameFrame(got, f) {
			t.Errorf("kind %d: %.20x does not decode to itself: %v", f.Kind, body, err)
		}
	}
}
