//go:build linux

package main

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"flamingo/node"
	"flamingo/test/chaos"
)

// A sender sends a numbered message to each of its connections in every round,
// and forgets a connection once it was told often enough that it is gone.
type sender struct {
	node    *node.Node
	records *recorder
	usual   time.Duration // between two rounds
	pace    atomic.Int64  // the present one, a time.Duration
	stop    chan struct{} // closed by end
	once    sync.Once
	ended   chan struct{} // closed by run

	mu   sync.Mutex
	ids  []node.ID       // guarded by mu
	gone map[node.ID]int // guarded by mu: how often it was said, of every one there ever was

	seq int // owned by run; of settle when run has ended
}

const (
	manyEvery  = 4   // rounds: in one of so many, one SendMany is for all
	fullEvery  = 8   // messages: one of so many is longer
	longEvery  = 211 // messages: one of so many goes in parts between nodes
	fullSize   = 1500
	longSize   = 70_000
	waitAtMost = 10 * time.Second
	goneEnough = 40 // times: one that is gone stays so
)

func newSender(n *node.Node, r *recorder, pace time.Duration) *sender {
	s := &sender{node: n, records: r, usual: pace, stop: make(chan struct{}), ended: make(chan struct{}), gone: map[node.ID]int{}}
	s.pace.Store(int64(pace))
	return s
}

// hurry sets the milliseconds between two rounds; 0: the usual time.
func (s *sender) hurry(ms int) {
	s.pace.Store(int64(cmp.Or(time.Duration(ms)*time.Millisecond, s.usual)))
}

// add has the sender send to ids, too, and returns those that are new to it.
func (s *sender) add(ids []node.ID) (added []node.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids = slices.Clip(s.ids) // a round has it
	for _, id := range ids {
		if _, known := s.gone[id]; !known {
			s.gone[id] = 0
			s.ids = append(s.ids, id)
			added = append(added, id)
		}
	}
	return added
}

// end returns when every send has its answer.
func (s *sender) end() {
	s.once.Do(func() { close(s.stop) })
	<-s.ended
}

func (s *sender) run(ctx context.Context, round func(context.Context, []node.ID, int)) {
	defer close(s.ended)
	tick := time.NewTicker(s.usual)
	defer tick.Stop()
	for {
		tick.Reset(time.Duration(s.pace.Load()))
		select {
		case <-tick.C:
		case <-s.stop:
			return
		case <-ctx.Done():
			return
		}
		s.mu.Lock()
		ids := s.ids
		s.mu.Unlock()
		s.seq++
		round(ctx, ids, s.seq)
		s.forget()
	}
}

func (s *sender) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	var left []node.ID
	for _, id := range s.ids {
		if s.gone[id] < goneEnough {
			left = append(left, id)
		}
	}
	s.ids = left
}

func size(id node.ID, seq int) int {
	n := seq + int(id.Serial())
	switch {
	case n%longEvery == 0:
		return longSize
	case n%fullEvery == 0:
		return fullSize
	}
	return 0
}

func (s *sender) record(begin int64, id node.ID, stream byte, seq int, word string) {
	s.records.add(chaos.Record{Kind: chaos.Sent, Begin: begin, ID: id, Stream: stream, Seq: seq, Word: word})
	if word == chaos.Gone {
		s.mu.Lock()
		s.gone[id]++
		s.mu.Unlock()
	}
}

func (s *sender) round(_ context.Context, ids []node.ID, seq int) {
	from := s.node.Number()
	if seq%manyEvery == 0 {
		m := chaos.Message{From: from, Stream: chaos.StreamData, Seq: seq}
		begin := now()
		for i, err := range s.node.SendMany(ids, m.Append(nil, 0)) {
			s.record(begin, ids[i], chaos.StreamData, seq, wordFor(err, chaos.Accepted))
		}
		return
	}
	var b []byte
	for _, id := range ids {
		m := chaos.Message{To: id, From: from, Stream: chaos.StreamData, Seq: seq}
		b = m.Append(b[:0], size(id, seq))
		begin := now()
		s.record(begin, id, chaos.StreamData, seq, wordFor(s.node.SendData(id, b), chaos.Accepted))
	}
}

// waitingRound sends to all at once, and waits until each message is written.
func (s *sender) waitingRound(ctx context.Context, ids []node.ID, seq int) {
	s.waitFor(ctx, ids, chaos.StreamWait, seq)
}

func (s *sender) waitFor(ctx context.Context, ids []node.ID, stream byte, seq int) {
	ctx, cancel := context.WithTimeout(ctx, waitAtMost)
	defer cancel()
	var sends sync.WaitGroup
	for _, id := range ids {
		sends.Go(func() {
			m := chaos.Message{To: id, From: s.node.Number(), Stream: stream, Seq: seq}
			begin := now()
			s.record(begin, id, stream, seq, wordFor(s.node.Send(ctx, id, m.Append(nil, size(id, seq))), chaos.Written))
		})
	}
	sends.Wait()
}

// settle sends one more message to each of ids, behind all others. The sender has
// ended.
func (s *sender) settle(ctx context.Context, ids []node.ID) {
	<-s.ended
	s.seq++
	s.waitFor(ctx, ids, chaos.StreamData, s.seq)
}
