package mesh_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"flamingo/cluster/mesh"
	"flamingo/idspace"
)

// gated has dials fail while shut is set.
func gated(shut *atomic.Bool) func(r *rig) {
	return func(r *rig) {
		r.dial = func(_, _ *node) error {
			if shut.Load() {
				return errNoRoute
			}
			return nil
		}
	}
}

// outage cuts b off for some time, sends to it every 50 ms meanwhile, and
// returns what was accepted and when, from the cut on, the first was refused: 0
// for never.
func outage(t *testing.T, a, b *node, shut *atomic.Bool, lasts time.Duration) (accepted []string, refused time.Duration) {
	t.Helper()
	id := idOf(2, 1)
	send := func(i int) {
		err := a.To(b.boot).SendData(id, mesh.KindDefault, []byte(text(i)))
		switch {
		case err == nil:
			accepted = append(accepted, text(i))
		case !errors.Is(err, mesh.ErrUnreachable):
			t.Errorf("send %d: %v", i, err)
		}
	}
	send(0)
	flush(t, a)
	synctest.Wait() // the control stream may be on its way yet
	shut.Store(true)
	a.rig.cut()
	synctest.Wait()
	const step = 50 * time.Millisecond
	i := 1
	for down := time.Duration(0); down < lasts; down += step {
		before := len(accepted)
		send(i)
		if i++; refused == 0 && len(accepted) == before {
			refused = down
		}
		if got := a.peer(b.boot).State; (got == mesh.StateUnreachable) != (refused > 0) {
			t.Errorf("after %v the peer is %v", down, got)
		}
		after(step)
	}
	shut.Store(false)
	after(2 * time.Second)
	send(i)
	flush(t, a)
	if got := b.messages(id); !slices.Equal(got, accepted) || !slices.Contains(got, text(i)) || a.lossCount() != 0 {
		t.Errorf("accepted %q\narrived %q\nlost %v", accepted, got, a.losses())
	}
	return accepted, refused
}

func TestBriefFlapOnlyDelays(t *testing.T) {
	var shut atomic.Bool
	bubble(t, gated(&shut), func(t *testing.T, a, b *node) {
		if _, refused := outage(t, a, b, &shut, 500*time.Millisecond); refused != 0 {
			t.Errorf("refused after %v", refused)
		}
	})
}

// TestOutageRefusesWhatIsNew holds an outage of 3 s to the bound, and delivers
// what was queued before it. Without the bound all is accepted.
func TestOutageRefusesWhatIsNew(t *testing.T) {
	for _, tc := range []struct {
		bound, refused time.Duration
		accepted       int
	}{
		{0, time.Second, 1 + 20 + 1},
		{2 * time.Second, 2 * time.Second, 1 + 40 + 1},
		{time.Hour, 0, 1 + 60 + 1},
	} {
		var shut atomic.Bool
		bubble(t, func(r *rig) {
			gated(&shut)(r)
			r.config = func(c *mesh.Config) { c.UnreachableAfter = tc.bound }
		}, func(t *testing.T, a, b *node) {
			accepted, refused := outage(t, a, b, &shut, 3*time.Second)
			if refused != tc.refused || len(accepted) != tc.accepted {
				t.Errorf("bound %v: %d accepted, refused from %v on, want %d and %v", tc.bound, len(accepted), refused, tc.accepted, tc.refused)
			}
		})
	}
}

func TestEveryVerbIsRefusedWhileUnreachable(t *testing.T) {
	for name, tc := range map[string]struct {
		dial func() error
		wait time.Duration
	}{
		"refused": {func() error { return errNoRoute }, time.Second},
		"silent": {func() error { // as behind a firewall that drops
			<-time.After(3 * time.Second)
			return errNoRoute
		}, 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			var open atomic.Bool
			bubble(t, func(r *rig) {
				r.config = func(c *mesh.Config) { c.Lanes = 3 }
				r.dial = func(_, _ *node) error {
					if open.Load() {
						return nil
					}
					return tc.dial()
				}
			}, func(t *testing.T, a, b *node) {
				if err := a.To(b.boot).SendData(idOf(2, 1), mesh.KindDefault, []byte("queued")); err != nil {
					t.Fatal(err)
				}
				after(tc.wait)
				begun := time.Now()
				for verb, err := range everyVerb(a, b) {
					if !errors.Is(err, mesh.ErrUnreachable) {
						t.Errorf("%s: %v, want ErrUnreachable", verb, err)
					}
				}
				if took := time.Since(begun); took != 0 {
					t.Errorf("refusing took %v", took)
				}
				open.Store(true)
				after(5 * time.Second) // the lanes that were refused have probed
				for verb, err := range everyVerb(a, b) {
					if err != nil {
						t.Errorf("%s, the peer being back: %v", verb, err)
					}
				}
				flush(t, a)
				if got := b.messages(idOf(2, 1)); len(got) == 0 || got[0] != "queued" || a.lossCount() != 0 {
					t.Errorf("arrived %q, lost %v", got, a.losses())
				}
			})
		})
	}
}

// everyVerb tries all that goes to a peer, on each of three lanes.
func everyVerb(a, b *node) map[string]error {
	ctx, cancel := within(time.Minute)
	defer cancel()
	ids := []idspace.ID{idOf(2, 1), idOf(2, 2), idOf(2, 3)}
	many := make([]error, len(ids))
	a.To(b.boot).SendMany(ids, mesh.KindDefault, []byte("many"), many)
	_, request := a.Request(ctx, b.boot, mesh.RequestGrant, nil)
	_, describe := a.To(b.boot).Describe(ctx, ids[0])
	return map[string]error{
		"SendData": a.To(b.boot).SendData(ids[0], mesh.KindDefault, []byte("x")), "SendData on another lane": a.To(b.boot).SendData(ids[1], mesh.KindDefault, []byte("x")),
		"SendClose": a.To(b.boot).SendClose(ids[1], 0, ""), "Send": a.To(b.boot).Send(ctx, ids[2], mesh.KindDefault, []byte("x")), "Close": a.To(b.boot).Close(ctx, ids[2], 0, ""),
		"SendMany": many[0], "SendMany's last": many[2], "Request": request, "Describe": describe,
	}
}

// TestWaitForRoomEndsWithThePeer fills the window towards a peer that is away.
func TestWaitForRoomEndsWithThePeer(t *testing.T) {
	bubble(t, func(r *rig) {
		r.dial = func(_, _ *node) error { return errNoRoute }
		r.config = func(c *mesh.Config) { c.Window, c.MaxMessage = 256<<10, 64<<10 }
	}, func(t *testing.T, a, b *node) {
		begun := time.Now()
		var err error
		for err == nil {
			err = a.To(b.boot).SendData(idOf(2, 1), mesh.KindDefault, make([]byte, 60<<10))
		}
		if took := time.Since(begun); !errors.Is(err, mesh.ErrUnreachable) || took != time.Second {
			t.Errorf("%v after %v, want ErrUnreachable after 1s", err, took)
		}
	})
}

// lanesOnly fails what begins with the hello of a lane, while shut is set.
type lanesOnly struct {
	net.Conn
	shut *atomic.Bool
	said bool
}

func (c *lanesOnly) Write(p []byte) (int, error) {
	if first := !c.said; first && mesh.ForLane(p) && c.shut.Load() {
		c.Close()
		return 0, net.ErrClosed
	}
	c.said = true
	return c.Conn.Write(p)
}

// TestLaneComesBackBesideALiveControlStream has a lane that cannot be opened
// for a while, though requests go to and fro all the time.
func TestLaneComesBackBesideALiveControlStream(t *testing.T) {
	var shut atomic.Bool
	bubble(t, func(r *rig) {
		r.wrap = func(_, _ *node, c net.Conn) net.Conn { return &lanesOnly{Conn: c, shut: &shut} }
	}, func(t *testing.T, a, b *node) {
		id := idOf(2, 1)
		pass := func(seconds int) {
			for range seconds {
				if _, err := a.Request(context.Background(), b.boot, mesh.RequestGrant, nil); err != nil {
					t.Fatal(err)
				}
				after(time.Second)
			}
		}
		shut.Store(true)
		if err := a.To(b.boot).SendData(id, mesh.KindDefault, []byte("lost")); err != nil {
			t.Fatal(err)
		}
		pass(30)
		if got := a.losses()[id][mesh.OutcomeUnreachable]; got != 1 || !a.Up(b.boot) {
			t.Errorf("losses %v, up %t", a.losses(), a.Up(b.boot))
		}
		if err := a.To(b.boot).SendData(id, mesh.KindDefault, []byte("refused")); !errors.Is(err, mesh.ErrUnreachable) {
			t.Errorf("on a lane that was given up: %v", err)
		}
		shut.Store(false)
		pass(3)
		if err := a.To(b.boot).SendData(id, mesh.KindDefault, []byte("back")); err != nil {
			t.Error(err)
		}
		flush(t, a)
		if got := b.messages(id); !slices.Equal(got, []string{"back"}) {
			t.Errorf("arrived %q", got)
		}
	})
}

// TestBreakingStreamsAreSpaced has a peer with which every handshake succeeds
// and every stream breaks.
func TestBreakingStreamsAreSpaced(t *testing.T) {
	var dials atomic.Int64
	bubble(t, func(r *rig) {
		r.raw = map[idspace.BootID]func(net.Conn){bootOf(9): mute(bootOf(9), func(net.Conn) { dials.Add(1) })}
	}, func(t *testing.T, a, _ *node) {
		begun := time.Now()
		for time.Since(begun) < time.Minute {
			_ = a.To(bootOf(9)).SendData(idOf(9, 1), mesh.KindDefault, []byte("x"))
			<-time.After(10 * time.Millisecond)
		}
		if got := dials.Load(); got > 600 {
			t.Errorf("%d streams in a minute, want two that back off: some 200", got)
		}
	})
}

// TestRestartedPeerIsAnotherPeer has a node come back at the same address as
// another life, while both ends send.
func TestRestartedPeerIsAnotherPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3)
		r.run()
		a, b, again := r.node(1), r.node(2), r.node(3)
		former := idOf(2, 1)
		for i := range 10 {
			if err := errors.Join(a.To(b.boot).SendData(former, mesh.KindDefault, []byte(text(i))), b.To(a.boot).SendData(idOf(1, 1), mesh.KindDefault, []byte(text(i)))); err != nil {
				t.Fatal(err)
			}
		}
		flush(t, a)
		flush(t, b)
		r.nodes[b.boot] = again // who dials the former life reaches the new one
		r.cut()
		synctest.Wait()
		queued := 0
		for range 40 {
			switch err := a.To(b.boot).SendData(former, mesh.KindDefault, []byte("for the former life")); {
			case err == nil:
				queued++
			case !errors.Is(err, mesh.ErrUnreachable):
				t.Fatal(err)
			}
			after(50 * time.Millisecond)
		}
		if err := errors.Join(a.To(again.boot).SendData(idOf(3, 1), mesh.KindDefault, []byte("x")), again.To(a.boot).SendData(idOf(1, 2), mesh.KindDefault, []byte("y"))); err != nil {
			t.Error(err)
		}
		flush(t, a)
		flush(t, again)
		synctest.Wait()
		if queued != 20 || a.losses()[former][mesh.OutcomeUnreachable] != queued || a.lossCount() != queued {
			t.Errorf("%d queued, want 20; lost %v", queued, a.losses())
		}
		if len(b.messages(former)) != 10 || len(again.messages(former)) != 0 || len(again.messages(idOf(3, 1))) != 1 || len(a.messages(idOf(1, 2))) != 1 {
			t.Errorf("former life got %q, new one %q", b.messages(former), again.messages(former))
		}
		r.nodes[b.boot] = b
	})
}
