package test

import (
	"bufio"
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// patience bounds every wait of these tests; none comes near it when it passes.
const patience = 60 * time.Second

// A process is a program under test, and what it prints.
type process struct {
	*exec.Cmd
	lines chan string // its output, line by line; closed at its end
}

// startProcess starts a program. The end of the test kills it.
func startProcess(t testing.TB, cmd *exec.Cmd) *process {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: cmd, lines: make(chan string, 1<<16)}
	go func() {
		defer close(p.lines)
		for in := bufio.NewScanner(out); in.Scan(); {
			p.lines <- in.Text()
		}
	}()
	t.Cleanup(p.kill)
	return p
}

// kill ends the process with SIGKILL, and waits for it and all its output.
func (p *process) kill() {
	_ = p.Process.Kill()
	for range p.lines { // what nobody has read
	}
	_ = p.Wait()
}

// awaitLine returns the next line with this beginning; those before are
// dropped.
func (p *process) awaitLine(t testing.TB, beginning string) string {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				t.Fatalf("the process ended before it printed %q", beginning)
			}
			if strings.HasPrefix(line, beginning) {
				return line
			}
		case <-late:
			t.Fatalf("waited %v for the process to print %q", patience, beginning)
		}
	}
}

// build builds a package of this module and returns the path of the program.
func build(t testing.TB, pkg string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), filepath.Base(pkg))
	goCommand(t, "..", "build", "-o", path, pkg)
	return path
}

// goCommand runs the go command in dir, without a network, and returns its
// output.
func goCommand(t testing.TB, dir string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOPROXY=off", "GOWORK=off")
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s%s", strings.Join(args, " "), err, out, errs.String())
	}
	return string(out)
}

// dialPort connects to a process. The end of the test closes the connection.
func dialPort(t testing.TB, port string) *net.TCPConn {
	t.Helper()
	nc, err := net.DialTimeout("tcp", net.JoinHostPort("127.0.0.1", port), patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return nc.(*net.TCPConn)
}

// echo sends a line and checks that it comes back.
func echo(t testing.TB, nc net.Conn, line string) {
	t.Helper()
	if _, err := io.WriteString(nc, line); err != nil {
		t.Fatalf("write: %v", err)
	}
	got := make([]byte, len(line))
	if _, err := io.ReadFull(nc, got); err != nil || string(got) != line {
		t.Fatalf("echo of %.40q: %.40q, %v", line, got, err)
	}
}

// until waits for a state that no event tells of.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	untilEvery(t, time.Millisecond, what, ok)
}

// seldom is until for what costs something to find out.
func seldom(t testing.TB, what string, ok func() bool) {
	t.Helper()
	untilEvery(t, 20*time.Millisecond, what, ok)
}

func untilEvery(t testing.TB, pause time.Duration, what string, ok func() bool) {
	t.Helper()
	late := time.After(patience)
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}
