package transport_test

import (
	"slices"
	"testing"

	"flamingo/transport"

	"pgregory.net/rapid"
)

func TestWheelMeetsEachDeadlineOnceAndNotEarly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const slots = 12
		w := transport.NewWheel(slots)
		due := make(map[uint32]uint32) // the model: slot to tick
		now := uint32(0)
		set := func(i, at uint32) {
			w.Set(i, at)
			due[i] = max(at, w.Now()+1)
		}
		slot := rapid.Uint32Range(0, slots-1)
		// Up to three turns ahead, and often near the bounds of one.
		ahead := rapid.OneOf(rapid.Uint32Range(0, 5), rapid.Uint32Range(transport.WheelBuckets-3, transport.WheelBuckets+3),
			rapid.Uint32Range(0, 3*transport.WheelBuckets))
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				set(slot.Draw(t, "slot"), now+ahead.Draw(t, "ahead"))
			},
			"clear": func(t *rapid.T) {
				i := slot.Draw(t, "slot")
				w.Clear(i)
				delete(due, i)
			},
			"advance": func(t *rapid.T) {
				to := now + ahead.Draw(t, "by")
				again := rapid.Bool().Draw(t, "again")
				for now < to { // tick by tick, as deadlines come
					now++
					var want, got []uint32
					for i, at := range due {
						if at == now {
							want = append(want, i)
							delete(due, i)
						}
					}
					w.Advance(now, func(i uint32) {
						got = append(got, i)
						if again { // expire may set and clear
							set(i, now+i*100)
							w.Clear((i + 1) % slots)
							if at, ok := due[(i+1)%slots]; ok && at > now {
								delete(due, (i+1)%slots)
							}
						}
					})
					slices.Sort(want)
					slices.Sort(got)
					if !again && !slices.Equal(got, want) {
						t.Fatalf("tick %d: deadlines of %v came; want %v", now, got, want)
					}
					again = false
					for _, i := range got {
						if !slices.Contains(want, i) {
							t.Fatalf("tick %d: the deadline of %d came early", now, i)
						}
					}
				}
			},
			"": func(t *rapid.T) {
				if w.Count() != len(due) {
					t.Fatalf("%d deadlines; want %d", w.Count(), len(due))
				}
				tick, ok := w.Next()
				if ok != (len(due) > 0) {
					t.Fatalf("Next says %v with %d deadlines", ok, len(due))
				}
				for i, at := range due {
					if tick > at {
						t.Fatalf("Next says tick %d, but the deadline of %d is at %d", tick, i, at)
					}
				}
			},
		})
	})
}

func TestWheelThatLagsMeetsWhatIsOverdue(t *testing.T) {
	w := transport.NewWheel(3)
	w.Set(0, 5)
	w.Set(1, 700)
	w.Set(2, 5000)
	var got []uint32
	w.Advance(4000, func(i uint32) { got = append(got, i) })
	if !slices.Equal(got, []uint32{0, 1}) {
		t.Errorf("deadlines of %v came by tick 4000; want 0 and 1", got)
	}
	w.Set(0, 1) // long past: met at the next tick
	got = nil
	w.Advance(4001, func(i uint32) { got = append(got, i) })
	if !slices.Equal(got, []uint32{0}) {
		t.Errorf("deadlines of %v came; want 0", got)
	}
	w.Advance(5000, func(i uint32) { got = append(got, i) })
	if !slices.Equal(got, []uint32{0, 2}) || w.Count() != 0 {
		t.Errorf("deadlines of %v came, %d are left; want 0, 2 and none", got, w.Count())
	}
}
