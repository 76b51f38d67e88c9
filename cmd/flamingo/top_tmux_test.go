//go:build e2e

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestTopInATerminal(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	link := filepath.Join(dir, "flamingo")
	if err := os.Symlink(self, link); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "tmux")
	tmux := func(args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), "tmux", append([]string{"-S", socket, "-f", "/dev/null"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("tmux %q: %v\n%s", args, err, out)
		}
		return string(out)
	}
	at := serveCluster(t, healthy())
	tmux("new-session", "-d", "-x", "120", "-y", "20", "-e", "GORACE=atexit_sleep_ms=10", link+" top --interval 100ms --addr "+at+"; echo ended with $?; cat")
	t.Cleanup(func() { _ = exec.Command("tmux", "-S", socket, "kill-server").Run() })
	see := func(want string) {
		t.Helper()
		late := time.After(patience)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			screen := tmux("capture-pane", "-p")
			if strings.Contains(screen, want) {
				return
			}
			select {
			case <-tick.C:
			case <-late:
				t.Fatalf("waited %v for %q; the screen is\n%s", patience, want, screen)
			}
		}
	}
	see("flamingo top · 3 nodes · 3,000 clients")
	see("cedar  ready")
	tmux("send-keys", "m")
	see("FROM   ash    birch  cedar")
	tmux("send-keys", "/", "b", "i", "r")
	see("/bir")
	tmux("send-keys", "Escape")
	see("sort:age") // an escape with a key right behind it would be another key
	tmux("send-keys", "q")
	see("ended with 0")
}
