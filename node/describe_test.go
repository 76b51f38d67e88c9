package node_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"flamingo/node"
)

func TestDescribeSaysWhatTheConnectionHasDone(t *testing.T) {
	eachDriver(t, func(t *testing.T, opts node.Opts) {
		n := start(t, opts)
		before := time.Now()
		c, id := connectID(t, n)
		c.say("one\ntwo\n") // 8 bytes
		until(t, "the messages", func() bool { return n.Stats().QueuedMessages == 2 })
		recvData(t, n)
		if err := n.Send(t.Context(), id, []byte("three")); err != nil { // 6 bytes
			t.Fatal(err)
		}
		info, err := n.Describe(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if info.ID != id || info.Listener != "tcp://"+n.Addrs()[0].String() {
			t.Errorf("id %s, listener %s", info.ID, info.Listener)
		}
		if info.Local.String() != c.RemoteAddr().String() || info.Remote.String() != c.LocalAddr().String() {
			t.Errorf("local %v, remote %v; the client says %v and %v", info.Local, info.Remote, c.RemoteAddr(), c.LocalAddr())
		}
		if info.MessagesIn != 2 || info.BytesIn != 8 || info.MessagesOut != 1 || info.BytesOut != 6 || info.QueuedIn != 1 {
			t.Errorf("%+v; want 2 messages of 8 bytes in, 1 of 6 out, 1 queued", info)
		}
		until(t, "nothing pending", func() bool {
			info, err := n.Describe(t.Context(), id)
			return err == nil && info.PendingBytes == 0
		})
		if info.Opened.Before(before.Add(-time.Millisecond)) || info.Opened.After(time.Now()) {
			t.Errorf("opened at %v, the client began at %v", info.Opened, before)
		}
		if info.LastActive.Before(info.Opened) || info.LastActive.After(time.Now()) {
			t.Errorf("last active at %v, opened at %v", info.LastActive, info.Opened)
		}
	})
}

func TestConnectionsListsEachOpenConnectionOnce(t *testing.T) {
	eachDriver(t, func(t *testing.T, opts node.Opts) {
		n := start(t, opts)
		open := map[node.ID]bool{}
		for k := range 30 {
			c, id := connectID(t, n)
			if k%3 == 0 {
				c.Close()
				recvClose(t, n)
			} else {
				open[id] = true
			}
		}
		for _, limit := range []int{1, 3, 7, 19, 20, 21, 1000} {
			listed := map[node.ID]bool{}
			cursor, pages := "", 0
			for {
				page, err := n.Connections(cursor, limit)
				if err != nil {
					t.Fatalf("limit %d, cursor %q: %v", limit, cursor, err)
				}
				if len(page.Items) > limit {
					t.Errorf("%d items, limit %d", len(page.Items), limit)
				}
				for _, info := range page.Items {
					if listed[info.ID] || !open[info.ID] {
						t.Errorf("limit %d: %s is listed twice, or is not open", limit, info.ID)
					}
					listed[info.ID] = true
				}
				if pages++; page.Next == "" || pages > 1000 {
					break
				}
				cursor = page.Next
			}
			if len(listed) != len(open) {
				t.Errorf("limit %d: %d listed, %d open", limit, len(listed), len(open))
			}
		}
		if page, err := n.Connections("ffffffff", 10); err != nil || len(page.Items) != 0 || page.Next != "" {
			t.Errorf("from beyond the end: %+v, %v", page, err)
		}
	})
}

func TestConnectionsRefusesBadLimitsAndCursors(t *testing.T) {
	n := start(t, lines())
	for _, limit := range []int{-1, 0, 1001} {
		if _, err := n.Connections("", limit); !errors.Is(err, node.ErrBadOption) {
			t.Errorf("limit %d: %v", limit, err)
		}
	}
	for _, cursor := range []string{"x", "-1", "100000000", " ", "0x1"} {
		if _, err := n.Connections(cursor, 1); !errors.Is(err, node.ErrBadOption) {
			t.Errorf("cursor %q: %v", cursor, err)
		}
	}
}

func TestStatsCountWhatHappened(t *testing.T) {
	eachDriver(t, func(t *testing.T, opts node.Opts) {
		opts.MaxConns = 10
		n := start(t, opts)
		a, idA := connectID(t, n)
		b := connect(t, n)
		a.say("one\ntwo\n")
		until(t, "the messages", func() bool { // which are queued before they are counted
			st := n.Stats()
			return st.QueuedMessages == 2 && st.MessagesIn == 2 && st.BytesIn == 8
		})
		until(t, "the open", func() bool { return n.Stats().OpensWaiting == 1 })
		st := n.Stats()
		if st.Connections != 2 || st.MaxConns != 10 || st.Accepted != 2 || len(st.Closed) != 0 {
			t.Errorf("%+v", st)
		}
		if st.MessagesIn != 2 || st.BytesIn != 8 || st.QueuedBytes != 2*48+6 {
			t.Errorf("%+v", st)
		}
		recvData(t, n)
		recvData(t, n)
		if err := n.Send(t.Context(), idA, []byte("xyz")); err != nil {
			t.Fatal(err)
		}
		if err := n.SendClose(idA); err != nil {
			t.Fatal(err)
		}
		a.expect("xyz")
		a.expectEnd()
		b.Close()
		until(t, "the close", func() bool { return n.Stats().ClosesWaiting == 1 })
		st = n.Stats()
		if st.Closed[node.ReasonSent] != 1 || st.Closed[node.ReasonClient] != 1 || len(st.Closed) != 2 {
			t.Errorf("closed %v", st.Closed)
		}
		if st.MessagesOut != 1 || st.BytesOut != 4 || st.QueuedBytes != 0 || st.QueuedMessages != 0 {
			t.Errorf("%+v", st)
		}
		recvOpen(t, n)
		recvClose(t, n)
		until(t, "all places free", func() bool { return n.Stats().Connections == 0 })
	})
}

func TestStandaloneNodeIsNamedAfterItsHost(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Skip("the host has no name: ", err)
	}
	opts := lines()
	for given, want := range map[string]string{"": host, "birch": "birch"} {
		opts.Name = given
		n := start(t, opts)
		if got := n.Nodes(); len(got) != 1 || got[0].Name != want || got[0].Number != n.Number() || !got[0].Self {
			t.Errorf("with Name %q: %+v; want one node, named %q", given, got, want)
		}
	}
}
