//go:build linux

// Command subject is a node of a cluster that package chaos breaks: a program that
// embeds package node, does what it is told on its standard input, and records on
// its standard output all that its node and its senders see. It ends when its input
// does.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"flamingo/idspace"
	"flamingo/node"
	"flamingo/test/chaos"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

func run(ctx context.Context) error {
	var setup chaos.Setup
	if err := json.Unmarshal([]byte(os.Getenv(chaos.SubjectVariable)), &setup); err != nil {
		return fmt.Errorf("%s: %w", chaos.SubjectVariable, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	orders := make(chan chaos.Order)
	go func() { // not waited for: it ends with the input, and that with the process
		defer close(orders)
		defer cancel()
		in := json.NewDecoder(bufio.NewReader(os.Stdin))
		for {
			var o chaos.Order
			if in.Decode(&o) != nil {
				return
			}
			orders <- o
		}
	}()
	r := &recorder{out: bufio.NewWriterSize(os.Stdout, 1<<16)}
	n, err := node.OpenContext(ctx, options(setup, leaderWatch{slog.NewTextHandler(os.Stderr, nil), r}))
	if err != nil {
		return err
	}
	pace := time.Duration(setup.Pace) * time.Millisecond
	s := &subject{
		setup: setup, node: n, records: r,
		many: newSender(n, r, pace), waits: newSender(n, r, 4*pace), groups: newSender(n, r, 8*pace),
	}
	r.add(chaos.Record{Kind: chaos.Number, ID: idspace.ID(n.Number()), Word: n.Addrs()[0].String()})
	r.flush()
	return s.run(ctx, orders)
}

func options(s chaos.Setup, h slog.Handler) node.Opts {
	return node.Opts{
		Listen: []string{"tcp://" + s.Listen}, Framing: "line", Logger: slog.New(h),
		Name: s.Name, Cluster: s.Cluster, Join: s.Join, Expect: s.Expect, DataDir: s.DataDir, Insecure: s.KeyFile == "",
		MaxConns: s.Crowd, ClusterKeyFile: s.KeyFile,
	}
}

// now is the system's monotonic clock in nanoseconds.
func now() int64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // fails for a bad clock or address only
	return ts.Nano()
}

// flushEvery is how much of its records a process that is killed may lose.
const flushEvery = 5 * time.Millisecond

// A recorder prints records.
type recorder struct {
	mu  sync.Mutex
	out *bufio.Writer // guarded by mu
	buf []byte        // guarded by mu
}

// add records what ends now. Begin may be zero: then it also began now.
func (r *recorder) add(rec chaos.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rec.End = now()
	if rec.Begin == 0 {
		rec.Begin = rec.End
	}
	r.buf = rec.Append(r.buf[:0])
	_, _ = r.out.Write(r.buf) // who started us has gone: so shall we
}

func (r *recorder) flush() {
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.out.Flush()
}

// run flushes what is recorded, until ctx is done.
func (r *recorder) run(ctx context.Context) {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		<-tick.C
		r.flush()
	}
}

// leaderWatch is a log that records when this node becomes the leader.
type leaderWatch struct {
	slog.Handler
	records *recorder
}

func (l leaderWatch) Enabled(context.Context, slog.Level) bool { return true }

func (l leaderWatch) WithAttrs(attrs []slog.Attr) slog.Handler {
	return leaderWatch{l.Handler.WithAttrs(attrs), l.records}
}

func (l leaderWatch) Handle(ctx context.Context, rec slog.Record) error {
	if strings.HasPrefix(rec.Message, "raft: entering leader state") {
		l.records.add(chaos.Record{Kind: chaos.Leads})
		l.records.flush()
	}
	if !l.Handler.Enabled(ctx, rec.Level) {
		return nil
	}
	return l.Handler.Handle(ctx, rec)
}

// A subject is a node and what a program does with it.
type subject struct {
	setup   chaos.Setup
	node    *node.Node
	records *recorder

	many, waits, groups *sender

	races atomic.Int32 // that have begun

	working sync.WaitGroup // orders, events, senders, watches
}

func (s *subject) run(ctx context.Context, orders <-chan chaos.Order) error {
	ctx, stop := context.WithCancel(ctx)
	s.working.Go(func() { s.serve(ctx) })
	s.working.Go(s.losses)
	s.working.Go(func() { s.many.run(ctx, s.many.round) })
	s.working.Go(func() { s.waits.run(ctx, s.waits.waitingRound) })
	s.working.Go(func() { s.groups.run(ctx, s.groups.publishingRound) })
	s.working.Go(func() { s.awaitRebirth(ctx) })
	s.working.Go(func() { s.records.run(ctx) })
	for o := range orders {
		if o.Do == chaos.Leave || o.Do == chaos.Drain {
			err := s.leave(ctx, o)
			stop()
			s.working.Wait()
			s.answer(o, err)
			return err
		}
		s.working.Go(func() { s.answer(o, s.do(ctx, o)) })
	}
	stop()
	return nil // nobody is there to be told: what still runs ends with the process
}

func (s *subject) leave(ctx context.Context, o chaos.Order) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	if o.Do == chaos.Drain {
		over := time.Duration(o.Count) * time.Millisecond
		if err := s.node.StartDrain(node.DrainPlan{Duration: over}); err != nil { //nolint:contextcheck // the drain lives as long as the node
			return err
		}
		select {
		case <-s.node.Drained():
		case <-ctx.Done():
		}
		if p := s.node.DrainProgress(); p.Phase != node.DrainOver || p.Left != 0 {
			return fmt.Errorf("drain: %+v after %v", p, over)
		}
	}
	return s.node.Close(ctx)
}

func (s *subject) answer(o chaos.Order, err error) {
	word := ""
	if err != nil {
		word = err.Error()
	}
	s.records.add(chaos.Record{Kind: chaos.Answered, Seq: o.Tag, Word: word})
	s.records.flush()
}

// serve greets clients, and records what they do.
func (s *subject) serve(ctx context.Context) {
	_ = s.node.Serve(ctx, node.HandlerFuncs{ // ends with the node
		Open: func(id node.ID, _ net.Conn) {
			s.records.add(chaos.Record{Kind: chaos.Opened, ID: id})
			_ = s.node.SendData(id, []byte(id.String())) // the client has gone
			s.join(id, chaos.GroupOf(id))
		},
		Data: func(id node.ID, msg []byte) {
			r := chaos.Record{Kind: chaos.Data, ID: id}
			m, err := chaos.ParseMessage(msg)
			switch {
			case err != nil:
				r.Word = err.Error()
			case m.To != id:
				r.Word = "is of the client of " + m.To.String()
			}
			r.Seq = m.Seq
			s.records.add(r)
		},
		Close: func(id node.ID, why node.Reason) {
			s.records.add(chaos.Record{Kind: chaos.Closed, ID: id, Word: why.String()})
		},
	}, 4)
}

func (s *subject) losses() {
	for id, err := range s.node.Undelivered() {
		s.records.add(chaos.Record{Kind: chaos.Undelivered, ID: id, Word: wordFor(err, "")})
	}
}

func (s *subject) do(ctx context.Context, o chaos.Order) error {
	switch o.Do {
	case chaos.Target:
		for _, id := range s.many.add(o.IDs) {
			s.working.Go(func() { s.watch(ctx, id) })
		}
		s.waits.add(o.IDs)
	case chaos.Join:
		for _, id := range o.IDs {
			s.join(id, chaos.GroupElsewhere)
		}
	case chaos.Retire:
		return s.retire(ctx, idspace.NodeNumber(o.IDs[0]))
	case chaos.Intrude:
		return s.intrude(ctx, time.Duration(o.Count)*time.Millisecond)
	case chaos.Kick:
		for _, id := range o.IDs {
			r := chaos.Record{Kind: chaos.Kicked, ID: id, Begin: now()}
			r.Word = wordFor(s.node.SendClose(id), chaos.Accepted)
			s.records.add(r)
		}
	case chaos.Rush:
		s.many.hurry(o.Count)
		s.waits.hurry(4 * o.Count)
		s.groups.hurry(8 * o.Count)
	case chaos.Rest:
		s.many.end()
		s.waits.end()
		s.groups.end()
	case chaos.Settle:
		s.many.settle(ctx, o.IDs)
	case chaos.Tell:
		s.tell()
	case chaos.Race:
		return s.race(ctx, o.Count)
	case chaos.Leave, chaos.Drain: // are not carried out beside others
	}
	return nil
}

// absent is the state of a node that gossip does not know of.
const absent = "absent"

// tell records links and counts.
func (s *subject) tell() {
	for _, n := range s.node.Nodes() {
		if !n.Self && n.Number != 0 {
			word := n.Link
			if n.State == absent {
				word += ", " + absent // to gossip: a link that breaks is not waited for
			}
			s.records.add(chaos.Record{Kind: chaos.Link, ID: idspace.ID(n.Number), Word: word})
		}
	}
	st := s.node.Stats()
	closed, sent := uint64(0), st.Closed[node.ReasonSent]
	for _, n := range st.Closed {
		closed += n
	}
	for name, v := range map[string]uint64{
		"accepted": st.Accepted, "connections": uint64(st.Connections), "closed": closed, "closed-by-us": sent,
		"messages-in": st.MessagesIn, "messages-out": st.MessagesOut, "queued": uint64(st.QueuedMessages),
		"opens-waiting": uint64(st.OpensWaiting), "closes-waiting": uint64(st.ClosesWaiting),
		"undelivered": st.Undelivered, "notices-dropped": st.NoticesDropped, "rejected": st.Rejected,
		"group-lost": s.node.GroupStats().Lost,
	} {
		s.records.add(chaos.Record{Kind: chaos.Stat, Seq: int(v), Word: name})
	}
}

// race has count nodes beside this one ask for a number at once.
func (s *subject) race(ctx context.Context, count int) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var racers sync.WaitGroup
	errs := make([]error, count)
	host, _, err := net.SplitHostPort(s.setup.Cluster)
	if err != nil {
		return err
	}
	// One race may begin while the nodes of another close: each has ports of its own.
	base := 4200 + 100*int(s.races.Add(1)%100)
	for i := range count {
		racers.Go(func() {
			o := options(s.setup, slog.DiscardHandler)
			o.Listen, o.Name, o.DataDir, o.Expect = []string{"tcp://127.0.0.1:0"}, fmt.Sprintf("%s-%d", s.setup.Name, i), "", 0
			o.Join, o.Cluster, o.MaxConns = []string{s.setup.Cluster}, fmt.Sprintf("%s:%d", host, base+i), 16
			r := chaos.Record{Kind: chaos.Raced, Begin: now()}
			n, err := node.OpenContext(ctx, o)
			if err != nil {
				errs[i] = err
				return
			}
			r.ID = idspace.ID(n.Number())
			s.records.add(r)
			errs[i] = n.Close(ctx)
		})
	}
	racers.Wait()
	return errors.Join(errs...)
}

// wordFor is the word for an outcome; good is the one for nil.
func wordFor(err error, good string) string {
	if err == nil {
		return good
	}
	for word, sentinel := range map[string]error{
		chaos.Gone: node.ErrGone, chaos.NeverIssued: node.ErrNeverIssued, chaos.Unreachable: node.ErrUnreachable,
		chaos.Backpressure: node.ErrBackpressure, chaos.Expired: node.ErrExpired, chaos.Uncertain: node.ErrUncertain,
		chaos.ShutDown: node.ErrClosed,
	} {
		if errors.Is(err, sentinel) {
			return word
		}
	}
	return "no outcome: " + err.Error()
}
