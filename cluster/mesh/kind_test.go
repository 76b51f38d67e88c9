package mesh_test

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"flamingo/cluster/mesh"
	"flamingo/idspace"

	"github.com/vmihailenco/msgpack/v5"
)

// aFrame writes a frame with the library, whatever its fields.
func aFrame(fields ...any) []byte {
	body, err := msgpack.Marshal(fields)
	if err != nil {
		panic(err)
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

// closeOf is the first frame of a lane, a close.
func closeOf(code uint64, reason string) []byte {
	return aFrame(uint64(4), uint64(1), uint64(idOf(1, 1)), code, []byte(reason))
}

func TestKindOfAMessageReachesItsOwner(t *testing.T) {
	bubble(t, nil, func(t *testing.T, a, b *node) {
		ctx, cancel := within(time.Minute)
		defer cancel()
		id, foreign := idOf(2, 1), idOf(5, 1)
		to, long := a.To(b.boot), []byte(strings.Repeat("long", mesh.PartSize))
		var want []mesh.Kind
		for _, kind := range []mesh.Kind{mesh.KindText, mesh.KindBinary} {
			for _, msg := range [][]byte{[]byte("short"), long} {
				if err := to.SendData(id, kind, msg); err != nil {
					t.Fatal(err)
				}
				to.SendMany([]idspace.ID{id, id}, kind, msg, make([]error, 2))
				to.SendMany([]idspace.ID{id, foreign}, kind, msg, make([]error, 2))
				if err := to.Send(ctx, id, kind, msg); err != nil {
					t.Fatal(err)
				}
				want = append(want, kind, kind, kind, kind, kind)
			}
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		if got := b.kinds[id]; !slices.Equal(got, want) || len(b.got[id]) != len(want) {
			t.Errorf("%d messages of kinds %v, want %v", len(b.got[id]), got, want)
		}
	})
}

func TestKindOfALaterReleaseIsTheDefault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		r.run()
		a := r.node(1)
		c := greet(a, mesh.HelloFor(theCluster, bootOf(7), bootOf(1), [2]uint64{1, 1}, 1, 0, 0, 1))
		defer c.Close()
		if _, err := answer(t, c); err != nil {
			t.Fatal(err)
		}
		id := uint64(idOf(1, 1))
		for seq, kind := range []uint64{3, 255, 256, 257, 1 << 40} {
			_, _ = c.Write(aFrame(uint64(1), uint64(seq+1), id, kind, []byte("x")))
		}
		synctest.Wait()
		if got := a.messages(idOf(1, 1)); len(got) != 5 || len(a.kinds[idOf(1, 1)]) != 0 {
			t.Errorf("%d messages, kinds %v; want 5 without", len(got), a.kinds)
		}
	})
}

func TestCodeAndReasonOfACloseReachTheOwner(t *testing.T) {
	bubble(t, func(r *rig) {
		r.config = func(c *mesh.Config) { c.MaxMessage = 10 } // bounds no reason
	}, func(t *testing.T, a, b *node) {
		ctx, cancel := within(time.Minute)
		defer cancel()
		id := idOf(2, 1)
		for _, c := range []struct {
			code   uint16
			reason string
			want   string
		}{
			{0, "", `0 ""`},
			{4001, "bye", `4001 "bye"`},
			{65535, strings.Repeat("x", 123), `65535 "` + strings.Repeat("x", 123) + `"`},
			{1000, strings.Repeat("x", 124), `1000 "` + strings.Repeat("x", 123) + `"`},
		} {
			for name, end := range map[string]func() error{
				"SendClose": func() error { return a.To(b.boot).SendClose(id, c.code, c.reason) },
				"Close":     func() error { return a.To(b.boot).Close(ctx, id, c.code, c.reason) },
			} {
				if err := end(); err != nil {
					t.Errorf("%s with %d: %v", name, c.code, err)
				}
				synctest.Wait()
				b.mu.Lock()
				if got := b.endings[id]; got != c.want {
					t.Errorf("%s: the owner is told %s, want %s", name, got, c.want)
				}
				delete(b.endings, id)
				b.mu.Unlock()
			}
		}
		if n := a.peer(b.boot).Breaks; n != 0 {
			t.Errorf("the lane broke %d times", n)
		}
	})
}
