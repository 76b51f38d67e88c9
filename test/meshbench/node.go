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
const outputBytes = 64 << 20

// A nodeSender sends by id.
type nodeSender struct {
	node     *flamingo.Node
	ids, all []flamingo.ID
}

var _ worker.Sender = (*nodeSender)(nil)

// openNode opens a node.
func openNode(ctx context.Context, a worker.Args) (*worker.Process, error) {
	board, err := worker.OpenBoard(a.Board)
	if err != nil {
		return nil, err
	}
	opts := flamingo.Opts{
		Listen: []string{"tcp://" + a.Clients}, OutputBytes: outputBytes,
		Ignore:  flamingo.IgnoreCloses,
		Cluster: a.Listen, ClusterKeyFile: a.Key,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	}
	if a.Dial != "" {
		opts.Join = []string{a.Dial}
	}
	n, err := flamingo.OpenContext(ctx, opts)
	if err != nil {
		return nil, err
	}
	return &worker.Process{Board: board, Sender: &nodeSender{node: n}, IDs: takeIDs(n)}, nil
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

// Use implements worker.Sender.
func (s *nodeSender) Use(ids, own []uint64) error {
	s.all = nil
	for _, id := range slices.Concat(ids, own) {
		s.all = append(s.all, flamingo.ID(id))
	}
	s.ids = s.all[:len(ids)]
	ctx := context.Background()
	return within(ctx, 20*time.Second, func() error {
		_, err := s.node.Describe(ctx, s.ids[0])
		return err
	})
}

// Data implements worker.Sender.
func (s *nodeSender) Data(to int, msg []byte) error { return s.node.SendData(s.ids[to], msg) }

// Publish implements worker.Sender.
func (s *nodeSender) Publish(msg []byte) error { return errors.Join(s.node.SendMany(s.all, msg)...) }

// Wait implements worker.Sender.
func (s *nodeSender) Wait(ctx context.Context, to int, msg []byte) error {
	return s.node.Send(ctx, s.ids[to], msg)
}
