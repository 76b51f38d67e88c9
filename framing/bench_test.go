package framing_test

import (
	"bytes"
	"fmt"
	"testing"

	"flamingo/framing"
)

// Sizes of the benchmarks: short messages, as many as fill a block of input.
const (
	benchMessage = 64       // bytes
	benchBlock   = 16 << 10 // bytes
)

// benchCodecs are those with a code path of their own.
var benchCodecs = []struct {
	name  string
	codec framing.Codec
}{
	{"raw", must(framing.Raw(benchMessage))},
	{"delimiter of 1 byte", must(framing.Delimited(framing.DelimiterConfig{Strip: true}))},
	{"delimiter of 2 bytes", must(framing.Delimited(framing.DelimiterConfig{Delimiter: []byte("\r\n"), Strip: true}))},
	{"line", must(framing.Line(framing.LineConfig{}))},
	{"length of 4 bytes", must(framing.Length(framing.LengthConfig{}))},
	{"varint", must(framing.Length(framing.LengthConfig{Width: framing.Varint}))},
	{"fixed", must(framing.Fixed(benchMessage))},
	{"netstring", must(framing.Netstring(0))},
}

func BenchmarkDecode(b *testing.B) {
	for _, bench := range benchCodecs {
		b.Run(bench.name, func(b *testing.B) {
			var block []byte
			for len(block) < benchBlock {
				block, _ = bench.codec.Encode(block, filled(benchMessage))
			}
			b.SetBytes(benchMessage)
			b.ReportAllocs()
			rest := block
			for b.Loop() {
				_, size, err := bench.codec.Decode(rest, 0)
				if size == 0 || err != nil {
					b.Fatalf("size %d, %v", size, err)
				}
				if rest = rest[size:]; len(rest) == 0 {
					rest = block
				}
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, bench := range benchCodecs {
		b.Run(bench.name, func(b *testing.B) {
			msg := filled(benchMessage)
			block := make([]byte, 0, benchBlock)
			b.SetBytes(benchMessage)
			b.ReportAllocs()
			for b.Loop() {
				if cap(block)-len(block) < 2*benchMessage {
					block = block[:0]
				}
				var err error
				if block, err = bench.codec.Encode(block, msg); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDecodeInPieces is the long line that arrives in many reads: its
// cost must grow with its length, not with the square of it.
func BenchmarkDecodeInPieces(b *testing.B) {
	const piece = 1 << 10
	codec := must(framing.Line(framing.LineConfig{}))
	for _, kib := range []int{64, 512} {
		size := kib << 10
		b.Run(fmt.Sprintf("%dKiB", kib), func(b *testing.B) {
			stream := append(bytes.Repeat([]byte{'x'}, size-1), '\n')
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				for searched := 0; searched < size; searched += piece {
					if _, _, err := codec.Decode(stream[:searched+piece], searched); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
