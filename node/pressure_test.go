package node_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"flamingo/node"
)

// A flood is what a node has sent to a client that does not read.
type flood struct {
	accepted, refused, gone int
}

// pour sends count messages from n to id, a millisecond apart.
func pour(t *testing.T, n *node.Node, id node.ID, count int, msg []byte) (f flood) {
	t.Helper()
	for range count {
		switch err := n.SendData(id, msg); {
		case err == nil:
			f.accepted++
		case errors.Is(err, node.ErrBackpressure):
			f.refused++
		case errors.Is(err, node.ErrGone):
			f.gone++
		default:
			t.Fatalf("SendData: %v", err)
		}
		<-time.After(time.Millisecond)
	}
	return f
}

// bytesOut is what n has sent to other nodes on the streams it has dialled.
func bytesOut(n *node.Node) (sum uint64) {
	st, _ := n.ClusterStats()
	for _, p := range st.Peers {
		sum += p.Dialled.BytesOut
	}
	return sum
}

// TestAStuckClientHurtsOnlyItsOwnSenders has two nodes send to a client of the
// third one that does not read, under each policy: each send is refused, written or
// reported, others get theirs, and next to nothing crosses a link in vain.
func TestAStuckClientHurtsOnlyItsOwnSenders(t *testing.T) {
	for name, policy := range map[string]node.SlowClient{
		"close": node.SlowClose, "drop-newest": node.SlowDropNewest, "fail-sender": node.SlowFailSender,
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				opts := w.fabric()
				for i := range opts {
					opts[i].SlowClient, opts[i].OutputBytes = policy, 64<<10
				}
				nodes := w.openAll(opts)
				a, b, c := nodes[0], nodes[1], nodes[2]
				stuck, id := w.connect(b)
				other, otherID := w.connect(b)
				msg := bytes.Repeat([]byte("m"), 1<<10)
				before := bytesOut(a)
				var all flood
				for _, from := range []*node.Node{a, c} {
					f := pour(t, from, id, 1000, msg)
					all.accepted, all.refused, all.gone = all.accepted+f.accepted, all.refused+f.refused, all.gone+f.gone
					other.bound()
					if err := from.SendData(otherID, []byte("hello")); err != nil {
						t.Errorf("to another client: %v", err)
					}
					other.expect("hello")
				}
				<-time.After(time.Second)
				read := 0
				if policy != node.SlowClose {
					if all.gone != 0 || all.refused < 1800 {
						t.Errorf("%+v, want that nearly all are refused at once", all)
					}
					if crossed := bytesOut(a) - before; crossed > 300<<10 {
						t.Errorf("%d bytes have crossed the link for what is refused", crossed)
					}
					relieved := make(chan int)
					go func() { relieved <- readLines(stuck) }()
					<-time.After(time.Second)
					for _, from := range []*node.Node{a, c} {
						if err := from.SendData(id, msg); err != nil {
							t.Errorf("after the client has read: %v", err)
						}
						all.accepted++
					}
					<-time.After(time.Second)
					if err := b.SendClose(id); err != nil {
						t.Error(err)
					}
					read = <-relieved
				} else if all.refused != 0 {
					t.Errorf("%+v, want none refused for a connection that ends", all)
				}
				synctest.Wait()
				<-time.After(time.Second)
				lost := 0
				for _, n := range nodes {
					lost += int(n.Stats().Undelivered)
				}
				written := read
				if policy == node.SlowClose {
					written = int(b.Stats().MessagesOut) - 2
				}
				if _, err := b.Describe(t.Context(), id); !errors.Is(err, node.ErrGone) {
					t.Errorf("the stuck client in the end: %v, want %v", err, node.ErrGone)
				}
				if written+lost != all.accepted || lost == 0 {
					t.Errorf("%d written and %d reported, %d accepted", written, lost, all.accepted)
				}
			})
		})
	}
}

// readLines reads to the end, and returns how many lines there were.
func readLines(c *client) (count int) {
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			return count
		}
		count += strings.Count(line, "\n")
	}
}
