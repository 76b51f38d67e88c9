package port_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"flamingo/cluster/port"
)

func TestPreambleIsFrozen(t *testing.T) {
	for proto, want := range map[port.Protocol]string{
		port.Gossip: "f7666c6d0101",
		port.Raft:   "f7666c6d0102",
		port.Mesh:   "f7666c6d0103",
	} {
		b := port.AppendPreamble(nil, proto)
		if got := hex.EncodeToString(b); got != want {
			t.Errorf("preamble of %v = %s, want %s", proto, got, want)
		}
		if got, err := port.ParsePreamble(b); got != proto || err != nil {
			t.Errorf("ParsePreamble(%x) = %v, %v, want %v", b, got, err, proto)
		}
	}
}

func TestParsePreambleRefusesOtherBytes(t *testing.T) {
	for name, tc := range map[string]struct {
		in   string
		want error
	}{
		"empty":            {"", port.ErrStranger},
		"cut short":        {"\xf7flm\x01", port.ErrStranger},
		"too long":         {"\xf7flm\x01\x01\x01", port.ErrStranger},
		"http":             {"GET / ", port.ErrStranger},
		"tls":              {"\x16\x03\x01\x02\x00\x01", port.ErrStranger},
		"version 0":        {"\xf7flm\x00\x01", port.ErrUnknownVersion},
		"later version":    {"\xf7flm\x02\x01", port.ErrUnknownVersion},
		"protocol 0":       {"\xf7flm\x01\x00", port.ErrUnknownProtocol},
		"unknown protocol": {"\xf7flm\x01\x05", port.ErrUnknownProtocol},
	} {
		if got, err := port.ParsePreamble([]byte(tc.in)); got != 0 || !errors.Is(err, tc.want) {
			t.Errorf("%s: ParsePreamble(%q) = %v, %v, want %v", name, tc.in, got, err, tc.want)
		}
	}
}

func FuzzParsePreamble(f *testing.F) {
	for _, proto := range port.Protocols() {
		f.Add(port.AppendPreamble(nil, proto))
	}
	f.Add([]byte("GET / HTTP/1.1\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		proto, err := port.ParsePreamble(in)
		if err != nil {
			if proto != 0 {
				t.Errorf("ParsePreamble(%x) = %v beside %v", in, proto, err)
			}
			return
		}
		if got := port.AppendPreamble(nil, proto); !bytes.Equal(got, in) {
			t.Errorf("ParsePreamble(%x) = %v, which is written %x", in, proto, got)
		}
	})
}
