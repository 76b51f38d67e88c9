//go:build e2e

package test

import (
	"bufio"
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"flamingo/node"
	"flamingo/node/attach"
	client "flamingo/test/clients/attach"
)

// workerEnv makes this test's binary a worker that echoes, at the Unix socket that it
// names.
const workerEnv = "FLAMINGO_TEST_ECHO_AT"

// TestWorkerThatEchoes is no test: it is the worker of BenchmarkEchoOfApplications.
func TestWorkerThatEchoes(t *testing.T) {
	path := os.Getenv(workerEnv)
	if path == "" {
		t.Skip("it is a part of a benchmark")
	}
	_ = client.Run(t.Context(), "unix", path, "echo", "", func(_ *client.Worker, e client.Event) []client.Action {
		if e.Type != client.Data {
			return nil
		}
		return []client.Action{client.Send(e.ID, e.Data)}
	})
}

// BenchmarkEchoOfApplications has 50 clients, each with 16 messages of 64 bytes under
// way, be answered by the program that embeds the node, and by workers in processes of
// their own.
func BenchmarkEchoOfApplications(b *testing.B) {
	b.Run("embedded", func(b *testing.B) {
		n := openEcho(b)
		go func() {
			_ = n.Serve(context.Background(), node.HandlerFuncs{Data: func(id node.ID, msg []byte) {
				_ = n.SendData(id, msg)
			}}, 2*runtime.GOMAXPROCS(0))
		}()
		echoMany(b, n)
	})
	for _, command := range [][]string{
		{os.Args[0], "-test.run=^TestWorkerThatEchoes$"},
		{"python3", "testdata/echo.py"},
		{"node", "testdata/echo.mjs"},
	} {
		b.Run(filepath.Base(command[0]), func(b *testing.B) {
			n, path := openEcho(b), filepath.Join(b.TempDir(), "s")
			s, err := attach.New(attach.Config{Node: n, Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				b.Fatal(err)
			}
			ln, err := net.Listen("unix", path)
			if err != nil {
				b.Fatal(err)
			}
			go func() { _ = s.Run(context.Background(), ln) }()
			cmd := exec.Command(command[0], append(slices.Clone(command[1:]), "unix:"+path)...)
			cmd.Env, cmd.Stderr = append(os.Environ(), workerEnv+"="+path), os.Stderr
			if err := cmd.Start(); err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
			echoMany(b, n)
		})
	}
}

func openEcho(b *testing.B) *node.Node {
	b.Helper()
	n, err := node.Open(node.Opts{Listen: []string{"tcp://127.0.0.1:0"}, Framing: "line", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = n.Close(ctx)
	})
	return n
}

// echoMany has clients send b.N messages and read the answers.
func echoMany(b *testing.B, n *node.Node) {
	b.Helper()
	const clients, window = 50, 16
	line := append(bytes.Repeat([]byte{'x'}, 63), '\n')
	conns := make([]net.Conn, clients)
	for i := range conns {
		nc, err := net.Dial("tcp", n.Addrs()[0].String())
		if err != nil {
			b.Fatal(err)
		}
		defer nc.Close()
		_ = nc.SetDeadline(time.Now().Add(10 * patience))
		conns[i] = nc
	}
	b.ResetTimer()
	var running sync.WaitGroup
	for i, nc := range conns {
		total := b.N / clients
		if i < b.N%clients {
			total++
		}
		running.Go(func() {
			in := bufio.NewReader(nc)
			for sent, got := 0, 0; got < total; {
				if more := min(total-sent, window-(sent-got)); more > 0 {
					if _, err := nc.Write(bytes.Repeat(line, more)); err != nil {
						b.Error(err)
						return
					}
					sent += more
				}
				for ok := true; ok && got < sent; ok = in.Buffered() >= len(line) {
					if _, err := in.ReadSlice('\n'); err != nil {
						b.Error(err)
						return
					}
					got++
				}
			}
		})
	}
	running.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}
