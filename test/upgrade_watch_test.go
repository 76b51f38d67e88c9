//go:build e2e

package test

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"flamingo/node"
)

// A watcher is a process of testdata/watcher: one more node of the cluster, which
// watches connections of the others.
type watcher struct {
	t    *testing.T
	name string
	in   io.Writer

	mu     sync.Mutex
	events map[node.ID][]string // guarded by mu: what it was told, in order
}

// startWatcher starts a program that join leads into a cluster, and waits until it is
// a member. The end of the test kills it.
func startWatcher(t *testing.T, name, path, keyFile string, join []string) *watcher {
	t.Helper()
	setup, err := json.Marshal(map[string]any{
		"Name": name, "Cluster": "127.0.0.1:" + freePort(t), "KeyFile": keyFile, "Join": join,
	})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path)
	cmd.Env = append(os.Environ(), "FLAMINGO_TEST_WATCHER="+string(setup))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p := startProcess(t, cmd)
	p.awaitLine(t, "ready")
	w := &watcher{t: t, name: name, in: in, events: map[node.ID][]string{}}
	go w.read(p.lines) // until it is killed
	return w
}

func (w *watcher) read(lines <-chan string) {
	for line := range lines {
		var id node.ID
		text, event, _ := strings.Cut(line, " ")
		if err := id.UnmarshalText([]byte(text)); err != nil {
			w.t.Errorf("%s printed %q", w.name, line)
			continue
		}
		w.mu.Lock()
		w.events[id] = append(w.events[id], event)
		w.mu.Unlock()
	}
}

// watch has connections be watched, and waits until they are.
func (w *watcher) watch(ids []node.ID) {
	w.t.Helper()
	for _, id := range ids {
		if _, err := fmt.Fprintln(w.in, id); err != nil {
			w.t.Fatalf("%s: %v", w.name, err)
		}
	}
	seldom(w.t, w.name+" to watch", func() bool {
		for _, id := range ids {
			if len(w.told(id)) == 0 {
				return false
			}
		}
		return true
	})
}

// told returns what it was told of a connection.
func (w *watcher) told(id node.ID) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.events[id]...)
}

// mustTell waits until a watch is over, and wants one end, for one of these reasons.
func (w *watcher) mustTell(id node.ID, reasons ...node.Reason) {
	w.t.Helper()
	var told []string
	seldom(w.t, fmt.Sprintf("%s to be told of the end of %s", w.name, id), func() bool {
		told = w.told(id)
		return told[len(told)-1] == "over"
	})
	ends, good := 0, false
	for _, event := range told {
		if strings.HasPrefix(event, "closed ") {
			ends++
		}
		for _, why := range reasons {
			good = good || event == "closed "+why.String()
		}
	}
	if ends != 1 || !good {
		w.t.Errorf("%s was told of %s: %q; want one end, for one of %v", w.name, id, told, reasons)
	}
}
