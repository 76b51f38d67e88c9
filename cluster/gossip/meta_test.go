package gossip_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"flamingo/cluster/gossip"
	"flamingo/idspace"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var fullMeta = gossip.Meta{
	Name: "berlin-1", Number: 0x1adc9000, Numbers: 3,
	Cluster: clusterA, Server: idspace.ServerID{15: 1}, Role: gossip.RoleVoter,
	Address: netip.MustParseAddrPort("10.0.0.1:4110"),
	Admin:   netip.MustParseAddrPort("[2001:db8::1]:4180"),
	State:   gossip.StateReady, MinVersion: 1, MaxVersion: 2, Release: "v1.2.0",
}

const fullMetaHex = "01" + "08" + "6265726c696e2d31" + "000000001adc9000" + "0000000000000003" +
	"0000000000000000000000000000000a" + "00000000000000000000000000000001" + "02" +
	"040a000001100e" + "1020010db80000000000000000000000011054" + "01" + "0001" + "0002" +
	"06" + "76312e322e30"

var sameAddr = cmpopts.EquateComparable(netip.AddrPort{})

func TestMetaFormIsFrozen(t *testing.T) {
	for _, tc := range []struct {
		m    gossip.Meta
		want string
	}{
		{fullMeta, fullMetaHex},
		{
			gossip.Meta{Name: "a", Address: netip.MustParseAddrPort("[::1]:1"), MinVersion: 1, MaxVersion: 1},
			"01" + "01" + "61" + strings.Repeat("00", 8+8+16+16+1) +
				"10000000000000000000000000000000010001" + "00" + "00" + "0001" + "0001" + "00",
		},
	} {
		b, err := tc.m.Encode()
		if got := hex.EncodeToString(b); err != nil || got != tc.want {
			t.Errorf("Encode(%+v) = %s, %v, want %s", tc.m, got, err, tc.want)
		}
		m, err := gossip.DecodeMeta(b)
		if err != nil || m != tc.m {
			t.Errorf("DecodeMeta(%x) = %+v, %v, want %+v", b, m, err, tc.m)
		}
	}
}

func TestLongestMetaIsWithinTheBound(t *testing.T) {
	m := fullMeta
	m.Name = strings.Repeat("n", gossip.MaxNameLen)
	m.Address = m.Admin
	m.Release = strings.Repeat("r", gossip.MaxReleaseLen)
	b, err := m.Encode()
	if err != nil || len(b) > gossip.MaxMetaLen || len(b) >= 300 {
		t.Errorf("Encode of the longest = %d bytes, %v, want at most %d", len(b), err, gossip.MaxMetaLen)
	}
}

func TestMetaOfALaterVersionIsReadAsFarAsKnown(t *testing.T) {
	b, err := hex.DecodeString(fullMetaHex)
	if err != nil {
		t.Fatal(err)
	}
	state := len(b) - 1 - len(fullMeta.Release) - 5
	b[0] = 9
	b[state] = 200                                              // a state
	b[1+1+8+8+8+16+16] = 201                                    // a role
	b = append(b, "fields of which version 1 knows nothing"...) // more fields
	want := fullMeta
	want.State, want.Role = gossip.StateJoining, gossip.RoleOutside
	if got, err := gossip.DecodeMeta(b); err != nil || !cmp.Equal(got, want, sameAddr) {
		t.Errorf("DecodeMeta(%x) = %+v, %v, want %+v", b, got, err, want)
	}
	b = append(b, make([]byte, gossip.MaxMetaLen)...)
	if _, err := gossip.DecodeMeta(b); !errors.Is(err, gossip.ErrBadMeta) {
		t.Errorf("DecodeMeta of %d bytes = %v, want ErrBadMeta", len(b), err)
	}
}

func TestDecodeMetaRefusesOtherBytes(t *testing.T) {
	good, err := hex.DecodeString(fullMetaHex)
	if err != nil {
		t.Fatal(err)
	}
	for n := range good {
		if m, err := gossip.DecodeMeta(good[:n]); !errors.Is(err, gossip.ErrBadMeta) || m != (gossip.Meta{}) {
			t.Errorf("DecodeMeta(%x) = %+v, %v, want ErrBadMeta", good[:n], m, err)
		}
	}
	with := func(at int, v byte) []byte {
		b := bytes.Clone(good)
		b[at] = v
		return b
	}
	const role = 1 + 1 + 8 + 8 + 8 + 16 + 16
	release := len(good) - 1 - len(fullMeta.Release)
	for name, in := range map[string][]byte{
		"trailing byte":       append(bytes.Clone(good), 0),
		"version 0":           with(0, 0),
		"length of name":      with(1, 255),
		"control character":   with(2, '\n'),
		"not utf-8":           with(2, 0xff),
		"number too great":    with(10, 1),
		"unknown role":        with(role, 3),
		"length of address":   with(role+1, 5),
		"no port":             with(role+7, 0)[:role+8],
		"unknown state":       with(release-5, 3),
		"no version":          with(release-3, 0),
		"length of release":   with(release, 200),
		"release unprintable": with(release+1, 7),
		"max under min":       with(release-3, 3),
	} {
		if m, err := gossip.DecodeMeta(in); !errors.Is(err, gossip.ErrBadMeta) {
			t.Errorf("%s: DecodeMeta(%x) = %+v, %v, want ErrBadMeta", name, in, m, err)
		}
	}
}

func TestEncodeMetaNamesEveryFault(t *testing.T) {
	m := gossip.Meta{
		Name: "a\x00b", Number: idspace.MaxNumber + 1, Role: 7, State: 8,
		Address: netip.MustParseAddrPort("0.0.0.0:1"), Admin: netip.MustParseAddrPort("10.0.0.1:0"),
		Release: strings.Repeat("r", gossip.MaxReleaseLen+1),
	}
	_, err := m.Encode()
	if !errors.Is(err, gossip.ErrBadMeta) {
		t.Fatalf("Encode = %v, want ErrBadMeta", err)
	}
	for _, want := range []string{"Name", "Number", "Role", "State", "Address", "Admin", "MinVersion", "Release"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("Encode = %v, want it to name %s", err, want)
		}
	}
}

func FuzzDecodeMeta(f *testing.F) {
	good, err := hex.DecodeString(fullMetaHex)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(append([]byte{2}, good[1:]...))
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := gossip.DecodeMeta(in)
		if err != nil {
			if !errors.Is(err, gossip.ErrBadMeta) || m != (gossip.Meta{}) {
				t.Errorf("DecodeMeta(%x) = %+v, %v, want nothing and ErrBadMeta", in, m, err)
			}
			return
		}
		out, err := m.Encode()
		if err != nil {
			t.Fatalf("DecodeMeta(%x) = %+v, which is not encoded: %v", in, m, err)
		}
		if in[0] == 1 && !bytes.Equal(in, out) {
			t.Errorf("DecodeMeta(%x) = %+v, which is encoded %x", in, m, out)
		}
	})
}
