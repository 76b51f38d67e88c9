//go:build e2e && linux

package test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"flamingo/node"
)

// inOwnNetwork runs the test again in a process with a network of its own, which
// has a loopback and nothing else, and reports whether this is that process. It
// takes root, unshare, ip and nft.
func inOwnNetwork(t *testing.T) bool {
	t.Helper()
	const child = "FLAMINGO_TEST_NETWORK"
	if os.Getenv(child) == t.Name() {
		command(t, "ip", "link", "set", "lo", "up")
		return true
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", "--net", os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1", "-test.v")
	cmd.Env = append(os.Environ(), child+"="+t.Name())
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v: %v\n%s", cmd, err, out)
	}
	return false
}

func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// files counts the descriptors of the process.
func files(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// Clients vanish without a word: of some nothing comes back for what they are
// sent, others are silent and are asked by the kernel alone.
func TestHalfOpenClientsEndWithTheUserTimeout(t *testing.T) {
	if !inOwnNetwork(t) {
		return
	}
	const clients = 50
	n, err := node.Open(node.Opts{Listen: []string{"tcp://127.0.0.1:0?framing=line&user-timeout=1s&keep-alive=1s"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	before := files(t)
	var vanished []net.Conn
	var ids []node.ID
	for range clients {
		nc, err := net.Dial("tcp", n.Addrs()[0].String())
		if err != nil {
			t.Fatal(err)
		}
		vanished = append(vanished, nc)
		id, _ := n.RecvOpen()
		ids = append(ids, id)
	}
	command(t, "nft", "add table inet faults; add chain inet faults in { type filter hook input priority 0; };"+
		"add rule inet faults in counter drop")
	for _, id := range ids[:clients/2] {
		if err := n.SendData(id, []byte("are you there?")); err != nil {
			t.Fatal(err)
		}
	}
	late := time.AfterFunc(patience, func() { panic("half-open clients have not ended") })
	for range clients {
		n.RecvClose()
	}
	late.Stop()
	if ends := n.Stats().Closed[node.ReasonError]; ends != clients {
		t.Errorf("%v ended; want %d for an error", n.Stats().Closed, clients)
	}
	if rules := command(t, "nft", "list", "table", "inet", "faults"); strings.Contains(rules, "packets 0 ") {
		t.Errorf("nothing was dropped:\n%s", rules)
	}
	command(t, "nft", "delete", "table", "inet", "faults")
	for _, nc := range vanished {
		nc.Close()
	}
	nc, err := net.Dial("tcp", n.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(nc, "hello")
	id, msg := n.RecvData()
	if err := n.SendData(id, msg); err != nil {
		t.Fatal(err)
	}
	if got, err := bufio.NewReader(nc).ReadString('\n'); got != "hello\n" {
		t.Errorf("an honest client read %q, %v", got, err)
	}
	n.RecvOpen()
	nc.Close()
	n.RecvClose()
	for end := time.Now().Add(patience); files(t) > before || n.Stats().Connections > 0; <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d files, before %d; stats %+v", files(t), before, n.Stats())
		}
	}
}
