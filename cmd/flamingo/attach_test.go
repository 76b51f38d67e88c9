//go:build unix

package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSettingsOfAttachAreChecked(t *testing.T) {
	dir := t.TempDir()
	tokens := filepath.Join(dir, "tokens")
	if err := os.WriteFile(tokens, []byte("0123456789abcdef everything\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, tt := range []struct {
		args string
		want string
	}{
		{"--attach 127.0.0.1:0 --app sink", "beside --app sink"},
		{"--attach-token-file x", "give --attach ADDR"},
		{"--webhook http://x/", "one needs the other"},
		{"--webhook-secret-file x", "one needs the other"},
		{"--webhook-events open", "is for --webhook"},
		{"--webhook http://x/ --webhook-events open,loud --webhook-secret-file " + tokens, "--webhook-events loud"},
		{"--webhook http://x/ --webhook-secret-file " + dir + "/none", "no such file"},
		{"--webhook ftp://x/ --webhook-secret-file " + tokens, `Webhook.URL "ftp://x/": allowed are http://HOST/PATH`},
		{"--webhook http://x/ --webhook-secret-file " + tokens + " --attach-token-file x", "give --attach ADDR"},
		{"--attach-ack-timeout 5s", "give --attach ADDR"},
		{"--attach 127.0.0.1:0 --attach-ack-timeout 5ms", "--attach-ack-timeout 5ms (key attach.ack_timeout): want 0, or 1s or more"},
		{"--attach 0.0.0.0:0", "beyond loopback a worker needs a token"},
		{"--attach :0", "beyond loopback a worker needs a token"},
		{"--attach here", "want HOST:PORT or unix:PATH"},
		{"--attach 127.0.0.1:0 --attach-token-file " + dir + "/none", "no such file"},
		{"--attach 127.0.0.1:0 --attach-token-file " + tokens, `line 1: scope "everything"`},
		{"--attach " + taken.Addr().String(), "is in use: it is that of --attach"},
		{"--attach unix:" + tokens, "is there, and no socket"},
	} {
		r, _ := parse(t, strings.Fields(tt.args)...)
		err := r.check()
		if err == nil {
			var w *workers
			if w, err = r.openWorkers(t.Context()); err == nil {
				w.close()
			}
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.args, err, tt.want)
		}
	}
}

func TestAttachIsTheApplicationWithEitherFlag(t *testing.T) {
	for args, want := range map[string]string{
		"--app attach":              "127.0.0.1:4140",
		"--attach unix:/tmp/s":      "unix:/tmp/s",
		"--app attach --attach a:1": "a:1",
	} {
		r, _ := parse(t, strings.Fields(args)...)
		opts, err := r.opts()
		if err != nil || !r.attaches() || r.attachAddress() != want || opts.Ignore != 0 {
			t.Errorf("%s: attaches %v at %s, ignores %d (%v)", args, r.attaches(), r.attachAddress(), opts.Ignore, err)
		}
	}
	if r, _ := parse(t); r.attaches() {
		t.Error("attach without a flag")
	}
}

// The socket belongs to this user alone, replaces one that nobody serves, is not taken
// from somebody who does, and goes with its listener.
func TestSocketOfWorkersIsPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	dead, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	dead.(*net.UnixListener).SetUnlinkOnClose(false)
	dead.Close()
	ln, err := listenPrivately(t.Context(), "//"+path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	if _, err := listenPrivately(t.Context(), path); err == nil || !strings.Contains(err.Error(), "served by another process") {
		t.Errorf("a second one: %v", err)
	}
	ln.Close()
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
