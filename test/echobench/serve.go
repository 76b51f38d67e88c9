//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"flamingo"
)

// serve echoes until ctx is done. A line on the connection of "memory" is
// answered with the bytes in use after a collection.
func serve(ctx context.Context, kind, addr string, out io.Writer) error {
	switch kind {
	case "flamingo", "serve":
		return serveFlamingo(ctx, kind, addr, out)
	case "hop", "net":
		return servePlain(ctx, kind == "hop", addr)
	default:
		return fmt.Errorf("kind %q: allowed are flamingo, serve, hop, net", kind)
	}
}

// inUse is how many bytes of heap and stacks are in use.
func inUse() uint64 {
	runtime.GC()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

func reportMemory(ctx context.Context, conns func() int, out io.Writer) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for last := -1; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if n := conns(); n != last && n%1000 == 0 {
				last = n
				fmt.Fprintf(out, "connections %d in-use-bytes %d\n", n, inUse())
			}
		}
	}
}

func serveFlamingo(ctx context.Context, kind, addr string, out io.Writer) error {
	n, err := flamingo.OpenContext(ctx, flamingo.Opts{
		Listen: []string{"tcp://" + addr}, BufferTillDelim: true, Delim: '\n',
		Ignore: flamingo.IgnoreOpens | flamingo.IgnoreCloses,
	})
	if err != nil {
		return err
	}
	go reportMemory(ctx, func() int { return n.Stats().Connections }, out)
	if kind == "serve" {
		return n.Serve(ctx, flamingo.HandlerFuncs{Data: func(id flamingo.ID, msg []byte) { _ = n.SendData(id, msg) }}, workers)
	}
	for range workers {
		go func() {
			for id, msg := range n.Messages() {
				_ = n.SendData(id, msg)
			}
		}()
	}
	<-ctx.Done()
	return nil
}

// servePlain is what one writes first: a goroutine and a buffer for each
// connection, and with hop a channel to the workers.
func servePlain(ctx context.Context, hop bool, addr string) error {
	type job struct {
		c   net.Conn
		msg []byte
	}
	jobs := make(chan job, 2048)
	if hop {
		for range workers {
			go func() {
				for j := range jobs {
					_, _ = j.c.Write(j.msg)
				}
			}()
		}
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { ln.Close() })()
	var serving sync.WaitGroup
	for {
		c, err := ln.Accept()
		if err != nil {
			return nil
		}
		serving.Go(func() {
			defer c.Close()
			r := bufio.NewReader(c)
			for {
				line, err := r.ReadSlice('\n')
				if err != nil {
					return
				}
				if hop {
					jobs <- job{c, append([]byte(nil), line...)}
				} else if _, err := c.Write(line); err != nil {
					return
				}
			}
		})
	}
}
