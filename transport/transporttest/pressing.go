package transporttest

import (
	"strings"
	"testing"

	"flamingo/idspace"
	"flamingo/transport"
)

// pressTold has a client fall behind and catch up, and then end behind.
func pressTold(t *testing.T, s suite) {
	relieved := make(chan idspace.ID, 16)
	r := s.start(t, narrow, func(c *transport.Config) {
		c.OutputBytes, c.Slow = 64<<10, transport.SlowFailSender
		c.Relieved = func(id idspace.ID) { relieved <- id }
	})
	c, id := r.connect()
	if r.Press(id) || r.Press(id+1) {
		t.Error("a connection without output, or none, is full")
	}
	c.deafen()
	plug := strings.Repeat("p", 1<<20) // of which the kernel takes a part
	for round := range 2 {
		r.await("an empty queue", func() bool { return r.pending(id) == 0 })
		if err := r.SendData(id, []byte(plug)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if !r.Press(id) {
				t.Error("a connection over its bound is not full")
			}
		}
		if len(relieved) > 0 {
			t.Errorf("round %d: relieved while it is full", round)
		}
		if round == 0 {
			c.expect(plug + "\n")
		} else if err := r.SendClose(id, transport.ReasonSent); err != nil {
			t.Fatal(err)
		}
		if got := <-relieved; got != id {
			t.Errorf("round %d: relieved %v; want %v", round, got, id)
		}
		if r.Press(id) {
			t.Errorf("round %d: full after it was relieved", round)
		}
	}
	c.rest()
	if len(relieved) > 0 {
		t.Error("relieved more often than it was full")
	}
}
