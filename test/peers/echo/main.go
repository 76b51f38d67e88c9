//go:build linux

// Command echo is an echo server of lines on another library than Flamingo, or
// on none. Each kind reads, cuts at line feeds and writes back: on the spot, or
// with "-hop" after handing each line to one of ten goroutines over a channel.
// test/echobench starts it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/pprof"

	"flamingo/test/echobench/subject"
)

// kinds are the servers. Each returns when it listens, and serves until the
// process ends.
var kinds = map[string]func(addr string) error{
	"net":         func(addr string) error { return serveNet(addr, false) },
	"net-hop":     func(addr string) error { return serveNet(addr, true) },
	"gnet":        func(addr string) error { return serveGnet(addr, false) },
	"gnet-hop":    func(addr string) error { return serveGnet(addr, true) },
	"nbio":        func(addr string) error { return serveNbio(addr, false) },
	"nbio-hop":    func(addr string) error { return serveNbio(addr, true) },
	"netpoll":     func(addr string) error { return serveNetpoll(addr, false) },
	"netpoll-hop": func(addr string) error { return serveNetpoll(addr, true) },
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "echo:", err)
		os.Exit(1)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	kind := flag.String("kind", "net", "net, gnet, nbio or netpoll, or one of them with -hop")
	addr := flag.String("addr", "127.0.0.1:4990", "where to listen")
	profile := flag.String("cpuprofile", "", "file for a CPU profile")
	flag.Parse()
	serve := kinds[*kind]
	if serve == nil {
		return fmt.Errorf("kind %q is not known", *kind)
	}
	if *profile != "" {
		f, err := os.Create(*profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	if err := serve(*addr); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { os.Stdin.Close() })()
	return subject.Obey(os.Stdin, os.Stdout, *addr)
}

// A job is a line on its way to a worker.
type job[C any] struct {
	conn C
	line []byte
}

// queued is how many lines may wait for the workers.
const queued = 4096

// hop starts the workers, which call reply with each line, and returns their
// channel.
func hop[C any](reply func(conn C, line []byte)) chan<- job[C] {
	jobs := make(chan job[C], queued)
	for range subject.Workers {
		go func() {
			for j := range jobs {
				reply(j.conn, j.line)
			}
		}()
	}
	return jobs
}

// handOn returns what hands lines of a connection to the workers, each line a
// copy.
func handOn[C any](jobs chan<- job[C], conn C) func(line []byte) {
	return func(line []byte) { jobs <- job[C]{conn, append([]byte(nil), line...)} }
}
