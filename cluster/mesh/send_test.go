package mesh_test

import (
	"testing"

	"flamingo/cluster/mesh"
)

func TestMessagesArriveInOrder(t *testing.T) {
	for name, set := range map[string]func(*rig){"pipe": func(*rig) {}, "tcp": (*rig).loopback} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 2)
			set(r)
			r.run()
			a, b := r.node(1), r.node(2)
			const each, ids = 200, 5
			for i := range each {
				for k := 1; k <= ids; k++ {
					if err := a.To(b.boot).SendData(idOf(2, k), mesh.KindDefault, []byte(text(i))); err != nil {
						t.Fatal(err)
					}
				}
			}
			flush(t, a)
			for k := 1; k <= ids; k++ {
				got := b.messages(idOf(2, k))
				if len(got) != each {
					t.Fatalf("id %d got %d messages, want %d; %+v", k, len(got), each, a.Peers())
				}
				for i, m := range got {
					if m != text(i) {
						t.Fatalf("id %d message %d is %q", k, i, m)
					}
				}
			}
		})
	}
}
