//go:build e2e

package test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	coder "github.com/coder/websocket"

	"flamingo/node"
)

// Three processes of the real binary behind a real nginx, configured as
// scripts/deploy has it but for addresses and ports.

const nginxClients = 60

// An nginxSite is a site with nginx in front.
type nginxSite struct {
	*site
	web string // where WebSockets connect
}

// openNginxSite returns a site whose nodes are ready, behind nginx.
func openNginxSite(t *testing.T, config string) *nginxSite {
	t.Helper()
	nginx := lookFor(t, "nginx", "/usr/sbin/nginx")
	s := &nginxSite{site: newSite(t)}
	s.drainWait, s.drainDuration = time.Second, time.Second
	clients, web, webFront := ":"+freePort(t), ":"+freePort(t), "127.0.0.1:"+freePort(t)
	s.web = "wss://" + webFront + "/live"
	s.listeners = func(host string) []string {
		proxied := "?proxy=required&proxy-from=" + webSource
		if !strings.Contains(config, "proxy_protocol on") {
			return []string{"tcp://" + host + clients, "ws://" + host + web + "/live"}
		}
		return []string{"tcp://" + host + clients + proxied, "ws://" + host + web + "/live" + proxied}
	}
	s.openNodes()

	dir, cert := t.TempDir(), newCertificate(t)
	text := strings.NewReplacer(
		"10.0.0.2;", webSource+";", "10.0.0.", "127.0.0.",
		"listen 4100 ", "listen "+s.front+" ", "listen 443 ", "listen "+webFront+" ",
		":4100 ", clients+" ", ":4101 ", web+" ",
		"/etc/flamingo/cert.pem", cert.cert, "/etc/flamingo/key.pem", cert.key,
		"worker_processes auto", "worker_processes 1", "worker_rlimit_nofile 210000;\n", "", "worker_connections 200000", "worker_connections 1000",
	).Replace(config)
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/usr/share/nginx/modules", filepath.Join(dir, "modules")); err != nil { // of Debian
		t.Fatal(err)
	}
	args := []string{"-p", dir, "-c", path, "-g", "daemon off; pid " + dir + "/pid; error_log stderr notice;"}
	said, err := exec.Command(nginx, append(args, "-t")...).CombinedOutput()
	if err != nil || strings.Contains(string(said), "[warn]") {
		t.Fatalf("nginx -t: %v\n%s", err, said)
	}
	broken := filepath.Join(dir, "broken.conf")
	if err := os.WriteFile(broken, []byte(strings.Replace(text, "least_conn", "fewest_conn", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if said, err := exec.Command(nginx, "-p", dir, "-c", broken, "-t").CombinedOutput(); err == nil {
		t.Errorf("nginx takes a word that it does not know: %s", said)
	}
	s.proxy = newDaemon(t, "nginx", nginx)
	s.proxy.start(args...)
	// SIGKILL would leave the workers of nginx behind; this goes before it.
	t.Cleanup(func() {
		if s.proxy.lives() {
			s.proxy.terminate()
			<-s.proxy.ended
		}
	})
	seldom(t, "nginx to listen", func() bool {
		s.proxy.mustLive()
		nc, err := net.Dial("tcp", webFront)
		if err == nil {
			nc.Close()
		}
		return err == nil
	})
	s.audience = newAudience(t)
	s.greeting = "flamingo "
	return s
}

func nginxConfig(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../scripts/deploy/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A webClient is a WebSocket through the proxy.
type webClient struct {
	*coder.Conn
	id    node.ID
	local string // its own address
}

// joinWeb connects a WebSocket and learns its id.
func (s *nginxSite) joinWeb(ctx context.Context) webClient {
	s.t.Helper()
	var local string
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // whose certificate it is does not matter here
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			if err == nil {
				local = nc.LocalAddr().String()
			}
			return nc, err
		},
	}
	c, _, err := coder.Dial(ctx, s.web, &coder.DialOptions{HTTPClient: &http.Client{Transport: transport}})
	if err != nil {
		s.t.Fatalf("%s: %v", s.web, err)
	}
	s.t.Cleanup(func() { _ = c.CloseNow() })
	_, text, err := c.Read(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	w := webClient{Conn: c, local: local}
	if err := w.id.UnmarshalText([]byte(strings.TrimPrefix(strings.TrimSpace(string(text)), s.greeting))); err != nil {
		s.t.Fatalf("greeted with %q: %v", text, err)
	}
	return w
}

// owner returns the node that issued an id.
func (s *site) owner(id node.ID) *siteNode {
	s.t.Helper()
	for _, n := range s.nodes {
		if n.number == id.Node() {
			return n
		}
	}
	s.t.Fatalf("%s is of no node", id)
	return nil
}

// remoteOf returns what a node knows of the address of a connection.
func (n *siteNode) remoteOf(id node.ID) string {
	n.t.Helper()
	_, text, err := n.ask(http.MethodGet, "/api/v1/connections/"+id.String(), nil)
	if err != nil {
		n.t.Fatal(err)
	}
	var info struct{ Remote string }
	if err := json.Unmarshal(text, &info); err != nil {
		n.t.Fatalf("%v in %s", err, text)
	}
	return info.Remote
}

// echoWeb sends to a WebSocket through a node that is not its own and lives, and has
// it say something.
func (s *nginxSite) echoWeb(ctx context.Context, w webClient) {
	s.t.Helper()
	others := s.others(s.owner(w.id))
	from := others[0]
	if !from.lives() {
		from = others[1]
	}
	if got := from.post(w.id, "?ack=written", []byte("from afar")); got != okWritten {
		s.t.Errorf("to a WebSocket: %s", got)
	}
	if err := w.Write(ctx, coder.MessageText, []byte("hello")); err != nil {
		s.t.Error(err)
	}
	for _, want := range []string{"from afar", "hello"} {
		if _, got, err := w.Read(ctx); err != nil || string(got) != want {
			s.t.Errorf("a WebSocket hears %q, %v; want %q", got, err, want)
		}
	}
}

func TestANodeBehindNginxStopsAndComesBack(t *testing.T) {
	s := openNginxSite(t, nginxConfig(t, "nginx.conf"))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ids := s.welcome(nginxClients)
	s.exchange(ids, 3)
	for _, c := range s.of(ids[:3]) {
		if got, want := s.owner(c.id).remoteOf(c.id), c.nc.LocalAddr().String(); got != want {
			t.Errorf("the node says that client %s is at %s, which is at %s", c.id, got, want)
		}
	}
	web := s.joinWeb(ctx)
	if got := s.owner(web.id).remoteOf(web.id); got != web.local {
		t.Errorf("the node says that WebSocket %s is at %s, which is at %s", web.id, got, web.local)
	}
	s.echoWeb(ctx, web)

	// The one that has the WebSocket is told to end. nginx does not ask whether a node
	// is ready: it finds the next when one refuses.
	victim := s.owner(web.id)
	theirs := victim.idsOf(ids)
	talk := s.startTalk(except(ids, theirs))
	news := s.startNewcomers()
	victim.terminate()
	_, _, err := web.Read(ctx)
	if code := coder.CloseStatus(err); code != coder.StatusGoingAway {
		t.Errorf("the WebSocket of a node that drains ends with %v, want code 1001", err)
	}
	victim.awaitEnd()
	s.awaitEnd(theirs)
	ended := time.Now()
	s.welcome(len(theirs))
	victim.start(victim.args...)
	s.stopNewcomers(news, victim, ended)
	victim.awaitReady()
	seldom(t, "nginx to have "+victim.name+" back", func() bool { return s.join(s.front).id.Node() == victim.number })
	talk.stop()
	s.judge()
}

func TestWebSocketsPassAnNginxOfPages(t *testing.T) {
	s := openNginxSite(t, nginxConfig(t, "nginx-http.conf"))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	web := s.joinWeb(ctx)
	s.echoWeb(ctx, web)
	if got := s.owner(web.id).remoteOf(web.id); got == web.local {
		t.Errorf("the node knows that the WebSocket is at %s: the page on deployment says that it does not", got)
	}
	victim := s.owner(web.id)
	victim.terminate()
	_, _, err := web.Read(ctx)
	if code := coder.CloseStatus(err); code != coder.StatusGoingAway {
		t.Errorf("the WebSocket of a node that drains ends with %v, want code 1001", err)
	}
	victim.awaitEnd()
	for range 6 {
		s.echoWeb(ctx, s.joinWeb(ctx)) // at the other two
	}
}
