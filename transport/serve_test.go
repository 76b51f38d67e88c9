package transport_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"flamingo/framing"
	"flamingo/transport"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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
	nc, err := net.Dial("tcp", t.Addrs()[0].String())
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

// asChild names, in the environment, the test that runs in a process of its own.
const asChild = "FLAMINGO_TEST_CHILD"

// inOwnProcess runs the test again in a process of its own, and reports
// whether this is that process.
func inOwnProcess(t *testing.T) bool {
	t.Helper()
	if os.Getenv(asChild) == t.Name() {
		return true
	}
	pattern := "^" + strings.ReplaceAll(t.Name(), "/", "$/^") + "$"
	child := exec.CommandContext(limit(t), os.Args[0], "-test.run="+pattern, "-test.count=1", "-test.v")
	child.Env = append(os.Environ(), asChild+"="+t.Name())
	if out, err := child.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v: %v\n%s", child, err, out)
	}
	return false
}

// A lineBook is a writer for a logger that hands out its lines.
type lineBook chan string

func (b lineBook) Write(p []byte) (int, error) {
	select {
	case b <- string(p):
	default:
	}
	return len(p), nil
}

func (b lineBook) await(tb testing.TB, text string) {
	tb.Helper()
	for {
		select {
		case line := <-b:
			if strings.Contains(line, text) {
				return
			}
		case <-limit(tb).Done():
			tb.Fatalf("the log never said %q", text)
		}
	}
}

func TestAcceptingPausesWithoutFilesAndDoesNotSpin(t *testing.T) {
	for _, driver := range drivers {
		t.Run(driver.name, func(t *testing.T) {
			if runtime.GOOS != "linux" {
				t.Skip("counts descriptors in /proc")
			}
			if inOwnProcess(t) {
				acceptWithoutFiles(t, driver.configure)
			}
		})
	}
}

func acceptWithoutFiles(t *testing.T, configure func(*transport.Config)) {
	book := make(lineBook, 100)
	tr, _ := serve(t, func(c *transport.Config) { configure(c); c.Logger = slog.New(slog.NewTextHandler(book, nil)) })
	connect(t, tr)
	if _, ok := tr.RecvOpen(); !ok {
		t.Fatal("no connection")
	}
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	free, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	scarce := syscall.Rlimit{Cur: uint64(free.Fd()) + 1, Max: files.Max} // one more: the client's
	free.Close()
	begin := time.Now()
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &scarce); err != nil {
		t.Fatal(err)
	}
	waiting := connect(t, tr)
	book.await(t, "too many open files")
	// One try in 100 ms, and the first.
	if pauses, most := tr.Stats().AcceptPauses, uint64(time.Since(begin)/(100*time.Millisecond))+1; pauses < 2 || pauses > most {
		t.Errorf("accepting paused %d times; want 2 to %d", pauses, most)
	}
	if _, ok := tr.TryRecvOpen(); ok {
		t.Error("a connection without a file")
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	c, ok := tr.RecvOpen()
	if !ok || c.RemoteAddr().String() != waiting.LocalAddr().String() {
		t.Errorf("connection %v, %v; want the one that waited", c, ok)
	}
	book.await(t, "accepting again")
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
