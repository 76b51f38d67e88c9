package main

import (
	"bytes"
	"encoding/json"
	"runtime"
	"testing"
)

func TestIdleMeasuresANodeOfEveryScheme(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("load needs Linux")
	}
	leavesNothingBehind(t)
	t.Setenv("GORACE", "atexit_sleep_ms=10") // instead of a second for each node
	for _, scheme := range benchSchemes {
		t.Run(scheme, func(t *testing.T) {
			if _, err := parseListener(benchListener(scheme, "/nowhere")); err != nil {
				t.Skipf("there is no such listener: %v", err)
			}
			var out bytes.Buffer
			args := []string{"bench", "idle", "--schemes", scheme, "--steps", "10,20", "--json"}
			if err := run(t.Context(), args, &out, t.Output()); err != nil {
				t.Fatal(err)
			}
			var got schemeCost
			if err := json.Unmarshal(out.Bytes(), &got); err != nil {
				t.Fatalf("%s: %v", &out, err)
			}
			first, last := got.Collections[0], got.Collections[1]
			if got.Scheme != scheme || got.From != 10 || got.To != 20 || first.Conns != 0 || last.Conns != 20 ||
				first.Took <= 0 || last.Took <= 0 || last.Pauses <= 0 {
				t.Errorf("%s: %+v", scheme, got)
			}
		})
	}
}
