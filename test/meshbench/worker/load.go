//go:build linux

package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Sender is one end of a design: it sends to the connections of another
// process.
type Sender interface {
	// Use says which connections there are: those of the other process, and of
	// this one. The other methods number the former from zero. It is not called
	// during them, and returns once they can be reached.
	Use(ids, own []uint64) error

	// Data sends msg to one connection and does not wait for it to be written.
	// It keeps nothing of msg.
	Data(to int, msg []byte) error

	// Publish sends msg to the connections of both processes.
	Publish(msg []byte) error

	// Wait sends msg to one connection and waits until it is written to its
	// socket.
	Wait(ctx context.Context, to int, msg []byte) error
}

// A Load is what a sender does at once.
type Load struct {
	Goroutines int
	Conns      int  // messages go to the first so many, in turn
	Size       int  // of each message, in bytes, at least HeaderBytes
	PerSecond  int  // of each goroutine; 0: as fast as it can
	Timed      bool // messages say when they were sent
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
	number  uint32
	base    uint64 // messages received before it
	ended   atomic.Bool
	sent    atomic.Uint64
	sending sync.WaitGroup

	mu  sync.Mutex
	err error // guarded by mu
}

func (p *Process) newRun(l Load) *run {
	p.runs++
	return &run{p: p, load: l, number: p.runs, base: p.Board.Messages()}
}

func (p *Process) start(l Load) {
	r := p.newRun(l)
	p.run = r
	for g := range l.Goroutines {
		r.sending.Go(func() { r.failed(r.send(g)) })
	}
}

func (r *run) failed(err error) {
	if err == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = errors.Join(r.err, err)
}

// stop ends the run, and waits until the clients have received what it sent.
func (p *Process) stop() (a Answer, err error) {
	r := p.run
	p.run = nil
	r.ended.Store(true)
	r.sending.Wait()
	a.Sent = r.sent.Load()
	r.drain(a.Sent)
	return a, r.err
}

// Bounds of the wait for what was sent.
const (
	drainTimeout = 10 * time.Second
	quiet        = 20 * time.Millisecond // for what should not come
)

// drain waits until the clients have received all of sent messages, or hope is
// lost: what is missing is counted as such by whoever compares.
func (r *run) drain(sent uint64) {
	end := time.Now().Add(drainTimeout)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for r.p.Board.Messages() < r.base+sent && time.Now().Before(end) {
		<-tick.C
	}
	time.Sleep(quiet) //nolint:forbidigo // there is no event for something that does not happen
}

// A series are the messages of one goroutine of a run, to each of its
// connections in turn.
type series struct {
	run   *run
	msg   []byte
	first int // its first connection, and then every step-th
	step  int
	to    int
	seqs  []uint64 // next, by connection
}

func (r *run) series(g int) *series {
	return &series{
		run: r, msg: make([]byte, r.load.Size), first: g % r.load.Conns, step: r.load.Goroutines,
		to: g % r.load.Conns, seqs: make([]uint64, r.load.Conns),
	}
}

// next returns the next message, which is valid until the one after it.
func (s *series) next() (to int, msg []byte) {
	to = s.to
	h := header{size: uint32(len(s.msg)), run: s.run.number, to: uint32(to), seq: s.seqs[to]}
	if s.run.load.Timed {
		h.at = uint64(time.Now().UnixNano())
	}
	h.put(s.msg)
	s.seqs[to]++
	if s.to += s.step; s.to >= s.run.load.Conns {
		s.to = s.first
	}
	return to, s.msg
}

// send is one goroutine of the run.
func (r *run) send(g int) error {
	steps, err := r.steps()
	if err != nil {
		return err
	}
	defer steps.close()
	for s := r.series(g); !r.ended.Load(); {
		n, err := steps.next()
		if n == 0 || err != nil {
			return err
		}
		for range n {
			to, msg := s.next()
			if err := r.p.Sender.Data(to, msg); err != nil {
				return fmt.Errorf("message to %d: %w", to, err)
			}
		}
		r.sent.Add(uint64(n))
	}
	return nil
}

// wait keeps one message under way for each goroutine of l, for d.
func (p *Process) wait(ctx context.Context, l Load, d time.Duration) (a Answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, d+drainTimeout)
	defer cancel()
	r := p.newRun(l)
	var took []time.Duration // guarded by r.mu
	end := time.Now().Add(d)
	for g := range l.Goroutines {
		r.sending.Go(func() {
			mine, err := r.waitOne(ctx, g, end)
			r.failed(err)
			r.mu.Lock()
			defer r.mu.Unlock()
			took = append(took, mine...)
		})
	}
	r.sending.Wait()
	a.Sent = uint64(len(took))
	r.drain(a.Sent)
	a.quantiles(took)
	return a, r.err
}

func (r *run) waitOne(ctx context.Context, g int, end time.Time) (took []time.Duration, err error) {
	took = make([]time.Duration, 0, 1<<16)
	s := r.series(g)
	for now := time.Now(); now.Before(end); {
		to, msg := s.next()
		if err := r.p.Sender.Wait(ctx, to, msg); err != nil {
			return took, err
		}
		after := time.Now()
		took, now = append(took, after.Sub(now)), after
	}
	return took, nil
}

// publish sends one message after the other to all of l.Conns, each when the one
// before has reached every client.
func (p *Process) publish(l Load, d time.Duration) (a Answer, err error) {
	r := p.newRun(l)
	msg := make([]byte, l.Size)
	h := header{size: uint32(l.Size), run: r.number, to: toAll}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	var took []time.Duration
	for begin := time.Now(); time.Since(begin) < d; h.seq++ {
		h.put(msg)
		sent := time.Now()
		if err := p.Sender.Publish(msg); err != nil {
			return a, err
		}
		a.Sent += uint64(l.Conns)
		for p.Board.Messages() < r.base+a.Sent {
			if time.Since(sent) > drainTimeout {
				return a, fmt.Errorf("publish: %d of %d messages came within %s", p.Board.Messages()-r.base, a.Sent, drainTimeout)
			}
			<-tick.C
		}
		took = append(took, p.Board.Last().Sub(sent.Round(0)))
	}
	a.Calls = len(took)
	a.quantiles(took)
	r.drain(a.Sent)
	return a, nil
}

func (a *Answer) quantiles(took []time.Duration) {
	if len(took) == 0 {
		return
	}
	slices.Sort(took)
	a.P50, a.P99 = took[len(took)/2], took[len(took)*99/100]
}
