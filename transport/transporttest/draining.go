package transporttest

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"flamingo/idspace"
	"flamingo/transport"
)

var drainingTests = []test{
	{"who accepts no more serves those it has", deafServes},
	{"a drain ends everybody and writes what was sent before", drainFlushes},
	{"a drain gives a WebSocket the code 1001 and a hint", drainSaysWhy},
}

func deafServes(t *testing.T, s suite) {
	r := s.start(t)
	c, id := r.connect()
	addr := r.Addrs()[0]
	r.StopAccepting()
	r.await("the listener to close", func() bool {
		nc, err := net.Dial(addr.Network(), addr.String())
		if err == nil {
			nc.Close() // those who are let in before it closes are taken, or reset
		}
		return err != nil
	})
	if r.Closing() {
		t.Error("a transport that accepts no more says that it closes")
	}
	c.send("still here\n")
	r.expectMessage(id, "still here")
	if err := r.SendData(id, []byte("so am I")); err != nil {
		t.Error(err)
	}
	c.expect("so am I\n")
	if err := r.SendClose(id, transport.ReasonSent); err != nil {
		t.Error(err)
	}
	c.rest()
}

func drainFlushes(t *testing.T, s suite) {
	r := s.start(t)
	const clients, messages = 20, 100
	all := make(map[idspace.ID]*client)
	for range clients {
		c, id := r.connect()
		all[id] = c
	}
	var reading sync.WaitGroup
	for id, c := range all {
		var want strings.Builder
		for k := range messages {
			msg := fmt.Sprint("message ", k)
			if err := r.SendData(id, []byte(msg)); err != nil {
				t.Error(err)
			}
			want.WriteString(msg + "\n")
		}
		reading.Go(func() {
			if got := c.rest(); got != want.String() {
				t.Errorf("client read %d bytes, want %d", len(got), want.Len())
			}
			c.Close()
		})
	}
	r.StopAccepting()
	if err := r.Drain(t.Context(), 0); err != nil {
		t.Error(err)
	}
	for id := range all {
		if err := r.SendData(id, []byte("too late")); !errors.Is(err, transport.ErrGone) {
			t.Errorf("send after the drain: %v; want gone", err)
		}
	}
	reading.Wait()
	for range clients {
		id, why := r.closed()
		if all[id] == nil || why != transport.ReasonDrained {
			t.Errorf("end of %v for %v; want one of the clients, for drained", id, why)
		}
		delete(all, id)
	}
	if r.Left() != 0 || r.Departed() != clients {
		t.Errorf("%d left and %d departed; want %d departed", r.Left(), r.Departed(), clients)
	}
	r.expectNoMoreEvents()
}

func drainSaysWhy(t *testing.T, s suite) {
	if !s.bare() {
		t.Skip("one that speaks WebSocket itself")
	}
	r := s.webSockets(t, "")
	c, id := r.upgrade()
	if err := r.SendData(id, []byte("before")); err != nil {
		t.Error(err)
	}
	if err := r.Drain(t.Context(), 0); err != nil {
		t.Error(err)
	}
	c.expectFrame(fin|opText, "before")
	c.expectClose(1001, "this node is drained: connect again")
	r.expectClosed(id, transport.ReasonDrained)
}
