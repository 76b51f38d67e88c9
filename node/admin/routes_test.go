package admin_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flamingo/idspace"
	"flamingo/node"
	"flamingo/node/admin"
)

// What a client of the API decodes: written down once more, so that a name that
// changes is noticed.
type (
	connectionJSON struct {
		ID         node.ID         `json:"id"`
		NodeNumber node.NodeNumber `json:"node_number"`
		Listener   string          `json:"listener"`
		Remote     string          `json:"remote"`
		Local      string          `json:"local"`
		OpenedAt   time.Time       `json:"opened_at"`
		LastActive time.Time       `json:"last_active_at"`
		In         struct {
			Messages       uint64 `json:"messages"`
			Bytes          uint64 `json:"bytes"`
			QueuedMessages int    `json:"queued_messages"`
		} `json:"in"`
		Out struct {
			Messages     uint64 `json:"messages"`
			Bytes        uint64 `json:"bytes"`
			PendingBytes int    `json:"pending_bytes"`
		} `json:"out"`
		WebSocket *node.WebSocketInfo `json:"web_socket"`
	}
	pageJSON struct {
		Items []connectionJSON `json:"items"`
		Next  string           `json:"next"`
	}
	nodesJSON struct {
		Nodes []struct {
			Name    string          `json:"name"`
			Number  node.NodeNumber `json:"number"`
			State   string          `json:"state"`
			Role    string          `json:"role"`
			Self    bool            `json:"self"`
			Address string          `json:"cluster_address"`
			Link    string          `json:"link"`
			RTT     int64           `json:"rtt_us"`
			Version string          `json:"version"`
			Speaks  [2]int          `json:"protocol"`
		} `json:"nodes"`
		Trust     string        `json:"trust"`
		Consensus *standingJSON `json:"consensus"`
		Warnings  []string      `json:"warnings"`
	}
	idJSON struct {
		ID         node.ID         `json:"id"`
		NodeNumber node.NodeNumber `json:"node_number"`
		GrantedAt  time.Time       `json:"granted_at"`
		Serial     uint32          `json:"serial"`
	}
)

func TestMessagesArriveByID(t *testing.T) {
	a, n := show(t, admin.Config{MaxMessage: 100}, lines())
	c, id := connect(t, n)
	other, _ := connect(t, n)
	path := "/api/v1/connections/" + id.String() + "/messages"
	for _, s := range []struct {
		query, msg, outcome string
		status              int
	}{
		{"", "one", "accepted", 202},
		{"?ack=queued", "two \x00\xff", "accepted", 202},
		{"?ack=written", "three", "written", 200},
		{"?ack=written&timeout=1m", strings.Repeat("x", 100), "written", 200},
		{"", "", "accepted", 202},
	} {
		got := a.expect("POST", path+s.query, s.msg, s.status, "")
		if !strings.HasPrefix(got.body, `{"id":"`+id.String()+`","outcome":"`+s.outcome+`","elapsed_us":`) {
			t.Errorf("%q: %s, want %s", s.query, got.body, s.outcome)
		}
		c.expect(s.msg)
	}
	// To a line a content type changes nothing, nor does a body of unknown length.
	a.expect("POST", path, `{"a":1}`, 202, "", with("Content-Type", "application/json"))
	c.expect(`{"a":1}`)
	a.expect("POST", path, "in chunks", 202, "", func(r *http.Request) { r.ContentLength = -1 })
	c.expect("in chunks")
	for _, length := range []int64{101, -1} {
		a.expect("POST", path, strings.Repeat("x", 101), 413, "too-large", func(r *http.Request) { r.ContentLength = length })
	}
	a.expect("DELETE", "/api/v1/connections/"+id.String(), "", 204, "")
	c.expectEnd() // and of what was refused nothing arrived
	if err := n.SendClose(mustOther(t, a, id)); err != nil {
		t.Fatal(err)
	}
	other.expectEnd() // nor of all the rest, here
}

// mustOther returns the id of the one connection beside id.
func mustOther(t *testing.T, a *api, id node.ID) node.ID {
	t.Helper()
	var page pageJSON
	a.get("/api/v1/connections", &page)
	for _, c := range page.Items {
		if c.ID != id {
			return c.ID
		}
	}
	t.Fatalf("no connection beside %s: %+v", id, page)
	return 0
}

func TestTooLargeMessageIsRefusedUnread(t *testing.T) {
	a, n := show(t, admin.Config{}, lines())
	_, id := connect(t, n)
	// Nothing of the body is ever sent: an answer comes all the same.
	got := raw(t, a.addr, "POST /api/v1/connections/"+id.String()+"/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1048577\r\nExpect: 100-continue\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 413 ") || !strings.Contains(got, "Connection: close\r\n") {
		t.Errorf("%q, want 413 and the end of the connection", got)
	}
}

func TestElapsedIsTheTimeOfTheNode(t *testing.T) {
	h := newHandler(t, admin.Config{})
	h.AttachTarget(&fake{})
	at := time.Unix(0, 0)
	h.SetNow(func() time.Time {
		at = at.Add(1234567 * time.Nanosecond)
		return at
	})
	a := serve(t, h)
	for _, query := range []string{"", "?ack=written"} {
		answer := a.do("POST", sample+"/messages"+query, "x")
		if !strings.HasSuffix(answer.body, `"elapsed_us":1234}`+"\n") {
			t.Errorf("%q: %s, want 1234 µs", query, answer.body)
		}
	}
}

func TestConnectionIsDescribed(t *testing.T) {
	a, n := show(t, admin.Config{}, lines())
	before := time.Now()
	c, id := connect(t, n)
	if _, err := c.Write([]byte("one\ntwo\n")); err != nil {
		t.Fatal(err)
	}
	until(t, "the messages", func() bool { return n.Stats().QueuedMessages == 2 })
	a.expect("POST", "/api/v1/connections/"+id.String()+"/messages?ack=written", "three", 200, "")
	var got connectionJSON
	until(t, "nothing pending", func() bool {
		got = connectionJSON{}
		a.get("/api/v1/connections/"+id.String(), &got)
		return got.Out.PendingBytes == 0
	})
	if got.ID != id || got.NodeNumber != n.Number() || !strings.HasPrefix(got.Listener, "tcp://127.0.0.1:") {
		t.Errorf("%+v; want id %s, number %s, a listener", got, id, n.Number())
	}
	if got.Remote != c.LocalAddr().String() || got.Local != c.RemoteAddr().String() {
		t.Errorf("remote %s, local %s; the client says %s and %s", got.Remote, got.Local, c.LocalAddr(), c.RemoteAddr())
	}
	if got.OpenedAt.Before(before.Add(-time.Millisecond)) || got.OpenedAt.After(time.Now()) || got.LastActive.Before(got.OpenedAt) {
		t.Errorf("opened at %v, last active at %v; the client began at %v", got.OpenedAt, got.LastActive, before)
	}
	if got.In.Messages != 2 || got.In.Bytes != 8 || got.In.QueuedMessages != 2 || got.Out.Messages != 1 || got.Out.Bytes != 6 {
		t.Errorf("%+v; want 2 messages of 8 bytes in and queued, 1 of 6 out", got)
	}
	var page pageJSON
	a.get("/api/v1/connections", &page)
	if len(page.Items) != 1 || page.Items[0].ID != id || page.Items[0].In != got.In || page.Items[0].Remote != got.Remote || page.Next != "" {
		t.Errorf("listed as %+v, described as %+v", page, got)
	}
}

func TestConnectionOverAUnixSocketHasNoRemote(t *testing.T) {
	opts := lines()
	opts.Listen = []string{"unix://" + filepath.Join(shortDir(t), "s")}
	a, n := show(t, admin.Config{}, opts)
	nc, err := net.Dial("unix", n.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	id := within(t, "an open", func() node.ID {
		id, _ := n.RecvOpen()
		return id
	})
	var got connectionJSON
	a.get("/api/v1/connections/"+id.String(), &got)
	if got.ID != id || got.Local != n.Addrs()[0].String() {
		t.Errorf("%+v; want id %s, local %s", got, id, n.Addrs()[0])
	}
}

// shortDir is a directory whose path is short enough for a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "f") //nolint:usetesting // t.TempDir has the name of the test in it: too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestListIsPaged(t *testing.T) {
	a, n := show(t, admin.Config{}, lines())
	var empty pageJSON
	a.get("/api/v1/connections", &empty)
	if got := a.do("GET", "/api/v1/connections", ""); got.body != `{"items":[]}`+"\n" {
		t.Errorf("without a connection: %s", got.body)
	}
	open := map[node.ID]bool{}
	for range 53 {
		_, id := connect(t, n)
		open[id] = true
	}
	for query, want := range map[string]int{"": 50, "?limit=7": 7, "?limit=1": 1, "?limit=53": 53, "?limit=1000": 53} {
		listed := map[node.ID]bool{}
		sep, cursor := "?", ""
		if query != "" {
			sep = "&"
		}
		for first := true; first || cursor != ""; first = false {
			target := "/api/v1/connections" + query
			if !first {
				target += sep + "cursor=" + cursor
			}
			var page pageJSON
			a.get(target, &page)
			if first && len(page.Items) != want || len(page.Items) > want || len(listed) > len(open) {
				t.Fatalf("%s: a page of %d, want %d", target, len(page.Items), want)
			}
			for _, c := range page.Items {
				if listed[c.ID] || !open[c.ID] {
					t.Errorf("%s: %s is listed twice, or not open", target, c.ID)
				}
				listed[c.ID] = true
			}
			cursor = page.Next
		}
		if len(listed) != len(open) {
			t.Errorf("%q: %d listed, %d open", query, len(listed), len(open))
		}
	}
	for _, query := range []string{"limit=0", "limit=1001", "limit=-1", "cursor=x", "cursor=-1", "cursor=100000000"} {
		a.expect("GET", "/api/v1/connections?"+query, "", 400, "bad-request")
	}
}

func TestConnectionIsEndedOnceAndTheProgramIsTold(t *testing.T) {
	a, n := show(t, admin.Config{}, lines())
	c, id := connect(t, n)
	path := "/api/v1/connections/" + id.String()
	a.expect("POST", path+"/messages", "goodbye", 202, "")
	if got := a.expect("DELETE", path, "", 204, ""); got.body != "" || got.header.Get("Content-Type") != "" {
		t.Errorf("204 with %q of type %q", got.body, got.header.Get("Content-Type"))
	}
	c.expect("goodbye")
	c.expectEnd()
	for got, why := range n.Closes() {
		if got != id || why != node.ReasonRemote {
			t.Errorf("%s ended as %v, want %s as %v", got, why, id, node.ReasonRemote)
		}
		break
	}
	a.expect("DELETE", path, "", 410, "gone")
	a.expect("DELETE", path+"?missing=ok", "", 204, "")
	a.expect("DELETE", "/api/v1/connections/"+(id+1).String()+"?missing=ok", "", 404, "never-issued")
	a.expect("DELETE", "/api/v1/connections/nonsense?missing=ok", "", 400, "bad-id")
	a.expect("GET", path, "", 410, "gone")
}

func TestNodeThatStandsAloneIsListed(t *testing.T) {
	a, n := show(t, admin.Config{}, lines())
	want := fmt.Sprintf(`{"nodes":[{"name":"birch","number":"%s","state":"ready","self":true,"version":%q,"protocol":[1,1]}]}`+"\n",
		n.Number(), node.Version())
	if got := a.expect("GET", "/api/v1/nodes", "", 200, ""); got.body != want {
		t.Errorf("%s\nwant %s", got.body, want)
	}
}

func TestNodesAreListedOldestFirst(t *testing.T) {
	a := serve(t, newHandler(t, admin.Config{}))
	a.h.AttachTarget(&fake{nodes: []node.NodeInfo{
		{Name: "cedar", Number: 3, State: "ready", Cluster: "10.0.0.3:4110", Link: "up", RTT: 1500 * time.Nanosecond, Version: "v1.2.0", Speaks: [2]int{1, 2}},
		{Name: "birch", State: "joining", Cluster: "10.0.0.2:4110", Link: "connecting"},
		{Name: "alder", Number: 2, State: "draining", Self: true, Cluster: "10.0.0.1:4110"},
		{Name: "aspen", State: "joining", Cluster: "10.0.0.4:4110", Link: "unreachable"},
	}})
	const want = `{"nodes":[` +
		`{"name":"aspen","state":"joining","self":false,"cluster_address":"10.0.0.4:4110","link":"unreachable"},` +
		`{"name":"birch","state":"joining","self":false,"cluster_address":"10.0.0.2:4110","link":"connecting"},` +
		`{"name":"alder","number":"000000002","state":"draining","self":true,"cluster_address":"10.0.0.1:4110"},` +
		`{"name":"cedar","number":"000000003","state":"ready","self":false,"cluster_address":"10.0.0.3:4110","link":"up","rtt_us":1,"version":"v1.2.0","protocol":[1,2]}]}` + "\n"
	if got := a.expect("GET", "/api/v1/nodes", "", 200, ""); got.body != want {
		t.Errorf("%s\nwant %s", got.body, want)
	}
	a.h.AttachTarget(&fake{})
	if got := a.expect("GET", "/api/v1/nodes", "", 200, ""); got.body != `{"nodes":[]}`+"\n" {
		t.Errorf("without a node: %s", got.body)
	}
}

func TestIDIsDecodedWithoutAskingAnybody(t *testing.T) {
	a := serve(t, newHandler(t, admin.Config{}))
	f := &fake{}
	a.h.AttachTarget(f)
	for id, want := range map[string]string{
		"01adc9000000002a": `{"id":"01adc9000000002a","node_number":"01adc9000","granted_at":"2026-11-23T00:00:00.0000Z","serial":42}`,
		"0000000010000001": `{"id":"0000000010000001","node_number":"000000001","granted_at":"2026-01-01T00:00:00.0625Z","serial":1}`,
		"ffffffffffffffff": `{"id":"ffffffffffffffff","node_number":"fffffffff","granted_at":"2162-02-07T06:28:15.9375Z","serial":268435455}`,
	} {
		if got := a.expect("GET", "/api/v1/ids/"+id, "", 200, ""); got.body != want+"\n" {
			t.Errorf("%s\nwant %s", got.body, want)
		}
		var got idJSON
		a.get("/api/v1/ids/"+id, &got)
		if tick := idspace.TickAt(got.GrantedAt); uint64(tick) != uint64(got.NodeNumber) {
			t.Errorf("%s: granted at %v, which is tick %d, not %d", id, got.GrantedAt, tick, got.NodeNumber)
		}
	}
	for _, id := range []string{"x", "01ADC9000000002A", "01adc9000000002", "01adc9000000002a0", "0000000000000000", "0000000000000001", "01adc90000000000", "%2e%2e", "a%2Fb", "01adc9000000002a%20", "%00", "ü"} {
		got := a.expect("GET", "/api/v1/ids/"+id, "", 400, "bad-id")
		if p := problemIn(t, got); p.Outcome != "bad-id" || p.ID != 0 {
			t.Errorf("%s: %+v", id, p)
		}
	}
	if calls := f.taken(); len(calls) > 0 {
		t.Errorf("the node was asked: %+v", calls)
	}
}
