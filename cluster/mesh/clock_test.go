package mesh_test

import (
	"math"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"flamingo/cluster/mesh"
	"flamingo/idspace"
)

// slow is a stream on which every write takes a while.
type slow struct {
	net.Conn
	takes *atomic.Int64 // nanoseconds
}

func (s slow) Write(p []byte) (int, error) {
	<-time.After(time.Duration(s.takes.Load()))
	return s.Conn.Write(p)
}

// shifted has every node's clock wrong by some time of its own.
func shifted(by map[int]time.Duration) func(*mesh.Config) {
	return func(c *mesh.Config) {
		for n, d := range by {
			if c.Identity.Boot() == bootOf(n) {
				c.Now = func() time.Time { return time.Now().Add(d) }
			}
		}
	}
}

func TestClockOffsetIsSeenFromBothEnds(t *testing.T) {
	const shift = 7 * time.Second
	bubble(t, func(r *rig) {
		r.config = shifted(map[int]time.Duration{2: shift})
	}, func(t *testing.T, a, b *node) {
		if _, known := a.ClockOffset(b.boot); known {
			t.Error("known without a link")
		}
		for _, side := range []struct {
			from, to *node
			want     time.Duration
		}{{a, b, shift}, {b, a, -shift}} {
			if err := side.from.Connect(side.to.boot); err != nil {
				t.Fatal(err)
			}
			synctest.Wait() // the first ping does not wait for a tick
			got, known := side.from.ClockOffset(side.to.boot)
			if p := side.from.peer(side.to.boot); !known || got != side.want || !p.ClockKnown || p.ClockAhead != got {
				t.Errorf("node %d: %v, %t, want %v; %+v", side.from.n, got, known, side.want, p)
			}
		}
		after(3 * time.Minute) // the links have closed as idle
		if got, known := a.ClockOffset(b.boot); !known || got != shift {
			t.Errorf("after the stream has ended: %v, %t, want %v", got, known, shift)
		}
	})
}

func TestClockOffsetFollowsAStepOfTheClock(t *testing.T) {
	var shift atomic.Int64
	bubble(t, func(r *rig) {
		r.config = func(c *mesh.Config) {
			if c.Identity.Boot() == bootOf(2) {
				c.Now = func() time.Time { return time.Now().Add(time.Duration(shift.Load())) }
			}
		}
	}, func(t *testing.T, a, b *node) {
		if err := a.Connect(b.boot); err != nil {
			t.Fatal(err)
		}
		after(3 * time.Second)
		shift.Store(int64(-time.Hour))
		after(10 * time.Second)
		if got, _ := a.ClockOffset(b.boot); got != -time.Hour {
			t.Errorf("ten pings after the step: %v, want %v", got, -time.Hour)
		}
	})
}

// TestClockOffsetBelievesTheShortestRoundTrip delays one direction. Half the
// round trip is then the error of a sample, which a better one ends; one that
// took over a second says nothing.
func TestClockOffsetBelievesTheShortestRoundTrip(t *testing.T) {
	var takes atomic.Int64
	bubble(t, func(r *rig) {
		r.wrap = func(_, _ *node, c net.Conn) net.Conn { return slow{c, &takes} }
		r.config = shifted(map[int]time.Duration{2: time.Minute})
	}, func(t *testing.T, a, b *node) {
		at := func(d time.Duration) (time.Duration, bool) {
			takes.Store(int64(d))
			after(5 * time.Second)
			return a.ClockOffset(b.boot)
		}
		takes.Store(int64(1200 * time.Millisecond))
		if err := a.Connect(b.boot); err != nil {
			t.Fatal(err)
		}
		if got, known := at(1200 * time.Millisecond); known {
			t.Errorf("a round trip of 1.2s counts: %v", got)
		}
		if got, known := at(400 * time.Millisecond); !known || got != time.Minute+200*time.Millisecond {
			t.Errorf("400ms there, none back: %v, %t, want 1m0.2s", got, known)
		}
		if got, _ := at(10 * time.Millisecond); got != time.Minute+5*time.Millisecond {
			t.Errorf("10ms there, none back: %v, want 1m0.005s", got)
		}
		if got, _ := at(600 * time.Millisecond); got != time.Minute+5*time.Millisecond {
			t.Errorf("five slow pings after a fast one: %v, want 1m0.005s", got)
		}
	})
}

// TestAbsurdClocksAreBorne has ends whose clocks are as wrong as can be.
func TestAbsurdClocksAreBorne(t *testing.T) {
	first, last := time.Time{}, time.Unix(1<<40, 0)
	for name, tc := range map[string]struct {
		a, b time.Time
		want time.Duration
	}{
		"before 1970":     {time.Unix(0, 5), first, -5},
		"after 2262":      {time.Unix(0, 5), last, math.MaxInt64 - 5},
		"both, one early": {first, last, math.MaxInt64},
		"both, one late":  {last, first, -math.MaxInt64},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				r.config = func(c *mesh.Config) {
					now := tc.b
					if c.Identity.Boot() == bootOf(1) {
						now = tc.a
					}
					c.Now = func() time.Time { return now }
				}
			}, func(t *testing.T, a, b *node) {
				if err := a.Connect(b.boot); err != nil {
					t.Fatal(err)
				}
				after(2 * time.Second)
				if got, known := a.ClockOffset(b.boot); !known || got != tc.want {
					t.Errorf("%d, %t, want %d", got, known, tc.want)
				}
			})
		})
	}
}

// TestForgedPongs has a peer that answers pings as it likes.
func TestForgedPongs(t *testing.T) {
	for name, tc := range map[string]struct {
		stamp  uint64 // beside the one that was sent
		clock  uint64
		known  bool
		reason mesh.Reason
	}{
		"well":                  {0, 1 << 60, true, mesh.ReasonEOF},
		"of another ping":       {1, 1 << 60, false, mesh.ReasonEOF},
		"a clock past an int64": {0, 1 << 63, false, mesh.ReasonMalformed},
		"the greatest number":   {0, math.MaxUint64, false, mesh.ReasonMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(r *rig) {
				r.raw = map[idspace.BootID]func(net.Conn){bootOf(9): mute(bootOf(9), func(c net.Conn) {
					for f := range framesOf(c) {
						if f.Kind == 11 {
							_, _ = c.Write(encoded(mesh.Wire{Kind: 12, Ints: [7]uint64{f.Ints[0] + tc.stamp, tc.clock}}))
							return
						}
					}
				})}
			}, func(t *testing.T, a, _ *node) {
				if err := a.Connect(bootOf(9)); err != nil {
					t.Fatal(err)
				}
				after(time.Second)
				if _, known := a.ClockOffset(bootOf(9)); known != tc.known {
					t.Errorf("known %t, want %t", known, tc.known)
				}
				if got := a.Stats().Ends; got[tc.reason] != 1 {
					t.Errorf("ends %v, want one %v", got, tc.reason)
				}
			})
		})
	}
}
