//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"
)

// addr is where a server under attack listens.
const addr = "127.0.0.1:4991"

// Processors, as taskset takes them.
const serverCPU = "0"

// settle is how long an attack lasts before the honest client is measured.
const settle = 500 * time.Millisecond

// asks is how often the honest client asks.
const asks = time.Millisecond

// round starts a server, attacks it, and returns how long the answers to the
// honest client took, sorted.
func round(ctx context.Context, command []string, a attack, measure time.Duration) ([]time.Duration, error) {
	ctx, stop := context.WithCancel(ctx)
	server := exec.CommandContext(ctx, "taskset", append([]string{"-c", serverCPU}, command...)...)
	server.Stderr = os.Stderr
	open, err := server.StdinPipe() // one of them ends when that does
	if err != nil {
		stop()
		return nil, err
	}
	if err := server.Start(); err != nil {
		stop()
		return nil, err
	}
	var attacking sync.WaitGroup
	defer func() {
		stop()
		attacking.Wait()
		open.Close()
		_ = server.Wait() // it was killed
	}()
	honest, err := dial(ctx)
	if err != nil {
		return nil, err
	}
	defer honest.Close()
	for k := range a.attackers {
		attacking.Go(func() { a.run(ctx, k) })
	}
	if err := rest(ctx, settle); err != nil {
		return nil, err
	}
	return ask(ctx, honest, measure)
}

// dial connects to a server that may be starting.
func dial(ctx context.Context) (net.Conn, error) {
	for end := time.Now().Add(10 * time.Second); ; {
		nc, err := net.Dial("tcp", addr)
		if err == nil || time.Now().After(end) {
			return nc, err
		}
		if err := rest(ctx, 20*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ask says a line now and then, and waits for it to come back.
func ask(ctx context.Context, nc net.Conn, measure time.Duration) (times []time.Duration, err error) {
	in := bufio.NewReader(nc)
	tick := time.NewTicker(asks)
	defer tick.Stop()
	for end := time.Now().Add(measure); time.Now().Before(end); {
		begin := time.Now()
		line := fmt.Sprintf("%063d\n", len(times))
		if err := nc.SetDeadline(begin.Add(10 * time.Second)); err != nil {
			return nil, err
		}
		if _, err := nc.Write([]byte(line)); err != nil {
			return nil, err
		}
		got := ""
		for got != line {
			if got, err = in.ReadString('\n'); err != nil {
				return nil, fmt.Errorf("after %d answers: %w", len(times), err)
			}
			if got != line && !strings.HasPrefix(got, "flamingo ") {
				return nil, fmt.Errorf("answer %q to %q", got, line)
			}
		}
		times = append(times, time.Since(begin))
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	slices.Sort(times)
	return times, nil
}
