package mesh_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"iter"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"flamingo/cluster/mesh"
	"flamingo/idspace"
)

// bubble runs f with a running rig of two nodes on a fake clock.
func bubble(t *testing.T, set func(*rig), f func(t *testing.T, a, b *node)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2)
		if set != nil {
			set(r)
		}
		r.run()
		f(t, r.node(1), r.node(2))
	})
}

func within(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}

func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestIdleLinkClosesAndComesBack(t *testing.T) {
	bubble(t, nil, func(t *testing.T, a, b *node) {
		for round := range 3 {
			if err := a.To(b.boot).SendData(idOf(2, 1), mesh.KindDefault, []byte("x")); err != nil {
				t.Fatal(err)
			}
			after(2 * time.Second)
			if p := a.peer(b.boot); p.State != mesh.StateUp || p.RTT <= 0 {
				t.Errorf("round %d: busy link is %v with rtt %v", round, p.State, p.RTT)
			}
			after(3 * time.Minute)
			if p, q := a.peer(b.boot), b.peer(a.boot); p.State != mesh.StateIdle || q.Inbound != 0 || p.Breaks != 0 {
				t.Errorf("round %d: idle link is %v, breaks %d, inbound %d", round, p.State, p.Breaks, q.Inbound)
			}
		}
		if got := b.messages(idOf(2, 1)); len(got) != 3 || a.lossCount() != 0 {
			t.Errorf("got %q, lost %v", got, a.losses())
		}
	})
}

func TestUnreachablePeerFailsWhatIsQueuedThenFailsAtOnce(t *testing.T) {
	var shut atomic.Bool
	shut.Store(true)
	bubble(t, gated(&shut), func(t *testing.T, a, b *node) {
		id := idOf(2, 1)
		if err := a.To(b.boot).SendData(id, mesh.KindDefault, []byte("x")); err != nil {
			t.Fatal(err)
		}
		after(9 * time.Second)
		if a.lossCount() != 0 {
			t.Errorf("given up too early: %v", a.losses())
		}
		after(4 * time.Second)
		if got := a.losses()[id][mesh.OutcomeUnreachable]; got != 1 || a.lossCount() != 1 {
			t.Errorf("losses %v, want one unreachable", a.losses())
		}
		if err := a.To(b.boot).SendData(id, mesh.KindDefault, []byte("x")); !errors.Is(err, mesh.ErrUnreachable) {
			t.Errorf("send to a peer that is down: %v", err)
		}
		shut.Store(false)
		after(3 * time.Second)
		if err := a.To(b.boot).SendData(id, mesh.KindDefault, []byte("y")); err != nil {
			t.Errorf("send after the peer came back: %v", err)
		}
		flush(t, a)
		if got := b.messages(id); !slices.Equal(got, []string{"y"}) {
			t.Errorf("arrived: %q", got)
		}
	})
}

func TestPeerGoneEndsWhatIsQueued(t *testing.T) {
	bubble(t, func(r *rig) {
		r.dial = func(_, _ *node) error { return errNoRoute }
	}, func(t *testing.T, a, b *node) {
		id := idOf(2, 1)
		for range 5 {
			if err := a.To(b.boot).SendData(id, mesh.KindDefault, []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		after(time.Second)
		a.PeerGone(b.boot)
		after(time.Second)
		if got := a.losses()[id][mesh.OutcomeGone]; got != 5 {
			t.Errorf("losses %v, want 5 gone", a.losses())
		}
		if err := a.To(b.boot).SendData(id, mesh.KindDefault, nil); !errors.Is(err, mesh.ErrGone) {
			t.Errorf("send to the dead: %v", err)
		}
		if p := a.peer(b.boot); p.State != mesh.StateGone || p.QueueBytes != 0 {
			t.Errorf("%+v", p)
		}
	})
}

// readHello reads what a dialling end says first.
func readHello(c net.Conn) (first []byte, ok bool) {
	head := make([]byte, len(mesh.Magic)+4)
	if _, err := io.ReadFull(c, head); err != nil {
		return nil, false
	}
	body := make([]byte, binary.BigEndian.Uint32(head[len(mesh.Magic):]))
	_, err := io.ReadFull(c, body)
	return append(head, body...), err == nil
}

// mute answers the handshake of a stream and then does as f says.
func mute(boot idspace.BootID, f func(c net.Conn)) func(net.Conn) {
	return func(c net.Conn) {
		defer c.Close()
		if _, ok := readHello(c); !ok {
			return
		}
		if _, err := c.Write(mesh.WelcomeTo(theCluster, boot)); err == nil {
			f(c)
		}
	}
}

// framesOf yields what comes on c after the handshake.
func framesOf(c net.Conn) iter.Seq[mesh.Wire] {
	return func(yield func(mesh.Wire) bool) {
		d := mesh.NewWireDecoder()
		for {
			head := make([]byte, 4)
			if _, err := io.ReadFull(c, head); err != nil {
				return
			}
			body := make([]byte, binary.BigEndian.Uint32(head))
			if _, err := io.ReadFull(c, body); err != nil {
				return
			}
			if f, err := d.Decode(body); err != nil || !yield(f) {
				return
			}
		}
	}
}

func TestWindowBoundsWhatAStuckPeerHolds(t *testing.T) {
	const window = 1 << 20
	var gate chan struct{}
	bubble(t, func(r *rig) {
		gate = make(chan struct{})
		r.raw = map[idspace.BootID]func(net.Conn){bootOf(9): mute(bootOf(9), func(net.Conn) { <-gate })}
		r.config = func(c *mesh.Config) {
			c.Window, c.MaxMessage = window, 1<<16
			c.DeadAfter = time.Hour
		}
	}, func(t *testing.T, a, _ *node) {
		msg := make([]byte, 1000)
		sent := 0
		begun := time.Now()
		var err error
		for err == nil {
			if err = a.To(bootOf(9)).SendData(idOf(9, 1), mesh.KindDefault, msg); err == nil {
				sent++
			}
		}
		if waited := time.Since(begun); !errors.Is(err, mesh.ErrBackpressure) || waited != 5*time.Second {
			t.Errorf("after %d messages %v after %v, want ErrBackpressure after 5s", sent, err, waited)
		}
		if want := window / (len(msg) + mesh.IDCost); sent != want {
			t.Errorf("%d messages were accepted, want %d", sent, want)
		}
		if got := a.peer(bootOf(9)).QueueBytes; got > window {
			t.Errorf("%d bytes queued, window %d", got, window)
		}
		a.PeerGone(bootOf(9))
		close(gate)
		after(time.Second)
		if got := a.lossCount(); got != sent {
			t.Errorf("%d sends have an outcome, want %d", got, sent)
		}
		if got := a.peer(bootOf(9)).QueueBytes; got != 0 {
			t.Errorf("%d bytes are left in the window", got)
		}
	})
}

func TestSilentPeerIsDead(t *testing.T) {
	bubble(t, func(r *rig) {
		r.raw = map[idspace.BootID]func(net.Conn){
			bootOf(9): mute(bootOf(9), func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }),
		}
	}, func(t *testing.T, a, _ *node) {
		ctx, cancel := within(time.Minute)
		defer cancel()
		begun := time.Now()
		err := a.To(bootOf(9)).Send(ctx, idOf(9, 1), mesh.KindDefault, []byte("x"))
		if took := time.Since(begun); !errors.Is(err, mesh.ErrUncertain) || took < 10*time.Second || took > 20*time.Second {
			t.Errorf("send to the silent: %v after %v, want ErrUncertain once streams have broken for 10s", err, took)
		}
		if got := a.Stats().Ends[mesh.ReasonDead]; got == 0 {
			t.Errorf("ends %v, want dead ones", a.Stats().Ends)
		}
		after(time.Minute)
	})
}

func TestLongMessageLetsOthersPass(t *testing.T) {
	frames := make(chan mesh.Wire, 100)
	var gate chan struct{}
	bubble(t, func(r *rig) {
		gate = make(chan struct{})
		r.raw = map[idspace.BootID]func(net.Conn){bootOf(9): mute(bootOf(9), func(c net.Conn) {
			<-gate
			for f := range framesOf(c) {
				if f.Kind < 8 {
					frames <- f
				}
			}
		})}
	}, func(t *testing.T, a, _ *node) {
		long := make([]byte, 1<<20)
		send := func(serial int, msg []byte) {
			if err := a.To(bootOf(9)).SendData(idOf(9, serial), mesh.KindDefault, msg); err != nil {
				t.Fatal(err)
			}
		}
		send(1, long)
		synctest.Wait() // the first part is being written
		send(2, []byte("short"))
		send(1, []byte("behind the long one"))
		close(gate)
		synctest.Wait()
		close(frames)
		var order []string
		parts := 0
		for f := range frames {
			switch {
			case f.Kind == 6:
				parts++
			case f.Kind == 1:
				order = append(order, string(f.Payload))
				if string(f.Payload) == "short" && parts > 3 {
					t.Errorf("the short message came after %d parts", parts)
				}
				if string(f.Payload) != "short" && parts != 17 {
					t.Errorf("what stands behind the long message came after %d parts of 17", parts)
				}
			}
		}
		if !slices.Equal(order, []string{"short", "behind the long one"}) {
			t.Errorf("order %q", order)
		}
		a.PeerGone(bootOf(9))
	})
}

func TestOrderHoldsAcrossKindsOfSends(t *testing.T) {
	bubble(t, nil, func(t *testing.T, a, b *node) {
		id := idOf(2, 1)
		ctx, cancel := within(time.Minute)
		defer cancel()
		var want []string
		long := strings.Repeat("long", mesh.PartSize)
		for i := range 5 {
			for _, m := range []string{text(i), long, "after " + text(i)} {
				want = append(want, m)
				if err := a.To(b.boot).SendData(id, mesh.KindDefault, []byte(m)); err != nil {
					t.Fatal(err)
				}
			}
			many := "many " + text(i) + long[:i*20000]
			results := make([]error, 3)
			a.To(b.boot).SendMany([]idspace.ID{id, idOf(2, 2), id}, mesh.KindDefault, []byte(many), results)
			want = append(want, many, many)
			if err := a.To(b.boot).Send(ctx, id, mesh.KindDefault, []byte("waited "+text(i))); err != nil {
				t.Fatal(err)
			}
			want = append(want, "waited "+text(i))
		}
		b.closeID = func(idspace.ID) error {
			if got := b.messages(id); !slices.Equal(got, want) {
				t.Errorf("at the close %d messages had come, want %d", len(got), len(want))
			}
			return nil
		}
		if err := a.To(b.boot).Close(ctx, id, 0, ""); err != nil {
			t.Error(err)
		}
	})
}

func TestOutcomesReachTheSender(t *testing.T) {
	bubble(t, nil, func(t *testing.T, a, b *node) {
		id := idOf(2, 1)
		ctx, cancel := within(time.Minute)
		defer cancel()
		for o := mesh.OutcomeGone; o.Valid(); o++ {
			b.deliver = func(idspace.ID, []byte) error { return o.Err() }
			b.closeID = func(idspace.ID) error { return o.Err() }
			if err := a.To(b.boot).Send(ctx, id, mesh.KindDefault, []byte("x")); !errors.Is(err, o.Err()) {
				t.Errorf("Send: %v, want %v", err, o.Err())
			}
			if err := a.To(b.boot).Close(ctx, id, 0, ""); !errors.Is(err, o.Err()) {
				t.Errorf("Close: %v, want %v", err, o.Err())
			}
			before := a.losses()[id][o]
			if err := a.To(b.boot).SendData(id, mesh.KindDefault, []byte("x")); err != nil {
				t.Error(err)
			}
			if err := a.To(b.boot).SendClose(id, 0, ""); err != nil {
				t.Error(err)
			}
			results := make([]error, 2)
			a.To(b.boot).SendMany([]idspace.ID{id, id}, mesh.KindDefault, []byte("x"), results)
			flush(t, a)
			synctest.Wait()
			if got := a.losses()[id][o] - before; got != 4 {
				t.Errorf("%v: %d reports, want 4", o, got)
			}
		}
	})
}

// A grown identity has a further number once it is granted.
type grown struct {
	*node
	granted *atomic.Bool
}

func (g grown) Owns(n idspace.NodeNumber) bool {
	return g.node.Owns(n) || g.granted.Load() && n == numberOf(7)
}

func TestStreamKnowsEachNumberOfItsPeer(t *testing.T) {
	var granted atomic.Bool
	bubble(t, func(r *rig) {
		r.config = func(c *mesh.Config) { c.Identity = grown{c.Identity.(*node), &granted} }
	}, func(t *testing.T, a, b *node) {
		ctx, cancel := within(time.Minute)
		defer cancel()
		first, further, foreign := idOf(2, 1), idOf(7, 1), idOf(3, 1)
		for round := range 3 {
			for _, s := range []struct {
				to   idspace.ID
				want error
			}{{first, nil}, {foreign, mesh.ErrNotMine}, {further, nil}, {foreign, mesh.ErrNotMine}, {first, nil}} {
				if s.to == further && round == 0 {
					s.want = mesh.ErrNotMine
				}
				if err := a.To(b.boot).Send(ctx, s.to, mesh.KindDefault, []byte("x")); !errors.Is(err, s.want) {
					t.Errorf("round %d: send to %s: %v, want %v", round, s.to, err, s.want)
				}
			}
			granted.Store(true)
		}
		if a.peer(b.boot).Breaks != 0 || len(b.messages(foreign)) != 0 || len(b.messages(further)) != 2 {
			t.Errorf("%+v, %d foreign, %d further", a.peer(b.boot), len(b.messages(foreign)), len(b.messages(further)))
		}
	})
}

func TestForeignIDIsNotMine(t *testing.T) {
	bubble(t, nil, func(t *testing.T, a, b *node) {
		ctx, cancel := within(time.Minute)
		defer cancel()
		foreign := idOf(5, 1)
		if err := a.To(b.boot).Send(ctx, foreign, mesh.KindDefault, []byte("x")); !errors.Is(err, mesh.ErrNotMine) {
			t.Errorf("Send: %v", err)
		}
		if _, err := a.To(b.boot).Describe(ctx, foreign); !errors.Is(err, mesh.ErrNotMine) {
			t.Errorf("Describe: %v", err)
		}
		results := make([]error, 3)
		a.To(b.boot).SendMany([]idspace.ID{idOf(2, 1), foreign, idOf(2, 2)}, mesh.KindDefault, []byte("x"), results)
		flush(t, a)
		synctest.Wait()
		if a.losses()[foreign][mesh.OutcomeNotMine] != 1 || a.lossCount() != 1 || len(b.messages(idOf(2, 2))) != 1 {
			t.Errorf("losses %v, messages %q", a.losses(), b.messages(idOf(2, 2)))
		}
	})
}

func TestDeadlineOfASendIsKept(t *testing.T) {
	var shut atomic.Bool
	shut.Store(true)
	bubble(t, func(r *rig) {
		gated(&shut)(r)
		r.config = func(c *mesh.Config) { c.UnreachableAfter = time.Minute }
	}, func(t *testing.T, a, b *node) {
		id := idOf(2, 1)
		for _, m := range []string{"short", strings.Repeat("long", mesh.PartSize)} {
			ctx, cancel := within(time.Second)
			err := a.To(b.boot).Send(ctx, id, mesh.KindDefault, []byte(m))
			cancel()
			if !errors.Is(err, mesh.ErrExpired) {
				t.Errorf("a send of %d bytes that never left: %v, want ErrExpired", len(m), err)
			}
		}
		var timeout time.Duration
		b.written = func(_ idspace.ID, _ []byte, left time.Duration, _ func(error)) { timeout = left }
		shut.Store(false)
		after(3 * time.Second)
		ctx, cancel := within(2 * time.Second)
		defer cancel()
		if err := a.To(b.boot).Send(ctx, id, mesh.KindDefault, []byte("handed over")); !errors.Is(err, mesh.ErrUncertain) {
			t.Errorf("a send that left: %v, want ErrUncertain", err)
		}
		if timeout <= time.Second || timeout > 2*time.Second+time.Millisecond {
			t.Errorf("the owner was told %v, want 2s", timeout)
		}
		for _, got := range b.messages(id) {
			if got != "handed over" {
				t.Errorf("what was called expired arrived: %.10q", got)
			}
		}
	})
}

func TestWaitsAreBounded(t *testing.T) {
	bubble(t, func(r *rig) {
		r.config = func(c *mesh.Config) { c.MaxWaits = 2 }
		r.node(2).written = func(idspace.ID, []byte, time.Duration, func(error)) {}
	}, func(t *testing.T, a, b *node) {
		ctx, cancel := within(10 * time.Second)
		defer cancel()
		results := make(chan error, 2)
		for range 2 {
			go func() { results <- a.To(b.boot).Send(ctx, idOf(2, 1), mesh.KindDefault, nil) }()
		}
		synctest.Wait()
		if err := a.To(b.boot).Send(ctx, idOf(2, 1), mesh.KindDefault, nil); !errors.Is(err, mesh.ErrBackpressure) {
			t.Errorf("the third wait: %v", err)
		}
		for range 2 {
			if err := <-results; !errors.Is(err, mesh.ErrUncertain) {
				t.Errorf("an unanswered wait: %v", err)
			}
		}
	})
}

func TestTooLongMessageIsRefusedByEitherEnd(t *testing.T) {
	bubble(t, func(r *rig) {
		r.config = func(c *mesh.Config) {
			if c.Identity.Boot() == bootOf(2) {
				c.MaxMessage = 100 << 10
			}
		}
	}, func(t *testing.T, a, b *node) {
		ctx, cancel := within(time.Minute)
		defer cancel()
		id := idOf(2, 1)
		if err := a.To(b.boot).SendData(id, mesh.KindDefault, make([]byte, mesh.DefaultMaxMessage+1)); !errors.Is(err, mesh.ErrTooLarge) {
			t.Errorf("over the limit here: %v", err)
		}
		if err := a.To(b.boot).Send(ctx, id, mesh.KindDefault, make([]byte, 200<<10)); !errors.Is(err, mesh.ErrTooLarge) {
			t.Errorf("over the limit there: %v", err)
		}
		if err := a.To(b.boot).Send(ctx, id, mesh.KindDefault, make([]byte, 90<<10)); err != nil {
			t.Errorf("within both: %v", err)
		}
	})
}

func TestRunEndsEverythingWithAnOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1)
		stop := r.run()
		a := r.node(1)
		for range 10 { // nobody is there
			if err := a.To(bootOf(2)).SendData(idOf(2, 1), mesh.KindDefault, []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		stop()
		if got := a.losses()[idOf(2, 1)][mesh.OutcomeClosed]; got != 10 {
			t.Errorf("losses %v, want 10 closed", a.losses())
		}
		if err := a.To(bootOf(2)).SendData(idOf(2, 1), mesh.KindDefault, nil); !errors.Is(err, mesh.ErrClosed) {
			t.Errorf("after Run: %v", err)
		}
		if err := a.To(bootOf(3)).SendData(idOf(3, 1), mesh.KindDefault, nil); !errors.Is(err, mesh.ErrClosed) {
			t.Errorf("after Run, to another: %v", err)
		}
	})
}

func TestLanesShareTheIDs(t *testing.T) {
	bubble(t, func(r *rig) {
		r.config = func(c *mesh.Config) { c.Lanes = 3 }
	}, func(t *testing.T, a, b *node) {
		var ids []idspace.ID
		for k := 1; k <= 3000; k++ {
			ids = append(ids, idOf(2, k))
		}
		results := make([]error, len(ids))
		for i := range 3 {
			a.To(b.boot).SendMany(ids, mesh.KindDefault, []byte(text(i)), results)
		}
		flush(t, a)
		if err := errors.Join(results...); err != nil {
			t.Error(err)
		}
		for _, id := range ids {
			if got := b.messages(id); !slices.Equal(got, []string{text(0), text(1), text(2)}) {
				t.Fatalf("%v got %q", id, got)
			}
		}
		if got := b.peer(a.boot).Inbound; got != 4 {
			t.Errorf("%d streams, want three lanes and control", got)
		}
	})
}
