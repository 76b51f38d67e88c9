package transport_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"flamingo/framing"
	"flamingo/idspace"
	"flamingo/transport"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if setting := os.Getenv(idleClientsEnv); setting != "" {
		if err := beIdleClients(setting); err != nil {
			panic(err)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// serve runs a transport with one listener until the test ends, or the
// returned func is called.
func serve(tb testing.TB, adjust func(*transport.Config)) (t *transport.Transport, stop func()) {
	tb.Helper()
	cfg := transport.Config{
		Listeners: []transport.Listener{{Network: "tcp", Address: "127.0.0.1:0", Codec: lineCodec(tb)}},
		IDs:       sequence(tb), MaxConns: 1000, Logger: slog.New(slog.DiscardHandler),
	}
	adjust(&cfg)
	t, err := transport.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	if err := t.Listen(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := t.Run(ctx); err != nil {
			tb.Errorf("Run: %v", err)
		}
	})
	stop = func() { cancel(); running.Wait() }
	tb.Cleanup(stop)
	return t, stop
}

func connect(tb testing.TB, t *transport.Transport) net.Conn {
	tb.Helper()
	nc, err := net.Dial(t.Addrs()[0].Network(), t.Addrs()[0].String())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { nc.Close() })
	return nc
}

// limit is a context for waits that should not fail.
func limit(tb testing.TB) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	tb.Cleanup(cancel)
	return ctx
}

// A hookedCodec calls hook when it is first asked to decode.
type hookedCodec struct {
	framing.Codec
	once sync.Once
	hook func()
}

func (c *hookedCodec) Decode(data []byte, searched int) ([]byte, int, error) {
	c.once.Do(c.hook)
	return c.Codec.Decode(data, searched)
}

// A timer that fires while its loop is busy finds nobody to wake.
func TestDeadlineThatPassesDuringAReadIsMet(t *testing.T) {
	const timeout = 200 * time.Millisecond
	tr, _ := serve(t, func(c *transport.Config) {
		c.Loops, c.ActivityTimeout = 1, timeout
		c.Listeners[0].Codec = &hookedCodec{Codec: c.Listeners[0].Codec, hook: func() {
			<-time.After(timeout + 200*time.Millisecond) // the timer of the loop fires meanwhile
		}}
	})
	connect(t, tr)
	silent, _ := tr.RecvOpen()
	busy := connect(t, tr)
	fmt.Fprintln(busy, "busy")
	if !tr.AwaitClose(limit(t)) {
		t.Fatal("the silent connection has not ended")
	}
	if id, why, _ := tr.RecvClose(); id != silent.ID() || why != transport.ReasonIdle {
		t.Errorf("%v ended for %v; want %v for idle", id, why, silent.ID())
	}
}

// pausedIDs issues ids; what follows the first waits until released is closed.
type pausedIDs struct {
	*idspace.Sequence
	issued   atomic.Int32
	released chan struct{}
}

func (p *pausedIDs) Next() (idspace.ID, error) {
	if p.issued.Add(1) > 1 {
		<-p.released
	}
	return p.Sequence.Next()
}

// Epoll never tells of a connection whose output is blocked before it is asked.
func TestConnectionThatIsBlockedFromTheBeginningEndsWhenIdle(t *testing.T) {
	ids := &pausedIDs{Sequence: sequence(t), released: make(chan struct{})}
	tr, err := transport.New(transport.Config{
		// A Unix socket, since there no acknowledgement comes later.
		Listeners: []transport.Listener{{Network: "unix", Address: filepath.Join(t.TempDir(), "s"), Codec: lineCodec(t)}},
		IDs:       ids, MaxConns: 10, Loops: 1, OutputBytes: 16 << 20, ActivityTimeout: 200 * time.Millisecond,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	connect(t, tr)
	connect(t, tr) // both wait in the kernel's queue, so the loop accepts them together
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := tr.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	defer running.Wait()
	defer cancel()
	c, _ := tr.RecvOpen()
	for range 8 {
		if err := tr.SendData(c.ID(), make([]byte, 1<<20)); err != nil {
			t.Error(err)
		}
	}
	close(ids.released)
	tr.RecvOpen()
	for range 2 {
		if !tr.AwaitClose(limit(t)) {
			t.Fatalf("a silent connection has not ended; stats %+v", tr.Stats())
		}
		if id, why, _ := tr.RecvClose(); why != transport.ReasonIdle {
			t.Errorf("%v ended for %v; want idle", id, why)
		}
	}
}

func TestRunEndsThoughCancelledDuringARead(t *testing.T) {
	for range 50 {
		ctx, cancel := context.WithCancel(t.Context())
		cfg := transport.Config{
			Listeners: []transport.Listener{{Network: "tcp", Address: "127.0.0.1:0", Codec: &hookedCodec{Codec: lineCodec(t), hook: func() {
				noticed := make(chan struct{})
				context.AfterFunc(ctx, func() { close(noticed) })
				cancel()
				<-noticed
			}}}},
			IDs: sequence(t), MaxConns: 10, Loops: 1, Logger: slog.New(slog.DiscardHandler),
		}
		tr, err := transport.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := tr.Listen(ctx); err != nil {
			t.Fatal(err)
		}
		nc := connect(t, tr)
		fmt.Fprintln(nc, "x")
		if err := tr.Run(ctx); err != nil { // hangs if the cancellation is missed
			t.Fatal(err)
		}
		nc.Close()
	}
}

func TestSendDataAllocatesNothing(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	tr, stop := serve(t, func(c *transport.Config) { c.Slow = transport.SlowFailSender })
	nc := connect(t, tr)
	c, _ := tr.RecvOpen()
	var read atomic.Int64
	var reading sync.WaitGroup
	reading.Go(func() {
		in := bufio.NewReader(nc)
		for {
			if _, err := in.ReadSlice('\n'); err != nil {
				return
			}
			read.Add(1)
		}
	})
	msg := []byte(strings.Repeat("m", 63))
	sent := int64(0)
	send := func() {
		for {
			err := tr.SendData(c.ID(), msg)
			if err == nil {
				sent++
				return
			}
			if !errors.Is(err, transport.ErrBackpressure) {
				t.Fatal(err)
			}
			runtime.Gosched()
		}
	}
	step := func() {
		for range 200 {
			send()
		}
		for read.Load() < sent {
			runtime.Gosched()
		}
	}
	for range 20 {
		step()
	}
	if n := testing.AllocsPerRun(50, step); n >= 10 { // of 200 messages; the pools are emptied now and then
		t.Errorf("%v allocations for 200 messages; want none", n)
	}
	stop()
	nc.Close()
	reading.Wait()
}
