package transporttest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"flamingo/idspace"
	"flamingo/transport"
)

var limitTests = []test{
	{"a connection over max-conns-per-address is refused", addressRefused},
	{"the address that a proxy gives counts", proxiedAddressRefused},
	{"accept-rate lets connections wait", acceptSlowed},
	{"a client that sends no message in time ends", firstMessageLate},
	{"a client that was not read is not late", firstMessageExcused},
	{"idle-timeout is for its listener", idleOfListener},
	{"a client that takes nothing ends after write-timeout", writeStalls},
	{"a client that reads slowly does not", writeFlows},
	{"a connection ends within the spread of its lifetime", lifetimeEnds},
	{"over total-output-bytes the largest outputs go first", largestGoFirst},
}

var rateTests = []test{
	{"a client over messages-per-second is slowed and loses nothing", messagesSlowed},
	{"a client over bytes-per-second is slowed and loses nothing", bytesSlowed},
	{"a slowed client that ends its input gets its answers", slowedEnds},
	{"a slowed client delays no shutdown", slowedShutdown},
}

// limited gives the listener the options of a query.
func limited(tb testing.TB, query string) func(*transport.Config) {
	return func(c *transport.Config) { c.Listeners[0] = listener(tb, query) }
}

// expectEnd reads until the connection ends, be it by a reset, and fails the
// test if there is something to read.
func (c *client) expectEnd() {
	c.Helper()
	if data, err := io.ReadAll(c.in); len(data) > 0 {
		c.Errorf("client: read %.80q, %v; want the end", data, err)
	} else if errors.Is(err, os.ErrDeadlineExceeded) {
		c.Errorf("client: %v; want the end", err)
	}
}

func addressRefused(t *testing.T, s suite) {
	r := s.start(t, limited(t, "max-conns-per-address=2"))
	for round := range 3 {
		first, firstID := r.connect()
		second, secondID := r.connect()
		for range 3 {
			r.dial().expectEnd()
		}
		first.Close()
		r.expectClosed(firstID, transport.ReasonClient)
		second.Close()
		r.expectClosed(secondID, transport.ReasonClient)
		r.await("the end of all", func() bool { return r.Stats().Connections == 0 })
		st := r.Stats()
		if want := uint64(3 * (round + 1)); st.AddressRefused != want || st.Unopened[transport.ReasonRefused] != want {
			t.Errorf("%d refused, %v unopened; want %d", st.AddressRefused, st.Unopened, want)
		}
	}
	r.expectNoMoreEvents()
}

func proxiedAddressRefused(t *testing.T, s suite) {
	r := s.start(t, limited(t, "proxy=required&proxy-from=127.0.0.1&max-conns-per-address=1"))
	header := func(from string) string {
		return "PROXY TCP6 " + from + " 2001:db8::ffff 1000 4100\r\n"
	}
	of := func(from string) *client {
		c := r.dial()
		c.send(header(from) + "hello\n")
		return c
	}
	first := of("2001:db8:0:1::1")
	firstID := r.open().ID()
	r.expectMessage(firstID, "hello")
	of("2001:db8:0:1:ffff::2").expectEnd() // of the same network
	of("2001:db8:0:2::1")                  // of another
	otherID := r.open().ID()
	r.expectMessage(otherID, "hello")
	first.Close()
	r.expectClosed(firstID, transport.ReasonClient)
	of("2001:db8:0:1::3")
	r.expectMessage(r.open().ID(), "hello")
	if n := r.Stats().AddressRefused; n != 1 {
		t.Errorf("%d connections refused; want 1", n)
	}
}

func acceptSlowed(t *testing.T, s suite) {
	const rate, clients = 20, 30
	r := s.start(t, limited(t, "accept-rate=20"))
	begin := time.Now()
	for range clients {
		r.dial()
	}
	for range clients {
		r.open()
	}
	if d, least := time.Since(begin), time.Second*(clients-rate)/rate; d < least {
		t.Errorf("%d connections were accepted in %v; want not before %v", clients, d, least)
	}
	attrs := r.expectLog("at the rate")
	if attrs["accept_rate"].Int64() != rate {
		t.Errorf("attributes %v; want accept_rate %d", attrs, rate)
	}
	if st := r.Stats(); st.AcceptSlowed == 0 || st.AcceptPauses != 0 || st.Rejected != 0 {
		t.Errorf("stats %+v; want it slowed, and no other pause", st)
	}
	select {
	case rec := <-r.log.records:
		t.Errorf("the log says %q, too", rec.Message)
	default:
	}
}

func firstMessageLate(t *testing.T, s suite) {
	const timeout = time.Second // long enough for the client that keeps it
	r := s.start(t, limited(t, "first-message-timeout=1s"))
	begin := time.Now()
	talker, talkerID := r.connect()
	talker.send("first\n")
	r.expectMessage(talkerID, "first")
	dribbler, dribblerID := r.connect()
	dribbler.send("not a whole me")
	_, silentID := r.connect()
	late := map[idspace.ID]bool{dribblerID: true, silentID: true}
	for range 2 {
		id, why := r.closed()
		if !late[id] || why != transport.ReasonTimeout {
			t.Errorf("%v ended for %v; want one of %v for timeout", id, why, late)
		}
		delete(late, id)
	}
	if d := time.Since(begin); d < timeout {
		t.Errorf("the connections ended after %v; want not before %v", d, timeout)
	}
	if _, err := r.Describe(talkerID); err != nil {
		t.Errorf("the client that has sent something: %v", err)
	}
}

func firstMessageExcused(t *testing.T, s suite) {
	r := s.start(t, limited(t, "first-message-timeout=1s"), func(c *transport.Config) { c.QueueBytes = queueBytes })
	other, otherID := r.connect()
	other.send("x\n")
	r.expectMessage(otherID, "x")
	flooding, floodID := r.connect()
	flooding.send(strings.Repeat(strings.Repeat("f", lineBytes)+"\n", 80))
	r.await("a full queue", func() bool { return r.Stats().QueuedBytes >= queueBytes })
	late, lateID := r.connect()
	late.send("first\n")
	_, silentID := r.connect()
	r.expectClosed(silentID, transport.ReasonTimeout) // so the time has passed
	for m := r.message(); m.ID != lateID; m = r.message() {
		if m.ID != floodID {
			t.Errorf("message of %v", m.ID)
		}
	}
}

func idleOfListener(t *testing.T, s suite) {
	r := s.start(t, func(c *transport.Config) {
		c.ActivityTimeout = 200 * time.Millisecond
		c.Listeners = []transport.Listener{listener(t, "idle-timeout=1h"), listener(t, "idle-timeout=-1s"), listener(t, "")}
	})
	r.dialTo(0)
	longID := r.open().ID()
	r.dialTo(1)
	neverID := r.open().ID()
	r.dialTo(2)
	r.expectClosed(r.open().ID(), transport.ReasonIdle)
	for _, id := range []idspace.ID{longID, neverID} {
		if _, err := r.Describe(id); err != nil {
			t.Errorf("Describe(%v): %v; want a connection", id, err)
		}
	}
}

func writeStalls(t *testing.T, s suite) {
	const timeout = 200 * time.Millisecond
	r := s.start(t, limited(t, "write-timeout=200ms&write-buffer=16384&framing=raw"), func(c *transport.Config) { c.OutputBytes = 16 << 20 })
	_, readerID := r.connect()
	if err := r.SendData(readerID, []byte("x")); err != nil {
		t.Fatal(err)
	}
	c, id := r.connect()
	c.deafen()
	begin := time.Now()
	if err := r.SendData(id, make([]byte, 8<<20)); err != nil {
		t.Fatal(err)
	}
	r.expectClosed(id, transport.ReasonSlow)
	if d := time.Since(begin); d < timeout {
		t.Errorf("the connection ended after %v; want not before %v", d, timeout)
	}
	if u := r.undelivered(); u.ID != id || u.Count != 1 {
		t.Errorf("undelivered %+v; want one message of %v", u, id)
	}
	if _, err := r.Describe(readerID); err != nil {
		t.Errorf("the client without waiting output: %v", err)
	}
}

func writeFlows(t *testing.T, s suite) {
	const size = 1 << 20
	r := s.start(t, limited(t, "write-timeout=2s&write-buffer=16384&framing=raw"), func(c *transport.Config) { c.OutputBytes = 2 * size })
	c, id := r.connect()
	c.deafen()
	if err := r.SendData(id, make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(60 * time.Millisecond) // nearly 4 s in all
	defer tick.Stop()
	for got := 0; got < size; <-tick.C {
		n, err := io.CopyN(io.Discard, c.in, min(16<<10, int64(size-got)))
		if err != nil {
			t.Fatalf("after %d bytes: %v; stats %+v", got, err, r.Stats())
		}
		got += int(n)
	}
	if err := r.SendClose(id, transport.ReasonRemote); err != nil {
		t.Error(err)
	}
	r.expectClosed(id, transport.ReasonRemote)
}

func lifetimeEnds(t *testing.T, s suite) {
	const least = time.Second
	r := s.start(t, limited(t, "max-lifetime=1500ms&lifetime-spread=500ms"))
	begin := time.Now()
	const clients = 20
	var all []*client
	for range clients {
		c, id := r.connect()
		c.send("question\n")
		r.expectMessage(id, "question")
		all = append(all, c)
	}
	for range clients {
		if id, why := r.closed(); why != transport.ReasonLifetime {
			t.Errorf("%v ended for %v; want lifetime", id, why)
		}
	}
	if d := time.Since(begin); d < least {
		t.Errorf("all ended after %v; want not before %v", d, least)
	}
	for _, c := range all {
		c.rest()
		c.Close()
	}
	if n := r.Stats().Closed[transport.ReasonLifetime]; n != clients {
		t.Errorf("%d ended for lifetime; want %d", n, clients)
	}
	r.expectNoMoreEvents()
}

func messagesSlowed(t *testing.T, s suite) {
	const rate, messages = 200, 300
	r := s.start(t, limited(t, "messages-per-second=200"))
	c, id := r.connect()
	begin := time.Now()
	c.send(numberedLines(messages)) // in one read
	for k := range messages {
		r.expectMessage(id, fmt.Sprint(k))
		if k == rate { // the first beyond what one second allows
			if d := time.Since(begin); d < time.Second/rate {
				t.Errorf("message %d came after %v; want one second's worth at once at most", k, d)
			}
		}
	}
	if d, least := time.Since(begin), time.Second*(messages-rate)/rate; d < least {
		t.Errorf("%d messages came in %v; want not before %v", messages, d, least)
	}
	if n := r.Stats().Throttled; n == 0 {
		t.Error("nobody was slowed")
	}
	r.await("every byte counted once", func() bool {
		info, err := r.Describe(id)
		return err == nil && r.Stats().BytesIn == info.BytesIn
	})
	c.Close()
	r.expectClosed(id, transport.ReasonClient)
	r.expectNoMoreEvents()
}

func numberedLines(n int) string {
	var text strings.Builder
	for k := range n {
		fmt.Fprintln(&text, k)
	}
	return text.String()
}

func bytesSlowed(t *testing.T, s suite) {
	const rate, messages = 100 << 10, 150
	r := s.start(t, limited(t, "bytes-per-second=102400"))
	c, id := r.connect()
	begin := time.Now()
	text := strings.Repeat("b", 1023)
	go c.send(strings.Repeat(text+"\n", messages))
	for range messages {
		r.expectMessage(id, text)
	}
	if d, least := time.Since(begin), time.Second*time.Duration(messages*1023-rate-2*1023)/rate; d < least {
		t.Errorf("%d messages came in %v; want not before %v", messages, d, least)
	}
	if n := r.Stats().Throttled; n == 0 {
		t.Error("nobody was slowed")
	}
}

func slowedEnds(t *testing.T, s suite) {
	const messages = 60
	r := s.start(t, limited(t, "messages-per-second=50"))
	r.echo(2)
	c, _ := r.connect()
	c.send(numberedLines(messages))
	c.closeWrite()
	if got := c.rest(); len(got) != len(numberedLines(messages)) { // two workers, any order
		t.Errorf("the client read %q; want %d lines", got, messages)
	}
}

func slowedShutdown(t *testing.T, s suite) {
	r := s.start(t, limited(t, "messages-per-second=1"))
	c, id := r.connect()
	c.send(numberedLines(1000))
	r.expectMessage(id, "0")
	r.await("the client slowed", func() bool { return r.Stats().Throttled > 0 })
	ctx, cancel := r.patient()
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- r.Shutdown(ctx) }()
	r.expectClosed(id, transport.ReasonShutdown)
	c.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func largestGoFirst(t *testing.T, s suite) {
	const clients, unit = 8, 256 << 10
	r := s.start(t, narrow, func(c *transport.Config) {
		c.OutputBytes, c.TotalOutputBytes = 64<<20, 16<<20
		c.Listeners[0].Codec = codec(t, "raw")
	})
	ids := make([]idspace.ID, clients)
	for k := range ids {
		c, id := r.connect()
		c.deafen()
		ids[k] = id
		if err := r.SendData(id, make([]byte, unit*(k+2))); err != nil { // 11 MiB in all
			t.Fatal(err)
		}
	}
	r.settled(func() int64 { return int64(r.Stats().BytesOut) })
	if st := r.Stats(); st.Shed != 0 || st.PendingBytes == 0 {
		t.Fatalf("stats %+v; want nobody ended", st)
	}
	// With what comes on top the oldest has the most, and then, when all get as
	// much, the youngest.
	if err := r.SendData(ids[0], make([]byte, 8<<20)); err != nil {
		t.Fatal(err)
	}
	r.expectClosed(ids[0], transport.ReasonSlow)
	r.await("less output", func() bool { return r.Stats().PendingBytes <= 16<<20 })
	for k := clients - 1; k >= clients-2; k-- {
		for n := 1; r.Stats().PendingBytes <= 16<<20 && r.Stats().Shed == uint64(clients-k); n = n%k + 1 {
			if err := r.SendData(ids[n], make([]byte, 64<<10)); err != nil && !errors.Is(err, transport.ErrGone) {
				t.Fatal(err)
			}
		}
		r.expectClosed(ids[k], transport.ReasonSlow)
		r.await("less output", func() bool { return r.Stats().PendingBytes <= 16<<20 })
	}
	if n := r.Stats().Closed[transport.ReasonSlow]; n != 3 {
		t.Errorf("%d connections ended for slow; want 3", n)
	}
}
