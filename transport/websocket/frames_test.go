package websocket_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"flamingo/transport/websocket"
)

// The first byte of a frame, in parts.
const (
	fin  = 0x80
	rsv1 = 0x40
	rsv2 = 0x20
	rsv3 = 0x10

	cont = 0x0
	text = 0x1
	bin  = 0x2
	cls  = 0x8
	ping = 0x9
	pong = 0xA
)

// maskKey is that of the example in RFC 6455 §5.7.
var maskKey = [4]byte{0x37, 0xfa, 0x21, 0x3d}

// masked is a client's frame with a length of as few bytes as it can have.
func masked(first byte, payload string) []byte {
	return append(announced(first, len(payload)), underMask(payload)...)
}

// announced is the header of a client's frame, without its payload.
func announced(first byte, length int) []byte {
	switch {
	case length < 126:
		return header(first, 0x80|byte(length), nil)
	case length < 1<<16:
		return header(first, 0x80|126, binary.BigEndian.AppendUint16(nil, uint16(length)))
	default:
		return announced64(first, uint64(length))
	}
}

func announced16(length uint16) []byte {
	return header(fin|bin, 0x80|126, binary.BigEndian.AppendUint16(nil, length))
}

func announced64(first byte, length uint64) []byte {
	return header(first, 0x80|127, binary.BigEndian.AppendUint64(nil, length))
}

func header(first, second byte, length []byte) []byte {
	return slices.Concat([]byte{first, second}, length, maskKey[:])
}

func underMask(payload string) []byte {
	b := []byte(payload)
	for i := range b {
		b[i] ^= maskKey[i%len(maskKey)]
	}
	return b
}

// closing is a close frame with a code.
func closing(code int, reason string) []byte {
	return masked(fin|cls, string(binary.BigEndian.AppendUint16(nil, uint16(code)))+reason)
}

func join(parts ...[]byte) []byte { return slices.Concat(parts...) }

func xs(n int) string { return strings.Repeat("x", n) }

// decodeFunc is Decode of a Decoder, or of one with a fault.
type decodeFunc func(*websocket.State, []byte) (websocket.Event, int, error)

// must is for settings that are known to be good.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A transcript is what came out of a stream: the events, how it failed, and
// "..." if more of it must follow. What it says of events is copied.
type transcript []string

func (tr transcript) String() string { return strings.Join(tr, ", ") }

// describe is the line of an event in a transcript.
func describe(event websocket.Event) string {
	payload := fmt.Sprintf("%q", event.Payload)
	if n := len(event.Payload); n > 40 && bytes.Count(event.Payload, event.Payload[:1]) == n {
		payload = fmt.Sprintf("%d %c", n, event.Payload[0])
	}
	if event.Kind == websocket.Close {
		return fmt.Sprintf("close %d %s", event.Code, payload)
	}
	return fmt.Sprintf("%v %s", event.Kind, payload)
}

// slack is what a State may hold beyond twice the bytes received: the first
// room for a message, and a control frame.
const slack = 64 + websocket.MaxControlPayload

// feed decodes the chunks, each of them once and to its end.
func feed(decode decodeFunc, chunks [][]byte) transcript {
	var tr transcript
	var s websocket.State
	over, received := false, 0
	for _, chunk := range chunks {
		received += len(chunk)
		own := slices.Clone(chunk)
		chunk = own
		for len(chunk) > 0 {
			event, size, err := decode(&s, chunk)
			if size <= 0 || size > len(chunk) {
				return append(tr, fmt.Sprintf("size %d of %d bytes", size, len(chunk)))
			}
			chunk = chunk[size:]
			if over && (event.Kind != websocket.None || err != nil) {
				return append(tr, "not the end")
			}
			if event.Kind != websocket.None {
				tr = append(tr, describe(event))
			}
			if err != nil {
				tr = append(tr, describeError(err))
			}
			over = over || err != nil || event.Kind == websocket.Close
		}
		clear(own) // Decode keeps no reference to it
		if held := s.Buffered(); held > 2*received+slack {
			return append(tr, fmt.Sprintf("%d bytes held after %d received", held, received))
		}
	}
	if !over && !s.Idle() {
		tr = append(tr, "...")
	}
	return tr
}

func describeError(err error) string {
	var broken *websocket.ProtocolError
	if !errors.As(err, &broken) {
		return "not a ProtocolError: " + err.Error()
	}
	return fmt.Sprintf("fail %d %s", broken.Code, broken.Reason)
}

// A split is a way to deliver a stream.
type split struct {
	name string
	cut  func([]byte) [][]byte
}

func whole(stream []byte) [][]byte { return [][]byte{stream} }

func bytewise(stream []byte) [][]byte {
	return slices.Collect(slices.Chunk(stream, 1))
}

// splits are whole, by bytes, and at random with the seed.
func splits(seed uint64) []split {
	all := []split{{"whole", whole}, {"by bytes", bytewise}}
	for i := range 4 {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		all = append(all, split{fmt.Sprintf("random %d", i), func(stream []byte) [][]byte { return randomly(random, stream) }})
	}
	return all
}

// randomly cuts the stream into pieces, most of which are short.
func randomly(random *rand.Rand, stream []byte) [][]byte {
	var chunks [][]byte
	for len(stream) > 0 {
		n := min(len(stream), 1+random.IntN(1<<random.IntN(12)))
		chunks = append(chunks, stream[:n])
		stream = stream[n:]
	}
	return chunks
}
