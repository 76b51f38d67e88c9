//go:build e2e && linux

package chaos

import (
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"
)

const (
	// seedVariable repeats a run.
	seedVariable = "FLAMINGO_TEST_CHAOS_SEED"

	// longVariable says for how long the plan of a long run is repeated.
	longVariable = "FLAMINGO_TEST_CHAOS"

	// faultsVariable holds the faults of a run in place of those of CI, such as
	// kill=3,drain=1.
	faultsVariable = "FLAMINGO_TEST_CHAOS_FAULTS"

	nodes = 3 // of every run
)

// TestChaos breaks three nodes as Plan says and judges what came of it.
func TestChaos(t *testing.T) {
	t.Parallel()
	length, limit := time.Duration(0), 6*time.Minute
	if text := os.Getenv(longVariable); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil || length <= 0 {
			t.Fatalf("%s=%q: allowed is a duration greater than 0, such as 10m", longVariable, text)
		}
		limit = 2*length + 40*time.Minute
	}
	binary, ok := inOwnNetwork(t, limit, func(dir string) string { return buildSubject(t, dir) })
	if !ok {
		return
	}
	seed := rand.Uint64()
	if text := os.Getenv(seedVariable); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s=%q: allowed is a number below 2^64", seedVariable, text)
		}
	}
	if text := os.Getenv(faultsVariable); text != "" {
		counts, err := ParseCounts(text)
		if err != nil {
			t.Fatalf("%s: %v", faultsVariable, err)
		}
		suffer(t, binary, seed, counts)
		return
	}
	if length == 0 {
		suffer(t, binary, seed, PerRun)
		return
	}
	for begin, i := time.Now(), uint64(0); time.Since(begin) < length && !t.Failed(); i++ {
		counts := PerTenMinutes.scaled(min(1, (length-time.Since(begin)).Minutes()/10))
		t.Run(strconv.FormatUint(seed+i, 10), func(t *testing.T) { suffer(t, binary, seed+i, counts) })
	}
}

// figures are what differs between violations of one kind.
var figures = regexp.MustCompile(`\[.*|[0-9a-f]*[0-9][0-9a-z.]*`)

// suffer runs a plan and judges.
func suffer(t *testing.T, binary string, seed uint64, counts Counts) {
	t.Logf("seed %d: again with %s=%d", seed, seedVariable, seed)
	habits := usual
	habits.secret = seed%2 == 1
	t.Logf("nodes have a key: %v", habits.secret)
	h, err := run(t, binary, seed, Plan(seed, nodes, counts), habits)
	if err != nil {
		t.Fatalf("%v; the nodes did not come to rest, so what they recorded is not judged: %s", err, h.summary())
	}
	violations := h.Violations()
	number, alike := map[int]int{}, map[string]int{}
	for _, v := range violations {
		number[v.Invariant]++
		shape := figures.ReplaceAllString(v.String(), "")
		if alike[shape]++; alike[shape] <= 3 {
			t.Error(v)
		}
	}
	if len(violations) > 0 {
		t.Errorf("violations, by invariant: %v", number)
		for _, f := range h.Faults {
			t.Logf("%v to %v: %v", time.Duration(f.Begin), time.Duration(f.End), f.Step)
		}
	}
	t.Log(h.summary())
}

// run returns what came of the steps. The error says that a fault had no effect, or
// that the nodes did not recover.
func run(t *testing.T, binary string, seed uint64, steps []Step, habits habits) (*History, error) {
	t.Helper()
	w := newWorld(t, binary, nodes, habits)
	if err := w.populate(); err != nil {
		return w.history(), err
	}
	ctx, cancel := context.WithCancel(t.Context())
	var churning sync.WaitGroup
	churning.Go(func() { w.churn(ctx, seed) })
	stop := func() { cancel(); churning.Wait() }
	defer stop()
	for _, s := range steps {
		if err := w.inflict(s, seed); err != nil {
			return w.history(), err
		}
	}
	stop()
	t.Logf("faults that took effect: %v", w.hit)
	return w.rest()
}

// buildSubject builds the program of the nodes in a directory.
func buildSubject(t *testing.T, dir string, args ...string) string {
	t.Helper()
	binary := filepath.Join(dir, "subject")
	cmd := exec.Command("go", append(append([]string{"build", "-o", binary}, args...), "flamingo/test/chaos/subject")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	return binary
}
