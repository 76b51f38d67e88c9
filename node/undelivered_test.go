package node_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"flamingo/node"
)

// stalled returns a connection whose client reads nothing, to which count
// messages of 64 KiB were sent.
func stalled(t *testing.T, n *node.Node, count int) (*client, node.ID) {
	t.Helper()
	c, id := connectID(t, n)
	for range count {
		if err := n.SendData(id, make([]byte, 64<<10)); err != nil {
			t.Fatal(err)
		}
	}
	return c, id
}

type notice struct {
	id  node.ID
	err error
}

// nextUndelivered takes one notice, in a loop of its own that is left at once.
func nextUndelivered(t *testing.T, n *node.Node) notice {
	t.Helper()
	return within(t, "a notice", func() notice {
		for id, err := range n.Undelivered() {
			return notice{id, err}
		}
		return notice{}
	})
}

func TestUndeliveredTellsOfEachMessageOnce(t *testing.T) {
	eachDriver(t, func(t *testing.T, opts node.Opts) {
		opts.OutputBytes = 1 << 30
		n := start(t, opts)
		const count = 500
		c, id := stalled(t, n, count)
		until(t, "the first writes", func() bool { return n.Stats().MessagesOut > 0 })
		c.reset()
		recvClose(t, n)
		lost := count - int(n.Stats().MessagesOut)
		if st := n.Stats(); int(st.Undelivered) != lost {
			t.Errorf("%d counted as undelivered, want %d", st.Undelivered, lost)
		}
		uncertain := 0
		for k := range lost {
			got := nextUndelivered(t, n)
			switch {
			case got.id != id:
				t.Fatalf("notice %d of %d: %+v", k, lost, got)
			case errors.Is(got.err, node.ErrUncertain):
				uncertain++
			case !errors.Is(got.err, node.ErrGone):
				t.Fatalf("notice %d: %v", k, got.err)
			}
		}
		if uncertain > 1 {
			t.Errorf("%d messages are uncertain; only one can be written in part", uncertain)
		}
		if err := n.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		for id, err := range n.Undelivered() {
			t.Fatalf("one too many: %s, %v", id, err)
		}
	})
}

func TestWhatALoopOverUndeliveredLeavesGoesToOneThatWaits(t *testing.T) {
	opts := lines()
	opts.OutputBytes = 1 << 30
	n := start(t, opts)
	const count = 500
	c, _ := stalled(t, n, count)
	until(t, "the first writes", func() bool { return n.Stats().MessagesOut > 0 })
	entered, leave := make(chan struct{}), make(chan struct{})
	go func() {
		for _, outcome := range n.Undelivered() {
			_ = outcome // one and the same here
			close(entered)
			<-leave
			return
		}
	}()
	c.reset()
	recvClose(t, n)
	receive(t, "a notice", entered)
	lost := count - int(n.Stats().MessagesOut)
	rest := make(chan struct{}, count)
	go func() {
		for _, outcome := range n.Undelivered() {
			_ = outcome // one and the same here
			rest <- struct{}{}
		}
	}()
	<-time.After(10 * time.Millisecond) // the second loop takes what else there is, and waits
	close(leave)
	for range lost - 1 {
		receive(t, "a message that the first loop left", rest)
	}
}

func TestSlowClientPolicies(t *testing.T) {
	// fill sends until a message meets a full queue, and returns the answer.
	fill := func(t *testing.T, n *node.Node, id node.ID, full func(error) bool) error {
		t.Helper()
		for range 100000 {
			if err := n.SendData(id, make([]byte, 16<<10)); full(err) {
				return err
			}
		}
		t.Fatal("the queue of a client that does not read is never full")
		return nil
	}
	failed := func(err error) bool { return err != nil }
	eachDriver(t, func(t *testing.T, opts node.Opts) {
		opts.OutputBytes = 256 << 10
		t.Run("close", func(t *testing.T) {
			n := start(t, opts)
			_, id := connectID(t, n)
			if err := fill(t, n, id, failed); !errors.Is(err, node.ErrGone) {
				t.Errorf("SendData: %v", err)
			}
			if got, why := nextClose(t, n); got != id || why != node.ReasonSlow {
				t.Errorf("%s ended for reason %v", got, why)
			}
		})
		t.Run("drop newest", func(t *testing.T) {
			opts := opts
			opts.SlowClient = node.SlowDropNewest
			n := start(t, opts)
			_, id := connectID(t, n)
			_ = fill(t, n, id, func(err error) bool {
				if err != nil {
					t.Fatalf("SendData: %v", err)
				}
				return n.Stats().Dropped > 0
			})
			got := nextUndelivered(t, n)
			if got.id != id || !errors.Is(got.err, node.ErrBackpressure) {
				t.Errorf("notice %+v", got)
			}
			until(t, "a Send that meets a full queue", func() bool {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
				defer cancel()
				for range 100 {
					_ = n.SendData(id, make([]byte, 16<<10))
				}
				err := n.Send(ctx, id, make([]byte, 16<<10))
				if err != nil && !errors.Is(err, node.ErrBackpressure) && !errors.Is(err, node.ErrExpired) && !errors.Is(err, node.ErrUncertain) {
					t.Fatalf("Send: %v", err)
				}
				return errors.Is(err, node.ErrBackpressure)
			})
		})
		t.Run("fail sender", func(t *testing.T) {
			opts := opts
			opts.SlowClient = node.SlowFailSender
			n := start(t, opts)
			c, id := connectID(t, n)
			if err := fill(t, n, id, failed); !errors.Is(err, node.ErrBackpressure) {
				t.Errorf("SendData: %v", err)
			}
			go func() { _, _ = c.in.WriteTo(discard{}) }()
			until(t, "room", func() bool { return n.SendData(id, []byte("x")) == nil })
			if st := n.Stats(); st.Refused == 0 {
				t.Errorf("%+v", st)
			}
		})
	})
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
