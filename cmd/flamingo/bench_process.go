package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// A benchProcess is a server in a process of its own: benchServerCommand seen
// from its parent. One goroutine uses it.
type benchProcess struct {
	addr string
	cmd  *exec.Cmd
	in   io.WriteCloser // its end is the server's
	out  *bufio.Scanner
}

// errServerEnded is the end of a server's process, which has said why.
var errServerEnded = errors.New("the server has ended")

// startBenchProcess starts a server, and returns when it listens. When ctx is
// done the server is killed. What it has to say goes to talk.
func startBenchProcess(ctx context.Context, listen string, talk io.Writer) (*benchProcess, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &benchProcess{cmd: exec.CommandContext(ctx, self, "bench", "server", "--listen", listen)}
	p.cmd.Args[0] = "flamingo" // by which the program of the tests knows what it is
	p.cmd.Stderr = talk
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	p.out = bufio.NewScanner(out)
	line, err := p.answer()
	if err != nil {
		return nil, errors.Join(err, p.stop())
	}
	p.addr = strings.TrimPrefix(line, "listening ")
	return p, nil
}

// figures asks for the figures of the server with so many connections.
func (p *benchProcess) figures(conns int) (f serverFigures, err error) {
	if _, err := fmt.Fprintln(p.in, conns); err != nil {
		return f, errors.Join(errServerEnded, err)
	}
	line, err := p.answer()
	if err != nil {
		return f, err
	}
	return f, json.Unmarshal([]byte(line), &f)
}

func (p *benchProcess) answer() (string, error) {
	if !p.out.Scan() {
		return "", errors.Join(errServerEnded, p.out.Err())
	}
	return p.out.Text(), nil
}

// stop ends the server and waits for its end.
func (p *benchProcess) stop() error {
	p.in.Close()
	for p.out.Scan() {
		continue // until its end
	}
	return p.cmd.Wait()
}
