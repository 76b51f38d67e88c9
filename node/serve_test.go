package node_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"flamingo/node"
)

// An orderHandler checks what Serve promises for each connection.
type orderHandler struct {
	t        *testing.T
	n        *node.Node
	conns    sync.Map // ID → *servedConn
	opened   atomic.Int64
	closed   atomic.Int64
	messages atomic.Int64
}

type servedConn struct {
	inside atomic.Bool // some call is under way
	opened bool        // the fields below are guarded by the promise itself:
	next   int         // the race detector finds calls that overlap
	closed bool
}

func (h *orderHandler) enter(id node.ID) *servedConn {
	v, _ := h.conns.LoadOrStore(id, new(servedConn))
	c := v.(*servedConn)
	if !c.inside.CompareAndSwap(false, true) {
		h.t.Errorf("%s: calls overlap", id)
	}
	return c
}

func (h *orderHandler) HandleOpen(id node.ID, conn net.Conn) {
	c := h.enter(id)
	defer c.inside.Store(false)
	if c.opened || c.closed || c.next > 0 {
		h.t.Errorf("%s: open after %+v", id, c)
	}
	if own, ok := conn.(*node.Conn); !ok || own.ID() != id {
		h.t.Errorf("%s: opened with %v", id, conn)
	}
	c.opened = true
	h.opened.Add(1)
}

func (h *orderHandler) HandleData(id node.ID, msg []byte) {
	c := h.enter(id)
	defer c.inside.Store(false)
	if !c.opened || c.closed {
		h.t.Errorf("%s: message %q before the open or after the close", id, msg)
	}
	if string(msg) != strconv.Itoa(c.next) {
		h.t.Errorf("%s: message %q, want %d", id, msg, c.next)
	}
	c.next++
	h.messages.Add(1)
	if err := h.n.SendData(id, msg); err != nil && !errors.Is(err, node.ErrGone) {
		h.t.Errorf("%s: SendData: %v", id, err)
	}
}

func (h *orderHandler) HandleClose(id node.ID, why node.Reason) {
	c := h.enter(id)
	defer c.inside.Store(false)
	if !c.opened || c.closed {
		h.t.Errorf("%s: closed twice, or before the open", id)
	}
	if why != node.ReasonClient && why != node.ReasonError {
		h.t.Errorf("%s: closed for reason %v", id, why)
	}
	c.closed = true
	h.closed.Add(1)
}

func TestServeCallsForOneConnectionInOrderAndNeverAtOnce(t *testing.T) {
	for _, workers := range []int{1, 2, 7} {
		eachDriver(t, func(t *testing.T, opts node.Opts) {
			opts.QueueBytes = 64 << 10 // so that reading pauses at times
			n := start(t, opts)
			h := &orderHandler{t: t, n: n}
			served := make(chan error, 1)
			go func() { served <- n.Serve(context.Background(), h, workers) }()

			const conns, count = 60, 200
			var talking sync.WaitGroup
			for k := range conns {
				talking.Go(func() { talk(t, n, k%3, count) })
			}
			talking.Wait()
			until(t, "every close", func() bool { return h.closed.Load() == conns })
			if err := n.Close(t.Context()); err != nil {
				t.Errorf("Close: %v", err)
			}
			if err := receive(t, "Serve", served); err != nil {
				t.Errorf("Serve: %v", err)
			}
			if h.opened.Load() != conns || h.messages.Load() < conns/3*2*count {
				t.Errorf("%d opens, %d messages; want %d and at least %d", h.opened.Load(), h.messages.Load(), conns, conns/3*2*count)
			}
		})
	}
}

// serve runs Serve until the end of the test.
func serve(t *testing.T, n *node.Node, h node.Handler, workers int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- n.Serve(ctx, h, workers) }()
	t.Cleanup(func() {
		cancel()
		if err := receive(t, "Serve", served); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("Serve: %v", err)
		}
	})
}

// talk is a client that sends numbered lines. It reads the answers and leaves
// (0), shuts its sending side first (1), or resets the connection (2).
func talk(t *testing.T, n *node.Node, manner, count int) {
	nc, err := net.DialTimeout("tcp", n.Addrs()[0].String(), patience)
	if err != nil {
		t.Error(err)
		return
	}
	c := nc.(*net.TCPConn)
	defer c.Close()
	var lines []byte
	for k := range count {
		lines = fmt.Appendln(lines, k)
	}
	if _, err := c.Write(lines); err != nil {
		t.Error(err)
		return
	}
	switch manner {
	case 1:
		err = c.CloseWrite()
	case 2:
		if err := c.SetLinger(0); err != nil {
			t.Error(err)
		}
		return
	}
	answer := make([]byte, len(lines))
	if err == nil {
		err = c.SetDeadline(time.Now().Add(patience))
	}
	for got := 0; got < len(answer) && err == nil; {
		var k int
		k, err = c.Read(answer[got:])
		got += k
	}
	if err != nil || string(answer) != string(lines) {
		t.Errorf("manner %d: read %.40q, %v; want what was sent", manner, answer, err)
	}
}

func TestServeRunsConnectionsAtTheSameTime(t *testing.T) {
	n := start(t, lines())
	both := make(chan struct{})
	var inside atomic.Int32
	serve(t, n, node.HandlerFuncs{Data: func(id node.ID, msg []byte) {
		if inside.Add(1) == 2 {
			close(both)
		}
		<-both
		_ = n.SendData(id, msg)
	}}, 2)
	a, b := connect(t, n), connect(t, n)
	a.say("a\n")
	b.say("b\n")
	a.expect("a")
	b.expect("b")
}

func TestHalfClosedClientGetsItsAnswerHoweverLongTheHandlerTakes(t *testing.T) {
	eachDriver(t, func(t *testing.T, opts node.Opts) {
		opts.HalfClose = time.Millisecond
		n := start(t, opts)
		reasons := make(chan node.Reason, 1)
		serve(t, n, node.HandlerFuncs{
			Data: func(id node.ID, msg []byte) {
				<-time.After(300 * time.Millisecond) // several ticks of the deadlines
				if err := n.SendData(id, msg); err != nil {
					t.Errorf("SendData: %v", err)
				}
			},
			Close: func(_ node.ID, why node.Reason) { reasons <- why },
		}, 1)
		c := connect(t, n)
		c.say("x\n")
		if err := c.tcp().CloseWrite(); err != nil {
			t.Fatal(err)
		}
		c.expect("x")
		c.expectEnd()
		if why := receive(t, "the close", reasons); why != node.ReasonClient {
			t.Errorf("ended for reason %v", why)
		}
	})
}

func TestClientThatLeavesAnsweredUnderServeIsNotHeldForHalfClose(t *testing.T) {
	eachDriver(t, func(t *testing.T, opts node.Opts) {
		opts.HalfClose = time.Hour
		n := start(t, opts)
		serve(t, n, node.HandlerFuncs{Data: func(id node.ID, msg []byte) { _ = n.SendData(id, msg) }}, 2)
		c := connect(t, n)
		c.say("x\n")
		if err := c.tcp().CloseWrite(); err != nil {
			t.Fatal(err)
		}
		c.expect("x")
		c.expectEnd()
	})
}

func TestServeReturnsTheCauseAndTheNodeGoesOn(t *testing.T) {
	n := start(t, lines())
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(context.Background())
	entered, leave := make(chan struct{}), make(chan struct{})
	served := make(chan error, 1)
	go func() {
		served <- n.Serve(ctx, node.HandlerFuncs{Data: func(node.ID, []byte) {
			entered <- struct{}{}
			<-leave
		}}, 3)
	}()
	c := connect(t, n)
	c.say("1\n2\n3\n")
	receive(t, "a call", entered)
	cancel(cause)
	select {
	case err := <-served:
		t.Fatalf("Serve returned %v while a call was under way", err)
	case <-time.After(10 * time.Millisecond):
	}
	close(leave)
	if err := receive(t, "Serve", served); !errors.Is(err, cause) {
		t.Errorf("Serve: %v, want %v", err, cause)
	}
	if queued := n.Stats().QueuedBytes; queued != 0 {
		t.Errorf("%d bytes of dropped messages count as queued", queued)
	}

	again, stop := context.WithCancel(context.Background())
	go func() {
		served <- n.Serve(again, node.HandlerFuncs{Data: func(id node.ID, msg []byte) { _ = n.SendData(id, msg) }}, 1)
	}()
	c.say("4\n")
	c.expect("4")
	stop()
	if err := receive(t, "Serve", served); !errors.Is(err, context.Canceled) {
		t.Errorf("Serve: %v", err)
	}
}

func TestServeWhoseContextIsDoneReturnsAtOnce(t *testing.T) {
	n := start(t, lines())
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := within(t, "Serve", func() error { return n.Serve(ctx, node.HandlerFuncs{}, 4) }); !errors.Is(err, context.Canceled) {
		t.Errorf("Serve: %v", err)
	}
}

func TestServeRefusesBadNumbersOfWorkers(t *testing.T) {
	n := start(t, lines())
	for _, workers := range []int{-1, 0, node.MaxWorkers + 1} {
		if err := n.Serve(t.Context(), node.HandlerFuncs{}, workers); !errors.Is(err, node.ErrBadOption) {
			t.Errorf("%d workers: %v", workers, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := n.Serve(ctx, node.HandlerFuncs{}, node.MaxWorkers); !errors.Is(err, context.Canceled) {
		t.Errorf("%d workers: %v", node.MaxWorkers, err)
	}
}

func TestServeDoesNotCallForIgnoredEventsAndTheirPlacesAreFree(t *testing.T) {
	for _, ignore := range []node.Ignore{node.IgnoreOpens, node.IgnoreCloses, node.IgnoreOpens | node.IgnoreCloses} {
		eachDriver(t, func(t *testing.T, opts node.Opts) {
			opts.Ignore = ignore
			opts.MaxConns = 2
			opts.HalfClose = time.Millisecond
			n := start(t, opts)
			var opens, closes atomic.Int32
			serve(t, n, node.HandlerFuncs{
				Open:  func(node.ID, net.Conn) { opens.Add(1) },
				Data:  func(id node.ID, msg []byte) { _ = n.SendData(id, msg) },
				Close: func(node.ID, node.Reason) { closes.Add(1) },
			}, 2)
			const count = 5
			for range count {
				c := connect(t, n)
				c.say("x\n")
				c.expect("x")
				c.Close()
			}
			until(t, "the last end", func() bool { return n.Stats().Connections == 0 })
			wantOpens, wantCloses := int32(count), int32(count)
			if ignore&node.IgnoreOpens != 0 {
				wantOpens = 0
			}
			if ignore&node.IgnoreCloses != 0 {
				wantCloses = 0
			}
			until(t, "the calls", func() bool { return opens.Load() == wantOpens && closes.Load() == wantCloses })
		})
	}
}

// dialAndClose connects and leaves at once, count times.
func dialAndClose(t *testing.T, n *node.Node, count int) {
	t.Helper()
	for range count {
		connect(t, n).Close()
	}
}

func TestEventsThatServeHasNotHandledHoldTheirPlaces(t *testing.T) {
	eachDriver(t, func(t *testing.T, opts node.Opts) {
		opts.MaxConns = 4
		n := start(t, opts)
		entered, leave := make(chan struct{}, 1), make(chan struct{})
		var opens, closes atomic.Int32
		var blocked sync.Once
		serve(t, n, node.HandlerFuncs{
			Open: func(node.ID, net.Conn) {
				blocked.Do(func() { entered <- struct{}{}; <-leave })
				opens.Add(1)
			},
			Close: func(node.ID, node.Reason) { closes.Add(1) },
		}, 1)
		const count = 100
		dialAndClose(t, n, count)
		receive(t, "the first open", entered)
		<-time.After(50 * time.Millisecond) // what would be accepted is accepted
		if accepted := n.Stats().Accepted; accepted > uint64(opts.MaxConns) {
			t.Errorf("%d connections were accepted while the first open was handled; want %d at most", accepted, opts.MaxConns)
		}
		close(leave)
		until(t, "every call", func() bool { return opens.Load() == count && closes.Load() == count })
	})
}

func TestEventsThatServeDropsOrLeavesGiveUpTheirPlaces(t *testing.T) {
	for _, workers := range []int{1, 2} { // with one worker there is nobody to take events meanwhile
		eachDriver(t, func(t *testing.T, opts node.Opts) {
			opts.MaxConns = 4
			n := start(t, opts)
			ctx, cancel := context.WithCancel(context.Background())
			entered, leave := make(chan struct{}, 4), make(chan struct{})
			served := make(chan error, 1)
			go func() {
				served <- n.Serve(ctx, node.HandlerFuncs{Open: func(node.ID, net.Conn) {
					entered <- struct{}{}
					<-leave
				}}, workers)
			}()
			dialAndClose(t, n, 4)
			receive(t, "the first open", entered)
			until(t, "every end", func() bool {
				st := n.Stats()
				return st.Closed[node.ReasonClient]+st.Closed[node.ReasonError] == 4 &&
					(workers == 1 || st.OpensWaiting+st.ClosesWaiting == 0)
			})
			cancel()
			close(leave)
			if err := receive(t, "Serve", served); !errors.Is(err, context.Canceled) {
				t.Errorf("Serve: %v", err)
			}
			serve(t, n, node.HandlerFuncs{Data: func(id node.ID, msg []byte) { _ = n.SendData(id, msg) }}, 1)
			for range 4 {
				c := connect(t, n)
				c.say("x\n")
				c.expect("x")
			}
		})
	}
}

// What was taken at once is of one connection here, and its last call waits.
func TestReadingGoesOnWhenOneCallIsLeftOfAFullQueue(t *testing.T) {
	eachDriver(t, func(t *testing.T, opts node.Opts) {
		opts.QueueBytes = 64 << 10
		n := start(t, opts)
		const cost = 2000 + 48 // of one message
		free := func(most int64) func() bool {
			return func() bool { return n.Stats().QueuedBytes >= opts.QueueBytes-most }
		}
		calls, last, done := uint64(0), uint64(0), make(chan struct{})
		serve(t, n, node.HandlerFuncs{Data: func(node.ID, []byte) {
			switch calls++; calls {
			case 1:
				until(t, "a full queue", free(0))
			case 2: // the first of all that came meanwhile; the room of one does not have more read
				until(t, "a queue that is full but for one", free(cost))
				last = 1 + uint64(n.Stats().QueuedBytes/cost)
			case last:
				until(t, "more", func() bool { return n.Stats().MessagesIn > last+1 })
				close(done)
			}
		}}, 1)
		c := connect(t, n)
		var writing sync.WaitGroup
		defer writing.Wait()
		defer c.Close()
		writing.Go(func() {
			line := []byte(strings.Repeat("x", 2000) + "\n")
			for {
				if _, err := c.Write(line); err != nil {
					return
				}
			}
		})
		receive(t, "the last call", done)
	})
}

func TestServeDoesNotReportWhatTheHandlerEnds(t *testing.T) {
	n := start(t, lines())
	reported := make(chan node.ID, 10)
	serve(t, n, node.HandlerFuncs{
		Data: func(id node.ID, msg []byte) {
			if string(msg) == "end" {
				if err := n.SendClose(id); err != nil {
					t.Errorf("SendClose: %v", err)
				}
			}
		},
		Close: func(id node.ID, _ node.Reason) { reported <- id },
	}, 1)
	a, b := connect(t, n), connect(t, n)
	a.say("end\n")
	a.expectEnd()
	b.Close()
	until(t, "both ends", func() bool { return n.Stats().Connections == 0 })
	receive(t, "the end of the other", reported)
	if len(reported) > 0 {
		t.Errorf("%s was reported too", <-reported)
	}
}
