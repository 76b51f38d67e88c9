//go:build e2e

package test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"flamingo/cluster/mesh"
	"flamingo/node"
)

// A rolling upgrade from an earlier commit to this one, and back: real binaries of
// both in one cluster, under load the whole time. docs/protocol.md has the rule that
// this holds us to.

const upgradeClients = 45

// An upgrade is a cluster that changes its binaries one by one.
type upgrade struct {
	*roll
	nodes    []*siteNode
	base     base
	old, new string // paths of the binaries
	watchers []*watcher
	groups   int // made so far

	placing sync.Mutex
	away    *siteNode // guarded by placing: no client goes there
	turn    int       // guarded by placing: of the clients
}

// startUpgrade starts three nodes of the base with clients and senders, and a node of
// either commit that watches. With a key file, there is no clear text.
func startUpgrade(t *testing.T, keyFile string) *upgrade {
	t.Helper()
	b := checkOutBase(t)
	u := &upgrade{base: b, old: b.build(t, "./cmd/flamingo"), new: build(t, "./cmd/flamingo")}
	s := newSite(t)
	s.binary, s.drainDuration, s.drainWait = u.old, time.Second, 100*time.Millisecond
	if keyFile != "" {
		s.flags = []string{"--cluster-key-file", keyFile}
	}
	s.openNodes()
	u.nodes = s.nodes
	s.audience = newAudience(t) // goes before the daemons do
	s.greeting = "flamingo "
	u.startWatchers(s, keyFile)
	u.roll = s.startRollAt(upgradeClients, u.nextPlace)
	t.Logf("the base is %s", b.name)
	return u
}

// startWatchers builds the watcher at both commits.
func (u *upgrade) startWatchers(s *site, keyFile string) {
	t := s.t
	t.Helper()
	const source = "test/testdata/watcher"
	into := filepath.Join(u.base.dir, source)
	if err := os.RemoveAll(into); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(into, os.DirFS(filepath.Join("..", source))); err != nil {
		t.Fatal(err)
	}
	var join []string
	for _, n := range s.nodes {
		join = append(join, n.flag("--cluster"))
	}
	old := filepath.Join(t.TempDir(), "base-watcher")
	goCommand(t, u.base.dir, "build", "-trimpath", "-buildvcs=false", "-o", old, "./"+source)
	u.watchers = []*watcher{
		startWatcher(t, "watcher-base", old, keyFile, join),
		startWatcher(t, "watcher-new", build(t, "./"+source), keyFile, join),
	}
}

// flag returns the value of a flag of a node.
func (n *siteNode) flag(name string) string { return n.args[slices.Index(n.args, name)+1] }

// nextPlace is where the next client connects: the nodes that stay, by turns.
func (u *upgrade) nextPlace() string {
	u.placing.Lock()
	defer u.placing.Unlock()
	for {
		u.turn++
		if n := u.nodes[u.turn%len(u.nodes)]; n != u.away {
			return n.addr
		}
	}
}

func (u *upgrade) sendAway(n *siteNode) {
	u.placing.Lock()
	defer u.placing.Unlock()
	u.away = n
}

// replace drains a node and starts it again on its data directory with another binary.
// Who watches its clients is told of their ends.
func (u *upgrade) replace(n *siteNode, binary string) {
	t := u.s.t
	t.Helper()
	u.sendAway(n)
	was, last, theirs := filepath.Base(n.path), n.number, []node.ID{}
	for _, c := range u.clients() {
		if c.id.Node() == n.number && len(theirs) < 3 {
			theirs = append(theirs, c.id)
		}
	}
	if len(theirs) == 0 {
		t.Errorf("%s has no clients to lose", n.name)
	}
	for _, w := range u.watchers {
		w.watch(theirs)
	}
	n.terminate()
	n.awaitEnd()
	u.awaitAllEnds(last)
	for _, w := range u.watchers {
		for _, id := range theirs {
			w.mustTell(id, node.ReasonDrained)
		}
	}
	n.path = binary
	n.start(n.args...)
	n.awaitReady()
	u.s.awaitMesh()
	u.sendAway(nil)
	u.sendThrough(n)
	t.Logf("%s was number %v of %s and is number %v of %s", n.name, last, was, n.number, filepath.Base(binary))
}

// checkAll has every node do everything to a client of every other one.
func (u *upgrade) checkAll(what string) {
	t := u.s.t
	t.Helper()
	u.checkVersions()
	for _, n := range u.nodes {
		var guests []*listener
		for _, m := range u.nodes {
			guests = append(guests, u.s.join(m.addr))
		}
		u.checkSends(n, guests)
		u.checkGroup(n, guests)
		u.checkEnds(n, guests)
		if t.Failed() {
			t.Fatalf("%s: it was asked of %s", what, n.name)
		}
	}
	t.Logf("%s: every node reaches the clients of every other", what)
}

// checkVersions wants every node to see what every other one runs.
func (u *upgrade) checkVersions() {
	t := u.s.t
	t.Helper()
	for _, n := range u.nodes {
		_, text, err := n.ask(http.MethodGet, "/api/v1/nodes", nil)
		if err != nil {
			t.Fatalf("%s: %v", n.name, err)
		}
		var list struct {
			Nodes []struct{ Name, Version string }
		}
		if err := json.Unmarshal(text, &list); err != nil {
			t.Fatalf("%s: %v in %s", n.name, err, text)
		}
		for _, m := range u.nodes {
			i := slices.IndexFunc(list.Nodes, func(seen struct{ Name, Version string }) bool { return seen.Name == m.name })
			if i < 0 || u.base.isVersion(list.Nodes[i].Version) != (m.path == u.old) || list.Nodes[i].Version == "" {
				t.Errorf("%s runs %s, and %s sees %s", m.name, filepath.Base(m.path), n.name, text)
			}
		}
	}
}

// checkSends has a node send to the guests, with and without waiting, and ask for them.
func (u *upgrade) checkSends(n *siteNode, guests []*listener) {
	t := u.s.t
	t.Helper()
	for _, c := range guests {
		if got := n.post(c.id, "", []byte("text accepted")); got != okAccepted {
			t.Errorf("%s sends to %s: %s", n.name, c.id, got)
		}
		if got := n.post(c.id, "?ack=written", []byte("text written")); got != okWritten {
			t.Errorf("%s sends to %s and waits: %s", n.name, c.id, got)
		}
		if status, text, err := n.ask(http.MethodGet, "/api/v1/connections/"+c.id.String(), nil); status != http.StatusOK {
			t.Errorf("%s asks for %s: %d %s %v", n.name, c.id, status, text, err)
		}
		seldom(t, "both messages to arrive", func() bool { return len(c.heard()) >= 2 })
		if heard := c.heard(); !slices.Equal(heard, []string{"accepted", "written"}) {
			t.Errorf("%s has heard %q of what %s sent", c.id, heard, n.name)
		}
	}
}

// checkGroup has a node put the guests into a group, and every node publish to it.
func (u *upgrade) checkGroup(n *siteNode, guests []*listener) {
	t := u.s.t
	t.Helper()
	u.groups++
	group := fmt.Sprintf("upgrade-%d", u.groups)
	for _, c := range guests {
		if status, text, err := n.ask(http.MethodPut, "/api/v1/connections/"+c.id.String()+"/groups/"+group, nil); status != http.StatusNoContent {
			t.Errorf("%s has %s join: %d %s %v", n.name, c.id, status, text, err)
		}
	}
	for i, m := range u.nodes {
		probes := 0
		seldom(t, m.name+" to know where the group has members", func() bool { // it is told after the join
			probes++
			u.publish(m, group, fmt.Sprintf("probe %d by %d", probes, i))
			return !slices.ContainsFunc(guests, func(c *listener) bool { return c.heardLike(fmt.Sprintf(" by %d", i)) == 0 })
		})
		u.publish(m, group, fmt.Sprintf("published by node %d", i))
		for _, c := range guests {
			words := fmt.Sprintf("published by node %d", i)
			seldom(t, "what "+m.name+" has published to arrive", func() bool { return c.heardLike(words) > 0 })
		}
	}
	for _, c := range guests {
		heard := c.heard()
		slices.Sort(heard)
		if once := slices.Compact(slices.Clone(heard)); !slices.Equal(heard, once) {
			t.Errorf("%s has heard %q, want nothing twice", c.id, heard)
		}
	}
}

// publish has a node publish words to a group.
func (u *upgrade) publish(n *siteNode, group, words string) {
	u.s.t.Helper()
	status, text, err := n.ask(http.MethodPost, "/api/v1/groups/"+group+"/messages", []byte("text "+words))
	if status != http.StatusAccepted {
		u.s.t.Fatalf("%s publishes: %d %s %v", n.name, status, text, err)
	}
}

// heardLike returns how many texts that end so the client has received.
func (c *listener) heardLike(end string) (count int) {
	for _, text := range c.heard() {
		if strings.HasSuffix(text, end) {
			count++
		}
	}
	return count
}

// checkEnds has a node end the guests, which both watchers are told of.
func (u *upgrade) checkEnds(n *siteNode, guests []*listener) {
	t := u.s.t
	t.Helper()
	var ids []node.ID
	for _, c := range guests {
		ids = append(ids, c.id)
	}
	for _, w := range u.watchers {
		w.watch(ids)
	}
	for _, id := range ids {
		if status, text, err := n.ask(http.MethodDelete, "/api/v1/connections/"+id.String(), nil); status != http.StatusNoContent {
			t.Errorf("%s ends %s: %d %s %v", n.name, id, status, text, err)
		}
	}
	u.s.awaitEnd(ids)
	for _, id := range ids {
		for _, w := range u.watchers {
			w.mustTell(id, node.ReasonSent, node.ReasonRemote)
		}
		if got := n.post(id, "?ack=written", []byte("text late")); got != gone410 {
			t.Errorf("%s sends to %s, which it has ended: %s", n.name, id, got)
		}
	}
	u.s.forget(ids)
}

// finish ends the load and judges it.
func (u *upgrade) finish() {
	u.s.t.Helper()
	u.mustHaveServed(upgradeClients, 500, 200)
}

func TestNodesOfTwoReleasesServeTogetherThroughARollingUpgradeAndBack(t *testing.T) {
	u := startUpgrade(t, "")
	u.checkAll("the base alone")
	for i, n := range u.nodes {
		u.replace(n, u.new)
		u.checkAll(fmt.Sprintf("%d of 3 upgraded", i+1))
	}
	u.replace(u.nodes[1], u.old)
	u.checkAll("one rolled back")
	u.finish()
}

func TestNodesOfTwoReleasesServeTogetherWithAKey(t *testing.T) {
	key := filepath.Join(t.TempDir(), "cluster.key")
	if out, err := exec.Command(build(t, "./cmd/flamingo"), "keygen", key).CombinedOutput(); err != nil {
		t.Fatalf("keygen: %v\n%s", err, out)
	}
	u := startUpgrade(t, key)
	for i, n := range u.nodes {
		u.replace(n, u.new)
		u.checkAll(fmt.Sprintf("%d of 3 upgraded", i+1))
	}
	u.finish()
}

// The control: a release that speaks later versions only.
func TestReleaseWithoutACommonVersionIsRefusedAndBothSaySo(t *testing.T) {
	b := checkOutBase(t)
	s := newSite(t)
	s.binary = b.build(t, "./cmd/flamingo")
	s.openNodes()
	later := mesh.Versions{Min: mesh.MaxVersion + 1, Max: mesh.MaxVersion + 2}
	alien := newDaemon(t, "alien", buildWith(t, "./cmd/flamingo", "cluster/mesh/wire.go",
		fmt.Sprintf("MinVersion = %d\n\tMaxVersion = %d\n", mesh.MinVersion, mesh.MaxVersion),
		fmt.Sprintf("MinVersion = %d\n\tMaxVersion = %d\n", later.Min, later.Max)))
	alien.start("run", "--name", "alien", "--listen", "tcp://127.0.0.1:0", "--cluster", "127.0.0.1:"+freePort(t),
		"--admin", "127.0.0.1:"+freePort(t), "--join", s.nodes[0].flag("--cluster"), "--data", filepath.Join(t.TempDir(), "alien"))
	speaks := []string{"speaks " + later.String(), "speaks " + mesh.Spoken().String()}
	mustRefuse(t, alien, 0, speaks...)
	for _, words := range speaks {
		for _, n := range s.nodes {
			n.awaitLog(0, words)
		}
	}
	s.awaitMesh() // the others are as before
}

// A rollback that cannot be is refused, and so is an upgrade that leaves a release out.
func TestDataDirectoryOfAnotherReleaseIsRefusedWithBothFormats(t *testing.T) {
	later := buildWith(t, "./cmd/flamingo", "node/version.go",
		fmt.Sprintf("DataFormat = %d\n", node.DataFormat), fmt.Sprintf("DataFormat = %d\n", node.DataFormat+1))
	present := build(t, "./cmd/flamingo")
	for _, tc := range []struct{ name, first, second, remedy string }{
		{"rollback", later, present, "run the release that has written it, or a later one"},
		{"upgrade", present, later, "run the releases between them first"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := newDaemon(t, tc.name, tc.first)
			admin := freePort(t)
			args := []string{"run", "--listen", "tcp://127.0.0.1:0", "--admin", "127.0.0.1:" + admin, "--data", filepath.Join(t.TempDir(), "data")}
			n.start(args...)
			n.awaitLog(0, "is ready")
			n.terminate()
			n.awaitEnd()
			n.path = tc.second
			from := len(n.logged(0))
			n.start(args...)
			mustRefuse(t, n, from, fmt.Sprintf("format %d", node.DataFormat), fmt.Sprintf("format %d", node.DataFormat+1), tc.remedy)
			n.path = tc.first
			n.start(args...)
			n.awaitLog(len(n.logged(0)), "is ready")
		})
	}
}

// mustRefuse waits until a daemon ends by itself with an exit code that is not 0, and
// wants these words in what it says behind an offset.
func mustRefuse(t *testing.T, d *daemon, from int, words ...string) {
	t.Helper()
	select {
	case <-d.ended:
	case <-time.After(patience):
		t.Fatalf("%s waits, and was to refuse", d.name)
	}
	if code := d.cmd.ProcessState.ExitCode(); code == 0 {
		t.Errorf("%s ended with exit code 0", d.name)
	}
	for _, word := range words {
		if said := d.logged(from); !strings.Contains(said, word) {
			t.Errorf("%s does not say %q:\n%s", d.name, word, said)
		}
	}
}

// The control of golden frames: a layout that changes without a version.
func TestLayoutThatChangesWithoutAVersionIsFound(t *testing.T) {
	list := overlay(t, "cluster/mesh/wire.go", `{"outcome", "uuuuuuuu"}`, `{"outcome", "uuuuuuu"}`)
	cmd := exec.Command("go", "test", "-overlay", list, "-run", "^TestGoldenFrames", "./cluster/mesh")
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "GOPROXY=off", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "--- FAIL: TestGoldenFrames") || !strings.Contains(string(out), "outcome") {
		t.Errorf("%v; want the golden frames of outcome to be found changed\n%s", err, out)
	}
}
