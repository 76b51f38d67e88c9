package gossip_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"

	"flamingo/cluster/gossip"
	"flamingo/idspace"
)

var sampleHello = gossip.Hello{Verdict: 1, Boot: idspace.BootID{15: 7}, Cluster: clusterA, Name: "flamingo"}

const sampleHelloHex = "01" + "2a" + "01" + "00000000000000000000000000000007" +
	"0000000000000000000000000000000a" + "08" + "666c616d696e676f"

func TestHelloFormIsFrozen(t *testing.T) {
	b := gossip.AppendHello(sampleHello)
	if got := hex.EncodeToString(b); got != sampleHelloHex {
		t.Errorf("hello = %s, want %s", got, sampleHelloHex)
	}
	r := bytes.NewReader(append(b, "rest"...))
	if got, err := gossip.ReadHello(r); err != nil || got != sampleHello || r.Len() != len("rest") {
		t.Errorf("ReadHello = %+v, %v with %d bytes left, want %+v with 4", got, err, r.Len(), sampleHello)
	}
}

func TestHelloOfALaterVersionIsReadAsFarAsKnown(t *testing.T) {
	b := append(gossip.AppendHello(sampleHello), "more"...)
	b[0], b[1], b[2] = 2, b[1]+4, 99
	want := sampleHello
	want.Verdict = 99
	if got, err := gossip.ReadHello(bytes.NewReader(b)); err != nil || got != want {
		t.Errorf("ReadHello(%x) = %+v, %v, want %+v", b, got, err, want)
	}
}

func TestReadHelloRefusesOtherBytes(t *testing.T) {
	good := gossip.AppendHello(sampleHello)
	with := func(at int, v byte) []byte {
		b := bytes.Clone(good)
		b[at] = v
		return b
	}
	for name, tc := range map[string]struct {
		in   []byte
		want error
	}{
		"empty":           {nil, io.EOF},
		"cut short":       {good[:len(good)-1], io.ErrUnexpectedEOF},
		"version 0":       {with(0, 0), gossip.ErrBadHello},
		"short body":      {with(1, 3), gossip.ErrBadHello},
		"unknown verdict": {with(2, 4), gossip.ErrBadHello},
		"no boot":         {with(18, 0), gossip.ErrBadHello},
		"name too long":   {with(35, 9), gossip.ErrBadHello},
		"trailing byte":   {with(35, 7), gossip.ErrBadHello},
		"bad name":        {with(36, 0), gossip.ErrBadHello},
		"another service": {[]byte(strings.Repeat("HTTP", 64)), gossip.ErrBadHello},
	} {
		if h, err := gossip.ReadHello(bytes.NewReader(tc.in)); !errors.Is(err, tc.want) || h != (gossip.Hello{}) {
			t.Errorf("%s: ReadHello(%x) = %+v, %v, want %v", name, tc.in, h, err, tc.want)
		}
	}
}

func FuzzReadHello(f *testing.F) {
	f.Add(gossip.AppendHello(sampleHello))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		h, err := gossip.ReadHello(bytes.NewReader(in))
		if err != nil || in[0] != 1 {
			return
		}
		if out := gossip.AppendHello(h); !bytes.HasPrefix(in, out) {
			t.Errorf("ReadHello(%x) = %+v, which is written %x", in, h, out)
		}
	})
}
