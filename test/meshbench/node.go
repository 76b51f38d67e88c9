//go:build linux

package main

import (
	"context"
	"fmt"
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

// everyone is the group of all clients.
const everyone = "everyone"

// A nodeSender sends by id, and to everyone.
type nodeSender struct {
	node *flamingo.Node
	ids  []flamingo.ID
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

// takeIDs makes the connections of n members of everyone, and returns a function
// that lists them.
func takeIDs(n *flamingo.Node) func() []uint64 {
	var (
		mu  sync.Mutex
		ids []uint64
	)
	go func() {
		for id := range n.Opens() {
			if err := n.JoinGroup(id, everyone); err != nil {
				panic(fmt.Sprintf("meshbench: %v", err))
			}
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
	s.ids = nil
	for _, id := range ids {
		s.ids = append(s.ids, flamingo.ID(id))
	}
	ctx := context.Background()
	return within(ctx, 20*time.Second, func() error {
		n, missing, err := s.node.GroupCount(ctx, everyone)
		if err == nil && (n != len(ids)+len(own) || len(missing) > 0) {
			err = fmt.Errorf("%d of %d clients are in the group, and %d nodes do not answer", n, len(ids)+len(own), len(missing))
		}
		return err
	})
}

// Data implements worker.Sender.
func (s *nodeSender) Data(to int, msg []byte) error { return s.node.SendData(s.ids[to], msg) }

// Publish implements worker.Sender.
func (s *nodeSender) Publish(msg []byte) error {
	p, err := s.node.Publish(everyone, msg)
	if err == nil && (p.Refused > 0 || p.Nodes != 1 || len(p.Failed) > 0) {
		err = fmt.Errorf("publish has come to %+v, want one other node", p)
	}
	return err
}

// Wait implements worker.Sender.
func (s *nodeSender) Wait(ctx context.Context, to int, msg []byte) error {
	return s.node.Send(ctx, s.ids[to], msg)
}
