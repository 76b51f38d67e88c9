package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flamingo/idspace"
	"flamingo/transport"
)

// A drainRig is a transport with clients in memory, on fake time.
type drainRig struct {
	*transport.Transport
	t    *testing.T
	ids  []idspace.ID // of the clients, in their order
	ends chan drained
	conn []net.Conn
}

// drained is how one client was ended, as the client sees it.
type drained struct {
	client int
	when   time.Time
	last   string // what it read
}

// inDrain runs f with so many clients in a bubble.
func inDrain(t *testing.T, clients int, f func(t *testing.T, r *drainRig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ln := newPipeListener()
		cfg := piped(t, func(transport.Listener) (net.Listener, error) { return ln, nil }, "192.0.2.1:0")
		cfg.MaxConns, cfg.Ignore = clients, transport.IgnoreCloses
		tr, err := transport.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := tr.Listen(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = tr.Run(ctx) })
		r := &drainRig{Transport: tr, t: t, ends: make(chan drained, clients)}
		for i := range clients {
			nc := ln.dial()
			c, _ := tr.RecvOpen()
			r.ids, r.conn = append(r.ids, c.ID()), append(r.conn, nc)
			running.Go(func() {
				defer nc.Close()
				text, _ := io.ReadAll(nc)
				r.ends <- drained{i, time.Now(), string(text)}
			})
		}
		f(t, r)
		stop()
		running.Wait()
	})
}

// say has a client send a line, and takes it.
func (r *drainRig) say(client int) {
	r.t.Helper()
	if _, err := io.WriteString(r.conn[client], "hello\n"); err != nil {
		r.t.Errorf("client %d: %v", client, err)
	}
	if id, _, ok := r.RecvData(); !ok || id != r.ids[client] {
		r.t.Errorf("message of %v, %t; want of %v", id, ok, r.ids[client])
	}
}

// drain drains, and returns how the clients were ended, in this order.
func (r *drainRig) drain(over time.Duration) (began time.Time, ends []drained) {
	r.t.Helper()
	began = time.Now()
	if err := r.Drain(r.t.Context(), over); err != nil {
		r.t.Error(err)
	}
	for range r.conn {
		ends = append(ends, <-r.ends)
	}
	slices.SortStableFunc(ends, func(a, b drained) int { return a.when.Compare(b.when) })
	return began, ends
}

// requireEven checks that each tenth of the time has ended 8 to 12 % of all.
func requireEven(t *testing.T, began time.Time, over time.Duration, ends []drained) {
	t.Helper()
	if tenths, even := spread(began, over, ends); !even {
		t.Errorf("%v of %d clients ended in the tenths of %v; want 8 to 12 %% in each", tenths, len(ends), over)
	}
}

func spread(began time.Time, over time.Duration, ends []drained) (tenths [10]int, even bool) {
	for _, e := range ends {
		tenths[min(9, int(10*e.when.Sub(began)/over))]++
	}
	return tenths, !slices.ContainsFunc(tenths[:], func(n int) bool { return 100*n < 8*len(ends) || 100*n > 12*len(ends) })
}

// The control of requireEven: what it must not let pass.
func TestUnevenEndsAreSeen(t *testing.T) {
	const clients, over = 1000, time.Minute
	began := time.Now()
	for name, at := range map[string]func(i int) time.Duration{
		"all at once":       func(int) time.Duration { return 0 },
		"all at the end":    func(int) time.Duration { return over },
		"twice as fast":     func(i int) time.Duration { return over / 2 * time.Duration(i) / clients },
		"fewer and fewer":   func(i int) time.Duration { return over * time.Duration(i*i) / (clients * clients) },
		"a tenth in a heap": func(i int) time.Duration { return over * time.Duration(max(i, 130)) / clients },
	} {
		var ends []drained
		for i := range clients {
			ends = append(ends, drained{when: began.Add(at(i))})
		}
		if tenths, even := spread(began, over, ends); even {
			t.Errorf("%s: %v counts as even", name, tenths)
		}
	}
}

func TestDrainEndsSilentClientsEvenly(t *testing.T) {
	for _, test := range []struct {
		clients int
		over    time.Duration
	}{{1000, time.Minute}, {100, 10 * time.Minute}, {400, time.Second}} {
		t.Run(fmt.Sprint(test.clients, " in ", test.over), func(t *testing.T) {
			inDrain(t, test.clients, func(t *testing.T, r *drainRig) {
				began, ends := r.drain(test.over)
				requireEven(t, began, test.over, ends)
				if d := time.Since(began); d > test.over+200*time.Millisecond {
					t.Errorf("drained in %v; want %v", d, test.over)
				}
			})
		})
	}
}

// Everybody talks all the time: nobody is ever the one that rests.
func TestDrainEndsBusyClientsEvenly(t *testing.T) {
	const clients, over = 200, time.Minute
	inDrain(t, clients, func(t *testing.T, r *drainRig) {
		ctx, stop := context.WithCancel(t.Context())
		var talking sync.WaitGroup
		defer talking.Wait()
		defer stop()
		for _, nc := range r.conn {
			talking.Go(func() {
				for ctx.Err() == nil {
					<-time.After(90 * time.Millisecond)
					if _, err := io.WriteString(nc, "hello\n"); err != nil {
						return
					}
				}
			})
		}
		talking.Go(func() {
			for {
				if _, _, ok := r.RecvData(); !ok {
					return
				}
			}
		})
		began, ends := r.drain(over)
		requireEven(t, began, over, ends)
		if err := r.Shutdown(t.Context()); err != nil { // ends the taking of messages
			t.Error(err)
		}
	})
}

// Those that go of themselves make it slower for the others, so that there are
// always some left.
func TestDrainSparesOthersWhenSomeGoOfThemselves(t *testing.T) {
	const clients, over = 400, time.Minute
	inDrain(t, clients, func(t *testing.T, r *drainRig) {
		var going sync.WaitGroup
		going.Go(func() {
			<-time.After(over / 2)
			for _, nc := range r.conn[clients-100:] { // the last in the order
				nc.Close()
			}
		})
		began, ends := r.drain(over)
		going.Wait()
		var late int
		for _, e := range ends {
			if e.when.Sub(began) > over/2 {
				late++
			}
		}
		if late < 95 || late > 105 {
			t.Errorf("%d clients were ended in the second half, want the 100 that were left", late)
		}
		requireEven(t, began.Add(over/2), over/2, ends[len(ends)-late:])
		if n := r.Departed(); n < 295 || n > 305 {
			t.Errorf("%d connections departed, want the 300 that did not go of themselves", n)
		}
	})
}

func TestDrainEndsThoseFirstThatAreSilentTheLongest(t *testing.T) {
	const clients, over = 50, time.Minute
	inDrain(t, clients, func(t *testing.T, r *drainRig) {
		var want []int
		for k := range clients {
			<-time.After(time.Second)
			client := (k * 17) % clients // another order than that of their ids
			want = append(want, client)
			r.say(client)
		}
		<-time.After(time.Second)
		_, ends := r.drain(over)
		var got []int
		for _, e := range ends {
			got = append(got, e.client)
		}
		if !slices.Equal(got, want) {
			t.Errorf("ended in the order %v, want %v", got, want)
		}
	})
}

// A client that says something during the drain is put off, and goes after all that
// are silent.
func TestDrainPutsOffWhoIsNotSilent(t *testing.T) {
	const clients, over = 40, 40 * time.Second
	inDrain(t, clients, func(t *testing.T, r *drainRig) {
		<-time.After(time.Second)
		var talking sync.WaitGroup
		for _, client := range []int{0, 1, 2, 3} { // the first in the order
			talking.Go(func() {
				<-time.After(100 * time.Millisecond)
				if client < 3 {
					_, _ = io.WriteString(r.conn[client], "hello\n")
					return
				}
				_ = r.SendData(r.ids[client], []byte("hello")) // to be sent to is as good
			})
		}
		_, ends := r.drain(over)
		talking.Wait()
		var last []int
		for _, e := range ends[clients-4:] {
			last = append(last, e.client)
		}
		slices.Sort(last)
		if !slices.Equal(last, []int{0, 1, 2, 3}) {
			t.Errorf("the last four were %v, want those that were not silent: 0 to 3", last)
		}
	})
}

func TestDrainWritesWhatWasAcceptedBefore(t *testing.T) {
	const clients, over = 100, 10 * time.Second
	inDrain(t, clients, func(t *testing.T, r *drainRig) {
		sent := make([]string, clients)
		var sending sync.WaitGroup
		sending.Go(func() {
			left := clients
			for round := 0; left > 0; round++ {
				left = 0
				for i, id := range r.ids {
					msg := fmt.Sprint("message ", round)
					switch err := r.SendData(id, []byte(msg)); {
					case err == nil:
						sent[i] += msg + "\n"
						left++
					case !errors.Is(err, transport.ErrGone):
						t.Errorf("client %d: %v, want nil or gone", i, err)
					}
				}
				<-time.After(30 * time.Millisecond)
			}
		})
		_, ends := r.drain(over)
		sending.Wait()
		for _, e := range ends {
			if e.last != sent[e.client] || e.last == "" {
				t.Errorf("client %d read %d bytes, and %d were accepted for it", e.client, len(e.last), len(sent[e.client]))
			}
		}
	})
}

func TestDrainThatIsGivenUpLeavesTheRestOpen(t *testing.T) {
	const clients = 100
	inDrain(t, clients, func(t *testing.T, r *drainRig) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), 30*time.Second, errNoIDs)
		defer cancel()
		if err := r.Drain(ctx, time.Minute); !errors.Is(err, errNoIDs) {
			t.Errorf("Drain: %v; want the cause of its context", err)
		}
		synctest.Wait()
		left := 0
		for _, id := range r.ids {
			if r.SendData(id, []byte("still here")) == nil {
				left++
			}
		}
		if left < 48 || left > 52 || left != r.Left() || left+r.Departed() != clients {
			t.Errorf("%d clients can be sent to, %d are left, %d departed; want half of %d", left, r.Left(), r.Departed(), clients)
		}
		if n := r.Stats().Closed[transport.ReasonDrained]; n != uint64(r.Departed()) {
			t.Errorf("%d closed for drained, want %d", n, r.Departed())
		}
	})
}

func TestPaceReachesZeroAtItsEnd(t *testing.T) {
	begin := time.Unix(0, 0)
	for _, n := range []int{1, 2, 3, 7, 1000, 1 << 20} {
		const over = 10 * time.Second
		p := transport.NewPace(begin, over)
		left := n
		for at := time.Duration(0); at < over; at += 10 * time.Millisecond {
			due := p.Due(begin.Add(at), left)
			p.Took(due)
			left -= due
			want := float64(n) * float64(over-at) / float64(over)
			if float64(left) < want-1 || float64(left) > want+1 {
				t.Fatalf("%d left of %d after %v, want %.1f", left, n, at, want)
			}
		}
		if due := p.Due(begin.Add(over), left); due != left {
			t.Errorf("%d due at the end, %d are left", due, left)
		}
	}
}
