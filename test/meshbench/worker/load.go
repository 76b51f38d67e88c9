//go:build linux

package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Sender is one end of a design: it sends to the connections of another
// process, or of its own.
type Sender interface {
	// Use says which connections there are. The other methods number them from
	// zero. It is not called during them.
	Use(ids []uint64)

	// Data sends msg to one connection and does not wait for it to be written.
	Data(to int, msg []byte) error

	// Many sends msg to the first n connections.
	Many(n int, msg []byte) error

	// Wait sends msg to one connection and waits until it is written to its
	// socket.
	Wait(ctx context.Context, to int, msg []byte) error
}

// A Load is what a sender does at once.
type Load struct {
	Goroutines int
	Conns      int  // messages go to the first so many, in turn
	Many       bool // one message to all of them at a time
}

// underway is how many messages are on their way to the clients at most: more
// than enough to keep both processes busy, and few enough for the bounds on
// the way. Every design has the same.
const underway = 32 << 10

// stride is how many messages a goroutine sends before it looks whether it may
// go on.
const stride = 64

// A run is a load until it is stopped.
type run struct {
	p       *Process
	load    Load
	base    uint64 // messages received before it
	ended   atomic.Bool
	sent    atomic.Uint64
	sending sync.WaitGroup

	mu  sync.Mutex
	err error // guarded by mu: the first
}

func (p *Process) start(l Load) {
	r := &run{p: p, load: l, base: p.Board.Messages()}
	p.run = r
	for g := range l.Goroutines {
		r.sending.Go(func() {
			if err := r.send(g); err != nil {
				r.mu.Lock()
				r.err = errors.Join(r.err, err)
				r.mu.Unlock()
			}
		})
	}
}

// drainTimeout bounds how long the clients may take to receive what was sent.
const drainTimeout = 10 * time.Second

// stop ends the run, and waits until the clients have received what it sent.
func (p *Process) stop(ctx context.Context) error {
	r := p.run
	p.run = nil
	r.ended.Store(true)
	r.sending.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return errors.Join(r.err, p.drain(ctx, r.base+r.sent.Load()))
}

// drain waits until the clients have received all of sent messages.
func (p *Process) drain(ctx context.Context, sent uint64) error {
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for p.Board.Messages() != sent {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%d messages were received, want %d", p.Board.Messages(), sent)
		}
	}
	return nil
}

var message = append(bytes.Repeat([]byte{'x'}, MessageBytes-1), '\n')

// send is one goroutine of the run.
func (r *run) send(g int) error {
	tick := time.NewTicker(100 * time.Microsecond)
	defer tick.Stop()
	to := g * r.load.Conns / r.load.Goroutines
	step := stride
	if r.load.Many {
		step = r.load.Conns
	}
	for !r.ended.Load() {
		if sent := r.base + r.sent.Add(uint64(step)); !r.await(sent, tick.C) {
			r.sent.Add(-uint64(step))
			return nil
		}
		if r.load.Many {
			if err := r.p.Sender.Many(r.load.Conns, message); err != nil {
				return err
			}
			continue
		}
		for range step {
			if err := r.p.Sender.Data(to, message); err != nil {
				return err
			}
			if to++; to >= r.load.Conns {
				to = 0
			}
		}
	}
	return nil
}

// await waits until few enough of sent messages are under way. It reports false
// when the run has ended.
func (r *run) await(sent uint64, tick <-chan time.Time) bool {
	for sent > r.p.Board.Messages()+underway {
		if r.ended.Load() {
			return false
		}
		<-tick
	}
	return true
}

// wait keeps one message under way for each goroutine of l, for d.
func (p *Process) wait(ctx context.Context, l Load, d time.Duration) (a Answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, d+drainTimeout)
	defer cancel()
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		took []time.Duration
	)
	base, end := p.Board.Messages(), time.Now().Add(d)
	for g := range l.Goroutines {
		wg.Go(func() {
			mine, sendErr := p.waitOne(ctx, l, g, end)
			mu.Lock()
			defer mu.Unlock()
			took = append(took, mine...)
			err = errors.Join(err, sendErr)
		})
	}
	wg.Wait()
	a.Count = len(took)
	err = errors.Join(err, p.drain(ctx, base+uint64(a.Count)))
	if a.Count > 0 {
		slices.Sort(took)
		a.P50, a.P99 = took[a.Count/2], took[a.Count*99/100]
	}
	return a, err
}

func (p *Process) waitOne(ctx context.Context, l Load, g int, end time.Time) (took []time.Duration, err error) {
	took = make([]time.Duration, 0, 1<<16)
	to := g * l.Conns / l.Goroutines
	for now := time.Now(); now.Before(end); {
		if err := p.Sender.Wait(ctx, to, message); err != nil {
			return took, err
		}
		after := time.Now()
		took, now = append(took, after.Sub(now)), after
		if to++; to >= l.Conns {
			to = 0
		}
	}
	return took, nil
}
