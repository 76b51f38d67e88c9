//go:build linux

package main

import (
	"net"

	"flamingo/test/echobench/subject"
)

// serveNet has a goroutine and a buffer for each connection.
func serveNet(addr string, hops bool) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	jobs := hop(func(c net.Conn, line []byte) { _, _ = c.Write(line) })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				var cutter subject.Cutter
				var each func([]byte)
				if hops {
					each = handOn(jobs, c)
				}
				for buf := make([]byte, 4096); ; {
					n, err := c.Read(buf)
					if err != nil {
						return
					}
					whole := cutter.Cut(buf[:n], each)
					if hops || len(whole) == 0 {
						continue
					}
					if _, err := c.Write(whole); err != nil {
						return
					}
				}
			}()
		}
	}()
	return nil
}
