//go:build linux

package main

import (
	"runtime"

	"flamingo/test/echobench/subject"

	"github.com/lesismal/nbio"
	"github.com/lesismal/nbio/logging"
)

// serveNbio answers with Write, on the loop or from a worker.
func serveNbio(addr string, hops bool) error {
	logging.SetLevel(logging.LevelError)
	engine := nbio.NewEngine(nbio.Config{
		Network: "tcp", Addrs: []string{addr}, NPoller: runtime.GOMAXPROCS(0),
	})
	jobs := hop(func(c *nbio.Conn, line []byte) { _, _ = c.Write(line) })
	engine.OnOpen(func(c *nbio.Conn) { c.SetSession(new(subject.Cutter)) })
	engine.OnData(func(c *nbio.Conn, data []byte) {
		var each func([]byte)
		if hops {
			each = handOn(jobs, c)
		}
		whole := c.Session().(*subject.Cutter).Cut(data, each)
		if !hops && len(whole) > 0 {
			_, _ = c.Write(whole)
		}
	})
	return engine.Start()
}
