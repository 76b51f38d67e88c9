package transport_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"

	"flamingo/transport"
	"flamingo/transport/transporttest"
)

// idleClientsEnv makes the test binary be clients of another process, which it
// names, so that their memory is not the server's.
const idleClientsEnv = "FLAMINGO_TEST_IDLE_CLIENTS"

// beIdleClients connects as many clients as the environment says and tells so;
// then, for each line of the input, each of them asks once.
func beIdleClients(setting string) error {
	var addr string
	var count int
	if _, err := fmt.Sscan(setting, &addr, &count); err != nil {
		return err
	}
	cfg := &tls.Config{InsecureSkipVerify: true} //nolint:gosec // the server is the benchmark's own
	var clients []*tls.Conn
	for range count {
		c, err := tls.Dial("tcp", addr, cfg)
		if err != nil {
			return err
		}
		clients = append(clients, c)
	}
	fmt.Fprintln(os.Stdout, "ready")
	line := []byte(strings.Repeat("x", 100) + "\n")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); fmt.Fprintln(os.Stdout, "ready") {
		for _, c := range clients {
			if _, err := c.Write(line); err != nil {
				return err
			}
			if _, err := io.ReadFull(c, make([]byte, len(line))); err != nil {
				return err
			}
		}
	}
	return nil
}

// BenchmarkIdleTLS reports what an idle connection with TLS costs in heap and
// stacks, before its client has asked anything and after it has asked once: with
// either driver, and served by net and a goroutine that waits in tls.Conn.Read.
func BenchmarkIdleTLS(b *testing.B) {
	const clients = 2000
	for name, serve := range map[string]func(b *testing.B, settings *transport.TLS) net.Addr{
		"loops":     func(b *testing.B, s *transport.TLS) net.Addr { return echoTLS(b, s, false) },
		"portable":  func(b *testing.B, s *transport.TLS) net.Addr { return echoTLS(b, s, true) },
		"goroutine": echoPlainly,
	} {
		b.Run(name, func(b *testing.B) {
			addr := serve(b, transporttest.NewAuthority(b).Server("server.test"))
			for b.Loop() {
				measureIdle(b, addr, clients)
			}
		})
	}
}

func measureIdle(b *testing.B, addr net.Addr, clients int) {
	b.Helper()
	before := memoryInUse()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d", idleClientsEnv, addr, clients))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	told := bufio.NewScanner(out)
	report := func(unit string) {
		if !told.Scan() {
			b.Fatal("the clients have ended")
		}
		b.ReportMetric(float64(memoryInUse()-before)/float64(clients), unit)
	}
	report("B/fresh")
	if _, err := io.WriteString(in, "ask\n"); err != nil {
		b.Fatal(err)
	}
	report("B/asked")
	in.Close()
	if err := cmd.Wait(); err != nil {
		b.Fatal(err)
	}
}

// memoryInUse is what heap and stacks take, without what is garbage.
func memoryInUse() int64 {
	runtime.GC()
	runtime.GC() // what pools hold is garbage at the second one
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

func echoTLS(b *testing.B, settings *transport.TLS, portable bool) net.Addr {
	b.Helper()
	t, stop := serve(b, func(c *transport.Config) {
		c.Listeners[0].TLS, c.Portable, c.MaxConns = settings, portable, 1<<14
		c.Ignore = transport.IgnoreOpens | transport.IgnoreCloses
		c.Logger = slog.New(slog.DiscardHandler)
	})
	var answering sync.WaitGroup
	answering.Go(func() {
		for id, data, ok := t.RecvData(); ok; id, data, ok = t.RecvData() {
			_ = t.SendData(id, data)
		}
	})
	b.Cleanup(func() { stop(); answering.Wait() })
	return t.Addrs()[0]
}

// echoPlainly serves each connection by a goroutine with a buffer of 4 KiB.
func echoPlainly(b *testing.B, settings *transport.TLS) net.Addr {
	b.Helper()
	pair, err := tls.LoadX509KeyPair(settings.Certificate, settings.Key)
	if err != nil {
		b.Fatal(err)
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
	if err != nil {
		b.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				_, _ = io.CopyBuffer(struct{ io.Writer }{c}, struct{ io.Reader }{c}, make([]byte, 4<<10))
			})
		}
	})
	b.Cleanup(func() { ln.Close(); serving.Wait() })
	return ln.Addr()
}
