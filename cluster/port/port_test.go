package port_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"flamingo/cluster/port"
	"flamingo/cluster/port/porttest"
)

var (
	hostA = netip.MustParseAddr("127.0.0.1")
	hostB = netip.MustParseAddr("127.0.0.2")
	addrA = netip.AddrPortFrom(hostA, 4110)
	addrB = netip.AddrPortFrom(hostB, 4110)
)

// running is a port that runs until stop is called, which returns what Run
// returned.
type running struct {
	*port.Port
	stop func() error
}

func start(t *testing.T, cfg port.Config) running {
	t.Helper()
	p, err := port.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	var got error
	var stopped bool
	stop := func() error {
		if !stopped {
			stopped = true
			cancel()
			got = <-ended
		}
		return got
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
	return running{p, stop}
}

// bubble runs f with virtual time, on a network in memory on which port A runs
// with the given settings.
func bubble(t *testing.T, cfg port.Config, f func(t *testing.T, a running, network *porttest.Network)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		network := porttest.New()
		cfg.Addr, cfg.Network = addrA, network.Host(hostA)
		f(t, start(t, cfg), network)
	})
}

// knock opens a bare connection to port A.
func knock(t *testing.T, network *porttest.Network) net.Conn {
	t.Helper()
	c, err := network.Host(hostB).Dial(t.Context(), addrA)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// closedBy waits until the other end closes c.
func closedBy(t *testing.T, c net.Conn) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("Read = %d, %v, want the end of the stream", n, err)
	}
}

// claim takes the streams of a protocol.
func claim(t *testing.T, p running, proto port.Protocol) *port.Streams {
	t.Helper()
	s, err := p.Streams(proto)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// wantRefused checks the count of one reason, once all is quiet.
func wantRefused(t *testing.T, p running, why port.Reason, want uint64) {
	t.Helper()
	synctest.Wait()
	if got := p.Counts().Refused[why]; got != want {
		t.Errorf("refused as %v = %d, want %d; all: %+v", why, got, want, p.Counts())
	}
}

func TestStreamsReachTheConsumerOfTheirProtocol(t *testing.T) {
	bubble(t, port.Config{}, func(t *testing.T, a running, network *porttest.Network) {
		b, err := port.New(port.Config{Addr: addrB, Network: network.Host(hostB)})
		if err != nil {
			t.Fatal(err)
		}
		for _, proto := range port.Protocols() {
			s := claim(t, a, proto)
			near, err := b.Dial(t.Context(), addrA, proto)
			if err != nil {
				t.Fatal(err)
			}
			far, err := s.Accept()
			if err != nil {
				t.Fatal(err)
			}
			go io.WriteString(near, proto.String()) //nolint:errcheck // the reader finds out
			got := make([]byte, len(proto.String()))
			if _, err := io.ReadFull(far, got); err != nil || string(got) != proto.String() {
				t.Errorf("%v: first bytes behind the preamble = %q, %v, want %q", proto, got, err, proto)
			}
			near.Close()
			far.Close()
			synctest.Wait() // the count follows the stream
			if got := a.Counts().Handed[proto]; got != 1 {
				t.Errorf("%v: handed %d streams over, want 1", proto, got)
			}
		}
	})
}

func TestClassifiedStreamHasNoDeadline(t *testing.T) {
	bubble(t, port.Config{}, func(t *testing.T, a running, network *porttest.Network) {
		s := claim(t, a, port.Mesh)
		near := knock(t, network)
		near.Write(port.AppendPreamble(nil, port.Mesh)) //nolint:errcheck // Accept would wait for ever
		far, err := s.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer far.Close()
		got := make(chan error, 1)
		go func() {
			_, err := far.Read(make([]byte, 1))
			got <- err
		}()
		<-time.After(time.Hour)
		near.Write([]byte{1}) //nolint:errcheck // seen by the reader
		if err := <-got; err != nil {
			t.Errorf("Read after an hour = %v, want nil", err)
		}
	})
}

func TestStrangersAreClosedAndCounted(t *testing.T) {
	for name, tc := range map[string]struct {
		in   string
		want port.Reason
	}{
		"http":             {"GET / HTTP/1.1\r\n\r\n", port.Stranger},
		"later version":    {"\xf7flm\x02\x01", port.BadVersion},
		"unknown protocol": {"\xf7flm\x01\x09", port.BadProtocol},
		"nobody listens":   {"\xf7flm\x01\x02", port.Absent},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, port.Config{}, func(t *testing.T, a running, network *porttest.Network) {
				claim(t, a, port.Gossip)
				c := knock(t, network)
				io.WriteString(c, tc.in) //nolint:errcheck // closed before all is read
				closedBy(t, c)
				wantRefused(t, a, tc.want, 1)
			})
		})
	}
}

func TestConnectionThatHangsUpIsCounted(t *testing.T) {
	bubble(t, port.Config{}, func(t *testing.T, a running, network *porttest.Network) {
		knock(t, network).Close()
		wantRefused(t, a, port.HungUp, 1)
	})
}

func TestSlowPreambleIsCutAtTheDeadline(t *testing.T) {
	bubble(t, port.Config{}, func(t *testing.T, a running, network *porttest.Network) {
		c := knock(t, network)
		begin := time.Now()
		go func() {
			for _, b := range port.AppendPreamble(nil, port.Gossip) {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				<-time.After(2 * time.Second)
			}
		}()
		closedBy(t, c)
		if got := time.Since(begin); got != port.DefaultClassifyTimeout {
			t.Errorf("closed after %v, want %v", got, port.DefaultClassifyTimeout)
		}
		wantRefused(t, a, port.Slow, 1)
		<-time.After(2 * time.Second) // the writer ends
	})
}

func TestNodesGetThroughACrowdOfIdlers(t *testing.T) {
	const limit = 8
	bubble(t, port.Config{MaxUnclassified: limit}, func(t *testing.T, a running, network *porttest.Network) {
		s := claim(t, a, port.Gossip)
		var idlers []net.Conn
		for range limit {
			idlers = append(idlers, knock(t, network))
		}
		synctest.Wait()
		c := knock(t, network)
		c.Write(port.AppendPreamble(nil, port.Gossip)) //nolint:errcheck // Accept would wait for ever
		far, err := s.Accept()
		if err != nil {
			t.Fatal(err)
		}
		far.Close()
		closedBy(t, idlers[0])
		wantRefused(t, a, port.Crowded, 1)
	})
}

func TestStreamForAFullQueueIsClosed(t *testing.T) {
	bubble(t, port.Config{QueueLen: 2}, func(t *testing.T, a running, network *porttest.Network) {
		s := claim(t, a, port.Raft)
		other := claim(t, a, port.Gossip)
		for range 3 {
			knock(t, network).Write(port.AppendPreamble(nil, port.Raft)) //nolint:errcheck // counted below
			synctest.Wait()
		}
		wantRefused(t, a, port.Full, 1)

		knock(t, network).Write(port.AppendPreamble(nil, port.Gossip)) //nolint:errcheck // Accept would wait for ever
		if c, err := other.Accept(); err != nil {
			t.Errorf("Accept beside a full queue = %v", err)
		} else {
			c.Close()
		}
		for range 2 {
			if c, err := s.Accept(); err != nil {
				t.Errorf("Accept = %v", err)
			} else {
				c.Close()
			}
		}
	})
}

func TestClosingAConsumerLeavesTheOthers(t *testing.T) {
	bubble(t, port.Config{}, func(t *testing.T, a running, network *porttest.Network) {
		raft, gossip := claim(t, a, port.Raft), claim(t, a, port.Gossip)
		queued := knock(t, network)
		queued.Write(port.AppendPreamble(nil, port.Raft)) //nolint:errcheck // counted below
		synctest.Wait()

		accepted := make(chan error, 1)
		raft.Close()
		go func() {
			_, err := raft.Accept()
			accepted <- err
		}()
		if err := <-accepted; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept after Close = %v, want net.ErrClosed", err)
		}
		closedBy(t, queued)
		raft.Close()

		late := knock(t, network)
		late.Write(port.AppendPreamble(nil, port.Raft)) //nolint:errcheck // counted below
		closedBy(t, late)
		wantRefused(t, a, port.Absent, 1)

		for _, s := range []*port.Streams{gossip, claim(t, a, port.Raft)} {
			proto := port.Gossip
			if s != gossip {
				proto = port.Raft
			}
			knock(t, network).Write(port.AppendPreamble(nil, proto)) //nolint:errcheck // Accept would wait for ever
			c, err := s.Accept()
			if err != nil {
				t.Fatalf("Accept %v = %v", proto, err)
			}
			c.Close()
		}
	})
}

func TestCloseWakesAccept(t *testing.T) {
	bubble(t, port.Config{}, func(t *testing.T, a running, _ *porttest.Network) {
		s := claim(t, a, port.Mesh)
		accepted := make(chan error, 1)
		go func() {
			_, err := s.Accept()
			accepted <- err
		}()
		synctest.Wait()
		s.Close()
		if err := <-accepted; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept = %v, want net.ErrClosed", err)
		}
	})
}

func TestWhoIsWokenByCloseFindsTheProtocolFree(t *testing.T) {
	p, err := port.New(port.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2000 {
		s := claim(t, running{Port: p}, port.Raft)
		var closing sync.WaitGroup
		closing.Go(func() { s.Close() })
		if _, err := s.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Fatalf("Accept = %v, want net.ErrClosed", err)
		}
		next := claim(t, running{Port: p}, port.Raft)
		closing.Wait()
		next.Close()
	}
}

func TestAProtocolHasOneConsumer(t *testing.T) {
	bubble(t, port.Config{}, func(t *testing.T, a running, _ *porttest.Network) {
		claim(t, a, port.Raft)
		if _, err := a.Streams(port.Raft); !errors.Is(err, port.ErrTaken) {
			t.Errorf("second Streams = %v, want ErrTaken", err)
		}
		if _, err := a.Streams(77); !errors.Is(err, port.ErrUnknownProtocol) {
			t.Errorf("Streams(77) = %v, want ErrUnknownProtocol", err)
		}
		packets, err := a.Packets()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Packets(); !errors.Is(err, port.ErrTaken) {
			t.Errorf("second Packets = %v, want ErrTaken", err)
		}
		packets.Close()
		if _, err := a.Packets(); err != nil {
			t.Errorf("Packets after Close = %v", err)
		}
	})
}

func TestEverythingEndsWithTheContext(t *testing.T) {
	bubble(t, port.Config{}, func(t *testing.T, a running, network *porttest.Network) {
		s := claim(t, a, port.Gossip)
		packets, err := a.Packets()
		if err != nil {
			t.Fatal(err)
		}
		idler, queued := knock(t, network), knock(t, network)
		queued.Write(port.AppendPreamble(nil, port.Gossip)) //nolint:errcheck // counted below
		synctest.Wait()
		begin := time.Now()
		if err := a.stop(); err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
		if got := time.Since(begin); got != 0 {
			t.Errorf("Run took %v to end", got)
		}
		closedBy(t, idler)
		closedBy(t, queued)
		if _, err := s.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept = %v, want net.ErrClosed", err)
		}
		if _, err := packets.ReadFrom(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("ReadFrom = %v, want net.ErrClosed", err)
		}
		if _, err := a.Streams(port.Raft); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Streams = %v, want net.ErrClosed", err)
		}
		if err := a.Run(t.Context()); !errors.Is(err, port.ErrRunning) {
			t.Errorf("second Run = %v, want ErrRunning", err)
		}
		wantRefused(t, a, port.Stopping, 2)
	})
}

func TestCloseReleasesAPortThatNeverRan(t *testing.T) {
	network := porttest.New()
	for range 2 {
		p, err := port.New(port.Config{Addr: addrA, Network: network.Host(hostA)})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Listen(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.Close()
		p.Close()
		if err := p.Run(t.Context()); !errors.Is(err, port.ErrRunning) {
			t.Errorf("Run after Close = %v, want ErrRunning", err)
		}
	}
}

// failing is a listener whose Accept fails as long as the process has no
// descriptor left.
type failing struct {
	net.Listener
	times int
	at    []time.Time // of the failed calls
}

func (f *failing) Accept() (net.Conn, error) {
	if len(f.at) < f.times {
		f.at = append(f.at, time.Now())
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: syscall.EMFILE}
	}
	return f.Listener.Accept()
}

func TestAcceptErrorsDoNotSpin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const times = 12
		network := porttest.New()
		host := network.Host(hostA)
		listen := host.Listen
		broken := &failing{times: times}
		host.Listen = func(ctx context.Context, addr netip.AddrPort) (net.Listener, error) {
			ln, err := listen(ctx, addr)
			broken.Listener = ln
			return broken, err
		}
		a := start(t, port.Config{Addr: addrA, Network: host})
		s := claim(t, a, port.Gossip)
		knock(t, network).Write(port.AppendPreamble(nil, port.Gossip)) //nolint:errcheck // Accept would wait for ever
		c, err := s.Accept()
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		for i := 1; i < times; i++ {
			got := broken.at[i].Sub(broken.at[i-1])
			if want := min(5*time.Millisecond<<(i-1), time.Second); got != want {
				t.Errorf("pause %d = %v, want %v", i, got, want)
			}
		}
		if got := a.Counts().AcceptErrors; got != times {
			t.Errorf("AcceptErrors = %d, want %d", got, times)
		}
	})
}

func TestRunFailsWhenItsListenerIsClosedByOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := porttest.New()
		p, err := port.New(port.Config{Addr: addrA, Network: network.Host(hostA)})
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- p.Run(t.Context()) }()
		synctest.Wait()
		p.Close()
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Run = %v, want net.ErrClosed", err)
		}
	})
}

func TestDialEndsWithItsContext(t *testing.T) {
	bubble(t, port.Config{}, func(t *testing.T, a running, network *porttest.Network) {
		network.Cut(hostA, hostB)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := a.Dial(ctx, addrB, port.Raft); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Dial into a partition = %v, want context.DeadlineExceeded", err)
		}
		if _, err := a.Dial(ctx, addrB, 0); !errors.Is(err, port.ErrUnknownProtocol) {
			t.Errorf("Dial for protocol 0 = %v, want ErrUnknownProtocol", err)
		}
		if got := a.Counts().DialErrors; got != 2 {
			t.Errorf("DialErrors = %d, want 2", got)
		}
	})
}
