package websocket_test

import (
	"fmt"
	"testing"

	"flamingo/transport/websocket"
)

// benchBlock is how many bytes arrive at once, as many as a loop reads.
const benchBlock = 16 << 10

func BenchmarkDecode(b *testing.B) {
	d := decoder(websocket.DecoderConfig{})
	for _, size := range []int{16, 64, 1024, 8192} {
		for _, kind := range []byte{text, bin} {
			b.Run(fmt.Sprintf("%v of %d bytes", websocket.Kind(kind), size), func(b *testing.B) {
				frame := masked(fin|kind, xs(size))
				var block []byte
				for len(block)+len(frame) <= benchBlock {
					block = append(block, frame...)
				}
				own := make([]byte, len(block))
				copy(own, block)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				var s websocket.State
				rest := own
				for b.Loop() {
					event, n, err := d.Decode(&s, rest)
					if len(event.Payload) != size || err != nil {
						b.Fatalf("%+v, size %d, %v", event, n, err)
					}
					if rest = rest[n:]; len(rest) == 0 {
						copy(own, block)
						rest = own
					}
				}
			})
		}
	}
}

// BenchmarkDecodeInPieces is the long message that arrives in many reads.
func BenchmarkDecodeInPieces(b *testing.B) {
	const piece = benchBlock
	d := decoder(websocket.DecoderConfig{})
	for _, kind := range []byte{text, bin} {
		b.Run(websocket.Kind(kind).String(), func(b *testing.B) {
			stream := masked(fin|kind, xs(1<<20))
			b.SetBytes(1 << 20)
			b.ReportAllocs()
			for b.Loop() {
				var s websocket.State
				for rest := stream; len(rest) > 0; {
					_, n, err := d.Decode(&s, rest[:min(piece, len(rest))])
					if err != nil {
						b.Fatal(err)
					}
					rest = rest[n:]
				}
			}
		})
	}
}

func BenchmarkAnswer(b *testing.B) {
	u := must(websocket.NewUpgrader(websocket.UpgradeConfig{Path: "/chat"}))
	sent := []byte(request("Origin: http://example.com", "User-Agent: bench", "Sec-WebSocket-Extensions: permessage-deflate"))
	b.ReportAllocs()
	for b.Loop() {
		if a := u.Answer(sent, 0); a == nil || !a.Accepted() {
			b.Fatal(a)
		}
	}
}

func BenchmarkAppendMessage(b *testing.B) {
	payload, dst := []byte(xs(64)), make([]byte, 0, 128)
	for _, kind := range []websocket.Kind{websocket.Text, websocket.Binary} {
		b.Run(kind.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := websocket.AppendMessage(dst, kind, payload); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
