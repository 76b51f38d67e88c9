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
	peer, flamingo := installPeer(t, wsPeer), build(t, "./cmd/flamingo")
	cert := newCertificate(t)
	for scheme, options := range map[string]string{
		"ws":  "",
		"wss": "&cert=" + cert.cert + "&key=" + cert.key,
	} {
		t.Run(scheme, func(t *testing.T) {
			addrs := nodetest.FreeAddrs(t, 5)
			n := &siteNode{daemon: newDaemon(t, "ash", flamingo), admin: addrs[0]}
			urls, args := map[string]string{"admin": "http://" + n.admin}, []string{"run", "--name", n.name, "--admin", n.admin}
			for i, l := range []struct{ name, options string }{
				{"text", "subprotocol=live.v2,live.v1&origin=https://www.example.com"},
				{"binary", "send=binary"},
				{"pinged", "ping=50ms"},
				{"impatient", "ping=50ms&pong-timeout=50ms"},
			} {
				urls[l.name] = scheme + "://" + addrs[1+i] + "/live"
				args = append(args, "--listen", urls[l.name]+"?"+l.options+options)
			}
			n.start(args...)
			n.awaitReady()
			runWSPeer(t, peer, urls, "NODE_EXTRA_CA_CERTS="+cert.authority)
		})
	}
}

// installPeer has npm install a program and what it needs, and returns its path.
func installPeer(t *testing.T, folder string) (path string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "peer")
	if err := os.CopyFS(dir, os.DirFS(folder)); err != nil {
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
func runWSPeer(t *testing.T, path string, urls map[string]string, env ...string) {
	t.Helper()
	text, err := json.Marshal(urls)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*patience)
	defer cancel()
	peer := exec.CommandContext(ctx, lookFor(t, "node"), path, string(text))
	peer.Env = append(os.Environ(), env...)
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
