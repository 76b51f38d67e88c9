package node_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"flamingo/node"
)

func groupNames(t testing.TB, count int) (names []string, table *node.GroupNames) {
	t.Helper()
	for k := range count {
		names = append(names, fmt.Sprintf("group-%06d", k))
	}
	shuffled := slices.Clone(names)
	rand.New(rand.NewPCG(6, 6)).Shuffle(count, func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	table, err := node.NewGroupNames(shuffled)
	if err != nil {
		t.Fatal(err)
	}
	return names, table
}

func TestPagesOfGroupsHaveEachNameOnceInOrder(t *testing.T) {
	for _, count := range []int{0, 1, 2, 7, 64, 1000} {
		names, table := groupNames(t, count)
		for _, limit := range []int{1, 2, 3, 7, 63, 64, 400, 1000} {
			var got []string
			for after, more := "", true; more; {
				var page []node.GroupSize
				page, more = table.Page(after, limit)
				if len(page) > limit || more && len(page) < limit {
					t.Fatalf("%d groups: a page of %d of at most %d, more %v", count, len(page), limit, more)
				}
				for _, g := range page {
					got = append(got, g.Name)
					after = g.Name
				}
			}
			if !slices.Equal(got, names) {
				t.Errorf("%d groups in pages of %d: got %q", count, limit, got)
			}
		}
	}
}

// A page out of many groups holds memory for itself alone.
func TestPageOfGroupsTakesMemoryForAPageOnly(t *testing.T) {
	_, table := groupNames(t, 100_000)
	got := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			table.Page("", 10)
		}
	}).AllocedBytesPerOp()
	if got > 16<<10 {
		t.Errorf("a page of 10 groups of 100000 took %d bytes, want at most %d", got, 16<<10)
	}
}

func BenchmarkPageOfGroups(b *testing.B) {
	_, table := groupNames(b, 100_000)
	b.ReportAllocs()
	for b.Loop() {
		table.Page("", 400)
	}
}
