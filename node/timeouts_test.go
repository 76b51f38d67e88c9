package node_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"flamingo/node"
)

// What ends by the clock, and when exactly.

func TestMessagesBetweenNodesWaitForNoTimer(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		nodes := w.openAll(w.fabric())
		begin := time.Now()
		c, id := w.connect(nodes[0])
		c.say("hello\n")
		if got := recvData(t, nodes[0]); got != (message{id, "hello"}) {
			t.Errorf("received %+v", got)
		}
		if err := nodes[1].SendData(id, []byte("hello yourself")); err != nil {
			t.Error(err)
		}
		c.expect("hello yourself")
		if err := nodes[2].SendClose(id); err != nil {
			t.Error(err)
		}
		c.expectEnd()
		if got, why := nextClose(t, nodes[0]); got != id || why != node.ReasonRemote {
			t.Errorf("%s ended for reason %v, want %s for reason %v", got, why, id, node.ReasonRemote)
		}
		requireTime(t, "all of it", begin, 0, 0)
	})
}

func TestClientIsIdleFromItsLastByteOrMessageOn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		opts := w.fabric()
		opts[0].ActivityTimeout = time.Minute
		nodes := w.openAll(opts)
		begin := time.Now()
		_, silent := w.connect(nodes[0])
		speaker, spoken := w.connect(nodes[0])
		listener, heard := w.connect(nodes[0])

		<-time.After(20 * time.Second)
		speaker.say("half a li")
		<-time.After(20 * time.Second)
		if err := nodes[1].SendData(heard, []byte("are you there")); err != nil {
			t.Error(err)
		}
		listener.expect("are you there")
		for _, want := range []struct {
			id    node.ID
			after time.Duration
		}{
			{silent, time.Minute},
			{spoken, 80 * time.Second},
			{heard, 100 * time.Second},
		} {
			<-time.After(time.Until(begin.Add(want.after - time.Second)))
			if got, why := nextClose(t, nodes[0]); got != want.id || why != node.ReasonIdle {
				t.Errorf("%s ended for reason %v, want %s for reason %v", got, why, want.id, node.ReasonIdle)
			}
			requireTime(t, "a client was disconnected", begin, want.after, slack)
		}
	})
}

func TestClientThatTakesNothingIsGivenUpInTime(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		opts := w.fabric()
		opts[0].CloseTimeout = time.Minute
		nodes := w.openAll(opts)
		notices := watchUndelivered(nodes[0])
		c, id := w.connect(nodes[0])
		for _, n := range nodes {
			if err := n.SendData(id, []byte("xyz")); err != nil {
				t.Error(err)
			}
			synctest.Wait() // in this order
		}
		if _, err := c.Read(make([]byte, 1)); err != nil { // and no more
			t.Fatal(err)
		}
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := nodes[0].Send(ctx, id, []byte("xyz")); !errors.Is(err, node.ErrExpired) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a send that waits behind others: %v, want %v for %v", err, node.ErrExpired, context.DeadlineExceeded)
		}
		requireTime(t, "it", begin, 10*time.Second, 0)

		waiting := make(chan error, 1)
		go func() { waiting <- nodes[1].Send(t.Context(), id, []byte("xyz")) }()
		synctest.Wait()
		begin = time.Now()
		if err := nodes[2].SendClose(id); err != nil {
			t.Error(err)
		}
		requireTime(t, "to ask for the end", begin, 0, 0)
		expectOutcome(t, nodes[0], "a connection that ends", id, node.ErrGone)
		<-time.After(time.Minute - time.Second)
		if got, why := nextClose(t, nodes[0]); got != id || why != node.ReasonRemote {
			t.Errorf("%s ended for reason %v, want %s for reason %v", got, why, id, node.ReasonRemote)
		}
		requireTime(t, "the connection was ended", begin, time.Minute, slack)
		if err := receive(t, "the outcome", waiting); !errors.Is(err, node.ErrGone) {
			t.Errorf("a send that waited behind others: %v, want %v", err, node.ErrGone)
		}
		// Of the first message a part is written.
		requireNotices(t, notices, id, node.ErrGone, node.ErrGone, node.ErrUncertain)
	})
}

func TestCloseWritesWhatItCanWithinItsBounds(t *testing.T) {
	for name, c := range map[string]struct {
		patience time.Duration // of the context
		least    time.Duration
		want     error
	}{
		"CloseTimeout": {time.Hour, 5 * time.Second, nil},
		"context":      {2 * time.Second, 2 * time.Second, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				opts := w.fabric()
				opts[0].Ignore = node.IgnoreCloses
				nodes := w.openAll(opts)
				reader, read := w.connect(nodes[0])
				stalled, stuck := w.connect(nodes[0])
				for _, id := range []node.ID{read, stuck} {
					if err := nodes[1].SendData(id, []byte("last words")); err != nil {
						t.Error(err)
					}
				}
				synctest.Wait()
				ctx, cancel := context.WithTimeout(t.Context(), c.patience)
				defer cancel()
				begin := time.Now()
				closed := make(chan error, 1)
				go func() { closed <- nodes[0].Close(ctx) }()
				reader.expect("last words")
				reader.expectEnd()
				requireTime(t, "a client that reads", begin, 0, 0)
				if err := receive(t, "the end of Close", closed); !errors.Is(err, c.want) {
					t.Errorf("Close = %v, want %v", err, c.want)
				}
				requireTime(t, "Close", begin, c.least, time.Second) // for the goodbye
				if _, err := io.ReadAll(stalled.in); err != nil {
					t.Errorf("the other client read %v, want the end", err)
				}
			})
		})
	}
}

func TestNodeThatClosesReportsWhatItCouldNotDeliver(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		nodes := w.openAll(w.fabric())
		_, id := w.connect(nodes[2])
		w.isolate(2)
		notices := watchUndelivered(nodes[0])
		for range 3 {
			if err := nodes[0].SendData(id, []byte("x")); err != nil {
				t.Error(err)
			}
		}
		waiting := make(chan error, 1)
		go func() { waiting <- nodes[0].Send(t.Context(), id, []byte("x")) }()
		begin := time.Now()
		if err := nodes[0].Close(t.Context()); err != nil {
			t.Error(err)
		}
		requireTime(t, "Close", begin, 5*time.Second, time.Second) // for the goodbye
		if err := receive(t, "the outcome", waiting); !errors.Is(err, node.ErrClosed) {
			t.Errorf("a send that waited: %v, want %v", err, node.ErrClosed)
		}
		requireNotices(t, notices, id, node.ErrClosed, node.ErrClosed, node.ErrClosed)
		if got, more := <-notices; more {
			t.Errorf("one notice too many: %v", got)
		}
	})
}
