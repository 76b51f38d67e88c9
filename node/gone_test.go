package node_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"flamingo/node"
)

// ended returns what err, which is to match ErrGone, says of the end.
func ended(t *testing.T, err error) node.GoneError {
	t.Helper()
	gone, ok := errors.AsType[*node.GoneError](err)
	if !ok || !errors.Is(err, node.ErrGone) {
		t.Fatalf("%v: it does not say when and why", err)
	}
	return *gone
}

func TestAnyNodeLearnsWhenAndWhyAConnectionEnded(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		opts := w.fabric()
		for i := range opts {
			opts[i].ClosedMemory = 2
		}
		nodes := w.openAll(opts)
		owner := nodes[0]
		end := func() node.ID {
			c, id := w.connect(owner)
			<-time.After(1500 * time.Millisecond)
			c.Close()
			recvClose(t, owner)
			return id
		}
		id := end()
		at := time.Now()
		<-time.After(time.Hour)
		for i, n := range nodes {
			_, described := n.Describe(t.Context(), id)
			errs := map[string]error{
				"Send": n.Send(t.Context(), id, []byte("x")), "SendClose": n.SendClose(id), "Describe": described,
			}
			if n == owner {
				errs["SendData"], errs["SendMany"] = n.SendData(id, []byte("x")), n.SendMany([]node.ID{id}, []byte("x"))[0]
			} else {
				if err := n.SendData(id, []byte("x")); err != nil {
					t.Fatal(err)
				}
				errs["Undelivered"] = nextUndelivered(t, n).err
			}
			for what, err := range errs {
				got := ended(t, err)
				if off := at.Sub(got.At); got.ID != id || got.Reason != node.ReasonClient || got.Code != 0 || off < 0 || off > time.Second {
					t.Errorf("node %d, %s: %+v, want the end of %s by its client at %v", i, what, got, id, at)
				}
			}
		}
		end()
		end() // and the first is forgotten
		synctest.Wait()
		for i, n := range nodes {
			err := n.Send(t.Context(), id, []byte("x"))
			if _, ok := errors.AsType[*node.GoneError](err); ok || !errors.Is(err, node.ErrGone) {
				t.Errorf("node %d: %v, want %v and no more", i, err, node.ErrGone)
			}
		}
		if st := owner.Stats(); st.Remembered != 2 || st.Forgotten != 1 {
			t.Errorf("%d ends remembered and %d forgotten, want 2 and 1", st.Remembered, st.Forgotten)
		}
	})
}
