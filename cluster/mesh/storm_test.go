package mesh_test

import (
	"testing"

	"flamingo/cluster/mesh"
	"flamingo/idspace"
)

// TestRefusalOfAFullWindowKeepsTheStream fills the widest window with ids that
// are all refused, again and again: every one of them is an outcome to tell.
func TestRefusalOfAFullWindowKeepsTheStream(t *testing.T) {
	r := newRig(t, 2)
	r.loopback()
	r.config = func(c *mesh.Config) { c.Window = mesh.MaxWindow }
	r.node(2).deliver = func(idspace.ID, []byte) error { return mesh.ErrGone }
	r.run()
	a, b := r.node(1), r.node(2)
	ids := make([]idspace.ID, 1<<20)
	for i := range ids {
		ids[i] = idOf(2, i+1)
	}
	results := make([]error, len(ids))
	for range 3 {
		a.SendMany(b.boot, ids, nil, results)
	}
	for _, err := range results {
		if err != nil {
			t.Fatal(err)
		}
	}
	flush(t, a)
	if s := a.Stats(); s.Undelivered[mesh.OutcomeGone] != 3<<20 || a.peer(b.boot).Breaks != 0 {
		t.Errorf("%v; here %v, there %v", s.Undelivered, s.Ends, b.Stats().Ends)
	}
}
