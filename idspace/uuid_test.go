package idspace_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"flamingo/idspace"
)

const sampleUUID = "00112233-4455-4677-8899-aabbccddeeff"

func TestNewUUIDIsVersion4OfTheGivenBytes(t *testing.T) {
	random := []byte{0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}
	b, err := idspace.NewBootID(bytes.NewReader(random))
	if err != nil || b.String() != sampleUUID {
		t.Errorf("NewBootID = %v, %v, want %v", b, err, sampleUUID)
	}
	s, err := idspace.NewServerID(bytes.NewReader(random))
	if err != nil || s.String() != sampleUUID {
		t.Errorf("NewServerID = %v, %v, want %v", s, err, sampleUUID)
	}
	b, err = idspace.NewBootID(bytes.NewReader(random[:15]))
	if !errors.Is(err, io.ErrUnexpectedEOF) || !b.IsZero() {
		t.Errorf("NewBootID of 15 bytes = %v, %v, want zero and io.ErrUnexpectedEOF", b, err)
	}
}

func TestUUIDHasOneTextForm(t *testing.T) {
	b, err := idspace.ParseBootID(sampleUUID)
	if err != nil || b.String() != sampleUUID {
		t.Errorf("ParseBootID(%q) = %v, %v", sampleUUID, b, err)
	}
	for _, s := range []string{
		"",
		strings.ToUpper(sampleUUID),
		strings.ReplaceAll(sampleUUID, "-", ""),
		"{" + sampleUUID + "}",
		"0011223344-55-4677-8899-aabbccddeeff",
		strings.ReplaceAll(sampleUUID, "-", "_"),
		sampleUUID[:35] + "g",
		sampleUUID + "0",
		"00000000-0000-0000-0000-000000000000",
	} {
		if b, err := idspace.ParseBootID(s); !errors.Is(err, idspace.ErrBadUUID) || !b.IsZero() {
			t.Errorf("ParseBootID(%q) = %v, %v, want ErrBadUUID", s, b, err)
		}
		server := idspace.ServerID{1}
		if err := server.UnmarshalText([]byte(s)); !errors.Is(err, idspace.ErrBadUUID) || server != (idspace.ServerID{1}) {
			t.Errorf("UnmarshalText(%q): %v, server is %v, want ErrBadUUID and no change", s, err, server)
		}
	}
	if c, err := idspace.ParseClusterID(sampleUUID); err != nil || c.String() != sampleUUID {
		t.Errorf("ParseClusterID(%q) = %v, %v", sampleUUID, c, err)
	}
	if text, err := (idspace.ServerID{}).MarshalText(); !errors.Is(err, idspace.ErrBadUUID) {
		t.Errorf("MarshalText of zero = %q, %v, want ErrBadUUID", text, err)
	}
}
