package node_test

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"flamingo/idspace"
	"flamingo/node"
)

// The library of 2013 that this one descends from had the defects which the
// names of these tests deny.

func TestSendToAnUnknownIDNeitherBlocksNorStopsTheServer(t *testing.T) {
	eachDriver(t, func(t *testing.T, opts node.Opts) {
		n := start(t, opts)
		c, gone := connectID(t, n)
		c.Close()
		recvClose(t, n)
		var sending sync.WaitGroup
		for k := range 8 {
			sending.Go(func() {
				for i := range 1000 {
					for _, id := range []node.ID{gone, node.ID(i), gone + node.ID(k*1000+i+1000), node.ID(i) << 32} {
						if n.SendData(id, []byte("x")) == nil || n.SendClose(id) == nil {
							t.Errorf("a send to %s succeeded", id)
						}
					}
				}
			})
		}
		within(t, "the senders", func() bool { sending.Wait(); return true })
		for range 10 { // accepting and closing go on
			c, id := connectID(t, n)
			if err := n.SendData(id, []byte("x")); err != nil {
				t.Fatal(err)
			}
			c.expect("x")
			c.Close()
			if got := recvClose(t, n); got != id {
				t.Fatalf("close of %s, want %s", got, id)
			}
		}
	})
}

func TestIDsDoNotBeginAnewWithEachLife(t *testing.T) {
	seen := map[node.ID]bool{}
	for range 5 {
		n := start(t, lines())
		for range 10 {
			_, id := connectID(t, n)
			if seen[id] || id.Serial() == 0 || id.Serial() > idspace.Serial(10) {
				t.Fatalf("id %s twice, or not among the first of its life", id)
			}
			seen[id] = true
		}
		_ = closeNow(n) // ten connections are left
	}
}

func TestSlowClientBlocksNeitherSendersNorOtherClients(t *testing.T) {
	eachDriver(t, func(t *testing.T, opts node.Opts) {
		for _, policy := range []node.SlowClient{node.SlowClose, node.SlowDropNewest, node.SlowFailSender} {
			opts.SlowClient = policy
			n := start(t, opts)
			_, slow := connectID(t, n) // reads nothing
			quick, id := connectID(t, n)
			msg := bytes.Repeat([]byte("x"), 16<<10)
			var sending sync.WaitGroup
			for range 4 {
				sending.Go(func() {
					for range 1000 {
						_ = n.SendData(slow, msg)
					}
				})
			}
			for k := range 1000 {
				line := fmt.Sprint(k)
				if err := n.SendData(id, []byte(line)); err != nil {
					t.Fatal(err)
				}
				quick.expect(line)
			}
			within(t, "the senders", func() bool { sending.Wait(); return true })
			connectID(t, n) // accepting goes on
			if err := n.SendClose(slow); err != nil && !errors.Is(err, node.ErrGone) {
				t.Errorf("SendClose: %v", err)
			}
		}
	})
}

func TestQueueThatIsNotDrainedStopsNothingElse(t *testing.T) {
	const count = 2500 // the queues of the original held 2,048
	t.Run("opens and closes", func(t *testing.T) {
		eachDriver(t, func(t *testing.T, opts node.Opts) {
			opts.MaxConns = count + 10
			n := start(t, opts)
			for range count {
				c := connect(t, n)
				c.Close()
			}
			until(t, "every close", func() bool { return n.Stats().ClosesWaiting == count })
			echoes(t, n)
		})
	})
	t.Run("messages", func(t *testing.T) {
		eachDriver(t, func(t *testing.T, opts node.Opts) {
			n := start(t, opts)
			flood, id := connectID(t, n)
			lines := bytes.Repeat([]byte("0123456789\n"), 10000)
			go func() {
				for {
					if _, err := flood.Write(lines); err != nil {
						return
					}
				}
			}()
			until(t, "full queues", func() bool { return n.Stats().QueuedBytes >= 16<<20 })
			if err := n.Send(t.Context(), id, []byte("still here")); err != nil {
				t.Errorf("Send: %v", err)
			}
			flood.expect("still here")
			c, id := connectID(t, n)
			if err := n.SendData(id, []byte("x")); err != nil {
				t.Fatal(err)
			}
			c.expect("x")
			if err := n.SendClose(id); err != nil {
				t.Fatal(err)
			}
			c.expectEnd()
			flood.Close()
		})
	})
}

// echoes checks that the node takes a client, a message and sends an answer.
func echoes(t *testing.T, n *node.Node) {
	t.Helper()
	c := connect(t, n)
	c.say("hello\n")
	m := recvData(t, n)
	if err := n.SendData(m.id, []byte(m.data)); err != nil {
		t.Fatal(err)
	}
	c.expect("hello")
	if err := n.SendClose(m.id); err != nil {
		t.Fatal(err)
	}
	c.expectEnd()
}

func TestWriteErrorsAreNotIgnored(t *testing.T) {
	eachDriver(t, func(t *testing.T, opts node.Opts) {
		opts.OutputBytes = 1 << 30
		n := start(t, opts)
		c, id := stalled(t, n, 500)
		outcome := make(chan error, 1)
		go func() { outcome <- n.Send(t.Context(), id, []byte("last")) }()
		until(t, "the last message", func() bool {
			info, err := n.Describe(t.Context(), id)
			return err == nil && info.MessagesOut == 501
		})
		c.reset()
		if err := receive(t, "the outcome", outcome); !errors.Is(err, node.ErrGone) {
			t.Errorf("Send: %v", err)
		}
		if _, why := nextClose(t, n); why != node.ReasonError {
			t.Errorf("ended for reason %v", why)
		}
		if err := n.SendData(id, []byte("x")); !errors.Is(err, node.ErrGone) {
			t.Errorf("SendData afterwards: %v", err)
		}
	})
}

func TestEndBySendCloseIsCountedThoughRecvCloseDoesNotReportIt(t *testing.T) {
	eachDriver(t, func(t *testing.T, opts node.Opts) {
		n := start(t, opts)
		ours, idOurs := connectID(t, n)
		theirs, idTheirs := connectID(t, n)
		if err := n.SendClose(idOurs); err != nil {
			t.Fatal(err)
		}
		ours.expectEnd()
		until(t, "the end", func() bool { return n.Stats().Closed[node.ReasonSent] == 1 })
		if err := n.SendClose(idOurs); !errors.Is(err, node.ErrGone) {
			t.Errorf("a second SendClose: %v", err)
		}
		theirs.Close()
		if got := recvClose(t, n); got != idTheirs {
			t.Errorf("close of %s, want only that of %s", got, idTheirs)
		}
	})
}

func TestShortReadHandsOutOnlyTheBytesRead(t *testing.T) {
	eachDriver(t, func(t *testing.T, opts node.Opts) {
		opts.Framing = ""
		opts.BufferSize = 1024
		n := start(t, opts)
		c := connect(t, n)
		for _, text := range []string{"abc", "d", "efghij"} {
			c.say(text)
			msg := within(t, "a message", func() []byte {
				_, msg := n.RecvData()
				return msg
			})
			if string(msg) != text || cap(msg) != len(text) {
				t.Errorf("message %q of capacity %d, want %q and no more", msg, cap(msg), text)
			}
		}
	})
}

func TestActivityOfEitherSideKeepsAConnection(t *testing.T) {
	eachDriver(t, func(t *testing.T, opts node.Opts) {
		const timeout = 2 * time.Second
		opts.ActivityTimeout = timeout
		n := start(t, opts)
		talks, idTalks := connectID(t, n)
		listens, idListens := connectID(t, n)
		silent, idSilent := connectID(t, n)
		begin := time.Now()
		tick := time.NewTicker(timeout / 10)
		defer tick.Stop()
		for range 15 { // half as long again as the timeout
			<-tick.C
			talks.say("x\n")
			if err := n.SendData(idListens, []byte("y")); err != nil {
				t.Fatalf("after %v: %v", time.Since(begin), err)
			}
			listens.expect("y")
		}
		if got, why := nextClose(t, n); got != idSilent || why != node.ReasonIdle {
			t.Errorf("%s ended for reason %v", got, why)
		}
		silent.expectEnd()
		if _, err := n.Describe(t.Context(), idTalks); err != nil {
			t.Errorf("the connection that talks: %v", err)
		}
	})
}
