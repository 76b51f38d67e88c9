package consensus_test

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"flamingo/cluster/consensus"
)

// Pieces of the golden bytes.
const (
	goldenCluster = "000000000000000000000000000000c1"
	goldenServer  = "0000000000000000000000000000005e"
	goldenBoot    = "000000000000000000000000000000b0"
	goldenLife    = goldenServer + "0000000000000003" + goldenBoot // server, start, boot
)

// golden are the forms of version 1 of what servers say to each other before raft's
// own bytes, and of what they keep on disk: see docs/protocol.md, How formats change.
var golden = []struct{ name, form, version string }{
	{"identity", "identity", "01" + goldenServer + "0000000000000003" + goldenCluster},
	{"boots seen", "seen", "01" + goldenLife + goldenLife},
	{"a promise to another", "promises", "01" + "00" + goldenCluster + goldenServer + goldenServer + "000000000000000000000000000000ff"},
	{"a proposal of its own, written", "promises", "01" + "03" + goldenCluster + goldenServer + goldenServer},
	{"an entry of the log", "entry", "01" + "00" + "0000000000000002" + "17c6d7a5e1f40000" + "00000002" + "e1e2" + "0101"},
	{"the hello of a stream", "hello", "464c4d52" + "01" + "0048" + goldenCluster + goldenServer + goldenLife},
	{"its answer", "answer", "464c4d52" + "01" + "0029" + "04" + goldenLife},
	{"the founding", "command", "0102" + goldenCluster},
	{"a grant", "command", "0103" + "0101" + goldenBoot + "00000001" + goldenServer + "0000000000000003" + "000000001adc9000"},
	{"a snapshot", "snapshot", "01" + goldenCluster + "01" + "000000001adc9001" +
		"00000001" + goldenBoot + goldenServer + "0000000000000003" + "00000001" + "000000001adc9001" +
		"00000001" + "000000000000000000000000000000b1" + "01" + "00000001" + "000000001adc9000"},
}

func TestFormsOfVersionOneAreReadAndWritten(t *testing.T) {
	for _, tc := range golden {
		t.Run(tc.name, func(t *testing.T) {
			b, err := hex.DecodeString(tc.version)
			if err != nil {
				t.Fatal(err)
			}
			got, err := consensus.Recode[tc.form](b)
			if text := hex.EncodeToString(got); err != nil || text != tc.version {
				t.Errorf("%s is written as %s, %v", tc.version, text, err)
			}
			later := append([]byte(nil), b...)
			later[versionAt(tc.form)]++
			if got, err := consensus.Recode[tc.form](later); err == nil {
				t.Errorf("of a later version, %x, it is read, as %x", later, got)
			}
			if got, err := consensus.Recode[tc.form](b[:len(b)-1]); err == nil && tc.form != "entry" { // whose data is anything
				t.Errorf("cut short it is read, as %x", got)
			}
		})
	}
}

// versionAt is where the version stands in a form.
func versionAt(form string) int {
	if form == "hello" || form == "answer" {
		return len("FLMR")
	}
	return 0
}

func TestRecordOfALaterVersionIsRefusedByName(t *testing.T) {
	for _, form := range []string{"identity", "seen", "promises", "entry"} {
		_, err := consensus.Recode[form](append([]byte{9}, make([]byte, 80)...))
		if !errors.Is(err, consensus.ErrBadRecord) || !strings.Contains(err.Error(), "version 9") {
			t.Errorf("%s: %v, want ErrBadRecord that names version 9", form, err)
		}
	}
}
