package mesh_test

import (
	"encoding/hex"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"flamingo/cluster/mesh"
)

// tables returns the rows of every table of docs/protocol.md, by the first cell
// of its head.
func tables(t *testing.T) map[string][][]string {
	t.Helper()
	page, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][][]string)
	head := ""
	for line := range strings.Lines(string(page)) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			head = ""
			continue
		}
		var cells []string
		for c := range strings.SplitSeq(strings.Trim(line, "|"), "|") {
			cells = append(cells, strings.TrimSpace(c))
		}
		switch {
		case head == "":
			head = cells[0]
		case !strings.HasPrefix(cells[0], "---"):
			all[head] = append(all[head], cells)
		}
	}
	return all
}

func TestPageHasTheFrames(t *testing.T) {
	layouts := mesh.Layouts()
	rows := tables(t)["kind"]
	if len(rows) != len(layouts) {
		t.Errorf("%d frames on the page, %d in the code", len(rows), len(layouts))
	}
	for _, row := range rows {
		kind, err := strconv.Atoi(row[0])
		if want := layouts[kind]; err != nil || row[1] != want[0] || row[2] != want[1] {
			t.Errorf("frame %v, the code has %v", row[:3], want)
		}
		if said := len(strings.Split(row[3], ",")); kind < 16 && kind != 7 && said != len(row[2])-1 {
			t.Errorf("frame %s: %d fields named, layout %s", row[1], said, row[2])
		}
	}
}

func TestPageHasTheCodes(t *testing.T) {
	all := tables(t)
	for table, names := range map[string][]string{
		"message kind": mesh.KindNames(), "outcome": mesh.OutcomeNames(), "refusal": mesh.RefusalNames(),
		"fact":    mesh.FactNames(),
		"request": append([]string{""}, mesh.RequestNames()...), "reply": mesh.ReplyNames(),
	} {
		said := make(map[int]string)
		for _, row := range all[table] {
			code, err := strconv.Atoi(row[0])
			if err != nil {
				t.Errorf("%s: %v", table, err)
			}
			said[code] = row[1]
		}
		for code, name := range names {
			if said[code] != name {
				t.Errorf("%s %d is %q on the page, %q in the code", table, code, said[code], name)
			}
			delete(said, code)
		}
		if len(said) > 0 {
			t.Errorf("%s: only on the page: %v", table, said)
		}
	}
}

func TestPageHasTheExamples(t *testing.T) {
	page, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []mesh.Wire{
		{Kind: 1, Ints: [7]uint64{1, 0x01adc9000000002a, 1}, Payload: []byte("hi")},
		{Kind: 4, Ints: [7]uint64{1, 0x01adc9000000002a, 4001}, Payload: []byte("bye")},
	} {
		want := hex.EncodeToString(encoded(f))
		if !slices.ContainsFunc(strings.Split(string(page), "\n"), func(line string) bool {
			return strings.ReplaceAll(line, " ", "") == want
		}) {
			t.Errorf("%+v is %s, which is no line of the page", f, want)
		}
	}
}

func TestPageHasTheHandshakes(t *testing.T) {
	layouts := mesh.Layouts()
	hello, welcome := "u", "u"
	for _, row := range tables(t)["hello"] {
		hello += row[0]
		welcome += row[2]
	}
	if hello != layouts[16][1] || welcome != layouts[17][1] {
		t.Errorf("hello %s and welcome %s on the page, %s and %s in the code", hello, welcome, layouts[16][1], layouts[17][1])
	}
}

func TestPageHasTheLimits(t *testing.T) {
	limits := mesh.Limits()
	for _, row := range tables(t)["limit"] {
		if n, err := strconv.Atoi(row[1]); err != nil || limits[row[0]] != n {
			t.Errorf("limit %s is %s on the page, %d in the code", row[0], row[1], limits[row[0]])
		}
		delete(limits, row[0])
	}
	if len(limits) > 0 {
		t.Errorf("only in the code: %v", limits)
	}
}
