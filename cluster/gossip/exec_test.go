//go:build unix

package gossip_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"flamingo/cluster/gossip"
	"flamingo/cluster/port/porttest"
)

// program returns a seed that runs a script of the shell.
func program(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "nodes")
	if err := os.WriteFile(path, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	return "exec:/bin/sh " + path
}

func TestAProgramFindsMembers(t *testing.T) {
	virtual(t, func(t *testing.T, network *porttest.Network) {
		first := on(t, network, 1, clusterA)
		p := planOn(network, 2, clusterA)
		p.seeds = []string{"exec:/bin/echo 127.0.0.1:4110"}
		awaitEach(t, []*node{first, launch(t, p)})
	})
}

func TestAProgramPrintsSeeds(t *testing.T) {
	dns := &fakeDNS{hosts: map[string][]netip.Addr{"n1.test": {hostAddr(1).Addr()}}}
	spec := program(t, "echo '# nodes'; echo; for word; do echo \"$word # one\"; done; cat; echo unheard >&2")
	addrs, err := gossip.Resolve(t.Context(), dns, spec+" 10.0.0.1   10.0.0.2:5 dns:n1.test:6")
	want := []netip.AddrPort{
		netip.MustParseAddrPort("10.0.0.1:4110"), netip.MustParseAddrPort("10.0.0.2:5"),
		netip.AddrPortFrom(hostAddr(1).Addr(), 6),
	}
	if err != nil || !slices.Equal(addrs, want) {
		t.Errorf("%v, %v; want %v", addrs, err, want)
	}
}

func TestAProgramIsRunWithoutShell(t *testing.T) {
	for _, word := range []string{"$HOME", "*", "`id`", "n1;id", "n1|id", "n1>n2"} {
		dns := &fakeDNS{hosts: map[string][]netip.Addr{word: {hostAddr(1).Addr()}}}
		addrs, err := gossip.Resolve(t.Context(), dns, "exec:/bin/echo "+word)
		if len(addrs) != 1 || err != nil {
			t.Errorf("%s: %v, %v; want the word itself looked up", word, addrs, err)
		}
	}
}

func TestWhatAProgramDoesWrongIsSaid(t *testing.T) {
	if _, err := gossip.Resolve(t.Context(), nil, "exec:/no/such/program"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no program: %v, want ErrNotExist", err)
	}
	for _, c := range []struct{ script, want string }{
		{"echo 10.0.0.1; echo no credentials >&2; exit 3", `exit status 3, and said "no credentials"`},
		{"echo 10.0.0.1; kill -9 $$", "signal: killed"},
		{"i=0; while [ $i -lt 1700 ]; do echo 10.0.0.1 a line of forty bytes and more; i=$((i+1)); done", gossip.ErrTooMuch.Error()},
		{"echo file:/etc/hosts", gossip.ErrBadSeed.Error()},
		{"echo exec:/bin/echo 10.0.0.1", gossip.ErrBadSeed.Error()},
	} {
		addrs, err := gossip.Resolve(t.Context(), nil, program(t, c.script))
		if len(addrs) != 0 || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v; want no address and %q", c.script, addrs, err, c.want)
		}
	}
}

// What the program has started would hold the pipe open for long.
func TestAProgramIsKilledWithAllThatItHasStarted(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	spec := program(t, `exec 3>"$1"; echo here >&3; echo too slow >&2; sleep 1000 & sleep 1000`)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := gossip.Resolve(ctx, nil, spec+" "+fifo)
		ended <- err
	}()
	f, err := os.Open(fifo)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	pipe := bufio.NewReader(f)
	if line, err := pipe.ReadString('\n'); line != "here\n" {
		t.Fatalf("%q, %v", line, err)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want that it was killed", err)
	}
	if rest, err := io.ReadAll(pipe); len(rest) > 0 || err != nil { // ends when no process has it
		t.Errorf("%q, %v", rest, err)
	}
}
