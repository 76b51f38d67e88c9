package attach_test

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"flamingo/node/attach"
)

// tables returns the rows of every table of docs/attach.md, by the first cell of its
// head.
func tables(t *testing.T) map[string][][]string {
	t.Helper()
	page, err := os.ReadFile("../../docs/attach.md")
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

type layout interface {
	Fields() (name, letters string, names []string)
}

// comparesLayouts checks rows of number, name, layout and fields.
func comparesLayouts[L layout](t *testing.T, what string, rows [][]string, layouts []L) {
	t.Helper()
	known := 0
	for _, l := range layouts {
		if name, _, _ := l.Fields(); name != "" {
			known++
		}
	}
	if len(rows) != known {
		t.Errorf("%d %s on the page, %d in the code", len(rows), what, known)
	}
	for _, row := range rows {
		number, err := strconv.Atoi(row[0])
		if err != nil || number >= len(layouts) {
			t.Errorf("%s %v is none", what, row)
			continue
		}
		name, letters, names := layouts[number].Fields()
		if want := []string{name, "u" + letters, strings.Join(names, ", ")}; !slices.Equal(row[1:4], want) {
			t.Errorf("%s %v, the code has %v", what, row[1:4], want)
		}
	}
}

func TestPageHasTheFramesAndActions(t *testing.T) {
	all := tables(t)
	comparesLayouts(t, "frames", all["kind"], attach.FrameLayouts)
	comparesLayouts(t, "actions", all["action"], attach.ActionLayouts)
}

func TestPageHasTheNames(t *testing.T) {
	all := tables(t)
	for head, want := range map[string][]string{"outcome": attach.OutcomeNames(), "ask": attach.AskNames} {
		first := len(want) - len(all[head]) // asks count from 1
		for i, row := range all[head] {
			if row[0] != strconv.Itoa(first+i) || row[1] != want[first+i] {
				t.Errorf("%s %v, the code has %d %q", head, row[:2], first+i, want[first+i])
			}
		}
		if first > 1 || first < 0 {
			t.Errorf("%d rows of %s on the page, %d in the code", len(all[head]), head, len(want))
		}
	}
	var reasons []string
	for _, row := range all["reason"] {
		reasons = append(reasons, row[0])
	}
	if want := slices.Sorted(slices.Values(attach.EndNames)); !slices.Equal(slices.Sorted(slices.Values(reasons)), want) {
		t.Errorf("reasons %v, the code has %v", reasons, want)
	}
	for _, row := range all["scope"] {
		if attach.ScopeNames[row[0]] == 0 {
			t.Errorf("the code has no scope %s", row[0])
		}
	}
	if len(all["scope"]) != len(attach.ScopeNames) {
		t.Errorf("%d scopes on the page, %d in the code", len(all["scope"]), len(attach.ScopeNames))
	}
}

func TestPageHasTheLimits(t *testing.T) {
	rows := tables(t)["limit"]
	if len(rows) != len(attach.Limits) {
		t.Errorf("%d limits on the page, %d in the code", len(rows), len(attach.Limits))
	}
	for _, row := range rows {
		if want, ok := attach.Limits[row[0]]; !ok || row[1] != strconv.Itoa(want) {
			t.Errorf("limit %v, the code has %d", row, want)
		}
	}
}
