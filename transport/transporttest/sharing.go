package transporttest

import (
	"strings"
	"testing"

	"flamingo/idspace"
	"flamingo/transport"
)

var sharingTests = []test{
	{"a shared message is whole and in order at each", sharedOrder},
	{"the bound of all output counts a shared message once", sharedOnce},
	{"a shared message outlives a connection that ends in it", sharedOutlives},
	{"each connection's bound counts a shared message whole", sharedBound},
}

// manyDeaf connects so many clients that do not read.
func manyDeaf(r *rig, count int) (clients []*client, ids []idspace.ID) {
	for range count {
		c, id := r.connect()
		c.deafen()
		clients, ids = append(clients, c), append(ids, id)
	}
	return clients, ids
}

// sendAll sends msg to each of ids at once.
func (r *rig) sendAll(ids []idspace.ID, msg string) {
	r.Helper()
	results := make([]error, len(ids))
	buf := []byte(msg)
	r.SendMany(ids, buf, results)
	clear(buf) // it is the caller's again
	for k, err := range results {
		if err != nil {
			r.Fatalf("SendMany: result for %v: %v", ids[k], err)
		}
	}
}

// nothingPending waits until no output is counted any more, as a whole neither.
func (r *rig) nothingPending() {
	r.Helper()
	r.await("no output to be counted", func() bool { return r.Stats().PendingBytes == 0 })
}

func sharedOrder(t *testing.T, s suite) {
	r := s.start(t, narrow, func(c *transport.Config) { c.OutputBytes = 8 << 20 })
	clients, ids := manyDeaf(r, 3)
	wants := make([]strings.Builder, len(ids))
	for m, size := range []int{100_000, 3, 511, 513, 600, 100_000, 0, 2000} {
		shared := strings.Repeat(string(rune('a'+m)), size)
		r.sendAll(ids, shared)
		for k, id := range ids {
			own := described(k, m)
			if err := r.SendData(id, []byte(own)); err != nil {
				t.Fatal(err)
			}
			wants[k].WriteString(shared + "\n" + own + "\n")
		}
	}
	for k, c := range clients {
		c.expect(wants[k].String())
	}
	r.nothingPending()
}

func sharedOnce(t *testing.T, s suite) {
	const count, messages = 8, 3
	r := s.start(t, narrow, func(c *transport.Config) { c.OutputBytes, c.TotalOutputBytes = 16<<20, 2<<20 })
	clients, ids := manyDeaf(r, count)
	msg := strings.Repeat("s", 600_000)
	for range messages { // 14 MB for the clients, 1.8 MB of memory
		r.sendAll(ids, msg)
	}
	r.settled(func() int64 { return int64(r.Stats().BytesOut) })
	logical := int64(0)
	for _, id := range ids {
		logical += r.pending(id)
	}
	st := r.Stats()
	if st.Shed != 0 || st.PendingBytes > 2<<20 || st.PendingBytes < 600_000 || logical < 4<<20 {
		t.Errorf("%d ended; %d bytes pending, of the clients %d; want none ended, a message at least and 2 MiB at most, and over 4 MiB",
			st.Shed, st.PendingBytes, logical)
	}
	for range messages { // the same, each a message of its own
		for _, id := range ids {
			_ = r.SendData(id, []byte(msg)) // some of them are gone
		}
	}
	r.await("somebody to be ended", func() bool { return r.Stats().Shed > 0 })
	for _, c := range clients {
		c.reset()
	}
	r.nothingPending()
}

func sharedOutlives(t *testing.T, s suite) {
	r := s.start(t, narrow, func(c *transport.Config) { c.OutputBytes = 8 << 20 })
	clients, ids := manyDeaf(r, 3)
	msg := strings.Repeat("o", 900_000)
	r.sendAll(ids, msg)
	r.settled(func() int64 { return int64(r.Stats().BytesOut) })
	clients[1].reset()
	r.expectClosed(ids[1], transport.ReasonError)
	if u := r.undelivered(); u.ID != ids[1] || u.Outcome != transport.ErrUncertain || u.Count != 1 { //nolint:errorlint // this very value
		t.Errorf("undelivered %+v; want one uncertain of %v", u, ids[1])
	}
	r.sendAll([]idspace.ID{ids[0], ids[2]}, strings.Repeat("p", 700))
	for _, k := range []int{0, 2} {
		clients[k].expect(msg + "\n" + strings.Repeat("p", 700) + "\n")
	}
	r.nothingPending()
}

func sharedBound(t *testing.T, s suite) {
	r := s.start(t, narrow, func(c *transport.Config) { c.OutputBytes, c.Slow = 64<<10, transport.SlowFailSender })
	clients, ids := manyDeaf(r, 2)
	plug := r.plug(ids[0])
	results := make([]error, 2)
	r.SendMany(ids, []byte(strings.Repeat("b", 60<<10)), results)
	if results[0] == nil || results[1] != nil {
		t.Errorf("results %v; want the one behind a full queue refused, and the other taken", results)
	}
	clients[0].expect(plug)
	clients[1].expect(strings.Repeat("b", 60<<10) + "\n")
	r.nothingPending()
}
