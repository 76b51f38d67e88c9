//go:build e2e && linux

package chaos

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A network is a network namespace without a name: a thread of this process lives
// in it, and it is gone when that and all processes started from it are.
type network struct {
	tid  int
	jobs chan func()
}

// newNetwork makes a network that lasts as long as the test.
func newNetwork(t *testing.T) *network {
	t.Helper()
	n := &network{jobs: make(chan func())}
	made, ended := make(chan error), make(chan struct{})
	go func() { // waited for by the cleanup
		defer close(ended)
		runtime.LockOSThread() // and never unlock: the thread ends with the goroutine
		n.tid = unix.Gettid()
		made <- unix.Unshare(unix.CLONE_NEWNET)
		for job := range n.jobs {
			job()
		}
	}()
	t.Cleanup(func() { close(n.jobs); <-ended })
	if err := <-made; err != nil {
		t.Fatalf("a network: %v", err)
	}
	return n
}

// do calls f on the thread in the network.
func (n *network) do(f func()) {
	done := make(chan struct{})
	n.jobs <- func() { defer close(done); f() }
	<-done
}

// command runs a command in the network and returns what it prints.
func (n *network) command(name string, args ...string) (out string, err error) {
	n.do(func() { out, err = command(name, args...) })
	return out, err
}

// command runs a command in the network of the calling thread.
func command(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

const bridge = "hub"

func address(host int) string { return fmt.Sprintf("10.97.0.%d", host) }

// hub makes this process's network the one that joins those of so many nodes, until
// the test ends: their ends here go with it, the others when the kernel comes to it.
func hub(t *testing.T, nodes int) {
	t.Helper()
	t.Cleanup(func() {
		_, _ = command("ip", "link", "del", bridge)
		for i := range nodes {
			_, _ = command("ip", "link", "del", wire(10+i))
		}
	})
	for _, args := range [][]string{
		{"link", "set", "lo", "up"},
		{"link", "add", bridge, "type", "bridge"},
		{"addr", "add", address(1) + "/24", "dev", bridge},
		{"link", "set", bridge, "up"},
	} {
		if _, err := command("ip", args...); err != nil {
			t.Fatal(err)
		}
	}
}

// wire names this end of the connection of a host.
func wire(host int) string { return fmt.Sprintf("n%d", host) }

// plug connects the network to the hub, as host.
func (n *network) plug(host int) error {
	outer := wire(host)
	_, err1 := command("ip", "link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", fmt.Sprint(n.tid))
	_, err2 := command("ip", "link", "set", outer, "master", bridge, "up")
	errs := []error{err1, err2}
	for _, args := range [][]string{
		{"link", "set", "lo", "up"},
		{"addr", "add", address(host) + "/24", "dev", "eth0"},
		{"link", "set", "eth0", "up"},
	} {
		_, err := n.command("ip", args...)
		errs = append(errs, err)
	}
	_, err := n.command("nft", "add table inet chaos; add chain inet chaos in { type filter hook input priority 0; }")
	return errors.Join(append(errs, err)...)
}

// deafen drops what comes from a host: all of it, or datagrams alone.
func (n *network) deafen(host int, datagrams bool) error {
	rule := "add rule inet chaos in ip saddr " + address(host)
	if datagrams {
		rule += " meta l4proto udp"
	}
	_, err := n.command("nft", rule+" counter drop")
	return err
}

// hear ends what deafen began, and returns how many packets were dropped.
func (n *network) hear() (packets int, err error) {
	rules, err := n.command("nft", "list", "chain", "inet", "chaos", "in")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(rules) {
		if _, after, ok := strings.Cut(line, "counter packets "); ok {
			var count int
			if _, err := fmt.Sscan(after, &count); err != nil {
				return 0, fmt.Errorf("nft prints %q: %w", line, err)
			}
			packets += count
		}
	}
	_, err = n.command("nft", "flush", "chain", "inet", "chaos", "in")
	return packets, err
}

// abort ends every connection on the port between nodes that the network has, and
// returns how many these were.
func (n *network) abort() (int, error) {
	out, err := n.command("ss", "-H", "-t", "-n", "-K", "state", "established", fmt.Sprintf("( sport = :%d or dport = :%d )", clusterPort, clusterPort))
	return strings.Count(out, fmt.Sprintf(":%d", clusterPort)), err
}
