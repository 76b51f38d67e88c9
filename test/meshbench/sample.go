//go:build linux

package main

import (
	"context"
	"errors"
	"time"

	"flamingo/test/meshbench/worker"
)

// A sample is what one trial found. Times are in microseconds, zero is none.
type sample struct {
	Rate         float64 // messages a second that clients received
	Sender       float64 // processor time for a message, of the sender and a server beside it
	Owner        float64 // and of the owner
	Clients      float64 // and of the clients, which is part of no figure
	Writes       float64 // calls of the owner to write, for a message
	CPUCall      float64 // processor time for a call of Publish
	P50, P99     float64
	SenderAllocs float64 // allocations for a message
	OwnerAllocs  float64
	worker.Tally // of the whole trial
	Lost         int64
}

// A mark is a moment of a trial.
type mark struct {
	at            time.Time
	messages      uint64
	sender, owner time.Duration
	sink          time.Duration
	writes        uint64 // of the owner
	allocs        [2]uint64
	latencies     worker.Latencies
}

func (t *trial) mark() (m mark, err error) {
	for i, c := range []*child{t.sender, t.owner} {
		a, err := c.ask(worker.Order{Do: "allocs"})
		if err != nil {
			return m, err
		}
		m.allocs[i] = a.Mallocs
	}
	for _, c := range t.servers() {
		used, err := c.cpu()
		if err != nil {
			return m, err
		}
		if c == t.owner {
			m.owner += used
		} else {
			m.sender += used
		}
	}
	if m.sink, err = t.sink.cpu(); err != nil {
		return m, err
	}
	if m.writes, err = t.owner.writes(); err != nil {
		return m, err
	}
	m.at, m.messages, m.latencies = time.Now(), t.board.Messages(), t.board.Latencies()
	return m, nil
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// between returns what happened from one mark to another.
func between(from, to mark) (s sample) {
	n := float64(max(to.messages-from.messages, 1))
	s.Rate = n / to.at.Sub(from.at).Seconds()
	s.Sender = micros(to.sender-from.sender) / n
	s.Owner = micros(to.owner-from.owner) / n
	s.Clients = micros(to.sink-from.sink) / n
	s.Writes = float64(to.writes-from.writes) / n
	s.SenderAllocs = float64(to.allocs[0]-from.allocs[0]) / n
	s.OwnerAllocs = float64(to.allocs[1]-from.allocs[1]) / n
	took := to.latencies.Since(from.latencies)
	s.P50, s.P99 = micros(took.Quantile(0.5)), micros(took.Quantile(0.99))
	return s
}

// take runs the row once: warm, then measure. What is lost or wrong counts in
// either.
func (t *trial) take(ctx context.Context, warm, measure time.Duration) (s sample, err error) {
	sent := uint64(0)
	if t.row.mode == streaming {
		s, sent, err = t.stream(ctx, warm, measure)
	} else {
		s, sent, err = t.call(warm, measure)
	}
	s.Tally = t.board.Tally()
	s.Lost = int64(sent) - int64(s.Messages-s.Doubled-s.Foreign)
	return s, err
}

// stream lets the sender send for as long as both take.
func (t *trial) stream(ctx context.Context, warm, measure time.Duration) (s sample, sent uint64, err error) {
	if _, err := t.sender.ask(worker.Order{Do: "start", Load: t.row.load}); err != nil {
		return s, 0, err
	}
	rest(ctx, warm)
	from, err := t.mark()
	if err == nil {
		rest(ctx, measure)
		var to mark
		to, err = t.mark()
		s = between(from, to)
	}
	a, stopErr := t.sender.ask(worker.Order{Do: "stop"})
	return s, a.Sent, errors.Join(err, stopErr)
}

// call has the sender make calls that it waits for.
func (t *trial) call(warm, measure time.Duration) (s sample, sent uint64, err error) {
	do := "wait"
	if t.row.mode == publishing {
		do = "publish"
	}
	a, err := t.sender.ask(worker.Order{Do: do, Load: t.row.load, For: warm})
	if err != nil {
		return s, a.Sent, err
	}
	sent = a.Sent
	from, err := t.mark()
	if err != nil {
		return s, sent, err
	}
	if a, err = t.sender.ask(worker.Order{Do: do, Load: t.row.load, For: measure}); err != nil {
		return s, sent + a.Sent, err
	}
	to, err := t.mark()
	s = between(from, to)
	s.P50, s.P99 = micros(a.P50), micros(a.P99)
	if a.Calls > 0 {
		s.CPUCall = micros(to.sender-from.sender+to.owner-from.owner) / float64(a.Calls)
	}
	return s, sent + a.Sent, err
}

func rest(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-ctx.Done()
}
