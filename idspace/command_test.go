package idspace_test

import (
	"encoding/hex"
	"errors"
	"testing"

	"flamingo/idspace"

	"github.com/google/go-cmp/cmp"
)

func TestCommandFormIsFrozen(t *testing.T) {
	for _, tc := range []struct {
		c    idspace.Command
		want string
	}{
		{
			idspace.Grant{Boot: boot(1), Ordinal: 2, Server: server(3), Start: 4, Tick: 5},
			"0101" + "00000000000000000000000000000001" + "00000002" +
				"00000000000000000000000000000003" + "0000000000000004" + "0000000000000005",
		},
		{
			grantTo(1, 1<<32-1, 1<<64-1),
			"0101" + "00000000000000000000000000000001" + "ffffffff" +
				"00000000000000000000000000000000" + "0000000000000000" + "ffffffffffffffff",
		},
		{idspace.EndLife{Boot: boot(1), Cause: idspace.CauseRetired}, "0102" + "00000000000000000000000000000001" + "03"},
	} {
		b, err := idspace.EncodeCommand(tc.c)
		if got := hex.EncodeToString(b); err != nil || got != tc.want {
			t.Errorf("EncodeCommand(%+v) = %s, %v, want %s", tc.c, got, err, tc.want)
		}
		c, err := idspace.DecodeCommand(b)
		if err != nil || !cmp.Equal(c, tc.c) {
			t.Errorf("DecodeCommand(%x) = %+v, %v, want %+v", b, c, err, tc.c)
		}
	}
}

func TestDecodeCommandRefusesOtherBytes(t *testing.T) {
	good, err := idspace.EncodeCommand(grantOn(1, 1, 1, 100))
	if err != nil {
		t.Fatal(err)
	}
	with := func(at int, v byte) []byte {
		b := append([]byte(nil), good...)
		b[at] = v
		return b
	}
	for name, tc := range map[string]struct {
		in   []byte
		want error
	}{
		"empty":                {nil, idspace.ErrBadCommand},
		"version only":         {good[:1], idspace.ErrBadCommand},
		"cut short":            {good[:len(good)-1], idspace.ErrBadCommand},
		"trailing byte":        {append(good[:len(good):len(good)], 0), idspace.ErrBadCommand},
		"later version":        {with(0, 2), idspace.ErrUnknownVersion},
		"unknown kind":         {with(1, 3), idspace.ErrBadCommand},
		"kind of other length": {with(1, 2), idspace.ErrBadCommand},
		"no boot":              {with(17, 0), idspace.ErrBadCommand},
		"no ordinal":           {with(21, 0), idspace.ErrBadCommand},
		"start without server": {with(37, 0), idspace.ErrBadCommand},
	} {
		if c, err := idspace.DecodeCommand(tc.in); !errors.Is(err, tc.want) || c != nil {
			t.Errorf("%s: DecodeCommand(%x) = %+v, %v, want %v", name, tc.in, c, err, tc.want)
		}
	}
}

func TestEncodeCommandRefusesWhatApplyWould(t *testing.T) {
	for _, c := range []idspace.Command{nil, idspace.Grant{}, grantTo(1, 0, 0), idspace.EndLife{Boot: boot(1)}} {
		if b, err := idspace.EncodeCommand(c); !errors.Is(err, idspace.ErrBadCommand) || b != nil {
			t.Errorf("EncodeCommand(%+v) = %x, %v, want ErrBadCommand", c, b, err)
		}
	}
}
