package node_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"flamingo/node"
)

func TestRecvMethodsOfAClosedNodeAnswerAtOnceAndThenRest(t *testing.T) {
	methods := map[string]func(n *node.Node) (node.ID, bool){
		"RecvOpen": func(n *node.Node) (node.ID, bool) {
			id, conn := n.RecvOpen()
			return id, conn == nil
		},
		"RecvData": func(n *node.Node) (node.ID, bool) {
			id, msg := n.RecvData()
			return id, msg == nil
		},
		"RecvClose": func(n *node.Node) (node.ID, bool) { return n.RecvClose(), true },
	}
	for name, recv := range methods {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, err := node.ClosedNode()
				if err != nil {
					t.Fatal(err)
				}
				begin := time.Now()
				for k := range 100 {
					if id, empty := recv(n); id != 0 || !empty {
						t.Fatalf("call %d returned id %s, or more", k, id)
					}
					if took, want := time.Since(begin), time.Duration(k)*node.RestAfterClose; took != want {
						t.Fatalf("call %d returned after %v, want %v", k, took, want)
					}
				}
				for other := range methods { // the node has said so: they rest too
					begin := time.Now()
					methods[other](n)
					if took := time.Since(begin); took != node.RestAfterClose {
						t.Errorf("then %s returned after %v", other, took)
					}
				}
				begin = time.Now()
				for range n.Opens() {
					t.Error("an open")
				}
				for range n.Messages() {
					t.Error("a message")
				}
				for range n.Closes() {
					t.Error("a close")
				}
				for id, err := range n.Undelivered() {
					t.Errorf("undelivered to %s: %v", id, err)
				}
				if took := time.Since(begin); took != 0 {
					t.Errorf("the iterators took %v", took)
				}
			})
		})
	}
}

func TestIteratorsHandOutEverythingAndEndWithTheNode(t *testing.T) {
	eachDriver(t, func(t *testing.T, opts node.Opts) {
		opts.CloseTimeout = 10 * time.Millisecond // one client does not end
		n := start(t, opts)
		var running sync.WaitGroup
		defer running.Wait()
		opened, closed, messages := map[node.ID]bool{}, map[node.ID]node.Reason{}, map[node.ID][]string{}
		got := make(chan struct{})
		running.Go(func() {
			for id, conn := range n.Opens() {
				opened[id] = conn != nil && conn.RemoteAddr() != nil
			}
		})
		running.Go(func() {
			count := 0
			for id, msg := range n.Messages() {
				messages[id] = append(messages[id], string(msg))
				if count++; count == 200 {
					close(got)
				}
			}
		})
		running.Go(func() {
			maps.Insert(closed, n.Closes())
		})
		var clients []*client
		for range 2 {
			c := connect(t, n)
			clients = append(clients, c)
			for k := range 100 {
				c.say(fmt.Sprintln(k))
			}
		}
		clients[0].Close()
		receive(t, "all messages", got)
		until(t, "the close", func() bool { return n.Stats().Connections == 1 })
		if err := n.Close(t.Context()); err != nil {
			t.Error(err)
		}
		running.Wait()
		if len(opened) != 2 || len(closed) != 2 || len(messages) != 2 {
			t.Errorf("%d opens, %d closes, messages of %d; want 2 of each", len(opened), len(closed), len(messages))
		}
		reasons := map[node.Reason]int{}
		for id := range opened {
			reasons[closed[id]]++
			for k := range 100 {
				if k >= len(messages[id]) || messages[id][k] != fmt.Sprint(k) {
					t.Fatalf("message %d of %s: %q", k, id, messages[id])
				}
			}
		}
		if reasons[node.ReasonClient] != 1 || reasons[node.ReasonShutdown] != 1 {
			t.Errorf("reasons %v", reasons)
		}
	})
}

func TestIteratorThatIsLeftTakesOneEventPerTurn(t *testing.T) {
	n := start(t, lines())
	c := connect(t, n)
	for k := range 10 {
		c.say(fmt.Sprintln(k))
	}
	for k := range 10 {
		got := within(t, "a message", func() string {
			for _, msg := range n.Messages() {
				return string(msg)
			}
			return ""
		})
		if got != fmt.Sprint(k) {
			t.Fatalf("message %q, want %d", got, k)
		}
	}
}

func TestMessageIsTheReceiversToAppendTo(t *testing.T) {
	eachDriver(t, func(t *testing.T, opts node.Opts) {
		n := start(t, opts)
		c := connect(t, n)
		c.say("one\ntwo\nthree\n")
		var msgs [][]byte
		for range 3 {
			msgs = append(msgs, within(t, "a message", func() []byte {
				_, msg := n.RecvData()
				return msg
			}))
		}
		for k := range msgs {
			_ = append(msgs[k], "overwritten"...)
		}
		if got := fmt.Sprintf("%s", msgs); got != "[one two three]" {
			t.Errorf("messages %s", got)
		}
	})
}

func TestCloseHandsOutWhatIsQueued(t *testing.T) {
	eachDriver(t, func(t *testing.T, opts node.Opts) {
		n := start(t, opts)
		c := connect(t, n)
		const count = 1000
		for k := range count {
			c.say(fmt.Sprintln(k))
		}
		until(t, "the messages", func() bool { return n.Stats().QueuedMessages == count })
		closed := make(chan error, 1)
		go func() { closed <- n.Close(context.Background()) }()
		c.expectEnd()
		id := recvOpen(t, n)
		for k := range count {
			if got := recvData(t, n); got.id != id || got.data != fmt.Sprint(k) {
				t.Fatalf("message %+v, want %d from %s", got, k, id)
			}
		}
		select {
		case err := <-closed:
			t.Fatalf("Close returned %v before the close was taken", err)
		default:
		}
		if got, why := nextClose(t, n); got != id || why != node.ReasonShutdown {
			t.Errorf("close of %s for reason %v", got, why)
		}
		if err := receive(t, "Close", closed); err != nil {
			t.Errorf("Close: %v", err)
		}
		if id := recvOpen(t, n); id != 0 {
			t.Errorf("RecvOpen returned %s after Close", id)
		}
		if m := recvData(t, n); m.id != 0 {
			t.Errorf("RecvData returned %+v after Close", m)
		}
		if id := recvClose(t, n); id != 0 {
			t.Errorf("RecvClose returned %s after Close", id)
		}
	})
}

func TestDisconnectIsReportedAndSendCloseIsNot(t *testing.T) {
	eachDriver(t, func(t *testing.T, opts node.Opts) {
		n := start(t, opts)
		ours, oursID := connectID(t, n)
		theirs, theirsID := connectID(t, n)
		if err := errors.Join(n.SendClose(oursID), n.Disconnect(theirsID)); err != nil {
			t.Fatal(err)
		}
		ours.expectEnd()
		theirs.expectEnd()
		for id, why := range n.Closes() {
			if id != theirsID || why != node.ReasonRemote {
				t.Errorf("%s ended as %v; want %s as %v", id, why, theirsID, node.ReasonRemote)
			}
			break
		}
	})
}

func TestCloseWritesWhatWasSent(t *testing.T) {
	eachDriver(t, func(t *testing.T, opts node.Opts) {
		opts.OutputBytes = 64 << 20
		opts.Ignore = node.IgnoreCloses
		n := start(t, opts)
		c, id := connectID(t, n)
		const count = 20000
		for k := range count {
			if err := n.SendData(id, fmt.Appendf(nil, "%0300d", k)); err != nil {
				t.Fatal(err)
			}
		}
		closed := make(chan error, 1)
		go func() { closed <- n.Close(context.Background()) }()
		for k := range count {
			c.expect(fmt.Sprintf("%0300d", k))
		}
		c.expectEnd()
		c.Close()
		if err := receive(t, "Close", closed); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

func TestCloseEndsWithTheCauseWhenNobodyTakesWhatIsQueued(t *testing.T) {
	eachDriver(t, func(t *testing.T, opts node.Opts) {
		n := start(t, opts)
		c := connect(t, n)
		c.say("x\n")
		until(t, "the message", func() bool { return n.Stats().QueuedMessages == 1 })
		ctx, cancel := context.WithCancelCause(context.Background())
		closed := make(chan error, 1)
		if n.Closing() {
			t.Error("Closing before Close")
		}
		go func() { closed <- n.Close(ctx) }()
		c.expectEnd()
		if !n.Closing() {
			t.Error("not Closing while Close is under way")
		}
		cause := errors.New("no more patience")
		cancel(cause)
		if err := receive(t, "Close", closed); !errors.Is(err, cause) {
			t.Errorf("Close: %v, want %v", err, cause)
		}
		if err := n.Close(context.Background()); err != nil {
			t.Errorf("second Close: %v", err)
		}
		if !n.Closing() {
			t.Error("not Closing after Close")
		}
		// What was received is not lost.
		if m := recvData(t, n); m.data != "x" {
			t.Errorf("RecvData after Close: %+v", m)
		}
		if m := recvData(t, n); m.id != 0 {
			t.Errorf("RecvData after Close: %+v", m)
		}
	})
}

func TestUndeliveredTellsOfWhatCloseHasDropped(t *testing.T) {
	eachDriver(t, func(t *testing.T, opts node.Opts) {
		opts.OutputBytes = 1 << 30
		opts.Ignore = node.IgnoreCloses
		n := start(t, opts)
		_, id := connectID(t, n) // reads nothing
		lost := make(chan int, 1)
		go func() {
			count := 0
			for _, err := range n.Undelivered() {
				if errors.Is(err, node.ErrGone) || errors.Is(err, node.ErrUncertain) {
					count++
				}
			}
			lost <- count
		}()
		const count = 1000
		for range count {
			if err := n.SendData(id, make([]byte, 64<<10)); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := n.Close(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Close: %v", err)
		}
		got := receive(t, "the end of Undelivered", lost)
		if written := int(n.Stats().MessagesOut); got+written != count {
			t.Errorf("%d of %d messages were written, %d reported as undelivered", written, count, got)
		}
	})
}

func TestASecondCloseWaitsForTheFirstNoLongerThanItsContext(t *testing.T) {
	n := start(t, lines())
	c := connect(t, n)
	c.say("x\n")
	until(t, "the message", func() bool { return n.Stats().QueuedMessages == 1 })
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { first <- n.Close(context.Background()) }()
	c.expectEnd() // it is under way
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := within(t, "a Close whose context is done", func() error { return n.Close(ctx) }); !errors.Is(err, context.Canceled) {
		t.Errorf("Close: %v", err)
	}
	go func() { second <- n.Close(context.Background()) }()
	recvOpen(t, n)
	recvData(t, n)
	recvClose(t, n)
	if err := receive(t, "the first Close", first); err != nil {
		t.Errorf("first Close: %v", err)
	}
	if err := receive(t, "the second Close", second); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

// Clients that connect in the very moment of Close must not keep it from
// ending.
func TestCloseEndsWhileClientsConnect(t *testing.T) {
	eachDriver(t, func(t *testing.T, opts node.Opts) {
		opts.Loops = 8
		opts.Ignore = node.IgnoreOpens | node.IgnoreCloses
		opts.CloseTimeout = time.Millisecond
		for round := range 8 {
			n := start(t, opts)
			stop := make(chan struct{})
			var dialing sync.WaitGroup
			for range 8 {
				dialing.Go(func() { connectUntil(n, stop) })
			}
			until(t, "the first connections", func() bool { return n.Stats().Accepted > 20 })
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			if err := n.Close(ctx); err != nil {
				t.Errorf("round %d: Close: %v", round, err)
			}
			cancel()
			close(stop)
			dialing.Wait()
			if t.Failed() {
				return
			}
		}
	})
}
