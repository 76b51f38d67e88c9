package admin_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"flamingo/idspace"
	"flamingo/node"
	"flamingo/node/admin"
	"flamingo/node/nodetest"
)

// fabric opens three nodes that found a cluster, and serves each.
func fabric(t *testing.T) (apis []*api, nodes []*node.Node) {
	t.Helper()
	addrs := nodetest.FreeAddrs(t, 3)
	nodes = make([]*node.Node, len(addrs))
	var opening sync.WaitGroup
	for i, addr := range addrs {
		opts := lines()
		opts.Name = fmt.Sprintf("node%d", i)
		opts.Cluster, opts.Join, opts.Expect, opts.DataDir = addr, addrs, len(addrs), t.TempDir()
		apis = append(apis, serve(t, newHandler(t, admin.Config{})))
		opening.Go(func() {
			var err error
			if nodes[i], err = node.OpenContext(t.Context(), opts); err != nil {
				t.Errorf("node%d: %v", i, err)
				return
			}
			apis[i].h.Attach(nodes[i])
		})
	}
	within(t, "three nodes", func() bool { opening.Wait(); return true })
	for _, n := range nodes {
		if n != nil {
			t.Cleanup(func() { closeNow(t, n) })
		}
	}
	if t.Failed() {
		t.FailNow()
	}
	return apis, nodes
}

// awaitLinks waits until every node lists every other one with a link that is
// up.
func awaitLinks(t *testing.T, apis []*api, nodes []*node.Node) {
	t.Helper()
	for i, a := range apis {
		var list nodesJSON
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("node%d saw %+v", i, list)
			}
		})
		until(t, "every node to be seen", func() bool {
			list = nodesJSON{}
			a.get("/api/v1/nodes", &list)
			up := 0
			for _, m := range list.Nodes {
				k := slices.IndexFunc(nodes, func(n *node.Node) bool { return n.Number() == m.Number })
				if k < 0 || m.Name != fmt.Sprintf("node%d", k) || m.State != "ready" || m.Self != (k == i) || m.Address == "" ||
					m.Version != node.Version() || m.Speaks != [2]int{1, 1} {
					continue
				}
				if m.Self || m.Link == "up" {
					up++
				}
			}
			return up == len(nodes)
		})
	}
}

func TestAnyNodeAnswersForAnyConnection(t *testing.T) {
	if testing.Short() {
		t.Skip("a cluster at its default timings takes seconds")
	}
	apis, nodes := fabric(t)
	awaitLinks(t, apis, nodes)
	for i, owner := range nodes {
		for k, a := range apis {
			c, id := connect(t, owner)
			path := "/api/v1/connections/" + id.String()
			a.expect("POST", path+"/messages", fmt.Sprintf("from %d to %d", k, i), 202, "")
			c.expect(fmt.Sprintf("from %d to %d", k, i))
			a.expect("POST", path+"/messages?ack=written", "written", 200, "")
			c.expect("written")
			var info connectionJSON
			a.get(path, &info)
			if info.ID != id || info.NodeNumber != owner.Number() || info.Remote != c.LocalAddr().String() || info.Out.Messages != 2 {
				t.Errorf("node%d describes %s of node%d as %+v", k, id, i, info)
			}
			a.expect("POST", path+"/messages?ack=peer", "acknowledged", 200, "")
			c.expect("acknowledged")
			a.expect("POST", path+"/messages?within=1m", "in time", 202, "")
			c.expect("in time")
			a.expect("POST", path+"/messages?ack=written", "two\nlines", 422, "unframeable")
			a.expect("DELETE", path, "", 204, "")
			c.expectEnd()
			for got, why := range owner.Closes() {
				if got != id || why != node.ReasonRemote {
					t.Errorf("%s ended as %v, want %s as %v", got, why, id, node.ReasonRemote)
				}
				break
			}
			a.expect("DELETE", path, "", 410, "gone")
			a.expect("DELETE", path+"?missing=ok", "", 204, "")
			a.expect("POST", path+"/messages?ack=written", "x", 410, "gone")
			a.expect("GET", path, "", 410, "gone")
			a.expect("POST", "/api/v1/connections/"+(id+1<<20).String()+"/messages?ack=written", "x", 404, "never-issued")
		}
	}

	// A number to come: most of the voters know that it was never granted; a
	// node that is left alone does not, and goes on with what is its own.
	toCome, err := idspace.NewID(nodes[2].Number()+1<<20, 1)
	if err != nil {
		t.Fatal(err)
	}
	until(t, "a leader to answer", func() bool { return post(apis[0], toCome, "", "x").status == 404 })
	c, id := connect(t, nodes[0])
	closeNow(t, nodes[1])
	closeNow(t, nodes[2])
	apis[1].expect("GET", "/readyz", "", 503, "")
	apis[0].expect("GET", "/readyz", "", 200, "")
	var alone answer
	until(t, "the quorum to be lost", func() bool {
		alone = post(apis[0], toCome, "", "x")
		return alone.status != 404
	})
	checkGolden(t, alone, toCome, `503 {"type":"/problems/unreachable","title":"The connection's node is unreachable","status":503,"detail":"send ID: node is unreachable","instance":"MESSAGES","id":"ID","outcome":"unreachable","retryable":true}`)
	apis[0].expect("GET", "/readyz", "", 200, "")
	apis[0].expect("POST", "/api/v1/connections/"+id.String()+"/messages?ack=written", "still here", 200, "")
	c.expect("still here")
}

func TestConnectionsOfAllNodesAreListed(t *testing.T) {
	apis, nodes := fabric(t)
	awaitLinks(t, apis, nodes)
	open := make(map[node.ID]bool)
	for _, n := range nodes {
		for range 2 {
			_, id := connect(t, n)
			open[id] = true
		}
	}
	for _, a := range apis {
		until(t, "every node to answer", func() bool { // a link that was up before the cluster was says that an end has none
			return !strings.Contains(a.do("GET", "/api/v1/connections?scope=cluster&limit=1000", "").body, "missing")
		})
		listed, cursor := make(map[node.ID]bool), ""
		for first := true; first || cursor != ""; first = false {
			var page struct {
				pageJSON
				Missing []json.RawMessage `json:"missing"`
			}
			a.get("/api/v1/connections?scope=cluster&limit=4&cursor="+cursor, &page)
			for _, c := range page.Items {
				listed[c.ID] = true
			}
			if cursor = page.Next; len(page.Missing) > 0 || len(page.Items) > 4 {
				t.Fatalf("a page of %d, missing %s", len(page.Items), page.Missing)
			}
		}
		if !maps.Equal(listed, open) {
			t.Errorf("listed %v, open %v", listed, open)
		}
		a.expect("GET", "/api/v1/connections?scope=all", "", 400, "bad-request")
		a.expect("GET", "/api/v1/connections?scope=cluster&cursor=1", "", 400, "bad-request")
	}
}
