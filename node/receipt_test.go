package node_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"flamingo/node"
)

func TestMessageThatIsTooLateIsNeverWritten(t *testing.T) {
	eachDriver(t, func(t *testing.T, opts node.Opts) {
		opts.OutputBytes = 1 << 30
		n := start(t, opts)
		const count = 500
		c, id := stalled(t, n, count)
		if err := n.SendDataBefore(time.Now().Add(30*time.Millisecond), id, []byte("too late")); err != nil {
			t.Fatal(err)
		}
		if err := n.SendDataBefore(time.Now().Add(time.Hour), id, []byte("in time")); err != nil {
			t.Fatal(err)
		}
		if got := nextUndelivered(t, n); got.id != id || !errors.Is(got.err, node.ErrExpired) {
			t.Errorf("notice %+v, want %s expired", got, id)
		}
		if err := n.SendDataBefore(time.Now(), id, nil); !errors.Is(err, node.ErrExpired) {
			t.Errorf("SendDataBefore a time that has passed: %v", err)
		}
		for range count {
			c.expect(string(make([]byte, 64<<10)))
		}
		c.expect("in time")
		if st := n.Stats(); st.Expired != 1 || st.Undelivered != 1 {
			t.Errorf("%d expired and %d undelivered, want 1 and 1", st.Expired, st.Undelivered)
		}
	})
}

func TestMessageWithADeadlineEndsWithItsConnection(t *testing.T) {
	opts := lines()
	opts.OutputBytes = 1 << 30
	n := start(t, opts)
	c, id := stalled(t, n, 0)
	for range 200 { // more than the system takes
		if err := n.SendDataBefore(time.Now().Add(time.Hour), id, make([]byte, 64<<10)); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "the first writes", func() bool { return n.Stats().MessagesOut > 0 })
	c.reset()
	recvClose(t, n)
	lost := 200 - int(n.Stats().MessagesOut)
	for k := range lost {
		if got := nextUndelivered(t, n); got.id != id || !errors.Is(got.err, node.ErrGone) && !errors.Is(got.err, node.ErrUncertain) {
			t.Fatalf("notice %d of %d: %+v", k, lost, got)
		}
	}
	if err := n.SendDataBefore(time.Now().Add(time.Hour), id, nil); !errors.Is(err, node.ErrGone) {
		t.Errorf("SendDataBefore to a connection that has ended: %v", err)
	}
}

// TestDeadlineHoldsFromAnotherNode: on the way there, and in its output queue.
func TestDeadlineHoldsFromAnotherNode(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		nodes := w.openAll(w.fabric())
		c, id := w.connect(nodes[2])
		if err := nodes[0].SendData(id, []byte("first")); err != nil {
			t.Fatal(err)
		}
		c.expect("first")
		notices := watchUndelivered(nodes[0])
		begin := time.Now()
		w.isolate(2)
		if err := nodes[0].SendDataBefore(begin.Add(3*time.Second), id, []byte("too late")); err != nil {
			t.Fatal(err)
		}
		if err := nodes[0].SendDataBefore(begin.Add(time.Minute), id, []byte("in time")); err != nil {
			t.Fatal(err)
		}
		requireNotices(t, notices, id, node.ErrExpired)
		requireTime(t, "it is told of", begin, 3*time.Second, time.Second)
		<-time.After(time.Second)
		w.Heal()
		c.expect("in time")
		if len(notices) > 0 {
			t.Errorf("%d notices too many, the first %v", len(notices), <-notices)
		}
	})
}

// TestAcknowledgementsFromAnywhere: from the node of the client and from another
// one, of a client that reads and of one that never does.
func TestAcknowledgementsFromAnywhere(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells of acknowledgements")
	}
	nodes := openAll(t, fabric(t))
	c, id := connectID(t, nodes[0])
	for _, n := range nodes {
		for _, msg := range []string{"one", "two"} {
			if err := n.SendAcked(limit(t), id, []byte(msg)); err != nil {
				t.Errorf("SendAcked: %v", err)
			}
		}
	}
	for range nodes {
		c.expect("one")
		c.expect("two")
	}
	c.reset()
	recvClose(t, nodes[0])
	for _, n := range nodes {
		if err := n.SendAcked(limit(t), id, nil); !errors.Is(err, node.ErrGone) {
			t.Errorf("SendAcked to a connection that has ended: %v", err)
		}
	}
}

func limit(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// TestConnectionsInMemoryHaveNoAcknowledgements: its owner says so to whoever asks.
func TestConnectionsInMemoryHaveNoAcknowledgements(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		nodes := w.openAll(w.fabric())
		c, id := w.connect(nodes[2])
		var asking sync.WaitGroup
		for _, n := range slices.Backward(nodes) {
			asking.Go(func() {
				err := n.SendAcked(t.Context(), id, []byte("never"))
				if !errors.Is(err, node.ErrNoAck) || !errors.Is(err, errors.ErrUnsupported) {
					t.Errorf("SendAcked: %v", err)
				}
			})
		}
		asking.Wait()
		if err := nodes[2].SendData(id, []byte("first")); err != nil {
			t.Fatal(err)
		}
		c.expect("first")
	})
}
