package mesh_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"flamingo/cluster/mesh"
	"flamingo/idspace"
)

// TestRefusalOfAFullWindowKeepsTheStream sends three of the widest windows to ids
// that are all refused: every one of them is an outcome to tell.
func TestRefusalOfAFullWindowKeepsTheStream(t *testing.T) {
	if raceEnabled {
		t.Skip("this much takes long under the race detector")
	}
	r := newRig(t, 2)
	r.loopback()
	r.config = func(c *mesh.Config) { c.Window = mesh.MaxWindow }
	r.node(2).deliver = func(idspace.ID, []byte) error { return mesh.ErrGone }
	r.run()
	a, b := r.node(1), r.node(2)
	ids := make([]idspace.ID, 3<<18)
	for i := range ids {
		ids[i] = idOf(2, i+1)
	}
	results := make([]error, len(ids))
	a.To(b.boot).SendMany(ids, mesh.KindDefault, nil, results)
	for _, err := range results {
		if err != nil {
			t.Fatal(err)
		}
	}
	flush(t, a)
	if s := a.Stats(); s.Undelivered[mesh.OutcomeGone] != uint64(len(ids)) || a.peer(b.boot).Breaks != 0 {
		t.Errorf("%v; here %v, there %v", s.Undelivered, s.Ends, b.Stats().Ends)
	}
}

// TestExpiredSendsLeaveTheOthers has sends of every length expire in a queue
// that waits for its peer, between others that do not.
func TestExpiredSendsLeaveTheOthers(t *testing.T) {
	var shut atomic.Bool
	shut.Store(true)
	bubble(t, func(r *rig) {
		gated(&shut)(r)
		r.config = func(c *mesh.Config) { c.UnreachableAfter = time.Minute }
	}, func(t *testing.T, a, b *node) {
		long := strings.Repeat("long", mesh.PartSize/2)
		rnd := rand.New(rand.NewPCG(1, 2))
		want := make(map[idspace.ID][]string)
		var expiring sync.WaitGroup
		for i := range 1500 {
			id := idOf(2, 1+rnd.IntN(40))
			m := text(i)
			if i%100 < 2 {
				m += long
			}
			if i%3 > 0 && i%100 != 1 {
				want[id] = append(want[id], m)
				if err := a.To(b.boot).SendData(id, mesh.KindDefault, []byte(m)); err != nil {
					t.Fatal(err)
				}
				continue
			}
			expiring.Go(func() {
				ctx, cancel := within(time.Duration(1+i%5) * time.Second)
				defer cancel()
				if err := a.To(b.boot).Send(ctx, id, mesh.KindDefault, []byte(m)); !errors.Is(err, mesh.ErrExpired) {
					t.Errorf("send %d: %v, want ErrExpired", i, err)
				}
			})
			synctest.Wait() // it is queued
		}
		expiring.Wait()
		shut.Store(false)
		flush(t, a)
		for k := 1; k <= 40; k++ {
			if id := idOf(2, k); !slices.Equal(b.messages(id), want[id]) {
				t.Errorf("id %d: %d messages arrived, want %d", k, len(b.messages(id)), len(want[id]))
			}
		}
		if p := a.peer(b.boot); p.QueueBytes != 0 || p.Waits != 0 || a.lossCount() != 0 {
			t.Errorf("left: %+v, lost %v", p, a.losses())
		}
	})
}

// TestSendManyWaitsOnceForRoom sends far more than the window has room for to a
// peer that takes nothing.
func TestSendManyWaitsOnceForRoom(t *testing.T) {
	bubble(t, func(r *rig) {
		r.raw = map[idspace.BootID]func(net.Conn){bootOf(9): mute(bootOf(9), func(c net.Conn) {
			_, _ = io.Copy(io.Discard, c)
		})}
		r.config = func(c *mesh.Config) {
			c.Lanes, c.Window, c.MaxMessage, c.DeadAfter = 4, 256<<10, 64<<10, time.Hour
		}
	}, func(t *testing.T, a, _ *node) {
		ids := make([]idspace.ID, 100*mesh.MaxIDs)
		for i := range ids {
			ids[i] = idOf(9, i+1)
		}
		results := make([]error, len(ids))
		begun := time.Now()
		a.To(bootOf(9)).SendMany(ids, mesh.KindDefault, []byte("x"), results)
		if took := time.Since(begun); took != mesh.DefaultSendTimeout {
			t.Errorf("took %v, want %v", took, mesh.DefaultSendTimeout)
		}
		accepted := 0
		for _, err := range results {
			if err == nil {
				accepted++
			} else if !errors.Is(err, mesh.ErrBackpressure) {
				t.Fatal(err)
			}
		}
		if want := 4 * 3 * mesh.MaxIDs; accepted != want { // three frames a lane: a fourth is a byte over
			t.Errorf("%d accepted, want %d", accepted, want)
		}
	})
}
