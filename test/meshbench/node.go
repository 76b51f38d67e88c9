//go:build linux

package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"flamingo"
	"flamingo/test/meshbench/worker"
)

// outputBytes is what a client may be behind, in bytes: more than is ever under
// way, so that no connection is too slow.
const outputBytes = 16 << 20

// A nodeSender sends by id, wherever the connections are.
type nodeSender struct {
	node *flamingo.Node
	ids  []flamingo.ID
	err  error // of Use
}

// openNode opens a node, the owner with clients and the sender without. Both
// can send.
func openNode(ctx context.Context, p *worker.Process, clients, between, join string) error {
	opts := flamingo.Opts{
		Listen: []string{"tcp://127.0.0.1:0"}, OutputBytes: outputBytes,
		Ignore:  flamingo.IgnoreCloses,
		Cluster: between,
		Logger:  slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	}
	if clients != "" {
		opts.Listen = []string{"tcp://" + clients}
	}
	if join != "" {
		opts.Join = []string{join}
	}
	n, err := flamingo.OpenContext(ctx, opts)
	if err != nil {
		return err
	}
	p.Sender = &nodeSender{node: n}
	p.IDs = takeIDs(n)
	return nil
}

// takeIDs takes the connections of n, and returns a function that lists them.
func takeIDs(n *flamingo.Node) func() []uint64 {
	var (
		mu  sync.Mutex
		ids []uint64
	)
	go func() {
		for id := range n.Opens() {
			mu.Lock()
			ids = append(ids, uint64(id))
			mu.Unlock()
		}
	}()
	return func() []uint64 {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(ids)
	}
}

// Use implements worker.Sender. It waits until the ids can be reached.
func (s *nodeSender) Use(ids []uint64) {
	s.ids = make([]flamingo.ID, len(ids))
	for i, id := range ids {
		s.ids[i] = flamingo.ID(id)
	}
	ctx := context.Background()
	s.err = within(ctx, 20*time.Second, func() error {
		_, err := s.node.Describe(ctx, s.ids[0])
		return err
	})
}

// Data implements worker.Sender.
func (s *nodeSender) Data(to int, msg []byte) error {
	return s.node.SendData(s.ids[to], msg)
}

// Many implements worker.Sender.
func (s *nodeSender) Many(n int, msg []byte) error {
	return errors.Join(s.node.SendMany(s.ids[:n], msg)...)
}

// Wait implements worker.Sender.
func (s *nodeSender) Wait(ctx context.Context, to int, msg []byte) error {
	if s.err != nil {
		return s.err
	}
	return s.node.Send(ctx, s.ids[to], msg)
}
