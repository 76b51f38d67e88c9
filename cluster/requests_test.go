package cluster_test

import (
	"bytes"
	"slices"
	"testing"

	"flamingo/cluster"
)

// FuzzBodiesOfRequests: what decodes has a form of its own, which decodes to
// the same, and is not longer than what came.
func FuzzBodiesOfRequests(f *testing.F) {
	ids := func(n int) []byte { return bytes.Repeat([]byte{7}, 16*n) }
	proposal := append(append(ids(2), 3), ids(3)...)
	f.Add(proposal)
	f.Add(append(append([]byte{1}, ids(1)...), proposal...))
	f.Add(append(ids(1), make([]byte, 20)...))
	number := append(ids(1), 0, 0, 0, 0, 0, 0, 0, 7)
	head := []byte{0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 2} // of a page: last, n
	f.Add(slices.Concat(head, []byte{0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 1}, number, []byte{0, 0, 0, 0}))
	f.Add(slices.Concat(head, make([]byte, 8), []byte{0, 0, 0, 1}, number, []byte{0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 8}))
	f.Fuzz(func(t *testing.T, in []byte) {
		for name, recode := range cluster.Recode {
			once, err := recode(in)
			if err != nil {
				continue
			}
			if len(once) > len(in) {
				t.Errorf("%s: %x became %x", name, in, once)
			}
			if again, err := recode(once); err != nil || !bytes.Equal(again, once) {
				t.Errorf("%s: %x became %x, and that %x, %v", name, in, once, again, err)
			}
		}
	})
}
