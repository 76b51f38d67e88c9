package transporttest

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"flamingo/idspace"
	"flamingo/transport"
)

var closingTests = []test{
	{"an end is reported after the last message was done with", endComesLast},
	{"each end is reported once with its reason", endReasons},
	{"an end by SendClose here is not reported", sentCloseIsSilent},
	{"the first cause of an end is its reason", firstCauseWins},
	{"nothing can be sent to an id that has no connection", goneAtOnce},
	{"SendClose writes what was accepted before although input is unread", closeFlushes},
	{"SendClose gives up on a client that does not read", closeTimesOut},
	{"SendClose right after the open ends any connection", closeAtOnce},
	{"a second SendClose answers gone", secondClose},
}

func endComesLast(t *testing.T, s suite) {
	r := s.start(t)
	c, id := r.connect()
	const messages = 300
	c.send(strings.Repeat("x\n", messages))
	into := make([]transport.Message, messages)
	n := 0
	r.await("every message", func() bool {
		n += r.TryRecvMany(into[n:])
		return n == messages
	})
	c.reset()
	r.await("the end of the connection", func() bool {
		_, err := r.Describe(id)
		return errors.Is(err, transport.ErrGone)
	})
	for k := range into {
		if id, _, ok := r.TryRecvClose(); ok {
			t.Fatalf("the end of %v was reported when %d messages were not done with", id, messages-k)
		}
		r.Done(into[k : k+1])
	}
	r.expectClosed(id, transport.ReasonError)
	r.expectNoMoreEvents()
}

func endReasons(t *testing.T, s suite) {
	r := s.start(t, narrow, func(c *transport.Config) {
		c.OutputBytes = 1 << 20
		c.HalfClose = time.Millisecond
		c.Listeners[0].Codec = codec(t, "length&max-message=4000000")
	})
	ends := map[transport.Reason]func(c *client, id idspace.ID){
		transport.ReasonClient: func(c *client, _ idspace.ID) { c.Close() },
		transport.ReasonError:  func(c *client, _ idspace.ID) { c.reset() },
		transport.ReasonSlow: func(c *client, id idspace.ID) {
			c.deafen()
			for {
				if err := r.SendData(id, make([]byte, 1<<19)); err != nil {
					if !errors.Is(err, transport.ErrGone) {
						t.Errorf("SendData to a slow client: %v; want ErrGone", err)
					}
					return
				}
			}
		},
		transport.ReasonTooLarge: func(c *client, _ idspace.ID) { c.send("\xff\xff\xff\xff") },
		transport.ReasonRemote: func(_ *client, id idspace.ID) {
			if err := r.SendClose(id, transport.ReasonRemote); err != nil {
				t.Error(err)
			}
		},
	}
	if s.OwnMessages {
		delete(ends, transport.ReasonTooLarge) // which is a length of the framing
	}
	for why, end := range ends {
		c, id := r.connect()
		end(c, id)
		r.expectClosed(id, why)
		c.Close()
	}
	c, id := r.connect()
	ctx, cancel := r.patient()
	defer cancel()
	var stopping sync.WaitGroup
	stopping.Go(func() {
		if err := r.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	r.expectClosed(id, transport.ReasonShutdown)
	c.Close()
	stopping.Wait()
	r.expectNoMoreEvents()
	for why := range ends {
		if n := r.Stats().Closed[why]; n != 1 {
			t.Errorf("%d connections closed for %v; want 1", n, why)
		}
	}
}

func sentCloseIsSilent(t *testing.T, s suite) {
	r := s.start(t)
	for range 50 {
		c, id := r.connect()
		if err := r.SendClose(id, transport.ReasonSent); err != nil {
			t.Fatal(err)
		}
		c.rest()
		c.Close()
	}
	r.expectNoMoreEvents()
	if n := r.Stats().Closed[transport.ReasonSent]; n != 50 {
		t.Errorf("%d connections ended by SendClose; want 50", n)
	}
}

func firstCauseWins(t *testing.T, s suite) {
	r := s.start(t, narrow, func(c *transport.Config) { c.OutputBytes = 8 << 20 })
	c, id := r.connect()
	c.deafen()
	r.plug(id)
	if err := r.SendClose(id, transport.ReasonRemote); err != nil {
		t.Fatal(err)
	}
	c.reset()
	r.expectClosed(id, transport.ReasonRemote)
	r.expectNoMoreEvents()
}

func goneAtOnce(t *testing.T, s suite) {
	r := s.start(t)
	c, dead := r.connect()
	c.Close()
	r.expectClosed(dead, transport.ReasonClient)
	for _, id := range []idspace.ID{0, 1, dead, dead + 1, dead + 1<<27, 1 << 63, ^idspace.ID(0)} {
		results := []error{nil}
		r.SendMany([]idspace.ID{id}, []byte("x"), results)
		_, describeErr := r.Describe(id)
		for what, err := range map[string]error{
			"SendData":  r.SendData(id, []byte("x")),
			"Send":      r.Send(t.Context(), id, []byte("x")),
			"SendMany":  results[0],
			"SendClose": r.SendClose(id, transport.ReasonSent),
			"Describe":  describeErr,
		} {
			if !errors.Is(err, transport.ErrGone) {
				t.Errorf("%s(%v): %v; want ErrGone", what, id, err)
			}
		}
	}
}

func closeFlushes(t *testing.T, s suite) {
	r := s.start(t, func(c *transport.Config) { c.OutputBytes, c.QueueBytes = 32<<20, 64<<10 })
	c, id := r.connect()
	c.send(strings.Repeat("unread input of ours ...........\n", 10000)) // 330 kB, of which the queue takes a part
	r.await("the queue to be full", func() bool { return r.Stats().QueuedBytes >= 64<<10 })
	var want strings.Builder
	for m := range 8000 {
		msg := described(1, m)
		want.WriteString(msg + "\n")
		if err := r.SendData(id, []byte(msg)); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.SendClose(id, transport.ReasonSent); err != nil {
		t.Fatal(err)
	}
	if err := r.SendData(id, []byte("late")); !errors.Is(err, transport.ErrGone) {
		t.Errorf("SendData after SendClose: %v; want ErrGone", err)
	}
	if got := c.rest(); got != want.String() {
		t.Errorf("the client read %d bytes; want all %d", len(got), want.Len())
	}
}

func closeTimesOut(t *testing.T, s suite) {
	r := s.start(t, narrow, func(c *transport.Config) { c.OutputBytes, c.CloseTimeout = 8<<20, 100*time.Millisecond })
	c, id := r.connect()
	c.deafen()
	r.plug(id)
	begin := time.Now()
	if err := r.SendClose(id, transport.ReasonRemote); err != nil {
		t.Fatal(err)
	}
	r.expectClosed(id, transport.ReasonRemote)
	if d := time.Since(begin); d < 100*time.Millisecond {
		t.Errorf("the connection ended after %v; want not before CloseTimeout", d)
	}
	if u := r.undelivered(); u != (transport.Undelivered{ID: id, Outcome: transport.ErrUncertain, Count: 1}) {
		t.Errorf("undelivered %+v; want one uncertain message of %v", u, id)
	}
	r.expectNoMoreEvents()
}

func closeAtOnce(t *testing.T, s suite) {
	r := s.start(t)
	const clients = 500
	var closing, dialing sync.WaitGroup
	closing.Go(func() {
		for range clients {
			if err := r.SendClose(r.open().ID(), transport.ReasonSent); err != nil && !errors.Is(err, transport.ErrGone) {
				t.Errorf("SendClose: %v", err)
			}
		}
	})
	for range 10 {
		dialing.Go(func() {
			for k := range clients / 10 {
				c := r.dial()
				if k%2 == 0 {
					c.closeWrite()
				}
				c.rest()
				c.Close()
			}
		})
	}
	dialing.Wait()
	closing.Wait()
	for r.Stats().Closed[transport.ReasonClient] > 0 {
		if _, _, ok := r.TryRecvClose(); !ok {
			break
		}
	}
	r.await("the end of every connection", func() bool {
		_, _, _ = r.TryRecvClose()
		return r.Stats().Connections == 0
	})
	r.expectNoMoreEvents()
	select {
	case rec := <-r.log.records:
		t.Errorf("the log says %q", rec.Message)
	default:
	}
}

func secondClose(t *testing.T, s suite) {
	r := s.start(t)
	c, id := r.connect()
	if err := r.SendClose(id, transport.ReasonSent); err != nil {
		t.Fatal(err)
	}
	if err := r.SendClose(id, transport.ReasonSent); !errors.Is(err, transport.ErrGone) {
		t.Errorf("second SendClose: %v; want ErrGone", err)
	}
	c.rest()
	if err := r.SendClose(id, transport.ReasonSent); !errors.Is(err, transport.ErrGone) {
		t.Errorf("SendClose after the end: %v; want ErrGone", err)
	}
}

var halfCloseTests = []test{
	{"a client that ends its input gets its answers and then the end", halfClosedGetsAnswers},
	{"a greeting is no answer to what comes later", greetingIsNoAnswer},
	{"a greeting is not one of several answers", greetingIsNotCounted},
	{"a client that asked nothing and ends its input is ended at once", halfClosedSilent},
	{"a client that is not answered is ended after HalfClose", halfClosedUnanswered},
	{"a client whose message waits in the queue is not ended", halfClosedQueued},
	{"clients whose messages are done with together are ended alike", halfClosedTogether},
}

func halfClosedGetsAnswers(t *testing.T, s suite) {
	r := s.start(t, func(c *transport.Config) {
		c.HalfClose = time.Hour // so that no time ends a connection here
		c.Ignore = transport.IgnoreOpens
	})
	r.echo(4)
	const clients = 200
	var dialing sync.WaitGroup
	for k := range clients {
		dialing.Go(func() {
			c := r.dial()
			n := 1 + k%7
			c.send(strings.Repeat("x\n", n))
			c.closeWrite()
			if got := c.rest(); got != strings.Repeat("x\n", n) {
				t.Errorf("the client read %q; want %d lines", got, n)
			}
			c.Close()
		})
	}
	dialing.Wait()
	for range clients {
		if id, why := r.closed(); why != transport.ReasonClient {
			t.Errorf("%v ended for %v; want client", id, why)
		}
	}
}

func greetingIsNoAnswer(t *testing.T, s suite) {
	r := s.start(t, func(c *transport.Config) { c.HalfClose, c.Loops = time.Hour, 1 })
	other, otherID := r.connect()
	for range 20 {
		c, id := r.connect()
		if err := r.SendData(id, []byte("greeting")); err != nil {
			t.Fatal(err)
		}
		c.expect("greeting\n")
		c.send("question\n")
		c.closeWrite()
		r.expectMessage(id, "question")
		for range 3 { // the end of the input is seen meanwhile
			other.send("x\n")
			r.expectMessage(otherID, "x")
		}
		if err := r.SendData(id, []byte("answer")); err != nil {
			t.Fatalf("SendData: %v", err)
		}
		c.expect("answer\n")
		r.expectClosed(id, transport.ReasonClient)
	}
}

func greetingIsNotCounted(t *testing.T, s suite) {
	r := s.start(t, func(c *transport.Config) { c.HalfClose = time.Hour })
	for range 20 {
		c, id := r.connect()
		for range 3 {
			if err := r.SendData(id, []byte("greeting")); err != nil {
				t.Fatal(err)
			}
			c.expect("greeting\n")
		}
		c.send("one\ntwo\nthree\n")
		c.closeWrite()
		for _, want := range []string{"one", "two", "three"} { // taken by three workers, say
			r.expectMessage(id, want)
		}
		for _, answer := range []string{"two", "one", "three"} {
			if err := r.SendData(id, []byte(answer)); err != nil {
				t.Fatalf("answer %s: %v", answer, err)
			}
			c.expect(answer + "\n")
		}
		r.expectClosed(id, transport.ReasonClient)
	}
}

func halfClosedSilent(t *testing.T, s suite) {
	r := s.start(t, func(c *transport.Config) { c.HalfClose = time.Hour })
	c, id := r.connect()
	if err := r.SendData(id, []byte("greeting")); err != nil {
		t.Fatal(err)
	}
	c.closeWrite()
	if got := c.rest(); got != "greeting\n" {
		t.Errorf("the client read %q; want the greeting", got)
	}
	r.expectClosed(id, transport.ReasonClient)
	r.expectNoMoreEvents()
}

func halfClosedUnanswered(t *testing.T, s suite) {
	r := s.start(t, func(c *transport.Config) { c.HalfClose = 100 * time.Millisecond })
	c, id := r.connect()
	c.send("question\n")
	r.expectMessage(id, "question")
	begin := time.Now()
	c.closeWrite()
	r.expectClosed(id, transport.ReasonClient)
	if d := time.Since(begin); d < 100*time.Millisecond {
		t.Errorf("the connection ended after %v; want not before HalfClose", d)
	}
	if rest := c.rest(); rest != "" {
		t.Errorf("the client read %q", rest)
	}
	r.expectNoMoreEvents()
}

func halfClosedTogether(t *testing.T, s suite) {
	r := s.start(t, func(c *transport.Config) { c.HalfClose = time.Hour })
	const rounds = 2
	clients := make(map[idspace.ID]*client)
	into := make([]transport.Message, 3*2*rounds)
	taken := 0
	for range 3 {
		c, id := r.connect()
		clients[id] = c
	}
	for range rounds { // the messages of a connection come in several places
		for _, c := range clients {
			c.send("x\ny\n")
			want := taken + 2
			r.await("two messages", func() bool {
				taken += r.TryRecvMany(into[taken:])
				return taken == want
			})
		}
	}
	for _, m := range into {
		if err := r.SendData(m.ID, m.Data); err != nil {
			t.Errorf("SendData: %v", err)
		}
	}
	for _, c := range clients {
		c.closeWrite()
	}
	r.Done(into)
	for range clients {
		id, why := r.closed()
		if why != transport.ReasonClient {
			t.Errorf("%v ended for %v; want the client's end", id, why)
		}
		clients[id].expect("x\ny\nx\ny\n")
	}
	if queued := r.Stats().QueuedBytes; queued != 0 {
		t.Errorf("%d bytes count as queued", queued)
	}
	r.expectNoMoreEvents()
}

func halfClosedQueued(t *testing.T, s suite) {
	r := s.start(t, func(c *transport.Config) { c.HalfClose = time.Millisecond })
	c, id := r.connect()
	c.send("question\n")
	c.closeWrite()
	var one [1]transport.Message
	r.await("the question", func() bool { return r.TryRecvMany(one[:]) == 1 })
	// Others ask, half-close, wait for nothing and are ended meanwhile.
	for range 3 {
		other, otherID := r.connect()
		other.send("x\n")
		r.expectMessage(otherID, "x")
		other.closeWrite()
		r.expectClosed(otherID, transport.ReasonClient)
	}
	if err := r.SendData(id, []byte("answer")); err != nil {
		t.Errorf("SendData while the question is handled: %v", err)
	}
	c.expect("answer\n")
	r.Done(one[:])
	r.expectClosed(id, transport.ReasonClient)
	r.expectNoMoreEvents()
}
