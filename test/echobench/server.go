//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"flamingo/test/bench"
)

// A server is a process that echoes.
type server struct {
	addr string
	cmd  *exec.Cmd
	in   io.WriteCloser // its end is the server's
	out  *bufio.Scanner
}

// startServer starts one of a kind, on a core, or on those that the command may
// use if that is empty, and returns when it listens.
func (d *driver) startServer(ctx context.Context, kind, core string) (*server, error) {
	addrs, err := bench.FreeAddrs(1)
	if err != nil {
		return nil, err
	}
	addr := addrs[0]
	s := &server{addr: addr}
	s.cmd = bench.Command(ctx, core, d.serverArgs(kind, addr)...)
	s.cmd.Stderr = os.Stderr
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	s.out = bufio.NewScanner(out)
	if _, err := s.answer("listening"); err != nil {
		s.stop()
		return nil, fmt.Errorf("%s does not listen on %s: %w", kind, addr, err)
	}
	return s, nil
}

func (d *driver) serverArgs(kind, addr string) []string {
	switch kind {
	case ours, oursServe:
		return []string{d.self, "serve", "-kind", kind, "-addr", addr}
	case before:
		return []string{d.against, "serve", "-addr", addr}
	case theirC:
		return []string{d.c, addr}
	default:
		return []string{d.peers, "-kind", kind, "-addr", addr}
	}
}

// answer waits for a line that begins with word and returns the rest. Lines of
// others, such as logs, are passed over.
func (s *server) answer(word string) (string, error) {
	for s.out.Scan() {
		if rest, ok := strings.CutPrefix(s.out.Text(), word+" "); ok {
			return rest, nil
		}
	}
	if err := s.out.Err(); err != nil {
		return "", err
	}
	return "", io.ErrUnexpectedEOF
}

// memory returns the bytes that the server has in use after a collection.
func (s *server) memory() (int64, error) {
	if _, err := fmt.Fprintln(s.in, "memory"); err != nil {
		return 0, err
	}
	text, err := s.answer("memory")
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(text, 10, 64)
}

// pid is the server's process: taskset becomes what it runs.
func (s *server) pid() string { return strconv.Itoa(s.cmd.Process.Pid) }

// stop ends the server and waits for its end.
func (s *server) stop() {
	s.in.Close()
	for s.out.Scan() {
		continue // until its end
	}
	_ = s.cmd.Wait()
}
