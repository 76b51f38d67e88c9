//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"time"

	"flamingo"
)

var policies = map[string]flamingo.SlowClient{
	"close": flamingo.SlowClose, "drop-newest": flamingo.SlowDropNewest, "fail-sender": flamingo.SlowFailSender,
}

// An order is what the driver wants of a node, one JSON object each.
type order struct {
	Do     string        `json:"do"` // ids, start, stop, counts
	Honest []flamingo.ID `json:"honest,omitempty"`
	Stuck  []flamingo.ID `json:"stuck,omitempty"`
	Rate   int           `json:"rate,omitempty"` // messages a second to Stuck
	Size   int           `json:"size,omitempty"`
}

// An answer is what it says to each, and once before that it is open.
type answer struct {
	Addr        string        `json:"addr,omitempty"`
	IDs         []flamingo.ID `json:"ids,omitempty"`
	Nodes       int           `json:"nodes"`       // present in the cluster
	Accepted    uint64        `json:"accepted"`    // sends from here
	Refused     uint64        `json:"refused"`     // of them, with an error
	Undelivered uint64        `json:"undelivered"` // accepted, and reported
	Written     uint64        `json:"written"`     // messages, to clients of this node
	Pending     int64         `json:"pending"`     // bytes, for clients of this node
	Queued      int           `json:"queued"`      // bytes, on the way to other nodes
	Crossed     uint64        `json:"crossed"`     // bytes, to other nodes
}

// A server is one node and what it sends.
type server struct {
	node *flamingo.Node

	mu  sync.Mutex
	ids []flamingo.ID

	stop    context.CancelFunc
	sending sync.WaitGroup
	sums    [2]answer // owned by one goroutine each until sending.Wait
}

// serve is a node that does as it is told on standard input, until that ends.
func serve(ctx context.Context, args []string, out io.Writer) error {
	var opts flamingo.Opts
	var join, policy string
	flags := flag.NewFlagSet("node", flag.ContinueOnError)
	flags.StringVar(&opts.Cluster, "cluster", "", "address between nodes")
	flags.StringVar(&join, "join", "", "that of another node")
	flags.IntVar(&opts.OutputBytes, "output", 0, "OutputBytes")
	flags.StringVar(&policy, "policy", "", "SlowClient")
	if err := flags.Parse(args); err != nil {
		return err
	}
	opts.Listen = []string{"tcp://127.0.0.1:0?framing=line&write-buffer=4096"}
	opts.SlowClient, opts.Ignore, opts.QueueBytes = policies[policy], flamingo.IgnoreCloses, queueBytes
	opts.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	if join != "" {
		opts.Join = []string{join}
	}
	n, err := flamingo.OpenContext(ctx, opts)
	if err != nil {
		return err
	}
	s := &server{node: n, stop: func() {}}
	var taking sync.WaitGroup
	taking.Go(func() {
		for id := range n.Opens() {
			s.mu.Lock()
			s.ids = append(s.ids, id)
			s.mu.Unlock()
		}
	})
	err = s.obey(ctx, out)
	s.stop()
	s.sending.Wait()
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err = errors.Join(err, n.Close(closing))
	taking.Wait()
	return err
}

func (s *server) obey(ctx context.Context, out io.Writer) error {
	orders, answers := json.NewDecoder(os.Stdin), json.NewEncoder(out)
	if err := answers.Encode(answer{Addr: s.node.Addrs()[0].String()}); err != nil {
		return err
	}
	for {
		var o order
		if err := orders.Decode(&o); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		switch o.Do {
		case "start":
			s.start(ctx, o)
		case "stop":
			s.stop()
			s.sending.Wait()
		}
		if err := answers.Encode(s.counts(o.Do)); err != nil {
			return err
		}
	}
}

// start sends a message each millisecond to one of those that read, and so many to
// the others.
func (s *server) start(ctx context.Context, o order) {
	ctx, s.stop = context.WithCancel(ctx)
	s.sending.Go(func() {
		pace(ctx, func(k int) {
			s.send(&s.sums[0], o.Honest[k%len(o.Honest)], strconv.AppendInt(nil, time.Now().UnixNano(), 10))
		})
	})
	if len(o.Stuck) == 0 {
		return
	}
	s.sending.Go(func() {
		msg := make([]byte, o.Size)
		for i := range msg {
			msg[i] = 'x'
		}
		each := o.Rate / 1000
		pace(ctx, func(k int) {
			for i := range each {
				s.send(&s.sums[1], o.Stuck[(k*each+i)%len(o.Stuck)], msg)
			}
		})
	})
}

func (s *server) send(sum *answer, id flamingo.ID, msg []byte) {
	if s.node.SendData(id, msg) == nil {
		sum.Accepted++
	} else {
		sum.Refused++
	}
}

// pace calls f with 0, 1, … a thousand times a second, later ones in a row when it is
// late.
func pace(ctx context.Context, f func(k int)) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for k, begin := 0, time.Now(); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for ; k < int(time.Since(begin)/time.Millisecond); k++ {
			f(k)
		}
	}
}

// counts tells what was counted; of what was sent, when nothing is sent any more.
func (s *server) counts(do string) answer {
	st := s.node.Stats()
	a := answer{Written: st.MessagesOut, Pending: st.PendingBytes, Undelivered: st.Undelivered, Nodes: len(s.node.Nodes())}
	for i := 0; i < len(s.sums) && (do == "stop" || do == "counts"); i++ {
		sum := &s.sums[i]
		a.Accepted += sum.Accepted
		a.Refused += sum.Refused
	}
	cs, _ := s.node.ClusterStats()
	for _, p := range cs.Peers {
		a.Queued += p.QueueBytes
		a.Crossed += p.Dialled.BytesOut
	}
	if do == "ids" {
		s.mu.Lock()
		a.IDs = append(a.IDs, s.ids...)
		s.mu.Unlock()
	}
	return a
}
