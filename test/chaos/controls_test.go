//go:build e2e && linux

package chaos

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestRunsFindOutEveryDefenceThatIsOff runs subjects that have one defence less.
func TestRunsFindOutEveryDefenceThatIsOff(t *testing.T) {
	t.Parallel()
	for name, c := range controls {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			binary, ok := inOwnNetwork(t, 2*time.Minute, func(dir string) string {
				return buildSubject(t, dir, "-overlay", overlay(t, dir, c.edits))
			})
			if !ok {
				return
			}
			h := usual
			h.crowd, h.churn = cmp.Or(c.crowd, h.crowd), cmp.Or(c.churn, h.churn)
			h.secret = c.secret
			h.late, h.converge = 2*time.Second, 10*time.Second // it is bad anyway
			history, err := run(t, binary, 1, c.steps, h)
			found := map[int]int{}
			for _, v := range history.Violations() {
				if found[v.Invariant]++; found[v.Invariant] == 1 {
					t.Log(v)
				}
			}
			if found[c.invariant] == 0 {
				t.Errorf("%v are found, by invariant: want %d; %v; %s", found, c.invariant, err, history.summary())
			}
		})
	}
}

// overlay writes the edited files to a directory and returns the name of the file that tells the
// build of them.
func overlay(t *testing.T, dir string, edits []edit) string {
	t.Helper()
	replace := map[string]string{}
	for i, e := range edits {
		path, text, err := e.apply()
		if err != nil {
			t.Fatal(err)
		}
		replace[path] = filepath.Join(dir, fmt.Sprintf("%d.go", i))
		if err := os.WriteFile(replace[path], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(name, list, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
