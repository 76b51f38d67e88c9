package idspace_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"flamingo/idspace"

	"pgregory.net/rapid"
)

// sampleText is the id that the tests use: node 01adc9000, serial 42.
const sampleText = "01adc9000000002a"

func mustID(tb testing.TB, n idspace.NodeNumber, s idspace.Serial) idspace.ID {
	tb.Helper()
	id, err := idspace.NewID(n, s)
	if err != nil {
		tb.Fatalf("NewID(%v, %d): %v", n, s, err)
	}
	return id
}

func sampleID(tb testing.TB) idspace.ID {
	tb.Helper()
	return mustID(tb, 0x01adc9000, 42)
}

// drawID draws any valid id.
func drawID(t *rapid.T) idspace.ID {
	n := rapid.Uint64Range(1, uint64(idspace.MaxNumber)).Draw(t, "number")
	s := rapid.Uint32Range(1, uint32(idspace.MaxSerial)).Draw(t, "serial")
	id, err := idspace.NewID(idspace.NodeNumber(n), idspace.Serial(s))
	if err != nil {
		t.Fatalf("NewID(%d, %d): %v", n, s, err)
	}
	return id
}

func TestLayoutIs36BitsOfNumberThen28OfSerial(t *testing.T) {
	for _, tc := range []struct {
		number idspace.NodeNumber
		serial idspace.Serial
		want   idspace.ID
	}{
		{1, 1, 1<<28 | 1},
		{0x01adc9000, 42, 0x01adc9000000002a},
		{idspace.MaxNumber, idspace.MaxSerial, 1<<64 - 1},
		{idspace.MaxNumber, 1, 0xfffffffff0000001},
		{1, idspace.MaxSerial, 0x000000001fffffff},
	} {
		got := mustID(t, tc.number, tc.serial)
		if got != tc.want || got.Node() != tc.number || got.Serial() != tc.serial || !got.Valid() {
			t.Errorf("NewID(%v, %d) = %v (node %v, serial %d, valid %t), want %v",
				tc.number, tc.serial, got, got.Node(), got.Serial(), got.Valid(), tc.want)
		}
	}
}

func TestNewIDRefusesWhatDoesNotFit(t *testing.T) {
	for _, tc := range []struct {
		number idspace.NodeNumber
		serial idspace.Serial
		want   error
	}{
		{0, 1, idspace.ErrBadNumber},
		{idspace.MaxNumber + 1, 1, idspace.ErrBadNumber},
		{1, 0, idspace.ErrBadID},
		{1, idspace.MaxSerial + 1, idspace.ErrBadID},
	} {
		if id, err := idspace.NewID(tc.number, tc.serial); !errors.Is(err, tc.want) || id != 0 {
			t.Errorf("NewID(%d, %d) = %v, %v, want 0 and %v", tc.number, tc.serial, id, err, tc.want)
		}
	}
}

func TestIDWithoutNumberOrSerialIsNotValid(t *testing.T) {
	for _, id := range []idspace.ID{0, 1, 1 << 28, 1<<28 - 1, 0xfffffffff0000000} {
		if id.Valid() {
			t.Errorf("%d.Valid() = true", id)
		}
	}
}

func TestParseIDReadsWhatStringPrints(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := drawID(t)
		got, err := idspace.ParseID(id.String())
		if err != nil || got != id {
			t.Fatalf("ParseID(%q) = %d, %v, want %d", id.String(), got, err, id)
		}
	})
}

func TestParseNodeNumberReadsWhatStringPrints(t *testing.T) {
	for _, n := range []idspace.NodeNumber{1, 0x01adc9000, idspace.MaxNumber} {
		if got, err := idspace.ParseNodeNumber(n.String()); err != nil || got != n {
			t.Errorf("ParseNodeNumber(%q) = %d, %v, want %d", n.String(), got, err, n)
		}
	}
	if n, err := idspace.ParseNodeNumber("000000000"); !errors.Is(err, idspace.ErrBadNumber) || n != 0 {
		t.Errorf("ParseNodeNumber of zero = %v, %v, want ErrBadNumber", n, err)
	}
}

// badIDTexts are texts near to an id that are none.
var badIDTexts = []string{
	"",
	"0",
	"01adc9000000002",
	"01adc9000000002a0",
	"01ADC9000000002A",
	"01adc9000000002g",
	" 1adc9000000002a",
	"0x01adc900000002",
	"01adc9000000002\n",
	"+1adc9000000002a",
	"0000000000000000",
	"000000000000002a", // number zero
	"01adc90000000000", // serial zero
	"01adc900000000２a",
	strings.Repeat("a", 1<<16),
}

func TestParseIDRefusesAllOtherTexts(t *testing.T) {
	for _, s := range badIDTexts {
		id, err := idspace.ParseID(s)
		if !errors.Is(err, idspace.ErrBadID) || id != 0 {
			t.Errorf("ParseID(%.40q) = %v, %v, want ErrBadID", s, id, err)
			continue
		}
		if msg := err.Error(); !strings.Contains(msg, "16 lower-case hex digits") || len(msg) > 300 {
			t.Errorf("ParseID(%.40q): error %.400q does not say what is allowed, briefly", s, msg)
		}
	}
}

func TestVerbsPrintTextOrInteger(t *testing.T) {
	id, number := sampleID(t), idspace.NodeNumber(0x1adc9000)
	for _, tc := range []struct {
		format string
		arg    any
		want   string
	}{
		{"%v", id, sampleText},
		{"%+v", id, sampleText},
		{"%s", id, sampleText},
		{"%q", id, `"` + sampleText + `"`},
		{"%20s|", id, "    " + sampleText + "|"},
		{"%-20v|", id, sampleText + "    |"},
		{"%d", id, "120973766846054442"},
		{"%x", id, "1adc9000000002a"},
		{"%X", id, "1ADC9000000002A"},
		{"%#x", id, "0x1adc9000000002a"},
		{"%016x", id, sampleText},
		{"%#v", id, "idspace.ID(0x1adc9000000002a)"},
		{"%v", idspace.ID(0), "0000000000000000"},
		{"%v", []idspace.ID{id}, "[" + sampleText + "]"},
		{"%v", struct{ ID idspace.ID }{id}, "{" + sampleText + "}"},
		{"%v", number, "01adc9000"},
		{"%d", number, "450662400"},
		{"%x", number, "1adc9000"},
		{"%#v", number, "idspace.NodeNumber(0x1adc9000)"},
		{"%v", idspace.MaxNumber + 1, "1000000000"},
		{"%v", idspace.CauseNewBoot, "new boot"},
		{"%v", idspace.EndCause(9), "cause 9"},
	} {
		if got := fmt.Sprintf(tc.format, tc.arg); got != tc.want {
			t.Errorf("Sprintf(%q, %T) = %q, want %q", tc.format, tc.arg, got, tc.want)
		}
	}
}

func TestLogsShowTheTextForm(t *testing.T) {
	var out bytes.Buffer
	noTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	boot := idspace.BootID{0: 0xab, 15: 1}
	for _, h := range []slog.Handler{
		slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: noTime}),
		slog.NewJSONHandler(&out, &slog.HandlerOptions{ReplaceAttr: noTime}),
	} {
		slog.New(h).Info("m", "id", sampleID(t), "none", idspace.ID(0), "number", sampleID(t).Node(),
			"boot", boot, "server", idspace.ServerID{})
	}
	want := `level=INFO msg=m id=01adc9000000002a none=0000000000000000 number=01adc9000` +
		` boot=ab000000-0000-0000-0000-000000000001 server=00000000-0000-0000-0000-000000000000
{"level":"INFO","msg":"m","id":"01adc9000000002a","none":"0000000000000000","number":"01adc9000",` +
		`"boot":"ab000000-0000-0000-0000-000000000001","server":"00000000-0000-0000-0000-000000000000"}
`
	if got := out.String(); got != want {
		t.Errorf("logged\n%s\nwant\n%s", got, want)
	}
}
