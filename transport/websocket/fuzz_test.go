package websocket_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"flamingo/transport/websocket"
)

// longestSeed keeps the corpus short, in bytes.
const longestSeed = 2 << 10

func FuzzDecoder(f *testing.F) {
	for _, table := range tables() {
		for _, c := range table.cases {
			if len(c.stream) <= longestSeed {
				f.Add(c.stream, uint64(1))
			}
		}
	}
	low := decoder(websocket.DecoderConfig{MaxMessage: lowLimit})
	f.Fuzz(func(t *testing.T, stream []byte, seed uint64) {
		want := feed(low.Decode, whole(stream))
		for _, split := range splits(seed) {
			got := feed(low.Decode, split.cut(stream))
			if got.String() != want.String() {
				t.Errorf("% x, %s (seed %d)\n got %v\nwant %v", stream, split.name, seed, got, want)
			}
		}
	})
}

// FuzzMessages puts whatever bytes there are into frames, so that more of them
// get past the header.
func FuzzMessages(f *testing.F) {
	f.Add([]byte("Hello"), uint64(1))
	f.Add([]byte("κόσμε"), uint64(2))
	f.Add([]byte("\xf4\x90\x80\x80"), uint64(3))
	f.Add([]byte(xs(300)), uint64(4))
	d := decoder(websocket.DecoderConfig{})
	f.Fuzz(func(t *testing.T, payload []byte, seed uint64) {
		random := rand.New(rand.NewPCG(seed, 0))
		for _, kind := range []byte{text, bin} {
			want := feed(d.Decode, whole(masked(fin|kind, string(payload))))
			stream := inFragments(random, kind, payload)
			for _, split := range splits(seed) {
				if got := feed(d.Decode, split.cut(stream)); got.String() != want.String() {
					t.Errorf("%q in fragments % x, %s (seed %d)\n got %v\nwant %v", payload, stream, split.name, seed, got, want)
				}
			}
		}
	})
}

// inFragments is a message in frames, cut at random.
func inFragments(random *rand.Rand, kind byte, payload []byte) []byte {
	var stream []byte
	for {
		n := min(random.IntN(1<<random.IntN(8)), len(payload))
		first := kind
		if n == len(payload) {
			first |= fin
		}
		stream = append(stream, masked(first, string(payload[:n]))...)
		if payload, kind = payload[n:], cont; first&fin != 0 {
			return stream
		}
	}
}

func FuzzUpgrader(f *testing.F) {
	for _, c := range handshakeCases() {
		if len(c.sent) <= longestSeed {
			f.Add([]byte(c.sent), uint64(1))
		}
	}
	u := must(websocket.NewUpgrader(websocket.UpgradeConfig{Subprotocols: []string{"v1.chat"}}))
	f.Fuzz(func(t *testing.T, sent []byte, seed uint64) {
		first, rest := answer(u, whole(sent))
		want := describeAnswer(first, rest)
		if first != nil {
			checkResponse(t, first)
			checkRequest(t, sent, first)
		}
		for _, split := range splits(seed) {
			got, rest := answer(u, split.cut(sent))
			if line := describeAnswer(got, rest); line != want {
				t.Errorf("%q, %s (seed %d)\n got %s\nwant %s", sent, split.name, seed, line, want)
			}
		}
	})
}

// checkRequest reads an accepted request as another server does, which is no
// stricter.
func checkRequest(t *testing.T, sent []byte, a *websocket.Answer) {
	t.Helper()
	if !a.Accepted() {
		return
	}
	theirs, err := readRequest(bytes.NewReader(sent[:a.Size]))
	if err != nil {
		t.Fatalf("%q is accepted, and refused by net/http: %v", sent, err)
	}
	ours := a.Request
	if theirs.Host != ours.Host || theirs.URL.RawQuery != ours.Query || theirs.Header.Get("Origin") != ours.Origin {
		t.Errorf("%q: got %+v, net/http has host %q, query %q, origin %q", sent, ours, theirs.Host, theirs.URL.RawQuery, theirs.Header.Get("Origin"))
	}
}
