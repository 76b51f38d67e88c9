package test

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"flamingo/cluster/trust"
	"flamingo/node"
	"flamingo/node/nodetest"
)

// TestFlappingLinkLosesNothing has one node send to the clients of another while
// every stream between the two is reset five times a second, in clear text and under
// the cluster's key. Each message must arrive, in order and once, and nothing may be
// called uncertain.
func TestFlappingLinkLosesNothing(t *testing.T) {
	t.Parallel()
	key, err := trust.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(key.Text()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Run("clear", func(t *testing.T) { flapUnderLoad(t, "") })
	t.Run("key", func(t *testing.T) { flapUnderLoad(t, file) })
}

func flapUnderLoad(t *testing.T, keyFile string) {
	rate, lasts := 5000, 2*time.Second
	if os.Getenv(longVariable) != "" {
		rate, lasts = 50_000, 30*time.Second
	}
	const clients, every = 100, 200 * time.Millisecond
	a, b, relays := openApart(t, keyFile)
	var undelivered atomic.Int64
	go func() {
		for id, err := range a.Undelivered() {
			if undelivered.Add(1) == 1 {
				t.Logf("the first one undelivered, to %s: %v", id, err)
			}
		}
	}()
	counting := joinCounting(t, b, clients)

	stop := make(chan struct{})
	var flapping sync.WaitGroup
	flaps := 0
	flapping.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(every):
				for _, r := range relays {
					r.abort()
				}
				flaps++
			}
		}
	})
	begin := time.Now()
	sent := 0
	for total := int(lasts.Seconds() * float64(rate)); sent < total; {
		due := min(int(time.Since(begin).Seconds()*float64(rate)), total)
		for ; sent < due; sent++ {
			c := counting[sent%clients]
			if err := a.SendData(c.id, strconv.AppendInt(nil, int64(sent/clients), 10)); err != nil {
				t.Fatalf("message %d: %v", sent, err)
			}
		}
		<-time.After(time.Millisecond)
	}
	took := time.Since(begin)
	close(stop)
	flapping.Wait()

	arrived := func() (n int) {
		for _, c := range counting {
			n += int(c.next.Load())
		}
		return n
	}
	for late := time.Now().Add(patience); arrived() < sent && time.Now().Before(late); {
		<-time.After(20 * time.Millisecond)
	}
	for _, c := range counting {
		if fault := c.end(); fault != nil {
			t.Error(fault)
		}
	}
	aborted := 0
	for _, r := range relays {
		r.mu.Lock()
		aborted += r.aborted
		r.mu.Unlock()
	}
	t.Logf("%d messages in %v, %.0f a second; %d flaps broke %d streams; %d arrived", sent, took.Round(time.Millisecond),
		float64(sent)/took.Seconds(), flaps, aborted, arrived())
	if arrived() != sent || undelivered.Load() != 0 {
		t.Errorf("%d sent, %d arrived, %d called undelivered", sent, arrived(), undelivered.Load())
	}
	if want := int(lasts / every / 2); flaps < want || aborted < 2*want {
		t.Errorf("%d flaps broke %d streams, want at least %d and twice as many", flaps, aborted, want)
	}
}

// openApart opens two nodes of a cluster, each of which the other reaches by a
// relay alone.
func openApart(t *testing.T, keyFile string) (a, b *node.Node, relays []*relay) {
	t.Helper()
	addrs := nodetest.FreeAddrs(t, 4)
	open := func(name, addr, advertise string, join []string, expect int) *node.Node {
		n, err := node.Open(node.Opts{
			Listen: []string{"tcp://127.0.0.1:0"}, Framing: "line", Ignore: node.IgnoreCloses,
			Logger: slog.New(slog.DiscardHandler), Name: name, Cluster: addr, Advertise: advertise,
			Join: join, Expect: expect, DataDir: t.TempDir(), ClusterKeyFile: keyFile,
		})
		if err != nil {
			t.Fatal(err)
		}
		closeAtEnd(t, n)
		return n
	}
	for i := range 2 {
		relays = append(relays, newRelay(t, addrs[2+i], addrs[i]))
	}
	a = open("a", addrs[0], addrs[2], nil, 1)
	b = open("b", addrs[1], addrs[3], addrs[2:3], 0)
	seldom(t, "both nodes to see each other", func() bool { return len(a.Nodes()) == 2 && len(b.Nodes()) == 2 })
	return a, b, relays
}

// A counter is a client that is sent the numbers from 0 on, a line each.
type counter struct {
	id    node.ID
	nc    net.Conn
	next  atomic.Int64 // the number it waits for
	ended chan error
}

func joinCounting(t *testing.T, n *node.Node, clients int) (all []*counter) {
	t.Helper()
	for range clients {
		nc, err := net.Dial("tcp", n.Addrs()[0].String())
		if err != nil {
			t.Fatal(err)
		}
		id, _ := n.RecvOpen()
		c := &counter{id: id, nc: nc, ended: make(chan error, 1)}
		go func() { c.ended <- c.count(nc) }()
		all = append(all, c)
	}
	return all
}

// count reads numbers until r ends. The error says which one is not the next.
func (c *counter) count(r io.Reader) error {
	in := bufio.NewScanner(r)
	for in.Scan() {
		if want := strconv.FormatInt(c.next.Load(), 10); in.Text() != want {
			return fmt.Errorf("client %s was sent %.40q, want %s", c.id, in.Text(), want)
		}
		c.next.Add(1)
	}
	return nil
}

func (c *counter) end() error {
	c.nc.Close()
	return <-c.ended
}

// TestCounterSeesFaults is the negative control of the client above.
func TestCounterSeesFaults(t *testing.T) {
	for name, lines := range map[string]string{
		"lost": "0\n2\n", "twice": "0\n1\n1\n", "swapped": "1\n0\n", "damaged": "0\nx\n",
	} {
		if err := (&counter{}).count(strings.NewReader(lines)); err == nil {
			t.Errorf("%s: the counter sees nothing", name)
		}
	}
	if err := (&counter{}).count(strings.NewReader("0\n1\n2\n")); err != nil {
		t.Error(err)
	}
}
