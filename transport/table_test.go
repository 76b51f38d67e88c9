package transport_test

import (
	"testing"

	"flamingo/idspace"
	"flamingo/transport"

	"pgregory.net/rapid"
)

func TestTableFindsEachLiveIDAndNoOther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 20).Draw(t, "limit")
		table := transport.NewTable(limit)
		live := make(map[idspace.ID]uint32)
		var dead []idspace.ID
		next := idspace.ID(5 << 28)
		find := func(id idspace.ID) (uint32, bool) { return table.Find(id) }
		t.Repeat(map[string]func(*rapid.T){
			"open": func(t *rapid.T) {
				i, ok := table.Take()
				if ok != (len(live) < limit) {
					t.Fatalf("Take says %v with %d of %d in use", ok, len(live), limit)
				}
				if !ok {
					return
				}
				for tries := 0; ; tries++ {
					if tries > table.Positions() {
						t.Fatal("no position is free")
					}
					next += idspace.ID(rapid.Uint64Range(1, 3).Draw(t, "skip"))
					if _, taken := find(next); taken {
						t.Fatalf("%v is found before it was published", next)
					}
					if table.Publish(i, next) {
						break
					}
					if _, found := find(next); found {
						t.Fatalf("%v is found although it was not published", next)
					}
					dead = append(dead, next)
				}
				for id, slot := range live {
					if slot == i {
						t.Fatalf("slot %d is given to %v and %v", i, id, next)
					}
					if uint64(id)%uint64(table.Positions()) == uint64(next)%uint64(table.Positions()) {
						t.Fatalf("%v and %v share a position", id, next)
					}
				}
				live[next] = i
			},
			"end": func(t *rapid.T) {
				for id, i := range live { // any
					if table.HoldRetire(i) {
						t.Fatalf("slot %d was freed although it is in use", i)
					}
					if !table.Retire(i) {
						t.Fatalf("slot %d was not freed", i)
					}
					delete(live, id)
					dead = append(dead, id)
					break
				}
			},
			"": func(t *rapid.T) {
				for id, i := range live {
					if got, ok := find(id); !ok || got != i {
						t.Fatalf("%v: slot %d, %v; want %d", id, got, ok, i)
					}
				}
				for _, id := range dead {
					if i, ok := find(id); ok {
						t.Fatalf("%v has ended but is found in slot %d", id, i)
					}
				}
				if table.Full() != (len(live) == limit) {
					t.Fatalf("full is %v with %d of %d in use", table.Full(), len(live), limit)
				}
			},
		})
	})
}

func TestTableLeavesOutIDsWhosePositionIsHeld(t *testing.T) {
	table := transport.NewTable(4)
	long, _ := table.Take()
	if !table.Publish(long, 9<<28|1) {
		t.Fatal("the first id was not published")
	}
	for turn := range 1000 {
		i, ok := table.Take()
		if !ok {
			t.Fatalf("turn %d: no slot", turn)
		}
		id := idspace.ID(9<<28 | 2 + turn)
		same := uint64(id)%uint64(table.Positions()) == 1
		if published := table.Publish(i, id); published == same {
			t.Fatalf("%v published: %v; want %v", id, published, !same)
		}
		if got, ok := table.Find(9<<28 | 1); !ok || got != long {
			t.Fatalf("turn %d: the long-lived connection is in slot %d, %v", turn, got, ok)
		}
		if same && !table.Publish(i, id+1) {
			t.Fatalf("%v was not published", id+1)
		}
		table.Retire(i)
	}
}
