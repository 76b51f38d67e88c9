//go:build e2e

package test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"flamingo/node/nodetest"
)

// The chat room of test/clients across three nodes of the real binary, each with a
// worker in another language, while workers are killed.

// A guest is a client in the room.
type guest struct {
	net.Conn
	t  *testing.T
	id string

	mu    sync.Mutex
	heard []string // guarded by mu: lines, in order
}

// enter connects to a node, and waits for the welcome of its worker.
func enter(t *testing.T, addr string) *guest {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	g := &guest{Conn: nc, t: t}
	go func() {
		for in := bufio.NewScanner(nc); in.Scan(); {
			g.mu.Lock()
			g.heard = append(g.heard, in.Text())
			g.mu.Unlock()
		}
	}()
	g.await("the welcome", func(line string) bool {
		id, ok := strings.CutPrefix(line, "welcome ")
		g.id = id
		return ok
	})
	return g
}

func (g *guest) say(line string) {
	if _, err := fmt.Fprintln(g, line); err != nil {
		g.t.Errorf("%s: %v", g.id, err)
	}
}

// lines returns what was heard so far.
func (g *guest) lines() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.heard)
}

// await waits for a line.
func (g *guest) await(what string, is func(string) bool) {
	g.t.Helper()
	seldom(g.t, what, func() bool { return slices.ContainsFunc(g.lines(), is) })
}

// faultsOfRoom says what is wrong with what a guest has heard, of senders who have said
// the lines "m 0" and so on: each comes once, those of one sender in order.
func faultsOfRoom(heard, senders []string, lines int) (faults []string) {
	next := make(map[string]int)
	for _, line := range heard {
		id, text, _ := strings.Cut(line, ": ")
		var k int
		if _, err := fmt.Sscanf(text, "m %d", &k); err != nil {
			continue
		}
		if k != next[id] {
			faults = append(faults, fmt.Sprintf("%d of %s, want %d", k, id, next[id]))
		}
		next[id] = k + 1
	}
	for _, id := range senders {
		if next[id] != lines {
			faults = append(faults, fmt.Sprintf("%d lines of %s, want %d", next[id], id, lines))
		}
	}
	return faults
}

func TestJudgeOfTheRoomFindsWhatIsWrong(t *testing.T) {
	for name, heard := range map[string][]string{
		"lost":    {"a: m 0", "a: m 2"},
		"short":   {"a: m 0", "a: m 1"},
		"doubled": {"a: m 0", "a: m 1", "a: m 1", "a: m 2"},
		"order":   {"a: m 1", "a: m 0", "a: m 2"},
	} {
		if len(faultsOfRoom(heard, []string{"a"}, 3)) == 0 {
			t.Errorf("%s is not found", name)
		}
	}
	if faults := faultsOfRoom([]string{"a: m 0", "x", "b: m 0", "a: m 1", "a: m 2"}, []string{"a"}, 3); len(faults) > 0 {
		t.Errorf("what is right: %v", faults)
	}
}

// A roomNode is a node and its worker.
type roomNode struct {
	*siteNode
	worker *daemon
	args   []string // of the worker
	at     string   // where its clients connect
}

// openRoom starts the nodes and their workers.
func openRoom(t *testing.T) []*roomNode {
	t.Helper()
	flamingo, room := build(t, "./cmd/flamingo"), build(t, "./test/clients/room")
	python, javascript := lookFor(t, "python3"), lookFor(t, "node")
	dir, addrs := t.TempDir(), nodetest.FreeAddrs(t, 12)
	const token = "of-this-room-alone"
	t.Setenv("ATTACH_TOKEN", token)
	tokens := filepath.Join(dir, "tokens")
	if err := os.WriteFile(tokens, []byte(token+" events send read\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var nodes []*roomNode
	for i, w := range []struct {
		name, program string
		args          []string
		attach        string
		more          []string
	}{
		{"ash", room, nil, "unix:" + filepath.Join(dir, "attach"), nil},
		{"birch", python, []string{"clients/python/room.py"}, addrs[10], nil},
		{"cedar", javascript, []string{"clients/node/room.mjs"}, addrs[11], []string{"--attach-token-file", tokens}},
	} {
		n := &roomNode{at: addrs[3*i], args: append(w.args, w.attach, w.name)}
		n.siteNode = &siteNode{daemon: newDaemon(t, w.name, flamingo), admin: addrs[3*i+1]}
		n.worker = newDaemon(t, "worker-"+w.name, w.program)
		n.start(append([]string{
			"run", "--name", w.name, "--listen", "tcp://" + n.at, "--admin", n.admin, "--attach", w.attach,
			"--cluster", addrs[3*i+2], "--join", addrs[2] + "," + addrs[5] + "," + addrs[8], "--expect", "3", "--ephemeral",
		}, w.more...)...)
		nodes = append(nodes, n)
	}
	for _, n := range nodes {
		n.awaitReady()
		n.worker.start(n.args...)
	}
	return nodes
}

func TestRoomOfThreeLanguagesLosesAndDoublesNothing(t *testing.T) {
	const perNode, lines = 3, 400
	nodes := openRoom(t)
	var guests []*guest
	var ids []string
	for _, n := range nodes {
		for range perNode {
			g := enter(t, n.at)
			guests, ids = append(guests, g), append(ids, g.id)
		}
	}
	for _, g := range guests { // who has just come is known everywhere a little later
		seldom(t, "everybody to hear everybody", func() bool {
			g.say("anybody?")
			return !slices.ContainsFunc(guests, func(o *guest) bool { return !slices.Contains(o.lines(), g.id+": anybody?") })
		})
	}
	for _, n := range nodes {
		g := guests[slices.Index(nodes, n)*perNode]
		g.say("/who")
		g.await("the answer of the worker of "+n.name, func(line string) bool { return line == fmt.Sprint(len(guests), " here") })
	}

	var talking sync.WaitGroup
	for _, g := range guests {
		talking.Go(func() {
			for k := range lines {
				g.say(fmt.Sprintf("m %d", k))
				<-time.After(10 * time.Millisecond)
			}
		})
	}
	for k := range 8 { // under load, the worker in Python most of all
		<-time.After(300 * time.Millisecond)
		w := nodes[[...]int{1, 1, 0, 1, 2, 1, 0, 2}[k]]
		w.worker.kill()
		<-time.After(100 * time.Millisecond)
		w.worker.start(w.args...)
	}
	talking.Wait()
	for _, g := range guests {
		for _, id := range ids {
			g.await("the last line of "+id, func(line string) bool { return line == fmt.Sprintf("%s: m %d", id, lines-1) })
		}
	}
	for _, g := range guests {
		if faults := faultsOfRoom(g.lines(), ids, lines); len(faults) > 0 {
			t.Errorf("%s has heard %d lines: %s", g.id, len(g.lines()), strings.Join(faults[:min(len(faults), 10)], "; "))
		}
	}
	again := 0
	for _, n := range nodes {
		again += strings.Count(n.logged(0), "a worker is gone")
	}
	if again < 8 {
		t.Errorf("%d workers are gone, and 8 were killed", again)
	}

	guests[0].say("/quit")
	guests[0].await("bye", func(line string) bool { return line == "bye" })
	guests[len(guests)-1].await("the leave", func(line string) bool { return line == "* "+guests[0].id+" left" })
}
