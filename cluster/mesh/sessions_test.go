package mesh_test

import (
	"context"
	"errors"
	"fmt"
	"io"
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

// A pending is a send that the owner has taken and not written yet.
type pending struct {
	result chan error
	done   func(error)
}

// hold has n keep what it is to write, until done of the pending is called.
func hold(n *node) (calls chan func(error)) {
	calls = make(chan func(error), 100)
	n.written = func(_ idspace.ID, _ []byte, _ time.Duration, done func(error)) { calls <- done }
	return calls
}

// begin starts a send that waits.
func begin(from, to *node, calls chan func(error)) pending {
	p := pending{result: make(chan error, 1)}
	go func() {
		p.result <- from.To(to.boot).Send(context.Background(), idOf(to.n, 1), mesh.KindDefault, []byte("held"))
	}()
	p.done = <-calls
	synctest.Wait() // it is acknowledged
	return p
}

// TestSessionOutlivesItsStreamForItsTime has a node out of reach while a send waits
// for what it says.
func TestSessionOutlivesItsStreamForItsTime(t *testing.T) {
	for _, tc := range []struct {
		away      time.Duration
		want      error
		forgotten uint64
	}{
		{4 * time.Second, nil, 0},
		{8 * time.Second, mesh.ErrUncertain, 1},
	} {
		t.Run(tc.away.String(), func(t *testing.T) {
			var shut atomic.Bool
			var calls chan func(error)
			bubble(t, func(r *rig) {
				gated(&shut)(r)
				r.config = func(c *mesh.Config) {
					c.SessionTimeout, c.ReconnectTimeout, c.UnreachableAfter = 5*time.Second, time.Minute, time.Minute
				}
				calls = hold(r.node(2))
			}, func(t *testing.T, a, b *node) {
				held := begin(a, b, calls)
				shut.Store(true)
				a.rig.cut()
				synctest.Wait() // the lane knows
				if err := a.To(b.boot).SendData(idOf(2, 2), mesh.KindDefault, []byte("queued")); err != nil {
					t.Fatal(err)
				}
				after(tc.away)
				held.done(nil) // there is no stream now
				shut.Store(false)
				if err := <-held.result; !errors.Is(err, tc.want) {
					t.Errorf("the send that waited: %v, want %v", err, tc.want)
				}
				flush(t, a)
				p, s := a.peer(b.boot), b.Stats()
				if s.Forgotten != tc.forgotten || s.LateOutcomes != tc.forgotten || p.Losses != tc.forgotten || p.Resumes != 1-tc.forgotten {
					t.Errorf("%d forgotten, %d late, %d lost, %d resumed", s.Forgotten, s.LateOutcomes, p.Losses, p.Resumes)
				}
				if got := b.messages(idOf(2, 2)); !slices.Equal(got, []string{"queued"}) || a.lossCount() != 0 {
					t.Errorf("what was queued came as %q, lost %v", got, a.losses())
				}
			})
		})
	}
}

// TestOldestSessionIsForgottenFirst breaks the links of three nodes, one after the
// other, to one that remembers two.
func TestOldestSessionIsForgottenFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shut atomic.Bool
		r := newRig(t, 4)
		gated(&shut)(r)
		r.config = func(c *mesh.Config) {
			c.MaxSessions, c.UnreachableAfter = 2, time.Minute
			if c.Identity.Boot() != bootOf(4) {
				c.MaxSessions = 0
			}
		}
		var held []pending
		calls := hold(r.node(4))
		r.run()
		owner := r.node(4)
		for i := 1; i <= 3; i++ {
			held = append(held, begin(r.node(i), owner, calls))
		}
		shut.Store(true)
		for range 3 { // lanes and control streams alternate, by node
			r.mu.Lock()
			for _, c := range r.conns[:2] {
				c.Close()
			}
			r.conns = r.conns[2:]
			r.mu.Unlock()
			synctest.Wait()
		}
		shut.Store(false)
		after(time.Second)
		for i, want := range []error{mesh.ErrUncertain, nil, nil} {
			held[i].done(nil)
			if err := <-held[i].result; !errors.Is(err, want) {
				t.Errorf("the send of node %d: %v, want %v", i+1, err, want)
			}
		}
		if got := owner.Stats().Forgotten; got != 1 {
			t.Errorf("%d sessions forgotten, want 1", got)
		}
	})
}

// parts returns n parts of one message, of 64 KiB each.
func parts(n int) (b []byte) {
	for i := range n {
		b = append(b, encoded(mesh.Wire{Kind: 6, Ints: [7]uint64{uint64(i + 1), 1, 0}, Payload: make([]byte, mesh.PartSize)})...)
	}
	return b
}

// TestSessionsKeepFewBytes has a stream end in the middle of a long message, or by
// a fault.
func TestSessionsKeepFewBytes(t *testing.T) {
	for name, tc := range map[string]struct {
		bytes     []byte
		kept      int
		forgotten uint64
	}{
		"within the bound": {parts(2), 1, 0},
		"over it":          {parts(20), 0, 1},
		"a fault":          {append(parts(2), 0, 0, 0, 0), 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 1)
				r.config = func(c *mesh.Config) { c.MaxSessionBytes, c.MaxMessage = 1<<20, 4<<20 }
				r.run()
				c := greet(r.node(1), mesh.HelloFor(theCluster, bootOf(7), bootOf(1), [2]uint64{1, 1}, 1, 0, 0, 1))
				if _, err := answer(t, c); err != nil {
					t.Fatal(err)
				}
				go func() { _, _ = io.Copy(io.Discard, c) }()
				_, _ = c.Write(tc.bytes)
				synctest.Wait()
				c.Close()
				synctest.Wait()
				if s := r.node(1).Stats(); s.Sessions != tc.kept || s.Forgotten != tc.forgotten {
					t.Errorf("%d sessions kept, %d forgotten, want %d and %d", s.Sessions, s.Forgotten, tc.kept, tc.forgotten)
				}
			})
		})
	}
}

// TestSessionsOweFewBytes has the sends of a peer written that wait for it, when its
// stream has ended.
func TestSessionsOweFewBytes(t *testing.T) {
	for waits, forgotten := range map[int]uint64{10: 0, 10_000: 1} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, 1)
			r.config = func(c *mesh.Config) { c.MaxSessionBytes = 256 << 10 }
			var written []func(error)
			r.node(1).written = func(_ idspace.ID, _ []byte, _ time.Duration, done func(error)) { written = append(written, done) }
			r.run()
			c := greet(r.node(1), mesh.HelloFor(theCluster, bootOf(7), bootOf(1), [2]uint64{1, 1}, 1, 0, 0, 1))
			if _, err := answer(t, c); err != nil {
				t.Fatal(err)
			}
			go func() { _, _ = io.Copy(io.Discard, c) }()
			var frames []byte
			for i := range waits {
				frames = append(frames, encoded(mesh.Wire{Kind: 2, Ints: [7]uint64{uint64(i + 1), uint64(idOf(1, 1))}, Payload: []byte("x")})...)
			}
			_, _ = c.Write(frames)
			synctest.Wait()
			c.Close()
			synctest.Wait()
			if s := r.node(1).Stats(); s.Sessions != 1 || s.Forgotten != 0 || len(written) != waits {
				t.Fatalf("%d sessions, %d forgotten, %d waiting before any is written", s.Sessions, s.Forgotten, len(written))
			}
			for _, done := range written {
				done(nil)
			}
			<-time.After(2 * time.Second)
			if s := r.node(1).Stats(); s.Forgotten != forgotten {
				t.Errorf("%d outcomes owed: %d sessions forgotten, want %d", waits, s.Forgotten, forgotten)
			}
		})
	}
}

func TestPeerGoneForgetsItsSessions(t *testing.T) {
	var shut atomic.Bool
	bubble(t, gated(&shut), func(t *testing.T, a, b *node) {
		for _, cut := range []bool{false, true} {
			if err := a.To(b.boot).Send(t.Context(), idOf(2, 1), mesh.KindDefault, []byte("x")); err != nil {
				t.Fatal(err)
			}
			if cut {
				shut.Store(true)
				a.rig.cut()
				synctest.Wait()
			}
			if got := b.Stats().Sessions; got != 1 {
				t.Fatalf("%d sessions, want 1", got)
			}
			b.PeerGone(a.boot)
			synctest.Wait()
			if got := b.Stats().Sessions; got != 0 {
				t.Errorf("cut %t: %d sessions of a peer that is gone", cut, got)
			}
		}
	})
}

// TestPeerThatBreaksEveryStreamIsGivenUp has every stream end as soon as it is
// open.
func TestPeerThatBreaksEveryStreamIsGivenUp(t *testing.T) {
	bubble(t, func(r *rig) {
		r.raw = map[idspace.BootID]func(net.Conn){bootOf(9): mute(bootOf(9), func(c net.Conn) { _, _ = c.Read(make([]byte, 1)) })}
	}, func(t *testing.T, a, _ *node) {
		begun := time.Now()
		err := a.To(bootOf(9)).Send(t.Context(), idOf(9, 1), mesh.KindDefault, []byte("x"))
		if took := time.Since(begun); !errors.Is(err, mesh.ErrUncertain) || took < 10*time.Second || took > 12*time.Second {
			t.Errorf("%v after %v, want ErrUncertain after some 10s", err, took)
		}
		a.PeerGone(bootOf(9))
	})
}

// TestResumeBeyondWhatIsKeptIsAFault has a peer acknowledge two frames of three,
// break the stream, and then expect a frame that there cannot be.
func TestResumeBeyondWhatIsKeptIsAFault(t *testing.T) {
	for next, fault := range map[uint64]bool{2: true, 3: false, 4: false, 5: true, 1 << 63: true} {
		t.Run(fmt.Sprint(next), func(t *testing.T) {
			var streams atomic.Int64
			frames := make(chan uint64, 100)
			bubble(t, func(r *rig) {
				r.raw = map[idspace.BootID]func(net.Conn){bootOf(9): func(c net.Conn) {
					defer c.Close()
					if first, ok := readHello(c); !ok || !mesh.ForLane(first) {
						return
					}
					if streams.Add(1) > 1 {
						_, _ = c.Write(mesh.WelcomeFrom(theCluster, bootOf(9), next))
						for f := range framesOf(c) {
							frames <- f.Ints[0]
						}
						return
					}
					_, _ = c.Write(mesh.WelcomeFrom(theCluster, bootOf(9), 1))
					for f := range framesOf(c) {
						if f.Ints[0] == 3 {
							_, _ = c.Write(encoded(mesh.Wire{Kind: 9, Ints: [7]uint64{2}}))
							return
						}
					}
				}}
			}, func(t *testing.T, a, _ *node) {
				for range 3 {
					if err := a.To(bootOf(9)).SendData(idOf(9, 1), mesh.KindDefault, []byte("x")); err != nil {
						t.Fatal(err)
					}
				}
				after(500 * time.Millisecond)
				if got := a.Stats().Ends[mesh.ReasonSequence] > 0; got != fault {
					t.Errorf("ends %v: a fault of numbers is %t, want %t", a.Stats().Ends, got, fault)
				}
				close(frames)
				var again []uint64
				for seq := range frames {
					again = append(again, seq)
				}
				if want := map[bool][]uint64{true: {3}}[next == 3]; !slices.Equal(again, want) {
					t.Errorf("sent again: %v, want %v", again, want)
				}
				a.PeerGone(bootOf(9))
			})
		})
	}
}

// TestLaneKeepsNoMoreThanItsWindow writes many small messages one at a time to a
// peer that acknowledges none. A lane with nothing to do keeps nothing.
func TestLaneKeepsNoMoreThanItsWindow(t *testing.T) {
	bubble(t, func(r *rig) {
		r.raw = map[idspace.BootID]func(net.Conn){bootOf(9): mute(bootOf(9), func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })}
		r.config = func(c *mesh.Config) { c.DeadAfter = time.Hour }
	}, func(t *testing.T, a, b *node) {
		for i := range 2000 {
			if err := a.To(bootOf(9)).SendData(idOf(9, 1), mesh.KindDefault, []byte(text(i))); err != nil {
				t.Fatal(err)
			}
			synctest.Wait() // it is written
		}
		if got := a.KeptBytes(bootOf(9)); got < 2000*len(text(0)) || got > 256<<10 {
			t.Errorf("%d bytes are kept for 2000 messages of some 12 bytes", got)
		}
		a.PeerGone(bootOf(9))
		for i := range 2000 {
			if err := a.To(b.boot).Send(t.Context(), idOf(2, 1), mesh.KindDefault, []byte(text(i))); err != nil {
				t.Fatal(err)
			}
			synctest.Wait() // it is acknowledged
		}
		if got := a.KeptBytes(b.boot); got > 1<<10 {
			t.Errorf("%d bytes are kept for one message of some 12 bytes at a time", got)
		}
		for range 100 {
			if err := a.To(b.boot).SendData(idOf(2, 1), mesh.KindDefault, make([]byte, 50_000)); err != nil {
				t.Fatal(err)
			}
		}
		flush(t, a)
		synctest.Wait()
		if got := a.KeptBytes(b.boot); got == 0 {
			t.Error("nothing is kept for another use")
		}
		after(4 * time.Second)
		if got := a.KeptBytes(b.boot); got != 0 || a.peer(b.boot).State != mesh.StateUp {
			t.Errorf("a link that rests keeps %d bytes", got)
		}
	})
}

// TestLinkThatWasTakenOutComesBack has a link give way to another one, and made
// anew while its session is remembered.
func TestLinkThatWasTakenOutComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3)
		r.config = func(c *mesh.Config) { c.MaxPeers, c.IdleTimeout, c.SessionTimeout = 1, time.Second, time.Hour }
		r.run()
		a := r.node(1)
		for round := range 4 {
			to := r.node(2 + round%2)
			if err := a.To(to.boot).Send(t.Context(), idOf(to.n, 1), mesh.KindDefault, []byte(text(round))); err != nil {
				t.Errorf("round %d: %v", round, err)
			}
			after(time.Minute)
		}
		if s := r.node(2).Stats(); s.Sessions != 1 || a.Stats().Ends[mesh.ReasonRefused] != 0 {
			t.Errorf("%d sessions, ends %v", s.Sessions, a.Stats().Ends)
		}
	})
}

// TestLongMessageGoesOnWithThePartThatIsMissing breaks a stream in the middle of a
// long message: what arrived of it is not sent again.
func TestLongMessageGoesOnWithThePartThatIsMissing(t *testing.T) {
	var lanes atomic.Int64
	bubble(t, func(r *rig) {
		r.wrap = func(_, _ *node, c net.Conn) net.Conn {
			return &flap{Conn: c, out: 400 << 10, back: 1 << 30, breaks: func() { lanes.Add(1) }}
		}
	}, func(t *testing.T, a, b *node) {
		long := strings.Repeat("long", 256<<10) // 1 MiB: with every start anew it would never be through
		if err := a.To(b.boot).SendData(idOf(2, 1), mesh.KindDefault, []byte(long)); err != nil {
			t.Fatal(err)
		}
		flush(t, a)
		if got := b.messages(idOf(2, 1)); len(got) != 1 || got[0] != long || lanes.Load() != 2 {
			t.Errorf("%d messages over %d streams that broke", len(got), lanes.Load())
		}
		if out := a.peer(b.boot).Dialled.BytesOut; out > 3<<19 {
			t.Errorf("%d bytes were sent for 1 MiB", out)
		}
	})
}

// deaf is a lane that loses what comes once lose is set, and breaks by that.
type deaf struct {
	net.Conn
	lose *atomic.Bool
	said bool
	lane atomic.Bool
}

func (d *deaf) Write(p []byte) (int, error) {
	if !d.said {
		d.lane.Store(mesh.ForLane(p))
	}
	d.said = true
	return d.Conn.Write(p)
}

func (d *deaf) Read(p []byte) (int, error) {
	n, err := d.Conn.Read(p)
	if d.lane.Load() && d.lose.Swap(false) {
		d.Close()
		return 0, net.ErrClosed
	}
	return n, err
}

// TestLostAnswersComeAgain breaks the stream with the last acknowledgement, or the
// last outcome, on its way, and sends nothing more.
func TestLostAnswersComeAgain(t *testing.T) {
	for name, refuse := range map[string]error{"acknowledgement": nil, "outcome": mesh.ErrGone} {
		t.Run(name, func(t *testing.T) {
			var lose atomic.Bool
			bubble(t, func(r *rig) {
				r.wrap = func(_, _ *node, c net.Conn) net.Conn { return &deaf{Conn: c, lose: &lose} }
				r.node(2).deliver = func(idspace.ID, []byte) error {
					lose.Store(true)
					return refuse
				}
			}, func(t *testing.T, a, b *node) {
				if err := a.To(b.boot).SendData(idOf(2, 1), mesh.KindDefault, []byte("x")); err != nil {
					t.Fatal(err)
				}
				flush(t, a)
				synctest.Wait()
				want := 0
				if refuse != nil {
					want = 1
				}
				if got := a.losses()[idOf(2, 1)][mesh.OutcomeGone]; got != want || a.lossCount() != want || a.peer(b.boot).Resumes != 1 {
					t.Errorf("lost %v, %d resumed", a.losses(), a.peer(b.boot).Resumes)
				}
			})
		})
	}
}

// TestEndOfASessionTellsWhatLeft has a stream break for good: what was handed to it
// is uncertain, what was not is as the reason says.
func TestEndOfASessionTellsWhatLeft(t *testing.T) {
	for name, tc := range map[string]struct {
		end  func(a *node, stop func())
		want mesh.Outcome
	}{
		"away": {func(*node, func()) { after(11 * time.Second) }, mesh.OutcomeUnreachable},
		"gone": {func(a *node, _ func()) { a.PeerGone(bootOf(9)) }, mesh.OutcomeGone},
		"stop": {func(_ *node, stop func()) { stop() }, mesh.OutcomeClosed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var broken atomic.Bool
				breaks := make(chan struct{})
				r := newRig(t, 1)
				r.raw = map[idspace.BootID]func(net.Conn){bootOf(9): func(c net.Conn) {
					if broken.Load() {
						c.Close()
						return
					}
					mute(bootOf(9), func(c net.Conn) {
						go func() { _, _ = io.Copy(io.Discard, c) }()
						<-breaks
					})(c)
				}}
				stop := r.run()
				a := r.node(1)
				sent, queued := idOf(9, 1), idOf(9, 2)
				send := func(id idspace.ID) {
					for range 3 {
						if err := a.To(bootOf(9)).SendData(id, mesh.KindDefault, []byte("x")); err != nil {
							t.Fatal(err)
						}
					}
					synctest.Wait()
				}
				send(sent)
				broken.Store(true)
				close(breaks)
				synctest.Wait() // the lane knows
				send(queued)
				if got := a.lossCount(); got != 0 {
					t.Errorf("%d are lost already", got)
				}
				tc.end(a, stop)
				synctest.Wait()
				if got := a.losses(); got[sent][mesh.OutcomeUncertain] != 3 || got[queued][tc.want] != 3 || a.lossCount() != 6 {
					t.Errorf("lost %v, want 3 uncertain and 3 %v", got, tc.want)
				}
			})
		})
	}
}
