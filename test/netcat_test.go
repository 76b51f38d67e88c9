//go:build e2e

package test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// Netcat with -N shuts its sending side at the end of its input: it is the
// client that tells a server that flushes before it closes from one that does
// not.

func TestNetcatGetsTheAnswersToAllItSentBeforeItsEnd(t *testing.T) {
	nc, err := exec.LookPath("nc")
	if err != nil {
		t.Fatalf("this test needs netcat-openbsd: %v", err)
	}
	_, port := startOriginal(t)
	for _, lines := range []int{1, 2, 10, 1000} {
		var said strings.Builder
		for i := range lines {
			fmt.Fprintf(&said, "line %04d of %d\n", i, lines)
		}
		cmd := exec.Command(nc, "-N", "127.0.0.1", port)
		cmd.Stdin = strings.NewReader(said.String())
		heard, err := cmd.Output()
		if err != nil {
			t.Fatalf("nc with %d lines: %v", lines, err)
		}
		// Ten workers answer at the same time, so lines may change places.
		if got, want := strings.Count(string(heard), "\n"), lines; got != want || len(heard) != said.Len() {
			t.Errorf("nc sent %d lines and heard %d, %d of %d bytes", want, got, len(heard), said.Len())
		}
	}
}
