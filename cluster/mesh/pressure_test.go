package mesh_test

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flamingo/cluster/mesh"
	"flamingo/idspace"
)

// A fullHouse is an owner of which some connections are full.
type fullHouse struct {
	mu   sync.Mutex
	full map[idspace.ID]bool
}

func (h *fullHouse) set(full bool, ids ...idspace.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range ids {
		h.full[id] = full
	}
}

func (h *fullHouse) press(id idspace.ID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.full[id]
}

// pressing runs nodes 1 to 3, of which 2 is a full house.
func pressing(t *testing.T, made func(*rig), f func(t *testing.T, r *rig, h *fullHouse)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := &fullHouse{full: make(map[idspace.ID]bool)}
		r := newRig(t, 3)
		r.node(2).deliver = func(id idspace.ID, _ []byte) error {
			if h.press(id) {
				return mesh.ErrBackpressure
			}
			return nil
		}
		r.config = func(cfg *mesh.Config) {
			if cfg.Identity.Boot() == bootOf(2) {
				cfg.Press = h.press
			}
		}
		r.made = func() {
			if made != nil {
				made(r)
			}
		}
		defer r.run()()
		f(t, r, h)
	})
}

// send sends and waits until nothing moves any more.
func send(t *testing.T, from, to *node, id idspace.ID, msg string) error {
	t.Helper()
	err := from.To(to.boot).SendData(id, mesh.KindDefault, []byte(msg))
	synctest.Wait()
	return err
}

func framesTo(from, to *node) uint64 { return from.peer(to.boot).Dialled.FramesOut }

func TestAFullConnectionIsRefusedWhereItIsSentFrom(t *testing.T) {
	for name, features := range map[string]uint64{"told": mesh.AllFeatures, "not told": mesh.AllFeatures &^ 2} {
		t.Run(name, func(t *testing.T) {
			pressing(t, func(r *rig) { r.node(2).SetFeatures(features) }, func(t *testing.T, r *rig, h *fullHouse) {
				a, b := r.node(1), r.node(2)
				stuck := idOf(2, 1)
				h.set(true, stuck)
				if err := send(t, a, b, stuck, "first"); err != nil {
					t.Fatal(err)
				}
				after(10 * time.Millisecond) // connected, refused and told
				before, refused := framesTo(a, b), 0
				for range 1000 {
					if err := a.To(b.boot).SendData(stuck, mesh.KindDefault, []byte("more")); errors.Is(err, mesh.ErrBackpressure) {
						refused++
					} else if err != nil {
						t.Fatal(err)
					}
				}
				after(10 * time.Millisecond)
				crossed := framesTo(a, b) - before
				told := features == mesh.AllFeatures
				if quiet := crossed < 10; quiet != told || told != (refused == 1000) {
					t.Errorf("%d of 1000 refused, %d frames on the link; told: %t", refused, crossed, told)
				}
				if got := a.losses()[stuck][mesh.OutcomeBackpressure]; got != 1+1000-refused {
					t.Errorf("%d undelivered, want %d: each send has one answer", got, 1+1000-refused)
				}
			})
		})
	}
}

func TestAFullConnectionConcernsOnlyItsOwnSenders(t *testing.T) {
	pressing(t, nil, func(t *testing.T, r *rig, h *fullHouse) {
		a, b, c := r.node(1), r.node(2), r.node(3)
		stuck, other := idOf(2, 1), idOf(2, 2)
		h.set(true, stuck)
		for _, from := range []*node{a, c} {
			if err := send(t, from, b, stuck, "first"); err != nil {
				t.Errorf("the first send of node %d: %v, want that it is accepted", from.n, err)
			}
			after(10 * time.Millisecond)
			if err := send(t, from, b, stuck, "second"); !errors.Is(err, mesh.ErrBackpressure) {
				t.Errorf("the second send of node %d: %v, want %v", from.n, err, mesh.ErrBackpressure)
			}
			if err := send(t, from, b, other, "to another"); err != nil {
				t.Errorf("node %d to another connection: %v", from.n, err)
			}
		}
		ctx, cancel := within(time.Second)
		defer cancel()
		if err := a.To(b.boot).Send(ctx, stuck, mesh.KindDefault, []byte("x")); !errors.Is(err, mesh.ErrBackpressure) {
			t.Errorf("Send: %v, want %v", err, mesh.ErrBackpressure)
		}
		results := make([]error, 3)
		a.To(b.boot).SendMany([]idspace.ID{other, stuck, other}, mesh.KindDefault, []byte("many"), results)
		if results[0] != nil || !errors.Is(results[1], mesh.ErrBackpressure) || results[2] != nil {
			t.Errorf("SendMany: %v, want the one in the middle refused", results)
		}
		if st := b.Stats().Pressure; st.Notices != 2 || st.Told != 2 {
			t.Errorf("the owner: %+v, want two notices", st)
		}
		h.set(false, stuck)
		b.Relieve(stuck)
		synctest.Wait()
		for _, from := range []*node{a, c} {
			if err := send(t, from, b, stuck, "after"); err != nil {
				t.Errorf("node %d after the relief: %v", from.n, err)
			}
		}
		after(10 * time.Millisecond)
		if got := b.messages(stuck); len(got) != 2 || got[0] != "after" || got[1] != "after" {
			t.Errorf("the connection got %q, want only what was sent after the relief", got)
		}
		if got := b.messages(other); len(got) != 4 {
			t.Errorf("the other one got %q, want two of each kind", got)
		}
		if st := b.Stats().Pressure; st.Notices != 0 {
			t.Errorf("the owner after the relief: %+v", st)
		}
	})
}

// TestANoticeEndsOfItself has an owner that never takes a notice back.
func TestANoticeEndsOfItself(t *testing.T) {
	for name, mute := range map[string]bool{"taken back": false, "lost": true} {
		t.Run(name, func(t *testing.T) {
			pressing(t, func(r *rig) {
				if mute {
					r.node(2).Mute()
				}
			}, func(t *testing.T, r *rig, h *fullHouse) {
				a, b := r.node(1), r.node(2)
				stuck := idOf(2, 1)
				h.set(true, stuck)
				_ = send(t, a, b, stuck, "first")
				after(10 * time.Millisecond)
				h.set(false, stuck)
				b.Relieve(stuck)
				synctest.Wait()
				if err := send(t, a, b, stuck, "at once"); errors.Is(err, mesh.ErrBackpressure) != mute {
					t.Errorf("right after: %v, want that it is refused: %t", err, mute)
				}
				after(mesh.PressedFor)
				if err := send(t, a, b, stuck, "later"); err != nil {
					t.Errorf("after %v: %v", mesh.PressedFor, err)
				}
			})
		})
	}
}

func TestAnOwnerThatStaysFullSaysSoAgain(t *testing.T) {
	pressing(t, nil, func(t *testing.T, r *rig, h *fullHouse) {
		a, b := r.node(1), r.node(2)
		stuck := idOf(2, 1)
		h.set(true, stuck)
		accepted := 0
		for range 100 {
			for range 100 {
				if send(t, a, b, stuck, "x") == nil {
					accepted++
				}
			}
			after(time.Second)
		}
		after(time.Second)
		if most := 100/int(mesh.PressedFor/time.Second) + 1; accepted < most/2 || accepted > 2*most {
			t.Errorf("%d sends in 100 s crossed the link, want one every %v", accepted, mesh.PressedFor)
		}
		if got := a.losses()[stuck][mesh.OutcomeBackpressure]; got != accepted {
			t.Errorf("%d undelivered, want %d", got, accepted)
		}
	})
}

func TestALostLinkForgetsWhatIsFull(t *testing.T) {
	pressing(t, nil, func(t *testing.T, r *rig, h *fullHouse) {
		a, b := r.node(1), r.node(2)
		stuck, kept := idOf(2, 1), idOf(2, 2)
		h.set(true, stuck, kept)
		_ = send(t, a, b, stuck, "x")
		after(10 * time.Millisecond)
		_ = send(t, a, b, kept, "x")
		if p := a.Stats().Pressure.Pressed; p != 2 {
			t.Fatalf("%d known as full, want 2", p)
		}
		h.set(false, stuck)
		r.cut()
		b.Relieve(stuck) // there is nobody to tell
		after(3 * time.Second)
		if n, p := b.Stats().Pressure.Notices, a.Stats().Pressure.Pressed; n != 0 || p != 0 {
			t.Errorf("%d notices and %d full without a stream", n, p)
		}
		if err := send(t, a, b, stuck, "after"); err != nil {
			t.Errorf("a send by the next stream: %v", err)
		}
		if err := send(t, a, b, kept, "after"); err != nil {
			t.Errorf("a send by the next stream: %v, want that the owner is asked anew", err)
		}
		after(3 * time.Second)
		if err := send(t, a, b, stuck, "again"); err != nil {
			t.Errorf("to who is not full any more: %v", err)
		}
		if err := send(t, a, b, kept, "again"); !errors.Is(err, mesh.ErrBackpressure) {
			t.Errorf("to who is still full: %v, want %v", err, mesh.ErrBackpressure)
		}
		if p := a.peer(b.boot); p.Losses != 0 {
			t.Errorf("%d sessions lost", p.Losses)
		}
	})
}

func TestNoticesAreBounded(t *testing.T) {
	pressing(t, nil, func(t *testing.T, r *rig, h *fullHouse) {
		a, b := r.node(1), r.node(2)
		const over = 10
		ids := make([]idspace.ID, mesh.MaxPressed+over)
		for i := range ids {
			ids[i] = idOf(2, 1+i)
		}
		h.set(true, ids...)
		results := make([]error, len(ids))
		a.To(b.boot).SendMany(ids, mesh.KindDefault, []byte("x"), results)
		after(time.Second)
		owner, sender := b.Stats().Pressure, a.Stats().Pressure
		if owner.Notices != mesh.MaxPressed || owner.Untold != over || sender.Pressed != mesh.MaxPressed {
			t.Errorf("the owner %+v, the sender %+v; want %d told and %d not", owner, sender, mesh.MaxPressed, over)
		}
		a.To(b.boot).SendMany(ids, mesh.KindDefault, []byte("x"), results)
		refused := 0
		for _, err := range results {
			if errors.Is(err, mesh.ErrBackpressure) {
				refused++
			}
		}
		after(time.Second)
		if lost := a.lossCount(); refused != mesh.MaxPressed || lost != len(ids)+over {
			t.Errorf("%d refused and %d undelivered, want %d and %d", refused, lost, mesh.MaxPressed, len(ids)+over)
		}
		for _, id := range ids {
			b.Relieve(id)
		}
		synctest.Wait()
		if owner, sender := b.Stats().Pressure, a.Stats().Pressure; owner.Notices != 0 || sender.Pressed != 0 {
			t.Errorf("after the relief: the owner %+v, the sender %+v", owner, sender)
		}
	})
}

// hostile is a peer of its own making: it takes a lane, waits for the first frame
// and then says what it likes.
func hostile(features uint64, say ...mesh.Wire) func(net.Conn) {
	return func(c net.Conn) {
		defer c.Close()
		if first, ok := readHello(c); !ok || !mesh.ForLane(first) {
			return
		}
		if _, err := c.Write(mesh.WelcomeWith(theCluster, bootOf(9), features)); err != nil {
			return
		}
		var reader sync.WaitGroup
		reader.Go(func() { _, _ = io.Copy(io.Discard, c) })
		<-time.After(100 * time.Millisecond) // the frames are there
		for _, f := range say {
			if _, err := c.Write(encoded(f)); err != nil {
				break
			}
		}
		reader.Wait()
	}
}

// full is a notice of that state for frame seq.
func full(seq uint64, id idspace.ID, state uint64) mesh.Wire {
	return mesh.Wire{Kind: 19, Ints: [7]uint64{seq, uint64(id), state}}
}

func TestNoticesThatReferToNothingMeanNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		say := []mesh.Wire{full(1, idOf(3, 7), 1), full(2, idOf(9, 1), 1), full(0, idOf(9, 1), 1), full(1<<63, idOf(9, 1), 1), full(0, idOf(9, 5), 0)}
		for i := range 10000 { // for ids that it was not sent anything for
			say = append(say, full(1, idOf(9, 100+i), 1))
		}
		r.raw = map[idspace.BootID]func(net.Conn){bootOf(9): hostile(mesh.AllFeatures, say...)}
		defer r.run()()
		a := r.node(1)
		to := a.To(bootOf(9))
		if err := to.SendData(idOf(9, 1), mesh.KindDefault, []byte("x")); err != nil {
			t.Fatal(err)
		}
		after(time.Second)
		if st := a.Stats().Pressure; st.Pressed != 0 || st.Stray != uint64(len(say)-1) || st.Unkept != 0 {
			t.Errorf("%+v, want %d stray", st, len(say)-1)
		}
		if err := to.SendData(idOf(9, 1), mesh.KindDefault, []byte("x")); err != nil {
			t.Errorf("a send after that: %v", err)
		}
	})
}

func TestNoticesBeyondTheBoundAreNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		ids := make([]idspace.ID, mesh.MaxPressed+mesh.MaxIDs)
		var say []mesh.Wire
		for i := range ids {
			ids[i] = idOf(9, 1+i)
			say = append(say, full(uint64(1+i/mesh.MaxIDs), ids[i], 1))
		}
		r.raw = map[idspace.BootID]func(net.Conn){bootOf(9): hostile(mesh.AllFeatures, say...)}
		defer r.run()()
		a := r.node(1)
		results := make([]error, len(ids))
		a.To(bootOf(9)).SendMany(ids, mesh.KindDefault, []byte("x"), results)
		after(time.Second)
		if st := a.Stats().Pressure; st.Pressed != mesh.MaxPressed || st.Unkept != mesh.MaxIDs || st.Stray != 0 {
			t.Errorf("%+v, want %d kept and %d not", st, mesh.MaxPressed, mesh.MaxIDs)
		}
	})
}

func TestBadNoticesEndTheStream(t *testing.T) {
	for name, tc := range map[string]struct {
		features uint64
		say      mesh.Wire
		want     mesh.Reason
	}{
		"not agreed on": {0, full(1, idOf(9, 1), 1), mesh.ReasonUnexpected},
		"no such state": {mesh.AllFeatures, full(1, idOf(9, 1), 2), mesh.ReasonMalformed},
		"not an id":     {mesh.AllFeatures, full(1, 0, 1), mesh.ReasonMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 1)
				r.raw = map[idspace.BootID]func(net.Conn){bootOf(9): hostile(tc.features, tc.say)}
				defer r.run()()
				a := r.node(1)
				if err := a.To(bootOf(9)).SendData(idOf(9, 1), mesh.KindDefault, []byte("x")); err != nil {
					t.Fatal(err)
				}
				after(time.Second)
				if ends := a.Stats().Ends; ends[tc.want] == 0 {
					t.Errorf("ends %v, want one as %v", ends, tc.want)
				}
			})
		})
	}
}
