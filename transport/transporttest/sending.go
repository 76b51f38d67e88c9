package transporttest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	"flamingo/framing"
	"flamingo/idspace"
	"flamingo/transport"
)

var sendingTests = []test{
	{"Send returns once the message is written", sendReturns},
	{"nothing is pending once Send has returned", sendLeavesNothing},
	{"Send takes a message back whose time is over", sendExpires},
	{"Send does not know of a message that is written in part", sendUncertain},
	{"Send answers when the connection ends", sendAnswersEnd},
	{"Send with a context that is done sends nothing", sendDone},
	{"SendData copies the message", sendCopies},
	{"SendMany answers for each id", sendMany},
	{"SendMany keeps the order with SendData", sendManyOrder},
	{"every accepted message is written or undelivered", undeliveredExactly},
	{"messages of many senders to one client are each whole", manySenders},
}

func deaf(t *testing.T, s suite) (*rig, *client, idspace.ID) {
	r := s.start(t, narrow, func(c *transport.Config) { c.OutputBytes = 8 << 20 })
	c, id := r.connect()
	c.deafen()
	return r, c, id
}

func sendReturns(t *testing.T, s suite) {
	r := s.start(t)
	c, id := r.connect()
	for _, msg := range []string{"a", "", strings.Repeat("b", 100<<10), "c"} {
		var sending sync.WaitGroup
		sending.Go(func() {
			if err := r.Send(t.Context(), id, []byte(msg)); err != nil {
				t.Errorf("Send of %d bytes: %v", len(msg), err)
			}
		})
		c.expect(msg + "\n")
		sending.Wait()
	}
	if err := r.Send(t.Context(), id, []byte("two\nlines")); err == nil && !s.OwnMessages {
		t.Error("Send of what the framing refuses: no error")
	}
}

// sendLeavesNothing: who is told that a message is written may send the next one,
// which must not find the queue as full as before.
func sendLeavesNothing(t *testing.T, s suite) {
	r := s.start(t, func(c *transport.Config) { c.OutputBytes = 64 << 10 })
	c, id := r.connect()
	var reading sync.WaitGroup
	reading.Go(func() { _, _ = io.Copy(io.Discard, c) })
	msg := make([]byte, 40<<10)
	for k := range 2000 {
		if err := r.Send(t.Context(), id, msg); err != nil {
			t.Fatalf("Send %d: %v", k, err)
		}
		if info, err := r.Describe(id); err != nil || info.PendingBytes != 0 {
			t.Fatalf("after Send %d: %d bytes pending, %v", k, info.PendingBytes, err)
		}
	}
	c.Close()
	reading.Wait()
}

// inTheBackground runs Send until it answers, and returns once the message is
// in the queue.
func (r *rig) inTheBackground(ctx context.Context, id idspace.ID, msg string) <-chan error {
	r.Helper()
	before, err := r.Describe(id)
	if err != nil {
		r.Fatal(err)
	}
	outcome := make(chan error, 1)
	var sending sync.WaitGroup
	sending.Go(func() { outcome <- r.Send(ctx, id, []byte(msg)) })
	r.Cleanup(sending.Wait)
	r.await("the message to be accepted", func() bool {
		info, err := r.Describe(id)
		return err == nil && info.MessagesOut > before.MessagesOut
	})
	return outcome
}

func sendExpires(t *testing.T, s suite) {
	r, c, id := deaf(t, s)
	plug := r.plug(id)
	ctx, cancel := context.WithCancel(t.Context())
	withdrawn := []<-chan error{r.inTheBackground(ctx, id, "withdrawn 1")}
	if err := r.SendData(id, []byte("between")); err != nil {
		t.Fatal(err)
	}
	withdrawn = append(withdrawn, r.inTheBackground(ctx, id, "withdrawn 2"), r.inTheBackground(ctx, id, "withdrawn 3"))
	cancel()
	for _, outcome := range withdrawn {
		if err := <-outcome; !errors.Is(err, transport.ErrExpired) || !errors.Is(err, context.Canceled) {
			t.Errorf("Send: %v; want ErrExpired and the cause", err)
		}
	}
	if err := r.SendData(id, []byte("after")); err != nil {
		t.Fatal(err)
	}
	c.expect(plug + "between\nafter\n")
	r.await("nothing to be pending", func() bool { return r.pending(id) == 0 })
}

func sendUncertain(t *testing.T, s suite) {
	r, c, id := deaf(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	msg := strings.Repeat("u", 1<<20-1)
	outcome := r.inTheBackground(ctx, id, msg)
	r.await("a part to be written", func() bool { return r.Stats().BytesOut > 0 })
	r.settled(func() int64 { return int64(r.Stats().BytesOut) })
	cancel()
	if err := <-outcome; !errors.Is(err, transport.ErrUncertain) || errors.Is(err, transport.ErrExpired) {
		t.Errorf("Send: %v; want ErrUncertain", err)
	}
	c.expect(msg + "\n")
}

func sendAnswersEnd(t *testing.T, s suite) {
	r, c, id := deaf(t, s)
	partly := r.inTheBackground(t.Context(), id, strings.Repeat("u", 1<<20-1))
	r.await("a part to be written", func() bool { return r.Stats().BytesOut > 0 })
	r.settled(func() int64 { return int64(r.Stats().BytesOut) })
	behind := r.inTheBackground(t.Context(), id, "behind")
	c.reset()
	if err := <-partly; !errors.Is(err, transport.ErrUncertain) {
		t.Errorf("Send of what was written in part: %v; want ErrUncertain", err)
	}
	if err := <-behind; !errors.Is(err, transport.ErrGone) {
		t.Errorf("Send of what was not written: %v; want ErrGone", err)
	}
	r.expectClosed(id, transport.ReasonError)
	if st := r.Stats(); st.Undelivered != 0 {
		t.Errorf("%d messages undelivered; want none, for the senders were told", st.Undelivered)
	}
}

func sendDone(t *testing.T, s suite) {
	r := s.start(t)
	c, id := r.connect()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Send(ctx, id, []byte("never")); !errors.Is(err, transport.ErrExpired) {
		t.Errorf("Send: %v; want ErrExpired", err)
	}
	if err := r.SendClose(id, transport.ReasonSent); err != nil {
		t.Fatal(err)
	}
	if rest := c.rest(); rest != "" {
		t.Errorf("the client read %q", rest)
	}
}

func sendCopies(t *testing.T, s suite) {
	r, c, id := deaf(t, s)
	plug := r.plug(id)
	var want strings.Builder
	want.WriteString(plug)
	for _, n := range []int{1, 100, 1000, 100_000} {
		msg := bytes.Repeat([]byte("m"), n)
		if err := r.SendData(id, msg); err != nil {
			t.Fatal(err)
		}
		clear(msg)
		msg = bytes.Repeat([]byte("n"), n)
		r.SendMany([]idspace.ID{id}, msg, make([]error, 1))
		clear(msg)
		want.WriteString(strings.Repeat("m", n) + "\n" + strings.Repeat("n", n) + "\n")
	}
	c.expect(want.String())
}

func sendMany(t *testing.T, s suite) {
	s.needsFraming(t)
	r := s.start(t, func(c *transport.Config) {
		netstrings := listener(t, "")
		netstrings.Codec = codec(t, "netstring")
		c.Listeners = append(c.Listeners, netstrings)
	})
	a, idA := r.connect()
	b, idB := r.connect()
	n := r.dialTo(1)
	idN := r.open().ID()
	gone, idGone := r.connect()
	gone.Close()
	r.expectClosed(idGone, transport.ReasonClient)

	for _, size := range []int{3, 511, 512, 600, 100_000} {
		msg := strings.Repeat("s", size)
		ids := []idspace.ID{idA, idGone, idN, 0, idB, idA}
		results := make([]error, len(ids))
		r.SendMany(ids, []byte(msg), results)
		for k, err := range results {
			if k == 1 || k == 3 {
				if !errors.Is(err, transport.ErrGone) {
					t.Errorf("size %d: result for %v: %v; want ErrGone", size, ids[k], err)
				}
			} else if err != nil {
				t.Errorf("size %d: result for %v: %v", size, ids[k], err)
			}
		}
		a.expect(msg + "\n" + msg + "\n")
		b.expect(msg + "\n")
		framed, err := codec(t, "netstring").Encode(nil, []byte(msg))
		if err != nil {
			t.Fatal(err)
		}
		n.expect(string(framed))
	}
	// What one framing refuses another one takes.
	results := make([]error, 2)
	r.SendMany([]idspace.ID{idA, idN}, []byte("two\nlines"), results)
	if results[0] == nil || results[1] != nil {
		t.Errorf("results %v; want the framing's error for lines alone", results)
	}
	n.expect("9:two\nlines,")
}

func sendManyOrder(t *testing.T, s suite) {
	r := s.start(t)
	c, id := r.connect()
	var want strings.Builder
	for m := range 500 {
		msg := described(m, m)
		want.WriteString(msg + "\n")
		if m%2 == 0 {
			results := []error{nil}
			if r.SendMany([]idspace.ID{id}, []byte(msg), results); results[0] != nil {
				t.Fatal(results[0])
			}
		} else if err := r.SendData(id, []byte(msg)); err != nil {
			t.Fatal(err)
		}
	}
	c.expect(want.String())
}

func undeliveredExactly(t *testing.T, s suite) {
	r, c, id := deaf(t, s)
	r.plug(id)
	const behind = 37
	for m := range behind {
		msg := []byte(described(m, m))
		if m%3 == 0 {
			r.SendMany([]idspace.ID{id}, msg, make([]error, 1))
		} else if err := r.SendData(id, msg); err != nil {
			t.Fatal(err)
		}
	}
	c.reset()
	r.expectClosed(id, transport.ReasonError)
	counts := make(map[error]int)
	for counts[transport.ErrGone]+counts[transport.ErrUncertain] < behind+1 {
		u := r.undelivered()
		if u.ID != id || u.Count < 1 {
			t.Fatalf("undelivered %+v; want of %v", u, id)
		}
		if errors.Is(u.Outcome, transport.ErrGone) {
			u.Outcome = transport.ErrGone // it says when and why
		}
		counts[u.Outcome] += u.Count
	}
	if counts[transport.ErrGone] != behind || counts[transport.ErrUncertain] != 1 {
		t.Errorf("undelivered %v; want %d gone and 1 uncertain", counts, behind)
	}
	if st := r.Stats(); st.Undelivered != behind+1 || st.MessagesOut != 0 {
		t.Errorf("stats %+v; want %d undelivered and none written", st, behind+1)
	}
}

func manySenders(t *testing.T, s suite) {
	const senders, messages = 8, 300
	r := s.start(t)
	c, id := r.connect()
	var sending sync.WaitGroup
	for k := range senders {
		sending.Go(func() {
			for m := range messages {
				var err error
				if m%50 == 0 {
					err = r.Send(t.Context(), id, []byte(described(k, m)))
				} else {
					err = r.SendData(id, []byte(described(k, m)))
				}
				for ; errors.Is(err, transport.ErrBackpressure); err = r.SendData(id, []byte(described(k, m))) {
				}
				if err != nil {
					t.Errorf("sender %d: %v", k, err)
				}
			}
		})
	}
	next := make(map[string]int)
	for range senders * messages {
		got, err := c.in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		k := int(got[len("client ")] - '0')
		if want := described(k, next[got[:8]]) + "\n"; got != want {
			t.Fatalf("read %.60q; want %.60q", got, want)
		}
		next[got[:8]]++
	}
	sending.Wait()
}

var slowTests = []test{
	{"policy close ends the connection", slowClose},
	{"policy drop-newest drops and tells", slowDrop},
	{"policy fail-sender refuses", slowFail},
	{"a full connection is said to be, and its relief told once", pressTold},
	{"a message that finds the queue empty is accepted whatever its size", slowLarge},
	{"a message that the framing refuses is no fault of a client for which output waits", slowUnframeable},
	{"a slow client does not delay another one", slowAlone},
}

func slowUnframeable(t *testing.T, s suite) {
	s.needsFraming(t)
	r, c, id := slowRig(t, s, transport.SlowClose)
	plug := r.plug(id)
	for msg, want := range map[string]error{
		strings.Repeat("x", 2<<20): framing.ErrTooLarge,
		"two\nlines":               framing.ErrUnframeable,
	} {
		many := make([]error, 1)
		r.SendMany([]idspace.ID{id}, []byte(msg), many)
		for how, err := range map[string]error{
			"SendData": r.SendData(id, []byte(msg)),
			"Send":     r.Send(t.Context(), id, []byte(msg)),
			"SendMany": many[0],
		} {
			if !errors.Is(err, want) {
				t.Errorf("%s of %d bytes: %v; want %v", how, len(msg), err, want)
			}
		}
	}
	if _, err := r.Describe(id); err != nil {
		t.Errorf("the connection: %v; want it to go on", err)
	}
	c.expect(plug)
}

func slowRig(t *testing.T, s suite, policy transport.SlowPolicy) (*rig, *client, idspace.ID) {
	r := s.start(t, narrow, func(c *transport.Config) { c.OutputBytes, c.Slow = 64<<10, policy })
	c, id := r.connect()
	c.deafen()
	return r, c, id
}

func slowClose(t *testing.T, s suite) {
	r, _, id := slowRig(t, s, transport.SlowClose)
	accepted, err := 0, error(nil)
	for ; err == nil; accepted++ {
		if accepted%500 == 499 { // so that the driver writes a part of what waits
			r.settled(func() int64 { return int64(r.Stats().BytesOut) })
		}
		err = r.SendData(id, make([]byte, 100))
	}
	accepted--
	if !errors.Is(err, transport.ErrGone) {
		t.Errorf("SendData: %v; want ErrGone", err)
	}
	r.expectClosed(id, transport.ReasonSlow)
	st := r.Stats()
	if st.MessagesOut+st.Undelivered != uint64(accepted) {
		t.Errorf("%d written and %d undelivered; want %d together", st.MessagesOut, st.Undelivered, accepted)
	}
	r.expectNoMoreEvents()
}

func slowDrop(t *testing.T, s suite) {
	r, c, id := slowRig(t, s, transport.SlowDropNewest)
	sent := 0
	for ; r.Stats().Dropped < 10; sent++ {
		if err := r.SendData(id, []byte(described(1, sent))); err != nil {
			t.Fatalf("SendData: %v; want nil", err)
		}
	}
	dropped := int(r.Stats().Dropped)
	for n := 0; n < dropped; {
		u := r.undelivered()
		if u.ID != id || !errors.Is(u.Outcome, transport.ErrBackpressure) {
			t.Fatalf("undelivered %+v; want backpressure of %v", u, id)
		}
		n += u.Count
	}
	if err := r.SendClose(id, transport.ReasonSent); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(c.rest(), "\n"); n != sent-dropped {
		t.Errorf("the client read %d messages; want %d sent less %d dropped", n, sent, dropped)
	}
}

func slowFail(t *testing.T, s suite) {
	r, c, id := slowRig(t, s, transport.SlowFailSender)
	var want strings.Builder
	refused := 0
	for m := 0; refused < 10; m++ {
		switch err := r.SendData(id, []byte(described(1, m))); {
		case err == nil:
			want.WriteString(described(1, m) + "\n")
		case errors.Is(err, transport.ErrBackpressure):
			refused++
		default:
			t.Fatalf("SendData: %v", err)
		}
	}
	c.expect(want.String())
	r.await("an empty queue", func() bool { return r.pending(id) == 0 })
	plug := strings.Repeat("p", 1<<20) // of which the kernel takes a part, and the queue keeps more than it may
	if err := r.SendData(id, []byte(plug)); err != nil {
		t.Fatal(err)
	}
	results := []error{nil}
	r.SendMany([]idspace.ID{id}, make([]byte, 64<<10), results)
	if !errors.Is(results[0], transport.ErrBackpressure) {
		t.Errorf("SendMany: %v; want ErrBackpressure", results[0])
	}
	if err := r.Send(t.Context(), id, make([]byte, 64<<10)); !errors.Is(err, transport.ErrBackpressure) {
		t.Errorf("Send: %v; want ErrBackpressure", err)
	}
	c.expect(plug + "\n")
	r.await("an empty queue", func() bool { return r.pending(id) == 0 })
	if err := r.SendData(id, []byte("again")); err != nil {
		t.Error(err)
	}
	c.expect("again\n")
	if n := r.Stats().Refused; n != uint64(refused)+2 {
		t.Errorf("%d refused; want %d", n, refused+2)
	}
}

func slowLarge(t *testing.T, s suite) {
	r, c, id := slowRig(t, s, transport.SlowClose)
	msg := strings.Repeat("l", 1<<20)
	if err := r.SendData(id, []byte(msg)); err != nil {
		t.Fatal(err)
	}
	c.expect(msg + "\n")
}

func slowAlone(t *testing.T, s suite) {
	r := s.start(t, narrow, func(c *transport.Config) { c.OutputBytes = 8 << 20 })
	var deaf []*client
	for range 4 {
		c, id := r.connect()
		c.deafen()
		if err := r.SendData(id, make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		deaf = append(deaf, c)
	}
	c, id := r.connect()
	for m := range 200 {
		if err := r.Send(t.Context(), id, []byte(described(0, m))); err != nil {
			t.Fatal(err)
		}
		c.expect(described(0, m) + "\n")
	}
	for _, c := range deaf {
		if _, err := io.CopyN(io.Discard, c, 1<<20+1); err != nil {
			t.Error(err)
		}
	}
}
