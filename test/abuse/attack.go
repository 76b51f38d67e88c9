//go:build linux

package main

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

// An attack is what so many attackers do, each at a rate of its own.
type attack struct {
	name      string
	attackers int
	every     time.Duration // between two steps of an attacker
	begin     func(nc net.Conn)
	step      func(nc net.Conn, n int) error // an error: the attacker connects anew
}

var attacks = []attack{
	{name: "none"},
	{
		name: "connect and reset, 2000/s", attackers: 20, every: 10 * time.Millisecond,
		step: func(nc net.Conn, _ int) error {
			_ = nc.(*net.TCPConn).SetLinger(0)
			return io.EOF
		},
	},
	{
		name: "slowloris, 2000 clients, a byte a second each", attackers: 2000, every: time.Second,
		step: func(nc net.Conn, _ int) error { _, err := nc.Write([]byte("x")); return err },
	},
	{
		name: "never read, 100 clients, 2000 lines of 1 KiB/s", attackers: 100, every: 50 * time.Millisecond,
		begin: func(nc net.Conn) { _ = nc.(*net.TCPConn).SetReadBuffer(4 << 10) },
		step: func(nc net.Conn, _ int) error {
			if err := nc.SetWriteDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
				return err
			}
			_, err := nc.Write([]byte(kibibyte))
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return nil // the server does not read it either
			}
			return err
		},
	},
	{
		name: "a byte at a time, 100 clients, 10000 bytes/s", attackers: 100, every: 10 * time.Millisecond,
		step: func(nc net.Conn, n int) error {
			b := []byte("x")
			if n%64 == 63 {
				b[0] = '\n'
			}
			_, err := nc.Write(b)
			return err
		},
	},
}

var kibibyte = strings.Repeat("k", 1023) + "\n"

// run is one attacker. The first steps of all are spread over the time of one.
func (a *attack) run(ctx context.Context, k int) {
	if a.step == nil || rest(ctx, a.every*time.Duration(k)/time.Duration(a.attackers)) != nil {
		return
	}
	tick := time.NewTicker(a.every)
	defer tick.Stop()
	var nc net.Conn
	defer func() {
		if nc != nil {
			nc.Close()
		}
	}()
	for n := 0; ; n++ {
		if nc == nil {
			if fresh, err := net.Dial("tcp", addr); err == nil {
				nc = fresh
				if a.begin != nil {
					a.begin(nc)
				}
			}
		}
		if nc != nil && a.step(nc, n) != nil {
			nc.Close()
			nc = nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
