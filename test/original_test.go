package test

import (
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"flamingo/node/nodetest"
)

// startOriginal runs the program written for the first Flamingo.
func startOriginal(t *testing.T) (p *process, port string) {
	t.Helper()
	_, port, err := net.SplitHostPort(nodetest.FreeAddrs(t, 1)[0])
	if err != nil {
		t.Fatal(err)
	}
	p = startProcess(t, exec.Command(build(t, "./test/original"), port))
	p.awaitLine(t, "listening")
	return p, port
}

func TestOriginalProgramEchoesLinesOfAnyLength(t *testing.T) {
	t.Parallel()
	p, port := startOriginal(t)
	nc := dialPort(t, port)
	line := p.awaitLine(t, "opened ")
	if !strings.Contains(line, nc.LocalAddr().String()) {
		t.Errorf("%q does not name the client %s", line, nc.LocalAddr())
	}
	id := openedID(t, line)
	for _, size := range []int{1, 2, 100, 1023, 1024, 1025, 5000, 100_000} {
		echo(t, nc, strings.Repeat("x", size-1)+"\n")
	}
	nc.Close()
	if got := p.awaitLine(t, "closed "); got != "closed "+id {
		t.Errorf("printed %q, want the close of %s", got, id)
	}
}

// openedID returns the id of a line that the program printed for an open.
func openedID(t *testing.T, line string) string {
	t.Helper()
	id, _, ok := strings.Cut(strings.TrimPrefix(line, "opened "), ": ")
	if !ok || len(id) < 10 || strings.Trim(id, "0123456789") != "" {
		t.Fatalf("no decimal id in %q", line)
	}
	return id
}

func TestOriginalProgramEndsSilentConnectionsAfterTheActivityTimeout(t *testing.T) {
	t.Parallel()
	const timeout = 5 * time.Second
	p, port := startOriginal(t)
	begin := time.Now()
	silent := dialPort(t, port)
	id := openedID(t, p.awaitLine(t, "opened "))
	talking := dialPort(t, port)
	p.awaitLine(t, "opened ")

	ended := make(chan time.Duration, 1)
	go func() {
		_, _ = io.Copy(io.Discard, silent) // at most for patience
		ended <- time.Since(begin)
	}()
	tick := time.NewTicker(timeout / 10)
	defer tick.Stop()
	for over := false; !over || time.Since(begin) < timeout*3/2; {
		select {
		case after := <-ended:
			over = true
			if after < timeout || after >= patience {
				t.Errorf("the silent connection ended after %v, want %v", after, timeout)
			}
		case <-tick.C:
			echo(t, talking, "still here\n")
		}
	}
	if got := p.awaitLine(t, "closed "); got != "closed "+id {
		t.Errorf("printed %q, want the close of %s", got, id)
	}
}

func TestOriginalProgramSurvivesClientsThatSendAndLeave(t *testing.T) {
	t.Parallel()
	p, port := startOriginal(t)
	const clients = 1000
	for k := range clients {
		nc := dialPort(t, port)
		if _, err := fmt.Fprintf(nc, "one\ntwo\nthree\n"); err != nil {
			t.Fatal(err)
		}
		if k%2 == 0 {
			if err := nc.SetLinger(0); err != nil { // a reset
				t.Fatal(err)
			}
		}
		nc.Close()
	}
	for range clients {
		p.awaitLine(t, "closed ")
	}
	echo(t, dialPort(t, port), "still here\n")
}
