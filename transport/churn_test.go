package transport_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
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

func TestChurnKeepsIDsApart(t *testing.T) {
	for _, driver := range drivers {
		t.Run(driver.name, func(t *testing.T) {
			before, files := goleak.IgnoreCurrent(), openFiles()
			c := newChurn(t, churnConfig{clients: 5000, atOnce: 250, maxConns: 512, configure: driver.configure})
			c.run()
			for _, v := range c.violations {
				t.Error(v)
			}
			if c.replies.Load() == 0 || c.toDead.Load() == 0 || c.toLive.Load() == 0 {
				t.Errorf("%d replies, %d messages to dead ids and %d to live ones; want some of each",
					c.replies.Load(), c.toDead.Load(), c.toLive.Load())
			}
			if now := openFiles(); now != files {
				t.Errorf("%d files are open; before there were %d", now, files)
			}
			goleak.VerifyNone(t, before)
		})
	}
}

// TestChurnFindsMixedUpIDs is the negative control of the test above: without
// the guard it must fail.
func TestChurnFindsMixedUpIDs(t *testing.T) {
	if raceEnabled {
		t.Skip("without the guard there are races, which are not the point")
	}
	for _, driver := range drivers {
		t.Run(driver.name, func(t *testing.T) {
			c := newChurn(t, churnConfig{clients: 1000, atOnce: 24, maxConns: 16, configure: driver.configure})
			c.DropGuard()
			c.run()
			if c.count == 0 {
				t.Error("no violation was found without the guard")
			}
			t.Logf("%d violations, such as %q", c.count, c.violations[:min(3, len(c.violations))])
		})
	}
}

var drivers = []struct {
	name      string
	configure func(*transport.Config)
}{
	{"default", func(*transport.Config) {}},
	{"portable", func(c *transport.Config) { c.Portable = true }},
}

// openFiles counts the descriptors of the process, where that can be done.
func openFiles() int {
	if ln, err := net.Listen("tcp", "127.0.0.1:0"); err == nil { // what Go's poller needs is open from then on
		ln.Close()
	}
	dir, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(dir)
}

func lineCodec(tb testing.TB) framing.Codec {
	tb.Helper()
	c, err := framing.Parse("line", nil)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func sequence(tb testing.TB) *idspace.Sequence {
	tb.Helper()
	ids, err := idspace.NewSequence(99, func() {})
	if err != nil {
		tb.Fatal(err)
	}
	return ids
}

type churnConfig struct {
	clients   int // connections in all
	atOnce    int
	maxConns  int
	configure func(*transport.Config)
}

// A churnRun opens and closes connections while senders write to ids of any age,
// and collects violations of what must hold.
type churnRun struct {
	testing.TB
	*transport.Transport
	cfg churnConfig

	replies, toLive, toDead atomic.Uint64
	accepted                atomic.Uint64 // messages that a send answered with nil

	mu      sync.Mutex
	history []idspace.ID       // ring of ids, the newest at at-1
	at      int                // ids ever opened
	ends    map[idspace.ID]int // events and SendCloses of each id

	violations []string // the first few
	count      int      // of violations
}

const churnHistory = 2048

func newChurn(tb testing.TB, cfg churnConfig) *churnRun {
	tb.Helper()
	tc := transport.Config{
		Listeners: []transport.Listener{{Network: "tcp", Address: "127.0.0.1:0", Codec: lineCodec(tb)}},
		IDs:       sequence(tb), Loops: 3, MaxConns: cfg.maxConns, Logger: slog.New(slog.DiscardHandler),
	}
	cfg.configure(&tc)
	tr, err := transport.New(tc)
	if err != nil {
		tb.Fatal(err)
	}
	if err := tr.Listen(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return &churnRun{
		TB: tb, Transport: tr, cfg: cfg,
		ends: make(map[idspace.ID]int),
	}
}

func (c *churnRun) violation(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.violationLocked(format, args...)
}

func (c *churnRun) violationLocked(format string, args ...any) {
	if c.count++; len(c.violations) < 20 {
		c.violations = append(c.violations, fmt.Sprintf(format, args...))
	}
}

func (c *churnRun) run() {
	ctx, cancel := context.WithCancel(context.Background())
	var running, taking, sending, dialing sync.WaitGroup
	running.Go(func() {
		if err := c.Run(ctx); err != nil {
			c.Errorf("Run: %v", err)
		}
	})
	taking.Go(c.takeOpens)
	taking.Go(c.takeCloses)
	taking.Go(c.answer)
	taking.Go(c.answer)
	var stop atomic.Bool
	for k := range 8 {
		sending.Go(func() { c.sender(k, &stop) })
	}
	var next atomic.Int64
	for range c.cfg.atOnce {
		dialing.Go(func() {
			for k := next.Add(1); k <= int64(c.cfg.clients); k = next.Add(1) {
				c.client(int(k))
			}
		})
	}
	dialing.Wait()
	stop.Store(true)
	sending.Wait()
	limit, done := context.WithTimeout(ctx, time.Minute)
	if err := c.Shutdown(limit); err != nil {
		c.violation("%v; stats %+v", err, c.Stats())
	}
	done()
	taking.Wait()
	cancel()
	running.Wait()
	c.balance()
}

// balance checks what must hold in the end.
func (c *churnRun) balance() {
	st := c.Stats()
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, n := range c.ends {
		if n != 1 {
			c.violationLocked("%v ended %d times; want once", id, n)
		}
	}
	closed := uint64(0)
	for _, n := range st.Closed {
		closed += n
	}
	if st.Accepted != closed || st.Accepted != uint64(c.at) {
		c.violationLocked("%d accepted, %d opened, %d closed", st.Accepted, c.at, closed)
	}
	if n := c.SlotsInUse(); n != 0 {
		c.violationLocked("%d slots are in use in the end", n)
	}
	if n := c.accepted.Load(); n != st.MessagesOut+st.Undelivered {
		c.violationLocked("%d messages accepted; %d written and %d undelivered", n, st.MessagesOut, st.Undelivered)
	}
	if st.QueuedBytes != 0 {
		c.violationLocked("%d bytes are queued in the end", st.QueuedBytes)
	}
}

func (c *churnRun) takeOpens() {
	for {
		conn, ok := c.RecvOpen()
		if !ok {
			return
		}
		id := conn.ID()
		c.mu.Lock()
		if _, known := c.ends[id]; known {
			c.violationLocked("%v was issued twice", id)
		}
		c.ends[id] = 0
		c.mu.Unlock()
		c.send(id, []byte("hello "+id.String())) // before anybody else can know the id
		c.mu.Lock()
		if len(c.history) < churnHistory {
			c.history = append(c.history, id)
		} else {
			c.history[c.at%churnHistory] = id
		}
		c.at++
		c.mu.Unlock()
	}
}

func (c *churnRun) takeCloses() {
	for {
		id, why, ok := c.RecvClose()
		if !ok {
			return
		}
		if why == transport.ReasonSent {
			c.violation("the end of %v by SendClose was reported", id)
		}
		c.ended(id)
	}
}

func (c *churnRun) ended(id idspace.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ends[id]++; c.ends[id] > 1 {
		c.violationLocked("%v ended again", id)
	}
}

func (c *churnRun) send(id idspace.ID, msg []byte) {
	switch err := c.SendData(id, msg); {
	case err == nil:
		c.accepted.Add(1)
		c.toLive.Add(1)
	case errors.Is(err, transport.ErrGone):
		c.toDead.Add(1)
	case !errors.Is(err, transport.ErrClosed):
		c.violation("SendData(%v): %v", id, err)
	}
}

func (c *churnRun) close(id idspace.ID) {
	switch err := c.SendClose(id, transport.ReasonSent); {
	case err == nil:
		c.ended(id)
	case !errors.Is(err, transport.ErrGone) && !errors.Is(err, transport.ErrClosed):
		c.violation("SendClose(%v): %v", id, err)
	}
}

// answer checks that a message belongs to the id it comes with, and obeys it.
func (c *churnRun) answer() {
	for {
		id, data, ok := c.RecvData()
		if !ok {
			return
		}
		var said idspace.ID
		var text, what string
		var n int
		if _, err := fmt.Sscan(string(data), &what, &text, &n); err != nil {
			c.violation("message %q of %v", data, id)
			continue
		}
		if said, _ = idspace.ParseID(text); said != id {
			c.violation("message %q came as one of %v", data, id)
		}
		if what == "close" {
			c.close(id)
			continue
		}
		c.send(id, data)
	}
}

// pick returns a few ids, recent and old ones.
func (c *churnRun) pick(rng *rand.Rand) (ids [4]idspace.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.history) == 0 {
		return ids
	}
	for k := range ids {
		back := rng.IntN(len(c.history))
		if k%2 == 0 {
			back = min(back, rng.IntN(c.cfg.maxConns))
		}
		ids[k] = c.history[(c.at-1-back+len(c.history)*2)%len(c.history)]
	}
	return ids
}

func (c *churnRun) sender(k int, stop *atomic.Bool) {
	rng := rand.New(rand.NewPCG(uint64(k), 1))
	var results [1]error
	for seq := 0; !stop.Load(); seq++ {
		for _, id := range c.pick(rng) {
			seq++
			msg := payload(id, k, seq)
			switch {
			case seq%100 == 0:
				c.close(id)
			case seq%20 == 0:
				if err := c.Send(context.Background(), id, msg); err == nil {
					c.accepted.Add(1)
				} else if !errors.Is(err, transport.ErrGone) && !errors.Is(err, transport.ErrUncertain) && !errors.Is(err, transport.ErrClosed) {
					c.violation("Send(%v): %v", id, err)
				}
			case seq%3 == 0:
				if c.SendMany([]idspace.ID{id}, msg, results[:]); results[0] == nil {
					c.accepted.Add(1)
				}
			default:
				c.send(id, msg)
			}
		}
		runtime.Gosched() // the clients are what this is about
	}
}

// payload returns a message that says for whom it is, from whom, its number and
// its sum.
func payload(id idspace.ID, sender, seq int) []byte {
	body := fmt.Sprintf("to %v %d %d %s", id, sender, seq, strings.Repeat("x", seq%900))
	return fmt.Appendf(nil, "%s %08x", body, crc32.ChecksumIEEE([]byte(body)))
}

// A churnClient is a client that knows its id and reads what it is sent.
type churnClient struct {
	c    *churnRun
	in   *bufio.Reader
	id   string
	last [8]int // number of the last message of each sender
}

// client serves one connection from beginning to end.
func (c *churnRun) client(k int) {
	d := net.Dialer{Timeout: time.Minute}
	if runtime.GOOS == "linux" { // so that no address runs out of ports
		d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+k%200))}
	}
	nc, err := d.Dial("tcp", c.Addrs()[0].String())
	if err != nil {
		c.violation("dial: %v", err)
		return
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(time.Minute))
	cl := &churnClient{c: c, in: bufio.NewReader(nc)}
	greeting, ok := cl.line()
	if !ok {
		return
	}
	if cl.id, ok = strings.CutPrefix(greeting, "hello "); !ok {
		c.violation("a client was sent %.60q before its greeting", greeting)
		return
	}
	for n := range 1 + k%3 {
		fmt.Fprintf(nc, "say %s %d\n", cl.id, n)
		if !cl.await(fmt.Sprintf("say %s %d", cl.id, n)) {
			return
		}
	}
	switch k % 5 {
	case 0: // just close
	case 1:
		_ = nc.(*net.TCPConn).SetLinger(0)
	case 2:
		fmt.Fprintf(nc, "say %s 9\n", cl.id)
		_ = nc.(*net.TCPConn).CloseWrite()
		cl.await("")
	case 3:
		fmt.Fprintf(nc, "close %s 0\n", cl.id)
		cl.await("")
	case 4:
		fmt.Fprintf(nc, "say %s 10\nsay %s 11", cl.id, cl.id) // ends inside a message, reads nothing
	}
}

func (cl *churnClient) line() (string, bool) {
	text, err := cl.in.ReadString('\n')
	if errors.Is(err, os.ErrDeadlineExceeded) {
		cl.c.violation("client %s waited for a minute", cl.id)
	}
	if err == io.EOF && text != "" && cl.id == "" {
		cl.c.violation("a client was sent half a line: %.60q", text)
	}
	return strings.TrimSuffix(text, "\n"), err == nil
}

// await reads until the reply want, checking whatever comes before. It reports
// false when the connection has ended.
func (cl *churnClient) await(want string) bool {
	for {
		text, ok := cl.line()
		if !ok {
			return false
		}
		if strings.HasPrefix(text, "say ") {
			cl.c.replies.Add(1)
			if !strings.HasPrefix(text, "say "+cl.id+" ") {
				cl.c.violation("client %s was sent %.60q", cl.id, text)
			}
			if text == want {
				return true
			}
			continue
		}
		cl.check(text)
	}
}

func (cl *churnClient) check(text string) {
	var id, body string
	var sender, seq int
	if _, err := fmt.Sscanf(text, "to %s %d %d", &id, &sender, &seq); err != nil || len(text) < 10 || sender < 0 || sender >= len(cl.last) {
		cl.c.violation("client %s was sent %.60q", cl.id, text)
		return
	}
	body = text[:len(text)-9]
	if sum := fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(body))); text != body+" "+sum {
		cl.c.violation("client %s: the sum of %.60q is not %s", cl.id, text, sum)
	}
	if id != cl.id {
		cl.c.violation("client %s was sent what is for %s", cl.id, id)
	}
	if seq <= cl.last[sender] {
		cl.c.violation("client %s: message %d of sender %d came after %d", cl.id, seq, sender, cl.last[sender])
	}
	cl.last[sender] = seq
}
