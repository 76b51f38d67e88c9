//go:build linux

package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"flamingo/idspace"
	"flamingo/node"
	"flamingo/test/chaos"
)

// watch records all that the node says of a connection.
func (s *subject) watch(ctx context.Context, id node.ID) {
	r := chaos.Record{Kind: chaos.Watched, ID: id, Begin: now()}
	events, err := s.node.Watch(ctx, id)
	r.Word = wordFor(err, "")
	s.records.add(r)
	if err != nil {
		return
	}
	for e := range events {
		word := e.State.String()
		if e.State == node.WatchClosed {
			word += chaos.NoticeReason + e.Reason.String()
		}
		s.records.add(chaos.Record{Kind: chaos.Noticed, ID: id, Word: word})
	}
	if ctx.Err() == nil && !s.node.Closing() {
		s.records.add(chaos.Record{Kind: chaos.Noticed, ID: id, Word: chaos.NoticeEnd})
	}
}

func groupName(stream byte) string { return "group/" + string(rune(stream)) }

func (s *subject) join(id node.ID, group byte) {
	r := chaos.Record{Kind: chaos.Joined, ID: id, Stream: group, Begin: now()}
	r.Word = wordFor(s.node.JoinGroup(id, groupName(group)), chaos.Accepted)
	s.records.add(r)
}

// publishingRound publishes a message to each group.
func (s *sender) publishingRound(_ context.Context, _ []node.ID, seq int) {
	for group := byte(chaos.StreamGroup); group <= chaos.GroupElsewhere; group++ {
		m := chaos.Message{From: s.node.Number(), Stream: group, Seq: seq}
		r := chaos.Record{Kind: chaos.Published, Stream: group, Seq: seq, Begin: now()}
		told, err := s.node.Publish(groupName(group), m.Append(nil, size(0, seq))) //nolint:contextcheck // it takes none
		if err != nil {
			r.Word = wordFor(err, "")
			s.records.add(r)
			continue
		}
		failed := map[idspace.NodeNumber]string{}
		for _, f := range told.Failed {
			failed[f.Number] = wordFor(f.Err, "")
		}
		r.Word = chaos.Failures(failed)
		s.records.add(r)
	}
}

// awaitRebirth records that the node has taken another number.
func (s *subject) awaitRebirth(ctx context.Context) {
	first := s.node.Number()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		<-tick.C
		if n := s.node.Number(); n != first && n != 0 {
			s.records.add(chaos.Record{Kind: chaos.Reborn, ID: idspace.ID(n)})
			s.records.flush()
			return
		}
	}
}

// retireWithin is how long it may take until a node that is away is seen to be.
const retireWithin = 40 * time.Second

// retire retires a number as an operator does, who waits until its node is away.
func (s *subject) retire(ctx context.Context, number idspace.NodeNumber) error {
	ctx, cancel := context.WithTimeout(ctx, retireWithin)
	defer cancel()
	r := chaos.Record{Kind: chaos.Retired, ID: idspace.ID(number), Begin: now()}
	for {
		err := s.node.Retire(ctx, number, false)
		switch {
		case err == nil:
			s.records.add(r)
			return nil
		case !errors.Is(err, node.ErrPresent) && !errors.Is(err, node.ErrUnreachable):
			return err
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

// intrude has a node without the key and one with another key ask for a number, for
// so long or until one has it.
func (s *subject) intrude(ctx context.Context, atMost time.Duration) error {
	dir, err := os.MkdirTemp("", "stranger-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	wrong := filepath.Join(dir, "key")
	key := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("stranger", 4)))
	if err := os.WriteFile(wrong, []byte(key+"\n"), 0o600); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	host, _, err := net.SplitHostPort(s.setup.Cluster)
	if err != nil {
		return err
	}
	var strangers sync.WaitGroup
	for i, stranger := range []struct{ has, file string }{{"no key", ""}, {"another key", wrong}} {
		setup := s.setup
		setup.Name, setup.Listen, setup.Cluster, setup.KeyFile = "stranger", "127.0.0.1:0", fmt.Sprintf("%s:%d", host, 4190+i), stranger.file
		setup.Join, setup.DataDir, setup.Expect, setup.Crowd = append(slices.Clip(setup.Join), s.setup.Cluster), "", 0, 16
		strangers.Go(func() {
			n, err := node.OpenContext(ctx, options(setup, slog.DiscardHandler))
			if err != nil {
				return // as it must be
			}
			s.records.add(chaos.Record{Kind: chaos.Intruded, ID: idspace.ID(n.Number()), Word: stranger.has})
			cancel()
			_ = n.Close(ctx) // at once; that it has been let in is worse
		})
	}
	strangers.Wait()
	return nil
}
