//go:build e2e

package test

import (
	"io"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A webSite is a site whose nodes take browsers as well, as docs/haproxy.md shows
// it: the whole configuration of the page.
type webSite struct {
	*site
	web      string // where the script of a page connects
	webFront string // the address behind it, of the proxy
	stats    string // socket on which the proxy tells what it has
}

// webSource is the address from which the proxy connects to the nodes. It is not
// that of a client, and the only one whose word they take.
const webSource = "127.0.0.2"

// openWebSite returns a site for the pages of one origin.
func openWebSite(t *testing.T, origin string, cert certificate) *webSite {
	t.Helper()
	s := &webSite{site: newSite(t)}
	s.drainWait = time.Second // clients that are told to go are all that is looked at
	blocks := blocksOf(t, haproxyPage, "haproxy")
	if len(blocks) != 2 {
		t.Fatalf("%s has %d configurations, want two", haproxyPage, len(blocks))
	}
	s.config = strings.Join(blocks, "\n")

	clients := ":" + freePort(t)
	s.webFront = "127.0.0.1:" + freePort(t)
	s.stats = filepath.Join(t.TempDir(), "stats")
	s.places = append(s.places,
		"bind :443\n", "bind "+s.webFront+"\n", ":4443", clients,
		"source 10.0.0.2", "source "+webSource,
		"log stdout", "stats socket "+s.stats+"\n    log stdout")
	listener, streams := webListenerOf(t), s.listeners
	s.listeners = func(host string) []string {
		return append(streams(host), strings.NewReplacer(
			"10.0.0.11", host, ":4443", clients, "10.0.0.2", webSource,
			"https://www.example.com", origin,
			"/etc/flamingo/cert.pem", cert.cert, "/etc/flamingo/key.pem", cert.key,
		).Replace(listener))
	}
	s.web = "wss://" + s.webFront + "/live"
	s.open()
	return s
}

// pageListener is a listener for browsers as a shell takes it.
var pageListener = regexp.MustCompile(`--listen '(wss://[^']*)'`)

// webListenerOf returns the listener that the page shows.
func webListenerOf(t *testing.T) string {
	t.Helper()
	for _, block := range blocksOf(t, haproxyPage, "sh") {
		if found := pageListener.FindStringSubmatch(block); found != nil {
			return found[1]
		}
	}
	t.Fatalf("%s shows no listener for browsers", haproxyPage)
	return ""
}

// webSessions returns the addresses of the clients whose connections the proxy has,
// as it sees them.
func (s *webSite) webSessions() (clients []string) {
	s.t.Helper()
	nc, err := net.DialTimeout("unix", s.stats, patience)
	if err != nil {
		s.t.Fatal(err)
	}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		s.t.Fatal(err)
	}
	if _, err := io.WriteString(nc, "show sess\n"); err != nil {
		s.t.Fatal(err)
	}
	text, err := io.ReadAll(nc)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, found := range pageSession.FindAllStringSubmatch(string(text), -1) {
		clients = append(clients, found[1])
	}
	return clients
}

// pageSession is a client of the frontend for browsers, in what the proxy tells.
var pageSession = regexp.MustCompile(`(?m) src=(\S+) fe=browsers be=flamingo-web `)
