package test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"flamingo/node"
)

// openNode opens a node. The end of the test closes it, whatever is queued.
func openNode(t *testing.T, opts node.Opts) *node.Node {
	t.Helper()
	opts.Listen = []string{"tcp://127.0.0.1:0"}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	n, err := node.Open(opts)
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, n)
	return n
}

func dialNode(t testing.TB, n *node.Node) *net.TCPConn {
	t.Helper()
	_, port, err := net.SplitHostPort(n.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	return dialPort(t, port)
}

// heapInUse returns the bytes that live on the heap.
func heapInUse() int64 {
	runtime.GC()
	runtime.GC() // what a pool held until the first
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

const (
	slowClients = 1000
	slowLines   = 200 // of each client
	slowLine    = 256 // bytes, the line break included
	slowQueue   = 1 << 20
	slowLoops   = 2
)

// slowBound is what QueuedBytes may reach. Reading stops at QueueBytes; each
// loop may have begun one read before: 64 KiB, which complete the beginning of
// a line and hold 48 bytes of overhead for every line.
const slowBound = slowQueue + slowLoops*(64<<10+slowLine+48*((64<<10)/slowLine+1))

// slowHeap is how much the heap may grow: the queue, and the beginning of a
// line for each connection; twice, since memory comes in sizes and blocks.
const slowHeap = 2 * (slowBound + slowClients*slowLine)

func TestSlowApplicationCostsBoundedMemoryAndLosesNothing(t *testing.T) {
	for _, portable := range []bool{false, true} {
		t.Run(fmt.Sprintf("portable=%t", portable), func(t *testing.T) {
			if procs := runtime.GOMAXPROCS(0); portable && procs > slowLoops {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(slowLoops)) // as many reads at once as there are loops
			}
			n := openNode(t, node.Opts{Framing: "line", QueueBytes: slowQueue, Loops: slowLoops, Portable: portable})
			talk := make(chan struct{})
			var talking sync.WaitGroup
			index := map[node.ID]int{}
			var texts [][]byte
			for k := range slowClients {
				nc := dialNode(t, n)
				id, _ := n.RecvOpen()
				index[id] = k
				text := slowText(k)
				texts = append(texts, text)
				talking.Go(func() {
					<-talk
					if _, err := nc.Write(text); err != nil {
						t.Errorf("client %d: %v", k, err)
					}
				})
			}
			before := heapInUse()
			close(talk)

			most := int64(0)
			watch := func() bool {
				queued := n.Stats().QueuedBytes
				most = max(most, queued)
				return queued >= slowQueue
			}
			until(t, "a full queue", watch)
			for range 20 {
				expectSendsWork(t, n)
				watch()
			}
			growth := heapInUse() - before
			runtime.KeepAlive(texts) // they were there before, too
			if growth > slowHeap {
				t.Errorf("the heap grew by %d bytes, want at most %d", growth, slowHeap)
			}

			next := make([]int, slowClients)
			for k := range slowClients * slowLines {
				id, msg := n.RecvData()
				client := index[id]
				if got := lineNumber(msg, client); got != next[client] {
					t.Fatalf("line %.30q from client %d, want number %d", msg, client, next[client])
				}
				next[client]++
				if k%100 == 0 {
					watch()
				}
			}
			talking.Wait()
			if st := n.Stats(); st.QueuedMessages != 0 || st.QueuedBytes != 0 || st.MessagesIn != slowClients*slowLines {
				t.Errorf("%d messages queued with %d bytes, %d received; want 0, 0, %d", st.QueuedMessages, st.QueuedBytes, st.MessagesIn, slowClients*slowLines)
			}
			if most > slowBound {
				t.Errorf("%d bytes were queued, want at most %d", most, slowBound)
			}
			t.Logf("at most %d bytes queued (bound %d), heap grew by %d (bound %d)", most, slowBound, growth, slowHeap)
		})
	}
}

// slowText returns the numbered lines of one client.
func slowText(client int) []byte {
	text := make([]byte, 0, slowLines*slowLine)
	for k := range slowLines {
		head := fmt.Sprintf("%d %d ", client, k)
		text = append(text, head...)
		text = append(text, strings.Repeat("x", slowLine-1-len(head))...)
		text = append(text, '\n')
	}
	return text
}

// lineNumber returns the number in a line, or -1 if it is not one of client's.
func lineNumber(line []byte, client int) int {
	fields := bytes.Fields(line)
	if len(line) != slowLine-1 || len(fields) != 3 || string(fields[0]) != strconv.Itoa(client) {
		return -1
	}
	k, err := strconv.Atoi(string(fields[1]))
	if err != nil {
		return -1
	}
	return k
}

// expectSendsWork checks that a client can connect, be sent a message and be
// disconnected.
func expectSendsWork(t *testing.T, n *node.Node) {
	t.Helper()
	nc := dialNode(t, n)
	defer nc.Close()
	id, _ := n.RecvOpen()
	if err := n.SendData(id, []byte("hello")); err != nil {
		t.Errorf("SendData: %v", err)
	}
	if err := n.SendClose(id); err != nil {
		t.Errorf("SendClose: %v", err)
	}
	if got, err := io.ReadAll(nc); err != nil || string(got) != "hello\n" {
		t.Errorf("the client read %q, %v", got, err)
	}
}

// A recorder is a slog.Handler that hands on what was logged.
type recorder struct{ records chan slog.Record }

func (r recorder) Enabled(context.Context, slog.Level) bool { return true }
func (r recorder) WithAttrs([]slog.Attr) slog.Handler       { return r }
func (r recorder) WithGroup(string) slog.Handler            { return r }

func (r recorder) Handle(_ context.Context, record slog.Record) error {
	select {
	case r.records <- record:
	default: // the test no longer looks
	}
	return nil
}

func TestApplicationThatTakesNoClosesIsToldWhyAcceptingPauses(t *testing.T) {
	for _, portable := range []bool{false, true} {
		t.Run(fmt.Sprintf("portable=%t", portable), func(t *testing.T) {
			t.Parallel()
			log := recorder{make(chan slog.Record, 100)}
			const places = 8
			n := openNode(t, node.Opts{Framing: "line", MaxConns: places, Logger: slog.New(log), Portable: portable})
			for range places {
				dialNode(t, n).Close()
				n.RecvOpen()
			}
			until(t, "the closes", func() bool { return n.Stats().ClosesWaiting == places })
			waiting := dialNode(t, n) // in the kernel's queue
			record := awaitRecord(t, log, slog.LevelWarn)
			var text strings.Builder
			fmt.Fprint(&text, record.Message)
			record.Attrs(func(a slog.Attr) bool { fmt.Fprint(&text, " ", a); return true })
			for _, part := range []string{"accepting is paused: the ends of connections", "closes_waiting=8", "RecvClose", "IgnoreCloses"} {
				if !strings.Contains(text.String(), part) {
					t.Errorf("the log line lacks %q: %s", part, &text)
				}
			}
			if n.Stats().AcceptPauses == 0 {
				t.Error("no pause is counted")
			}
			n.RecvClose()
			id, _ := n.RecvOpen()
			if err := n.SendData(id, []byte("welcome")); err != nil {
				t.Error(err)
			}
			if got, err := bufio.NewReader(waiting).ReadString('\n'); got != "welcome\n" {
				t.Errorf("the client that waited read %q, %v", got, err)
			}
			awaitRecord(t, log, slog.LevelInfo)
		})
	}
}

func awaitRecord(t *testing.T, log recorder, level slog.Level) slog.Record {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case r := <-log.records:
			if r.Level == level {
				return r
			}
		case <-late:
			t.Fatalf("waited %v for a record of level %v", patience, level)
		}
	}
}

func TestApplicationThatIgnoresClosesIsNeverPausedByThem(t *testing.T) {
	for _, portable := range []bool{false, true} {
		t.Run(fmt.Sprintf("portable=%t", portable), func(t *testing.T) {
			t.Parallel()
			log := recorder{make(chan slog.Record, 100)}
			n := openNode(t, node.Opts{Framing: "line", MaxConns: 8, Ignore: node.IgnoreCloses, Logger: slog.New(log), Portable: portable})
			for range 200 {
				nc := dialNode(t, n)
				id, _ := n.RecvOpen()
				if err := n.Send(t.Context(), id, []byte("hello")); err != nil {
					t.Fatal(err)
				}
				nc.Close()
			}
			until(t, "free places", func() bool { return n.Stats().Connections == 0 })
			for len(log.records) > 0 { // on a busy machine it may have paused for what it had not ended yet
				if r := <-log.records; r.Level >= slog.LevelWarn && strings.Contains(r.Message, "ends of connections") {
					t.Errorf("logged: %s", r.Message)
				}
			}
		})
	}
}
