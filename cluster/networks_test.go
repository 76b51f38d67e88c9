package cluster_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"flamingo/cluster/port"
)

func TestStreamsOfRaftWaitForTheirTurn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		n := w.start(w.plans(2, 0)[0]) // blank: its own server accepts nothing
		raft := n.RaftNetwork()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		first := make(chan net.Conn)
		go func() {
			c, err := raft.Accept(ctx)
			if err != nil {
				t.Errorf("the first stream: %v", err)
			}
			first <- c
		}()
		synctest.Wait()
		peer, err := port.New(port.Config{Addr: hostAddr(9), Network: w.Host(hostAddr(9).Addr())})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			c, err := peer.Dial(ctx, n.plan.addr(), port.Raft)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
		}
		synctest.Wait()
		if c := <-first; c != nil {
			c.Close()
		}
		for range 2 {
			c, err := raft.Accept(ctx)
			if err != nil {
				t.Fatalf("a stream that came at the same time: %v", err)
			}
			c.Close()
		}
		cancel()
		if c, err := raft.Accept(ctx); err == nil {
			c.Close()
			t.Error("accepted a stream that nobody has opened")
		}
		next, stop := context.WithCancel(t.Context())
		stop()
		if _, err := n.RaftNetwork().Accept(next); !errors.Is(err, net.ErrClosed) {
			t.Errorf("the server after that: %v, want %v", err, net.ErrClosed)
		}
	})
}
