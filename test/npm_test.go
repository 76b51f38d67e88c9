//go:build e2e

package test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"flamingo/node/nodetest"
)

// npm's ws, by far the most used WebSocket library for servers, as a client of a
// process of the real binary: peers/ws/peer.mjs has what it tries.

// wsPeer is the folder of the client, whose package-lock.json pins what it needs.
const wsPeer = "peers/ws"

func TestWebSocketsOfNPMSpeakWithANode(t *testing.T) {
	peer := installWSPeer(t)
	origin := "https://www.example.com"
	addrs := nodetest.FreeAddrs(t, 3)
	admin := addrs[0]
	urls := map[string]string{"admin": "http://" + admin}
	args := []string{"run", "--name", "ash", "--admin", admin}
	for i, l := range []struct{ name, options string }{
		{"text", "subprotocol=live.v2,live.v1&origin=" + origin},
		{"binary", "send=binary"},
	} {
		urls[l.name] = "ws://" + addrs[1+i] + "/live"
		args = append(args, "--listen", urls[l.name]+"?"+l.options)
	}
	n := &siteNode{daemon: newDaemon(t, "ash", build(t, "./cmd/flamingo")), admin: admin}
	n.start(args...)
	n.awaitReady()
	runWSPeer(t, peer, urls)
}

// installWSPeer has npm install the client, and returns its program.
func installWSPeer(t *testing.T) (path string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "peer")
	if err := os.CopyFS(dir, os.DirFS(wsPeer)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	npm := exec.CommandContext(ctx, lookFor(t, "npm"), "ci")
	npm.Dir = dir
	if said, err := npm.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, said)
	}
	return filepath.Join(dir, "peer.mjs")
}

// runWSPeer runs the client, which reports each thing that it has tried.
func runWSPeer(t *testing.T, path string, urls map[string]string) {
	t.Helper()
	text, err := json.Marshal(urls)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*patience)
	defer cancel()
	peer := exec.CommandContext(ctx, lookFor(t, "node"), path, string(text))
	said, err := peer.CombinedOutput()
	tried := 0
	for line := range strings.Lines(string(said)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "ok "); ok {
			tried++
			t.Logf("%s", name)
		}
	}
	if err != nil || tried == 0 {
		t.Errorf("the client of npm's ws: %v\n%s", err, said)
	}
}
