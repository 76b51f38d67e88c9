//go:build e2e

package test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"flamingo/node"
)

// dashboardPeer is the folder of the person at the dashboard, whose package-lock.json
// pins what drives the browser.
const dashboardPeer = "peers/dashboard"

// FLAMINGO_PICTURES names a folder for pictures of the dashboard; scripts/pictures.sh
// sets it. The test then lets the cluster run for a while, so that the plots have
// something to show.
const picturesVariable = "FLAMINGO_PICTURES"

// picturesSeconds is how long it runs for them.
const picturesSeconds = 45

func TestDashboardInABrowser(t *testing.T) {
	peer := installPeer(t, dashboardPeer)
	s := newSite(t)
	tcp, web := freePort(t), freePort(t)
	s.listeners = func(host string) []string {
		return []string{"tcp://" + host + ":" + tcp, "ws://" + host + ":" + web + "/live?origin=*"}
	}
	s.drainWait = patience // as long its row says that it drains
	s.openNodes()
	s.audience = newAudience(t) // goes before the daemons do
	s.greeting = "flamingo "
	s.awaitMesh()
	var ids []node.ID
	for i, n := range s.nodes {
		some, err := s.joinMany(n.addr, 5+3*i)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, some...)
	}
	if status, text, err := s.nodes[0].ask(http.MethodPut, "/api/v1/connections/"+ids[9].String()+"/groups/room%2F7", nil); err != nil || status != http.StatusNoContent {
		t.Fatalf("%s joins a group: %d %s, %v", ids[9], status, text, err)
	}
	plan := map[string]any{
		"chromium": lookFor(t, "chromium"), "token": siteToken,
		"ws": "ws://" + strings.Replace(s.nodes[1].addr, tcp, web, 1) + "/live",
	}
	var pages []string
	for _, n := range s.nodes {
		pages = append(pages, "http://"+n.admin)
	}
	plan["pages"] = pages
	if to := os.Getenv(picturesVariable); to != "" {
		plan["pictures"] = map[string]any{"to": to, "seconds": picturesSeconds}
		s.sendForPictures(t, ids)
	}
	runDashboardPeer(t, peer, plan, map[string]func(){"kill cedar": s.nodes[2].kill})
}

// sendForPictures has two nodes send to clients of all until the end of the test.
func (s *site) sendForPictures(t *testing.T, ids []node.ID) {
	ctx, stop := context.WithCancel(t.Context())
	var sending sync.WaitGroup
	t.Cleanup(func() { stop(); sending.Wait() })
	for i, n := range s.nodes[:2] {
		sending.Go(func() {
			for k := 0; ctx.Err() == nil; k++ {
				_ = n.post(ids[(k*7+i)%len(ids)], "", []byte("for the picture"))
				select {
				case <-time.After(time.Duration(20+k%200/(i+1)) * time.Millisecond):
				case <-ctx.Done():
				}
			}
		})
	}
}

// runDashboardPeer runs the person at the dashboard, and does what it needs done.
func runDashboardPeer(t *testing.T, path string, plan map[string]any, deeds map[string]func()) {
	t.Helper()
	text, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, lookFor(t, "node"), path, string(text))
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // the browser, too
	var errs strings.Builder
	cmd.Stderr = &errs
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	tried := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		line := lines.Text()
		if what, needs := strings.CutPrefix(line, "need "); needs {
			deeds[what]()
			_, _ = io.WriteString(in, "done\n")
			continue
		}
		if name, ok := strings.CutPrefix(line, "ok "); ok {
			tried++
			t.Log(name)
		}
	}
	if err := cmd.Wait(); err != nil || tried == 0 {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what it has left
		t.Errorf("the person at the dashboard: %v\n%s", err, errs.String())
	}
}
