package cluster_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"flamingo/cluster"
)

// The page of the protocol says what the codes of answers are.
func TestPageHasTheCodesOfAnswers(t *testing.T) {
	page, err := os.ReadFile("../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(page), "| code | name | the asking node |\n|---|---|---|\n")
	if !ok {
		t.Fatal("the page has no table of codes")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	rows := strings.Split(strings.TrimSpace(table), "\n")
	if len(rows) != len(cluster.Codes) {
		t.Errorf("%d codes on the page, %d in the code", len(rows), len(cluster.Codes))
	}
	for name, code := range cluster.Codes {
		if !strings.Contains(table, fmt.Sprintf("| %d | %s |", code, name)) {
			t.Errorf("the page lacks code %d, %s", code, name)
		}
	}
}
