package bench_test

import (
	"os"
	"path/filepath"
	"testing"

	"flamingo/test/bench"
)

func TestEachPartOfThePageIsReplacedAlone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.md")
	for _, step := range []struct {
		write func(string, []byte) error
		part  string
		want  string
	}{
		{bench.WriteMesh, bench.MeshHeading + "a\n", "## From node to node\na\n"},
		{bench.WriteEcho, "# Benchmarks\n\n## Rates\n", "# Benchmarks\n\n## Rates\n\n## From node to node\na\n"},
		{bench.WriteMesh, bench.MeshHeading + "b\n", "# Benchmarks\n\n## Rates\n\n## From node to node\nb\n"},
		{bench.WriteEcho, "# Benchmarks\n", "# Benchmarks\n\n## From node to node\nb\n"},
	} {
		if err := step.write(file, []byte(step.part)); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != step.want {
			t.Errorf("after %q: %q, want %q", step.part, got, step.want)
		}
	}
}

func TestGroupedSeparatesThousands(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1234: "-1,234"} {
		if got := bench.Grouped(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
