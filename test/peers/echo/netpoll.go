//go:build linux

package main

import (
	"context"
	"net"

	"flamingo/test/echobench/subject"

	"github.com/cloudwego/netpoll"
	"github.com/cloudwego/netpoll/mux"
)

// A pollConn is one connection of netpoll: what comes is cut, and with hops the
// answers of all workers go through a queue that merges them into few writes.
type pollConn struct {
	subject.Cutter
	out *mux.ShardQueue
}

type pollKey struct{}

// serveNetpoll answers through the connection's writer, or from workers through
// a ShardQueue, netpoll's own way of merging the writes of many goroutines.
func serveNetpoll(addr string, hops bool) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	jobs := hop(func(c *pollConn, line []byte) {
		c.out.Add(func() (netpoll.Writer, bool) {
			buf := netpoll.NewLinkBuffer()
			_, _ = buf.WriteBinary(line)
			_ = buf.Flush()
			return buf, false
		})
	})
	onConnect := func(ctx context.Context, c netpoll.Connection) context.Context {
		pc := &pollConn{}
		if hops {
			pc.out = mux.NewShardQueue(mux.ShardSize, c)
		}
		return context.WithValue(ctx, pollKey{}, pc)
	}
	onRequest := func(ctx context.Context, c netpoll.Connection) error {
		pc := ctx.Value(pollKey{}).(*pollConn)
		in := c.Reader()
		data, err := in.Next(in.Len())
		if err != nil {
			return err
		}
		var each func([]byte)
		if hops {
			each = handOn(jobs, pc)
		}
		whole := pc.Cut(data, each)
		if !hops && len(whole) > 0 {
			space, err := c.Writer().Malloc(len(whole))
			if err != nil {
				return err
			}
			copy(space, whole)
			if err := c.Writer().Flush(); err != nil {
				return err
			}
		}
		return in.Release()
	}
	loop, err := netpoll.NewEventLoop(onRequest, netpoll.WithOnConnect(onConnect))
	if err != nil {
		return err
	}
	go func() { _ = loop.Serve(ln) }()
	return nil
}
