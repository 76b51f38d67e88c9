package transport_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"flamingo/framing"
	"flamingo/idspace"
	"flamingo/transport"
)

func TestPortableEchoesManyClients(t *testing.T) {
	const clients, messages = 200, 100
	r := startPortable(t, func(c *transport.Config) { c.Ignore = transport.IgnoreOpens })
	var echoing, dialing sync.WaitGroup
	r.echo(&echoing)
	for k := range clients {
		nc := r.dial()
		dialing.Go(func() {
			in := bufio.NewReader(nc)
			for m := range messages {
				if m%10 == 0 { // ten at a time
					for n := range 10 {
						fmt.Fprintf(nc, "client %d message %d\n", k, m+n)
					}
				}
				want := fmt.Sprintf("client %d message %d\n", k, m)
				if got, err := in.ReadString('\n'); got != want || err != nil {
					t.Errorf("read %q, %v; want %q", got, err, want)
					break
				}
			}
			nc.Close()
		})
	}
	dialing.Wait()
	for range clients {
		if why := r.closed(); why != transport.ReasonClient {
			t.Errorf("a connection ended for reason %v", why)
		}
	}
	st := r.Stats()
	if st.MessagesIn != clients*messages || st.MessagesOut != clients*messages || st.QueuedBytes != 0 {
		t.Errorf("stats %+v; want %d messages both ways and nothing queued", st, clients*messages)
	}
	r.stop()
	echoing.Wait()
}

func TestPortablePausesReadingWhileMessagesAreNotTaken(t *testing.T) {
	const clients, limit = 8, 64 << 10
	r := startPortable(t, func(c *transport.Config) { c.QueueBytes = limit; c.Ignore = transport.IgnoreOpens })
	line := strings.Repeat("x", 999) + "\n"
	const lines = 16 << 10 // 16 MB: more than the sockets' buffers hold
	var sending sync.WaitGroup
	var sent atomic.Int64
	for range clients {
		nc := r.dial()
		sending.Go(func() {
			for range lines {
				if _, err := io.WriteString(nc, line); err != nil {
					t.Errorf("write: %v", err)
					break
				}
				sent.Add(1)
			}
			nc.Close()
		})
	}
	most := int64(0)
	for k := range clients * lines {
		data, _ := r.message()
		if k%1000 == 0 {
			most = max(most, r.Stats().QueuedBytes)
		}
		if len(data) != 999 {
			t.Fatalf("message of %d bytes", len(data))
		}
	}
	// Each of the intakes may bring one read more.
	if bound := int64(limit + 16*(64<<10)*2); most > bound {
		t.Errorf("%d bytes were queued; want at most %d", most, bound)
	}
	sending.Wait()
	for range clients {
		if why := r.closed(); why != transport.ReasonClient {
			t.Errorf("a connection ended for reason %v", why)
		}
	}
}

func TestPortableClosesWithoutResetDespiteUnreadInput(t *testing.T) {
	r := startPortable(t, func(c *transport.Config) { c.QueueBytes = 64 << 10 })
	for range 20 {
		nc := r.dial()
		c := r.open()
		for range 200 { // the inbox takes a third of it
			if _, err := nc.Write(append(bytes.Repeat([]byte("x"), 999), '\n')); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.SendData(c.ID(), []byte("bye")); err != nil {
			t.Fatal(err)
		}
		if err := r.SendClose(c.ID(), transport.ReasonRemote); err != nil {
			t.Fatal(err)
		}
		if why := func() transport.Reason { go drain(r, c.ID()); return r.closed() }(); why != transport.ReasonRemote {
			t.Errorf("ended for reason %v", why)
		}
		in := bufio.NewReader(nc)
		expectLine(t, in, "bye")
		expectEOF(t, in)
		nc.Close()
	}
}

// drain takes messages until the connection's slot is free.
func drain(r *portableRig, id idspace.ID) {
	for {
		got, _, ok := r.RecvData()
		if !ok || got != id {
			return
		}
		if st := r.Stats(); st.Connections == 0 {
			return
		}
	}
}

func TestPortableAnswersHalfClosedClientBeforeItEnds(t *testing.T) {
	r := startPortable(t, func(c *transport.Config) { c.HalfClose = time.Hour })
	nc := r.dial()
	if _, err := io.WriteString(nc, "one\ntwo\n"); err != nil {
		t.Fatal(err)
	}
	if err := nc.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	_, id := r.message()
	r.message()
	in := bufio.NewReader(nc)
	for _, answer := range []string{"1", "2"} {
		if err := r.SendData(id, []byte(answer)); err != nil {
			t.Fatal(err)
		}
		expectLine(t, in, answer)
	}
	expectEOF(t, in)
	if why := r.closed(); why != transport.ReasonClient {
		t.Errorf("ended for reason %v", why)
	}
}

func TestPortableEndsHalfClosedClientThatGetsNoAnswer(t *testing.T) {
	r := startPortable(t, func(c *transport.Config) { c.HalfClose = 10 * time.Millisecond })
	nc := r.dial()
	if _, err := io.WriteString(nc, "one\n"); err != nil {
		t.Fatal(err)
	}
	if err := nc.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	r.message()
	expectEOF(t, nc)
	if why := r.closed(); why != transport.ReasonClient {
		t.Errorf("ended for reason %v", why)
	}
}

func TestPortableEndsSilentConnections(t *testing.T) {
	const timeout = 200 * time.Millisecond
	r := startPortable(t, func(c *transport.Config) { c.ActivityTimeout = timeout })
	start := time.Now()
	nc := r.dial()
	if why := r.closed(); why != transport.ReasonIdle {
		t.Errorf("ended for reason %v", why)
	}
	if took := time.Since(start); took < timeout {
		t.Errorf("idle after %v, before the timeout of %v", took, timeout)
	}
	expectEOF(t, nc)
}

func TestPortableEndsClientThatDoesNotRead(t *testing.T) {
	msg := bytes.Repeat([]byte("x"), 32<<10)
	for _, end := range []transport.Reason{transport.ReasonSlow, transport.ReasonSent, transport.ReasonIdle} {
		t.Run(end.String(), func(t *testing.T) {
			r := startPortable(t, func(c *transport.Config) {
				c.CloseTimeout = 100 * time.Millisecond
				c.OutputBytes = 64 << 20
				if end == transport.ReasonSlow {
					c.OutputBytes = 1 << 20
				}
				if end == transport.ReasonIdle {
					c.ActivityTimeout = 300 * time.Millisecond
				}
			})
			r.dial()
			id := r.open().ID()
			for range 1000 { // 32 MB: more than the sockets' buffers hold
				if r.SendData(id, msg) != nil {
					break
				}
			}
			outcome := make(chan error, 1)
			go func() { outcome <- r.Send(context.Background(), id, msg) }()
			if end == transport.ReasonSent {
				eventually(t, "Send to have queued its message", func() bool {
					info, err := r.Describe(id)
					return err == nil && info.MessagesOut == 1001
				})
				if err := r.SendClose(id, transport.ReasonRemote); err != nil {
					t.Error(err)
				}
			}
			want := end
			if end == transport.ReasonSent {
				want = transport.ReasonRemote
			}
			if why := r.closed(); why != want {
				t.Errorf("ended for reason %v, want %v", why, want)
			}
			err := await(t, "the outcome", func() (error, bool) { return <-outcome, true })
			if !errors.Is(err, transport.ErrGone) && !errors.Is(err, transport.ErrUncertain) {
				t.Errorf("Send answered %v", err)
			}
			u := await(t, "a notice", func() (transport.Undelivered, bool) { return r.RecvUndelivered() })
			if u.ID != id || u.Count == 0 {
				t.Errorf("notice %+v", u)
			}
		})
	}
}

func TestPortableTellsSendersOnceTheirMessagesAreWritten(t *testing.T) {
	const senders = 200
	r := startPortable(t, func(c *transport.Config) {
		c.OutputBytes = 64 << 20
		c.Listeners[0].Codec, _ = framing.Parse("raw", nil)
	})
	nc := r.dial()
	id := r.open().ID()
	big := bytes.Repeat([]byte("x"), 32<<20) // more than the sockets' buffers hold: what follows waits
	if err := r.SendData(id, big); err != nil {
		t.Fatal(err)
	}
	results := make([]error, 1)
	r.SendMany([]idspace.ID{id}, bytes.Repeat([]byte("x"), 1000), results)
	if results[0] != nil {
		t.Fatal(results[0])
	}
	var sending sync.WaitGroup
	for k := range senders {
		sending.Go(func() {
			if err := r.Send(context.Background(), id, make([]byte, 10*(k%2))); err != nil { // every other one is empty
				t.Errorf("Send answered %v", err)
			}
		})
	}
	eventually(t, "all messages to be queued", func() bool {
		info, err := r.Describe(id)
		return err == nil && info.MessagesOut == senders+2
	})
	ctx, cancel := context.WithCancel(t.Context())
	takenBack := make(chan error, 1)
	go func() { takenBack <- r.Send(ctx, id, []byte("too late")) }()
	eventually(t, "the last message to be queued", func() bool {
		info, err := r.Describe(id)
		return err == nil && info.MessagesOut == senders+3
	})
	cancel()
	if err := <-takenBack; !errors.Is(err, transport.ErrExpired) {
		t.Errorf("Send that was given up answered %v", err)
	}
	want := int64(len(big) + 1000 + senders/2*10)
	if n, err := io.CopyN(io.Discard, nc, want); err != nil {
		t.Errorf("received %d bytes, %v; want %d", n, err, want)
	}
	sending.Wait()
	if st := r.Stats(); st.MessagesOut != senders+2 || st.BytesOut != uint64(want) {
		t.Errorf("stats %+v; want %d messages, %d bytes", st, senders+2, want)
	}
}

func TestPortableShutdownWritesWhatWasAccepted(t *testing.T) {
	r := startPortable(t, func(c *transport.Config) { c.OutputBytes = 64 << 20; c.Ignore = transport.IgnoreCloses })
	nc := r.dial()
	id := r.open().ID()
	msg := bytes.Repeat([]byte("x"), 64<<10)
	const messages = 200
	for range messages {
		if err := r.SendData(id, msg); err != nil {
			t.Fatal(err)
		}
	}
	received := make(chan int64, 1)
	go func() {
		n, err := io.Copy(io.Discard, nc)
		if err != nil {
			t.Errorf("read: %v", err)
		}
		received <- n
		nc.Close()
	}()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := r.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	if got, want := <-received, int64(messages*(len(msg)+1)); got != want {
		t.Errorf("received %d bytes, want %d", got, want)
	}
	if _, err := net.Dial("tcp", r.Addrs()[0].String()); err == nil {
		t.Error("a client could connect after Shutdown")
	}
	if err := r.SendData(id, msg); !errors.Is(err, transport.ErrClosed) {
		t.Errorf("SendData after Shutdown answered %v", err)
	}
}

func TestPortableKeepsOrderAndCountsUnderChurn(t *testing.T) {
	const clients = 400
	r := startPortable(t, func(c *transport.Config) {
		c.MaxConns = 20
		c.QueueBytes = 64 << 10
		c.ActivityTimeout = time.Minute
	})
	type state struct {
		opened bool
		next   int
	}
	var mu sync.Mutex
	states := make(map[idspace.ID]*state)
	at := func(id idspace.ID) *state {
		if states[id] == nil {
			states[id] = new(state)
		}
		return states[id]
	}
	var taking sync.WaitGroup
	taking.Go(func() {
		for id := range openedIDs(r) {
			mu.Lock()
			at(id).opened = true
			mu.Unlock()
		}
	})
	taking.Go(func() {
		for {
			id, data, ok := r.RecvData()
			if !ok {
				return
			}
			mu.Lock()
			if want := fmt.Sprint(at(id).next); string(data) != want {
				t.Errorf("%v sent %q, want %q", id, data, want)
			}
			at(id).next++
			mu.Unlock()
			_ = r.SendData(id, data)
		}
	})
	var dialing sync.WaitGroup
	dials := make(chan int)
	for range 40 {
		dialing.Go(func() {
			for k := range dials {
				churn(t, r, k)
			}
		})
	}
	ends := make(chan struct{})
	taking.Go(func() {
		defer close(ends)
		for range clients {
			id, why, ok := r.RecvClose()
			mu.Lock()
			if sent := at(id).next; !ok || why == transport.ReasonClient && sent != 50 {
				t.Errorf("%v ended for reason %v after %d messages, %v", id, why, sent, ok)
			}
			mu.Unlock()
		}
	})
	for k := range clients {
		dials <- k
	}
	close(dials)
	dialing.Wait()
	wait(t, ends, "all ends")
	if st := r.Stats(); st.Accepted != clients || st.QueuedBytes != 0 {
		t.Errorf("stats %+v", st)
	}
	r.stop()
	taking.Wait()
}

func openedIDs(r *portableRig) func(yield func(idspace.ID) bool) {
	return func(yield func(idspace.ID) bool) {
		for {
			c, ok := r.RecvOpen()
			if !ok || !yield(c.ID()) {
				return
			}
		}
	}
}

// churn is client k: it sends 50 messages and ends in one of four ways.
func churn(t testing.TB, r *portableRig, k int) {
	nc, err := net.Dial("tcp", r.Addrs()[0].String())
	if err != nil {
		t.Error(err)
		return
	}
	defer nc.Close()
	tcp := nc.(*net.TCPConn)
	for m := range 50 {
		fmt.Fprintf(nc, "%d\n", m)
	}
	switch k % 4 {
	case 0: // after the last answer
		in := bufio.NewReader(nc)
		for m := range 50 {
			if got, err := in.ReadString('\n'); got != fmt.Sprintf("%d\n", m) {
				t.Errorf("client %d read %q, %v; want %d", k, got, err, m)
				return
			}
		}
	case 1: // half
		_ = tcp.CloseWrite()
		if got, err := io.ReadAll(nc); err != nil || len(got) != 10*2+40*3 {
			t.Errorf("client %d read %d bytes, %v", k, len(got), err)
		}
	case 2: // by a reset
		_ = tcp.SetLinger(0)
	case 3: // at once
	}
}

func TestPortableCancelDropsConnectionsInEveryState(t *testing.T) {
	r := startPortable(t, func(c *transport.Config) {
		c.OutputBytes = 64 << 20
		c.QueueBytes = 64 << 10
		c.HalfClose, c.CloseTimeout, c.ActivityTimeout = time.Hour, time.Hour, time.Hour
	})
	r.dial() // silent
	r.open()

	halfClosed := r.dial()
	if _, err := io.WriteString(halfClosed, "x\n"); err != nil {
		t.Fatal(err)
	}
	if err := halfClosed.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	r.open()
	r.message()

	r.dial() // does not read
	blocked := r.open().ID()
	for range 1000 {
		if err := r.SendData(blocked, make([]byte, 32<<10)); err != nil {
			t.Fatal(err)
		}
	}
	outcome := make(chan error, 1)
	go func() { outcome <- r.Send(context.Background(), blocked, []byte("last")) }()

	r.dial() // does not end after we did
	lingering := r.open().ID()
	if err := r.SendClose(lingering, transport.ReasonSent); err != nil {
		t.Fatal(err)
	}

	flooding := r.dial() // waits for room in the inbox
	r.open()
	go func() {
		for {
			if _, err := flooding.Write(bytes.Repeat([]byte("0123456789\n"), 1000)); err != nil {
				return
			}
		}
	}()
	eventually(t, "the inbox to be full", func() bool { return r.Stats().QueuedBytes >= 64<<10 })

	r.stop()
	if err := <-outcome; !errors.Is(err, transport.ErrGone) && !errors.Is(err, transport.ErrClosed) {
		t.Errorf("Send answered %v", err)
	}
	flooding.Close()
}

func TestPortablePausesAcceptingAtTheLimit(t *testing.T) {
	log := lineLog{make(chan string, 100)}
	r := startPortable(t, func(c *transport.Config) {
		c.MaxConns = 2
		c.Listeners = append(c.Listeners, c.Listeners[0]) // both acceptors wait for the last slot
		c.Logger = slog.New(slog.NewTextHandler(log, nil))
	})
	leaving := r.dial()
	first := r.open().ID()
	r.dial()
	r.open()
	for k := range 2 {
		nc, err := net.Dial("tcp", r.Addrs()[k].String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
	}
	log.expect(t, "accepting is paused")
	log.expect(t, "accepting is paused")
	if err := r.SendClose(first, transport.ReasonSent); err != nil {
		t.Fatal(err)
	}
	leaving.Close()
	r.open()
	log.expect(t, "accepting again")
}

func TestPortableSaysThatClosesAreNotTaken(t *testing.T) {
	log := lineLog{make(chan string, 100)}
	r := startPortable(t, func(c *transport.Config) {
		c.MaxConns = 1
		c.Ignore = transport.IgnoreOpens
		c.Logger = slog.New(slog.NewTextHandler(log, nil))
	})
	r.dial().Close()
	nc := r.dial()
	if _, err := io.WriteString(nc, "x\n"); err != nil {
		t.Fatal(err)
	}
	log.expect(t, "the ends of connections are not taken")
	r.closed()
	r.message()
	log.expect(t, "accepting again")
}

func TestPortableListenerWithItsOwnLimitGoesOnWhenAConnectionEnds(t *testing.T) {
	r := startPortable(t, func(c *transport.Config) { c.Listeners[0].MaxConns = 1 })
	for range 50 { // the ends are not taken: no slot becomes free
		nc := r.dial()
		r.open()
		nc.Close()
	}
}

func TestPortableTriesAgainWhenIDsRunOut(t *testing.T) {
	ids := &serials{}
	ids.fail.Store(1)
	r := startPortable(t, func(c *transport.Config) { c.IDs = ids })
	expectEOF(t, r.dial())
	r.dial()
	r.open()
	if st := r.Stats(); st.Rejected != 1 || st.AcceptPauses != 1 {
		t.Errorf("stats %+v; want 1 rejected and 1 pause", st)
	}
}

func TestPortableServesUnixSocketAndRemovesItsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	r := startPortable(t, func(c *transport.Config) { c.Listeners[0].Network, c.Listeners[0].Address = "unix", path })
	nc, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	c := r.open()
	if err := c.SetNoDelay(true); !errors.Is(err, transport.ErrUnsupported) {
		t.Errorf("SetNoDelay answered %v", err)
	}
	if err := r.SendData(c.ID(), []byte("hello")); err != nil {
		t.Fatal(err)
	}
	expectLine(t, bufio.NewReader(nc), "hello")
	r.stop()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket file: %v", err)
	}
}

func TestPortableConnOptionsAndAddresses(t *testing.T) {
	r := startPortable(t, func(c *transport.Config) {
		l := &c.Listeners[0]
		l.Delay, l.ReadBuffer, l.WriteBuffer, l.Backlog = true, 32<<10, 32<<10, 10
	})
	nc := r.dial()
	c := r.open()
	if c.RemoteAddr().String() != nc.LocalAddr().String() || c.LocalAddr().String() != nc.RemoteAddr().String() {
		t.Errorf("%v → %v; the client says %v → %v", c.RemoteAddr(), c.LocalAddr(), nc.LocalAddr(), nc.RemoteAddr())
	}
	if err := errors.Join(c.SetNoDelay(true), c.SetKeepAlive(time.Minute), c.SetKeepAlive(0), c.SetLinger(-1), c.SetLinger(0),
		c.SetReadBuffer(4096), c.SetWriteBuffer(4096)); err != nil {
		t.Error(err)
	}
	nc.Close()
	r.closed()
	if err := c.SetNoDelay(true); !errors.Is(err, net.ErrClosed) {
		t.Errorf("SetNoDelay after the end answered %v", err)
	}
}
