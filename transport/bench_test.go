package transport_test

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"runtime"
	"sync"
	"testing"

	"flamingo/idspace"
	"flamingo/transport"
)

// BenchmarkEchoPipelined echoes lines of 64 bytes over 100 connections with 32
// lines on their way each. Its clients run in the same process, so it compares
// versions and drivers; it is no measure of a server.
func BenchmarkEchoPipelined(b *testing.B) {
	for _, driver := range drivers {
		b.Run(driver.name, func(b *testing.B) { benchmarkEcho(b, driver.configure, 100, 32) })
	}
}

// BenchmarkEchoOneByOne has one line on its way per connection.
func BenchmarkEchoOneByOne(b *testing.B) {
	for _, driver := range drivers {
		b.Run(driver.name, func(b *testing.B) { benchmarkEcho(b, driver.configure, 100, 1) })
	}
}

func benchmarkEcho(b *testing.B, configure func(*transport.Config), conns, outstanding int) {
	tr, stop := serve(b, func(c *transport.Config) {
		configure(c)
		c.Ignore = transport.IgnoreOpens | transport.IgnoreCloses
	})
	var working sync.WaitGroup
	for range 10 {
		working.Go(func() {
			for {
				id, data, ok := tr.RecvData()
				if !ok {
					return
				}
				if err := tr.SendData(id, data); err != nil {
					b.Errorf("SendData: %v", err)
				}
			}
		})
	}
	line := append(bytes.Repeat([]byte("b"), 63), '\n')
	burst := bytes.Repeat(line, outstanding)
	var clients []net.Conn
	for range conns {
		clients = append(clients, connect(b, tr))
	}
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	b.ResetTimer()
	var pumping sync.WaitGroup
	for k, nc := range clients {
		pumping.Go(func() {
			lines := (b.N + conns - 1 - k) / conns
			if _, err := nc.Write(burst[:min(outstanding, lines)*len(line)]); err != nil {
				b.Errorf("write: %v", err)
				return
			}
			pump(b, nc, line, lines, outstanding)
		})
	}
	pumping.Wait()
	b.StopTimer()
	for _, nc := range clients {
		nc.Close()
	}
	stop()
	working.Wait()
}

// pump reads lines and answers what has come at once with as many more.
func pump(b *testing.B, nc net.Conn, line []byte, lines, outstanding int) {
	in := bufio.NewReaderSize(nc, 64<<10)
	out := bytes.Repeat(line, outstanding)
	left := lines - min(outstanding, lines) // to be written
	for got := 0; got < lines; {
		if _, err := in.Peek(1); err != nil {
			b.Errorf("read after %d of %d lines: %v", got, lines, err)
			return
		}
		buffered, _ := in.Peek(in.Buffered())
		n := bytes.Count(buffered, []byte{'\n'})
		if n == 0 { // a part of a line
			if _, err := in.Peek(len(line)); err != nil {
				b.Errorf("read after %d of %d lines: %v", got, lines, err)
				return
			}
			continue
		}
		if _, err := in.Discard(n * len(line)); err != nil {
			b.Errorf("discard: %v", err)
			return
		}
		got += n
		more := min(n, left)
		left -= more
		if _, err := nc.Write(out[:more*len(line)]); err != nil {
			b.Errorf("write: %v", err)
			return
		}
	}
}

// BenchmarkSendData sends 64 bytes to each of 100 clients in turn, from two
// goroutines. The clients read all the while.
func BenchmarkSendData(b *testing.B) {
	for _, driver := range drivers {
		b.Run(driver.name, func(b *testing.B) { benchmarkSendData(b, driver.configure) })
	}
}

func benchmarkSendData(b *testing.B, configure func(*transport.Config)) {
	const conns, senders = 100, 2
	tr, stop := serve(b, func(c *transport.Config) {
		configure(c)
		c.Slow, c.Ignore = transport.SlowFailSender, transport.IgnoreCloses
	})
	var reading sync.WaitGroup
	var ids []idspace.ID
	for range conns {
		nc := connect(b, tr)
		c, _ := tr.RecvOpen()
		ids = append(ids, c.ID())
		reading.Go(func() {
			buf := make([]byte, 256<<10)
			for {
				if _, err := nc.Read(buf); err != nil {
					return
				}
			}
		})
	}
	msg := bytes.Repeat([]byte("m"), 63)
	b.ReportAllocs()
	b.ResetTimer()
	var sending sync.WaitGroup
	for k := range senders {
		sending.Go(func() {
			for n := k; n < b.N; n += senders {
				for errors.Is(tr.SendData(ids[n%conns], msg), transport.ErrBackpressure) {
					runtime.Gosched()
				}
			}
		})
	}
	sending.Wait()
	b.StopTimer()
	stop()
	reading.Wait()
}
