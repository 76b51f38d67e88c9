//go:build e2e

package test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"flamingo/node"
)

// A browser is a headless Chromium that shows testdata/browser.html, a page whose
// script is a client. It tells the server of the page what it sees; no library and
// no protocol for debuggers stands between.
type browser struct {
	t       *testing.T
	cert    certificate      // of the page's server; also for those whom the page speaks with
	site    *httptest.Server // of the page
	reports chan report      // from the handler of site; never closed
}

// A report is what the page has seen.
type report struct {
	What  string // open, text, binary, error or close
	Text  string // the message, the subprotocol of an open, the reason of a close
	Code  int    // of a close
	Clean bool   // there was a close frame
	Shown string // all that the page shows by then
}

// serveBrowser serves the page. It is not opened yet.
func serveBrowser(t *testing.T) *browser {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("testdata", "browser.html"))
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t, cert: newCertificate(t), reports: make(chan report, 1<<10)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(page)
	})
	mux.HandleFunc("POST /report", func(w http.ResponseWriter, r *http.Request) {
		var seen report
		if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&seen); err != nil {
			t.Errorf("the page reports: %v", err)
		}
		select {
		case b.reports <- seen:
		default:
			t.Error("the page reports more than anybody awaits")
		}
		w.WriteHeader(http.StatusNoContent)
	})
	b.site = httptest.NewUnstartedServer(mux)
	b.site.TLS = &tls.Config{Certificates: []tls.Certificate{b.cert.Certificate}}
	b.site.StartTLS()
	t.Cleanup(b.site.Close)
	return b
}

// open starts Chromium with the page, which connects to a listener. The end of the
// test ends it with all its processes.
func (b *browser) open(to string, subprotocols ...string) {
	b.t.Helper()
	asked := url.Values{"to": {to}, "subprotocol": subprotocols}
	home := b.t.TempDir()
	cmd := exec.Command(lookFor(b.t, "chromium"),
		"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-breakpad",
		"--no-first-run", "--no-proxy-server", "--disable-background-networking", "--disable-component-update",
		"--ignore-certificate-errors-spki-list="+b.cert.pin, "--user-data-dir="+home,
		b.site.URL+"/?"+asked.Encode())
	cmd.Env = append(os.Environ(), "HOME="+home)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	b.t.Cleanup(b.start(cmd))
}

// start starts a program that leads a group of processes. end kills the group, and
// returns when none of them is left: all have the pipe of their output.
func (b *browser) start(cmd *exec.Cmd) (end func()) {
	b.t.Helper()
	out, in, err := os.Pipe()
	if err != nil {
		b.t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = in, in
	err = cmd.Start()
	in.Close()
	if err != nil {
		out.Close()
		b.t.Fatal(err)
	}
	var said strings.Builder
	over := make(chan struct{})
	go func() {
		defer close(over)
		_, _ = io.Copy(&said, out)
	}()
	return func() {
		if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil {
			b.t.Errorf("end of the browser: %v", err)
		}
		_ = cmd.Wait() // it was killed
		select {
		case <-over:
		case <-time.After(patience):
			b.t.Errorf("processes of the browser are left after %v", patience)
			return
		}
		out.Close()
		if b.t.Failed() {
			b.t.Logf("the browser has said:\n%s", said.String())
		}
	}
}

// await returns the next report, which is to be of this kind.
func (b *browser) await(what string) report {
	b.t.Helper()
	select {
	case seen := <-b.reports:
		if seen.What != what {
			b.t.Fatalf("the page reports %+v, want %s", seen, what)
		}
		return seen
	case <-time.After(patience):
		b.t.Fatalf("waited %v for the page to report %s", patience, what)
		return report{}
	}
}

// awaitText wants the next report to be a message of kind text, which the page
// shows.
func (b *browser) awaitText(want string) {
	b.t.Helper()
	if seen := b.await("text"); seen.Text != want || !strings.HasSuffix(strings.TrimSpace(seen.Shown), want) {
		b.t.Fatalf("the page has received %q and shows %q, want %q", seen.Text, seen.Shown, want)
	}
}

// awaitGreeting waits until the page has its id.
func (b *browser) awaitGreeting() (id node.ID) {
	b.t.Helper()
	b.await("open")
	seen := b.await("text")
	if err := id.UnmarshalText([]byte(strings.TrimPrefix(seen.Text, "flamingo "))); err != nil || !strings.Contains(seen.Shown, id.String()) {
		b.t.Fatalf("the page was greeted with %q and shows %q: %v", seen.Text, seen.Shown, err)
	}
	return id
}

// awaitClose wants the page to see the end of its connection with a code.
func (b *browser) awaitClose(code int, reason string) {
	b.t.Helper()
	if seen := b.await("close"); seen.Code != code || seen.Text != reason || !seen.Clean {
		b.t.Errorf("the page sees close %d %q, clean: %t; want %d %q", seen.Code, seen.Text, seen.Clean, code, reason)
	}
}

func TestBrowserBehindHAProxySpeaksWithAnyNode(t *testing.T) {
	b := serveBrowser(t)
	s := openWebSite(t, b.site.URL, b.cert)
	b.open(s.web)
	id := b.awaitGreeting()
	others := s.others(s.homeOf(id))

	sessions := s.webSessions()
	if len(sessions) != 1 {
		t.Fatalf("haproxy has sessions of %v, want one client", sessions)
	}
	for _, n := range s.nodes {
		if c := n.describe(id); c.Remote != sessions[0] || c.Local != s.webFront || strings.Contains(c.Remote, webSource) {
			t.Errorf("%s knows %+v; the browser is %s as haproxy sees it, and connected to %s", n.name, c, sessions[0], s.webFront)
		} else if c.WebSocket.Path != "/live" || c.WebSocket.Origin != b.site.URL || c.TLS.Version != "TLS 1.3" {
			t.Errorf("%s knows %+v of a page of %s", n.name, c, b.site.URL)
		}
	}

	for _, n := range s.nodes {
		if got := n.post(id, "?ack=written", []byte("answer me: "+n.name)); got != okWritten {
			t.Errorf("%s to the page: %s", n.name, got)
		}
		b.awaitText("answer me: " + n.name)
		b.awaitText("the page answers: " + n.name) // which its node has sent back
	}
	for _, n := range s.nodes {
		if got := n.postAs("application/octet-stream", id, "\x00 bytes of "+n.name); got != okWritten {
			t.Errorf("%s sends the page bytes: %s", n.name, got)
		}
		if seen := b.await("binary"); seen.Text != "\x00 bytes of "+n.name {
			t.Errorf("the page has received bytes %q of %s", seen.Text, n.name)
		}
	}
	if c := others[0].describe(id); c.In.Messages != len(s.nodes) {
		t.Errorf("the page has sent %d messages, want one to each of %d nodes", c.In.Messages, len(s.nodes))
	}

	if got := others[1].close(id, "?code=4001&reason=bye"); got != http.StatusNoContent {
		t.Errorf("%s closes the page's connection: %d", others[1].name, got)
	}
	b.awaitClose(4001, "bye")
	for _, n := range s.nodes {
		until(t, n.name+" to know that the id is gone", func() bool { return n.post(id, "?ack=written", []byte("anybody?")) == gone410 })
	}
}

func TestBrowserIsToldThatItsNodeEnds(t *testing.T) {
	b := serveBrowser(t)
	s := openWebSite(t, b.site.URL, b.cert)
	b.open(s.web)
	home := s.homeOf(b.awaitGreeting())
	home.terminate()
	b.awaitClose(1001, "this node is drained: connect again")
	home.awaitEnd()
}

func TestBrowserDoesNotConnectForPagesFromElsewhere(t *testing.T) {
	b, friend := serveBrowser(t), serveBrowser(t)
	s := openWebSite(t, friend.site.URL, b.cert)
	b.open(s.web)
	b.await("error")
	if seen := b.await("close"); seen.Code != 1006 || seen.Clean {
		t.Errorf("the page sees %+v, want code 1006: no connection", seen)
	}
	for _, n := range s.nodes {
		if text := n.mustAsk(http.MethodGet, "/api/v1/connections"); text != `{"items":[]}` {
			t.Errorf("%s has %s", n.name, text)
		}
	}
}

// homeOf returns the node that issued an id.
func (s *site) homeOf(id node.ID) *siteNode {
	s.t.Helper()
	for _, n := range s.nodes {
		if n.number == id.Node() {
			return n
		}
	}
	s.t.Fatalf("no node has issued %s", id)
	return nil
}

// describedConn is what a node says of a connection.
type describedConn struct {
	Listener, Remote, Local string
	In                      struct{ Messages int }
	WebSocket               struct{ Path, Origin, Subprotocol string } `json:"web_socket"`
	TLS                     struct{ Version string }
}

// describe asks the node for what is known of a connection.
func (n *siteNode) describe(id node.ID) (c describedConn) {
	n.t.Helper()
	text := n.mustAsk(http.MethodGet, "/api/v1/connections/"+id.String())
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		n.t.Fatalf("%s: %v in %s", n.name, err, text)
	}
	return c
}

// mustAsk makes a request that is to succeed and returns the body of the answer.
func (n *siteNode) mustAsk(method, path string) string {
	n.t.Helper()
	status, text, err := n.ask(method, path, nil)
	if err != nil || status != http.StatusOK {
		n.t.Fatalf("%s: %s %s: %d %s, %v", n.name, method, path, status, text, err)
	}
	return strings.TrimSpace(string(text))
}

// postAs sends a message of a type and waits until it is written.
func (n *siteNode) postAs(contentType string, id node.ID, body string) string {
	return outcomeOf(n.askAs(contentType, http.MethodPost, "/api/v1/connections/"+id.String()+"/messages?ack=written", []byte(body)))
}

// close ends a connection of any node and returns the status.
func (n *siteNode) close(id node.ID, query string) int {
	n.t.Helper()
	status, _, err := n.ask(http.MethodDelete, "/api/v1/connections/"+id.String()+query, nil)
	if err != nil {
		n.t.Fatal(fmt.Errorf("%s: %w", n.name, err))
	}
	return status
}
