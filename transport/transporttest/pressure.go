package transporttest

import (
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"flamingo/idspace"
	"flamingo/transport"
)

var activityTests = []test{
	{"a silent connection ends not before ActivityTimeout", silentEnds},
	{"a received byte or a send keeps a connection", activityKeeps},
	{"a silent client with unread output ends", silentBlockedEnds},
}

func silentEnds(t *testing.T, s suite) {
	const timeout = 150 * time.Millisecond
	r := s.start(t, func(c *transport.Config) { c.ActivityTimeout = timeout })
	begin := time.Now()
	c, id := r.connect()
	r.expectClosed(id, transport.ReasonIdle)
	if d := time.Since(begin); d < timeout {
		t.Errorf("the connection ended after %v; want not before %v", d, timeout)
	}
	c.rest()
	r.expectNoMoreEvents()
}

func activityKeeps(t *testing.T, s suite) {
	const timeout = 1500 * time.Millisecond
	r := s.start(t, func(c *transport.Config) { c.ActivityTimeout = timeout })
	talker, talkerID := r.connect()
	_, listenerID := r.connect()
	_, silentID := r.connect()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for ends := 0; ends == 0; <-tick.C {
		talker.send("x") // not even a message
		if err := r.SendData(listenerID, []byte("y")); err != nil {
			t.Fatalf("SendData: %v", err)
		}
		if id, why, ok := r.TryRecvClose(); ok {
			ends++
			if id != silentID || why != transport.ReasonIdle {
				t.Errorf("%v ended for %v; want %v for idle", id, why, silentID)
			}
		}
	}
	for _, id := range []idspace.ID{talkerID, listenerID} {
		info, err := r.Describe(id)
		if err != nil {
			t.Errorf("Describe(%v): %v; want a connection", id, err)
		} else if info.LastActive.Before(info.Opened) {
			t.Errorf("%v: last active %v, opened %v", id, info.LastActive, info.Opened)
		}
	}
}

func silentBlockedEnds(t *testing.T, s suite) {
	const clients = 16
	r := s.start(t, narrow, func(c *transport.Config) {
		c.OutputBytes, c.ActivityTimeout = 16<<20, time.Second
		c.Listeners[0].Codec = codec(t, "raw")
	})
	msg := make([]byte, 8<<20-1)
	for range clients {
		_, id := r.connect()
		// At once, so that some are blocked before anything was received.
		if err := r.SendData(id, msg); err != nil {
			t.Fatal(err)
		}
	}
	for range clients {
		if id, why := r.closed(); why != transport.ReasonIdle {
			t.Errorf("%v ended for %v; want idle", id, why)
		}
	}
	for n := 0; n < clients; {
		n += r.undelivered().Count
	}
	r.expectNoMoreEvents()
}

var pressureTests = []test{
	{"a full queue pauses reading and nothing else", fullQueue},
	{"a client that ends while the queue is full loses nothing", endWhileFull},
	{"a full queue delays no shutdown", shutdownWhileFull},
}

const (
	queueBytes = 64 << 10
	lineBytes  = 1000
)

// excess is what the queue may hold beyond QueueBytes: one read of each driver
// goroutine that fills it (an event loop, or a portable reader with an intake,
// of which there are GOMAXPROCS), 64 KiB each, with the 48 bytes that each
// message in it costs and the rest of a line that an earlier read began.
func excess(loops int) int64 {
	const read = 64 << 10
	return int64(max(loops, runtime.GOMAXPROCS(0))) * (read + lineBytes + (read/lineBytes+2)*48)
}

// flood lets clients write so many lines each until they are done.
func (r *rig) flood(clients, lines int) (ids []idspace.ID, wait func()) {
	var sending sync.WaitGroup
	for range clients {
		c, id := r.connect()
		ids = append(ids, id)
		sending.Go(func() {
			for m := range lines {
				c.send(numbered(m) + "\n")
			}
			c.Close()
		})
	}
	return ids, sending.Wait
}

func numbered(m int) string {
	text := line("%d ", m)
	return text[:len(text)-1] + strings.Repeat("z", lineBytes-len(text))
}

func fullQueue(t *testing.T, s suite) {
	const clients, lines = 4, 8000 // 32 MB: more than the kernel holds
	r := s.start(t, func(c *transport.Config) { c.QueueBytes, c.Loops = queueBytes, 2 })
	other, otherID := r.connect()
	ended, endedID := r.connect()
	ids, wait := r.flood(clients, lines)
	r.await("a full queue", func() bool { return r.Stats().QueuedBytes >= queueBytes })
	r.settled(func() int64 { return int64(r.Stats().BytesIn) })
	if n := r.Stats().QueuedBytes; n > queueBytes+excess(2) {
		t.Errorf("%d bytes are queued; want at most %d and %d", n, queueBytes, excess(2))
	}
	// Sends and closes go on.
	for range 100 {
		if err := r.Send(t.Context(), otherID, []byte("still here")); err != nil {
			t.Fatal(err)
		}
		other.expect("still here\n")
	}
	if err := r.SendClose(endedID, transport.ReasonRemote); err != nil {
		t.Fatal(err)
	}
	ended.rest()
	r.expectClosed(endedID, transport.ReasonRemote)

	next := make(map[idspace.ID]int)
	for range clients * lines {
		m := r.message()
		if want := numbered(next[m.ID]); string(m.Data) != want {
			t.Fatalf("%v: message %.20q; want %.20q", m.ID, m.Data, want)
		}
		next[m.ID]++
	}
	wait()
	for range ids {
		if id, why := r.closed(); why != transport.ReasonClient || next[id] != lines {
			t.Errorf("%v ended for %v after %d messages; want client after %d", id, why, next[id], lines)
		}
	}
	if n := r.Stats().QueuedBytes; n != 0 {
		t.Errorf("%d bytes are queued in the end", n)
	}
	r.SendClose(otherID, transport.ReasonSent)
	r.expectNoMoreEvents()
}

func endWhileFull(t *testing.T, s suite) {
	const clients, lines = 16, 20
	r := s.start(t, func(c *transport.Config) { c.QueueBytes = queueBytes })
	ids, wait := r.flood(clients, lines)
	wait() // all are closed now, and most of it is in the kernel
	r.await("a full queue", func() bool { return r.Stats().QueuedBytes >= queueBytes })
	counts := make(map[idspace.ID]int)
	for range clients * lines {
		counts[r.message().ID]++
	}
	for range ids {
		if id, why := r.closed(); why != transport.ReasonClient || counts[id] != lines {
			t.Errorf("%v ended for %v after %d messages; want client after %d", id, why, counts[id], lines)
		}
	}
	r.expectNoMoreEvents()
}

func shutdownWhileFull(t *testing.T, s suite) {
	const clients = 16
	r := s.start(t, func(c *transport.Config) { c.QueueBytes = queueBytes })
	var clientsOpen []*client
	for range clients {
		c, _ := r.connect()
		clientsOpen = append(clientsOpen, c)
		c.send(strings.Repeat(strings.Repeat("f", lineBytes)+"\n", 20))
	}
	r.await("a full queue", func() bool { return r.Stats().QueuedBytes >= queueBytes })
	ctx, cancel := r.patient()
	defer cancel()
	var stopping sync.WaitGroup
	stopping.Go(func() {
		if err := r.Shutdown(ctx); err != nil {
			t.Errorf("%v; stats %+v", err, r.Stats())
		}
	})
	var taking sync.WaitGroup
	taking.Go(func() {
		for {
			if _, _, ok := r.RecvData(); !ok {
				return
			}
		}
	})
	for range clients {
		if id, why := r.closed(); why != transport.ReasonShutdown {
			t.Errorf("%v ended for %v; want shutdown", id, why)
		}
	}
	for _, c := range clientsOpen {
		c.Close()
	}
	stopping.Wait()
	taking.Wait()
	if err := r.SendData(77<<28|1, nil); !errors.Is(err, transport.ErrClosed) {
		t.Errorf("SendData: %v; want ErrClosed", err)
	}
}
