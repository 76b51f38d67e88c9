//go:build e2e

package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"flamingo/node"
	"flamingo/node/nodetest"
)

// A site is a deployment as an operator has it: processes of the real binary that
// found a cluster, and a load balancer in front of them. Its nodes are the machines
// of docs/haproxy.md, in a network of loopback.
type site struct {
	*audience
	t     *testing.T
	nodes []*siteNode
	proxy *daemon
	front string // where clients connect: the address of the proxy

	// Until it is open.
	config    string                     // of the proxy, as the page has it
	places    []string                   // what the page has, and what stands for it here, by turns
	listeners func(host string) []string // of the node that has this address
	drainWait time.Duration

	drainDuration time.Duration // none if it is not set

	binary string   // of the nodes; that of this tree if it is not set
	flags  []string // more of each node

	mu   sync.Mutex
	said map[node.NodeNumber]sayings // guarded by mu: what the lives of the nodes have said
}

// A siteNode is a node and what it takes to start it again.
type siteNode struct {
	*daemon
	args   []string
	number node.NodeNumber // of its present life
	addr   string          // where the proxy connects
	admin  string
}

// drainWait is longer than on the page: what is to be seen while a node drains is
// seen on a slow machine, too.
const drainWait = 10 * time.Second

// haproxyPage is the page whose sites these are.
const haproxyPage = "../docs/haproxy.md"

// openSite returns a site whose nodes are ready, behind HAProxy. The end of the test
// kills all of it.
func openSite(t *testing.T) *site {
	t.Helper()
	s := newSite(t)
	s.open()
	return s
}

// newSite returns a site that is to be opened.
func newSite(t *testing.T) *site {
	t.Helper()
	clients, front := ":"+freePort(t), "127.0.0.1:"+freePort(t)
	return &site{
		t: t, front: front, said: map[node.NodeNumber]sayings{}, drainWait: drainWait,
		config:    blocksOf(t, haproxyPage, "haproxy")[0],
		places:    []string{"10.0.0.", "127.0.0.", "bind :4100", "bind " + front, ":4100", clients},
		listeners: func(host string) []string { return []string{"tcp://" + host + clients} },
	}
}

// open starts all of it and waits until the nodes are ready.
func (s *site) open() {
	s.t.Helper()
	haproxy := lookFor(s.t, "haproxy", "/usr/sbin/haproxy")
	s.openNodes()
	path := filepath.Join(s.t.TempDir(), "haproxy.cfg")
	config := strings.NewReplacer(s.places...).Replace(s.config)
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if said, err := exec.Command(haproxy, "-c", "-f", path).CombinedOutput(); err != nil || strings.Contains(string(said), "[WARNING]") {
		s.t.Fatalf("haproxy on the configuration of the page: %v\n%s", err, said)
	}
	s.proxy = newDaemon(s.t, "haproxy", haproxy)
	s.proxy.start("-db", "-f", path)
	seldom(s.t, "haproxy to listen", func() bool {
		s.proxy.mustLive()
		nc, err := net.Dial("tcp", s.front)
		if err == nil {
			nc.Close()
		}
		return err == nil
	})
	s.audience = newAudience(s.t) // goes before the daemons do
	s.greeting = "flamingo "
}

// openNodes starts the nodes and waits until they are ready.
func (s *site) openNodes() {
	s.t.Helper()
	secret := filepath.Join(s.t.TempDir(), "token")
	if err := os.WriteFile(secret, []byte(siteToken), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if s.binary == "" {
		s.binary = build(s.t, "./cmd/flamingo")
	}
	var join []string
	cluster, admin := ":"+freePort(s.t), freePort(s.t)
	s.places = append(s.places, "port 4180", "port "+admin)
	for i, name := range []string{"ash", "birch", "cedar"} {
		host := fmt.Sprintf("127.0.0.%d", 11+i)
		join = append(join, host+cluster)
		listeners := s.listeners(host)
		addr, _, _ := strings.Cut(strings.TrimPrefix(listeners[0], "tcp://"), "?")
		n := &siteNode{daemon: newDaemon(s.t, name, s.binary), addr: addr, admin: host + ":" + admin}
		n.args = []string{
			"run", "--name", name, "--cluster", host + cluster, "--admin", n.admin, "--token-file", secret,
			"--expect", "3", "--data", filepath.Join(s.t.TempDir(), name), "--drain-wait", s.drainWait.String(),
			"--drain-duration", s.drainDuration.String(),
		}
		n.args = append(n.args, s.flags...)
		for _, listener := range listeners {
			n.args = append(n.args, "--listen", listener)
		}
		s.nodes = append(s.nodes, n)
	}
	began := time.Now()
	for _, n := range s.nodes {
		n.args = append(n.args, "--join", strings.Join(join, ","))
		n.start(n.args...)
	}
	for _, n := range s.nodes {
		n.awaitReady()
	}
	s.t.Logf("three nodes ready after %v", time.Since(began).Round(time.Millisecond))
	s.awaitMesh()
}

// freePort returns a port that is free on loopback.
func freePort(t testing.TB) string {
	t.Helper()
	_, port, err := net.SplitHostPort(nodetest.FreeAddrs(t, 1)[0])
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// lookFor returns the path of a program that a test cannot do without.
func lookFor(t testing.TB, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatalf("this test needs %s; .ci/run says from where", names[0])
	return ""
}

// blocksOf returns the blocks of a page that are marked with a language.
func blocksOf(t testing.TB, path, language string) (blocks []string) {
	t.Helper()
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rest := string(page)
	for {
		_, after, found := strings.Cut(rest, "```"+language+"\n")
		if !found {
			break
		}
		block, after, _ := strings.Cut(after, "```\n")
		blocks, rest = append(blocks, block), after
	}
	if len(blocks) == 0 {
		t.Fatalf("%s has no block of %s", path, language)
	}
	return blocks
}

// awaitMesh waits until every node sees every other under its present number.
func (s *site) awaitMesh() {
	s.t.Helper()
	for _, n := range s.nodes {
		seldom(s.t, n.name+" to see all others", func() bool {
			seen := map[node.NodeNumber]bool{}
			for _, info := range n.members() {
				seen[info.Number] = info.State == "ready" && (info.Self || info.Link == "up" || info.Link == "idle")
			}
			return seen[s.nodes[0].number] && seen[s.nodes[1].number] && seen[s.nodes[2].number]
		})
	}
}

// others returns the nodes but one.
func (s *site) others(but *siteNode) (others []*siteNode) {
	for _, n := range s.nodes {
		if n != but {
			others = append(others, n)
		}
	}
	return others
}

// idsOf returns the ids, of those given, that a node issued in its present life.
func (n *siteNode) idsOf(ids []node.ID) (theirs []node.ID) {
	for _, id := range ids {
		if id.Node() == n.number {
			theirs = append(theirs, id)
		}
	}
	return theirs
}

// awaitReady waits until the node says that it is ready, and learns its number.
func (n *siteNode) awaitReady() {
	n.t.Helper()
	seldom(n.t, n.name+" to be ready", func() bool { n.mustLive(); return n.readyz() == http.StatusOK })
	n.number = 0
	seldom(n.t, n.name+" to list itself with its number", func() bool { // a moment after it is ready
		for _, info := range n.members() {
			if info.Self {
				n.number = info.Number
			}
		}
		return n.number != 0
	})
}

// readyz returns the status of /readyz, 0 if nobody answers.
func (n *siteNode) readyz() int {
	status, _, err := n.ask(http.MethodGet, "/readyz", nil)
	if err != nil {
		return 0
	}
	return status
}

// members returns the nodes that this one sees.
func (n *siteNode) members() []seenNode {
	n.t.Helper()
	_, text, err := n.ask(http.MethodGet, "/api/v1/nodes", nil)
	if err != nil {
		n.t.Fatalf("%s: %v", n.name, err)
	}
	var list struct{ Nodes []seenNode }
	if err := json.Unmarshal(text, &list); err != nil {
		n.t.Fatalf("%s: %v in %s", n.name, err, text)
	}
	return list.Nodes
}

const siteToken = "who-bears-this-may-send"

// siteClient asks the nodes.
var siteClient = &http.Client{
	Timeout:   patience,
	Transport: &http.Transport{MaxIdleConnsPerHost: 64},
}

// ask makes a request to the node and returns the status and the body of the answer.
func (n *siteNode) ask(method, path string, body []byte) (status int, text []byte, err error) {
	return n.askAs("", method, path, body)
}

// askAs is ask with a body of that type.
func (n *siteNode) askAs(contentType, method, path string, body []byte) (status int, text []byte, err error) {
	req, err := http.NewRequest(method, "http://"+n.admin+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+siteToken)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := siteClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	text, err = io.ReadAll(resp.Body)
	return resp.StatusCode, text, err
}

// The answers to a send.
const (
	okAccepted     = "202 accepted"
	okWritten      = "200 written"
	gone410        = "410 gone"
	unreachable503 = "503 unreachable"
)

// post sends a message to a connection and returns the status and the outcome of
// the answer.
func (n *siteNode) post(id node.ID, query string, body []byte) string {
	return outcomeOf(n.ask(http.MethodPost, "/api/v1/connections/"+id.String()+"/messages"+query, body))
}

// outcomeOf shortens the answer to a send.
func outcomeOf(status int, text []byte, err error) string {
	if err != nil {
		return err.Error()
	}
	var answer struct{ Outcome string }
	if err := json.Unmarshal(text, &answer); err != nil {
		return fmt.Sprintf("%d %s", status, text)
	}
	return fmt.Sprintf("%d %s", status, answer.Outcome)
}

// A daemon is a program that is started, ended and started again. All its lives log
// into one file, which is kept among the test's artifacts; its end is shown if the
// test has failed.
type daemon struct {
	t          *testing.T
	name, path string
	log        string
	cmd        *exec.Cmd
	ended      chan struct{} // closed when the present life has ended
}

// newDaemon returns a daemon that does not live. The end of the test kills it.
func newDaemon(t *testing.T, name, path string) *daemon {
	d := &daemon{t: t, name: name, path: path, log: filepath.Join(t.ArtifactDir(), name+".log")}
	t.Cleanup(func() {
		if d.cmd != nil {
			d.kill()
		}
		if t.Failed() {
			t.Logf("the end of the log of %s:\n%s", name, strings.Join(lastOf(strings.Split(d.logged(0), "\n"), 60), "\n"))
		}
	})
	return d
}

// start begins a life.
func (d *daemon) start(args ...string) {
	d.t.Helper()
	log, err := os.OpenFile(d.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(d.path, args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	ended := make(chan struct{})
	d.cmd, d.ended = cmd, ended
	go func() {
		defer close(ended)
		_ = cmd.Wait() // its state tells
	}()
}

// terminate asks the present life to end.
func (d *daemon) terminate() {
	d.t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		d.t.Fatalf("%s: %v", d.name, err)
	}
}

// kill ends the present life with SIGKILL and waits for its end.
func (d *daemon) kill() {
	if err := d.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		d.t.Errorf("%s: %v", d.name, err)
	}
	<-d.ended
}

// lives reports whether the present life has not ended.
func (d *daemon) lives() bool {
	select {
	case <-d.ended:
		return false
	default:
		return true
	}
}

func (d *daemon) mustLive() {
	d.t.Helper()
	if !d.lives() {
		d.t.Fatalf("%s has ended: %v", d.name, d.cmd.ProcessState)
	}
}

// awaitEnd waits until the present life ends by itself, and wants exit code 0.
func (d *daemon) awaitEnd() {
	d.t.Helper()
	select {
	case <-d.ended:
	case <-time.After(patience):
		d.t.Fatalf("waited %v for the end of %s", patience, d.name)
	}
	if code := d.cmd.ProcessState.ExitCode(); code != 0 {
		d.t.Errorf("exit code %d of %s", code, d.name)
	}
}

// logged returns what was logged behind an offset.
func (d *daemon) logged(from int) string {
	text, err := os.ReadFile(d.log)
	if err != nil {
		return err.Error()
	}
	return string(text[min(from, len(text)):])
}

// awaitLog waits for a line with these words behind an offset, and returns it.
func (d *daemon) awaitLog(from int, words string) (found string) {
	d.t.Helper()
	seldom(d.t, fmt.Sprintf("%s to log %q", d.name, words), func() bool {
		d.mustLive()
		for line := range strings.Lines(d.logged(from)) {
			if strings.Contains(line, words) && strings.HasSuffix(line, "\n") {
				found = strings.TrimSpace(line)
				return true
			}
		}
		return false
	})
	return found
}
