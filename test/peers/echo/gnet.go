//go:build linux

package main

import (
	"flamingo/test/echobench/subject"

	"github.com/panjf2000/gnet/v2"
	"github.com/panjf2000/gnet/v2/pkg/logging"
)

type gnetServer struct {
	gnet.BuiltinEventEngine
	booted chan struct{}
	jobs   chan<- job[gnet.Conn] // nil: no hop
}

// serveGnet answers with Write on the loop, or with AsyncWrite from a worker.
func serveGnet(addr string, hops bool) error {
	s := &gnetServer{booted: make(chan struct{})}
	if hops {
		s.jobs = hop(func(c gnet.Conn, line []byte) { _ = c.AsyncWrite(line, nil) })
	}
	failed := make(chan error, 1)
	go func() {
		failed <- gnet.Run(s, "tcp://"+addr, gnet.WithMulticore(true), gnet.WithLogLevel(logging.ErrorLevel))
	}()
	select {
	case err := <-failed:
		return err
	case <-s.booted:
		return nil
	}
}

func (s *gnetServer) OnBoot(gnet.Engine) gnet.Action {
	close(s.booted)
	return gnet.None
}

func (s *gnetServer) OnOpen(c gnet.Conn) ([]byte, gnet.Action) {
	c.SetContext(new(subject.Cutter))
	return nil, gnet.None
}

func (s *gnetServer) OnTraffic(c gnet.Conn) gnet.Action {
	data, err := c.Next(-1)
	if err != nil {
		return gnet.Close
	}
	var each func([]byte)
	if s.jobs != nil {
		each = handOn(s.jobs, c)
	}
	whole := c.Context().(*subject.Cutter).Cut(data, each)
	if s.jobs == nil && len(whole) > 0 {
		if _, err := c.Write(whole); err != nil {
			return gnet.Close
		}
	}
	return gnet.None
}
