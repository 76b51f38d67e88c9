package transporttest

import (
	"errors"
	"sync"
	"testing"

	"flamingo/idspace"
	"flamingo/transport"
)

var tyingTests = []test{
	{"the end of a tied connection is told once, before it is reported", tiedEnds},
	{"no tie is made to a connection that ends", tiedNot},
}

// endings counts what Ended was told.
type endings struct {
	mu    sync.Mutex
	count map[idspace.ID]int
}

func (e *endings) configure(c *transport.Config) {
	e.count = make(map[idspace.ID]int)
	c.Ended = func(id idspace.ID) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.count[id]++
	}
}

func (e *endings) of(id idspace.ID) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.count[id]
}

func tiedEnds(t *testing.T, s suite) {
	var told endings
	r := s.start(t, told.configure)
	tied, id := r.connect()
	loose, other := r.connect()
	for range 2 {
		if err := r.Tie(id); err != nil {
			t.Fatal(err)
		}
	}
	if n := told.of(id); n != 0 {
		t.Errorf("told %d times of a connection that is open", n)
	}
	tied.reset()
	r.expectClosed(id, transport.ReasonError)
	if n := told.of(id); n != 1 {
		t.Errorf("told %d times by the time that the end is reported, want once", n)
	}
	loose.reset()
	r.expectClosed(other, transport.ReasonError)
	r.stop()
	if told.of(id) != 1 || told.of(other) != 0 {
		t.Errorf("told %v; want of %v alone, once", told.count, id)
	}
}

func tiedNot(t *testing.T, s suite) {
	var told endings
	r := s.start(t, told.configure)
	c, id := r.connect()
	if err := r.SendClose(id, transport.ReasonRemote); err != nil {
		t.Fatal(err)
	}
	if err := r.Tie(id); !errors.Is(err, transport.ErrGone) {
		t.Errorf("Tie to a connection that is ending: %v, want ErrGone", err)
	}
	c.rest()
	c.Close()
	r.expectClosed(id, transport.ReasonRemote)
	if err := r.Tie(id); !errors.Is(err, transport.ErrGone) {
		t.Errorf("Tie to a connection that has ended: %v, want ErrGone", err)
	}
	if n := told.of(id); n != 0 {
		t.Errorf("told %d times, want never", n)
	}
}
