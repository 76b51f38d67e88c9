package admin_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"flamingo/node"
	"flamingo/node/admin"
)

func (counted) Loads(context.Context) ([]node.Load, []*node.NodeError, error) {
	return []node.Load{{Name: "birch", Number: 1}}, nil, nil
}

func (f *fake) StartDrainOf(_ context.Context, number node.NodeNumber, plan *node.DrainPlan) error {
	if plan == nil {
		return f.note(call{op: "drain of", msg: number.String() + " as it says"})
	}
	return f.note(call{op: "drain of", msg: number.String() + " " + plan.Wait.String() + " " + plan.Duration.String()})
}

func TestTheOverviewShowsTheNodesAndWhatTheyDo(t *testing.T) {
	a, n := show(t, admin.Config{}, lines())
	_, _ = connect(t, n)
	var got struct {
		At      string           `json:"at"`
		Members []map[string]any `json:"members"`
		Loads   []node.Load      `json:"loads"`
	}
	a.get("/api/v1/overview", &got)
	if len(got.Members) != 1 || got.Members[0]["name"] != "birch" || len(got.Loads) != 1 {
		t.Fatalf("%+v, want birch alone", got)
	}
	l := got.Loads[0]
	if l.Name != "birch" || l.Number != n.Number() || l.Connections != 1 || len(l.Listeners) != 1 || l.Listeners[0] != "tcp://"+n.Addrs()[0].String() {
		t.Errorf("%+v, want one connection at %s", l, n.Addrs()[0])
	}
	a.expect("GET", "/api/v1/overview?follow=yes", "", http.StatusBadRequest, "bad-request")
	a.expect("GET", "/api/v1/overview?fellow=true", "", http.StatusBadRequest, "bad-request")
}

// asked counts how often the nodes are asked for what they do.
type asked struct {
	fake
	times atomic.Int64
}

func (a *asked) Loads(ctx context.Context) ([]node.Load, []*node.NodeError, error) {
	a.times.Add(1)
	return a.fake.Loads(ctx)
}

func TestNodesAreAskedOnceHoweverManyLook(t *testing.T) {
	h, n := newHandler(t, admin.Config{}), &asked{}
	var late atomic.Int64 // seconds
	h.SetNow(func() time.Time { return time.Date(2026, 11, 23, 0, 0, int(late.Load()), 0, time.UTC) })
	h.AttachTarget(n)
	a := serve(t, h)
	for range 5 {
		a.expect("GET", "/api/v1/overview", "", http.StatusOK, "")
	}
	if got := n.times.Load(); got != 1 {
		t.Errorf("five who look within a moment: the nodes were asked %d times, want 1", got)
	}
	late.Add(1)
	a.expect("GET", "/api/v1/overview", "", http.StatusOK, "")
	if got := n.times.Load(); got != 2 {
		t.Errorf("a second later: the nodes were asked %d times in all, want 2", got)
	}
	other := &asked{}
	h.AttachTarget(other)
	a.expect("GET", "/api/v1/overview", "", http.StatusOK, "")
	if got := other.times.Load(); got != 1 {
		t.Errorf("another node was asked %d times, want 1", got)
	}
}

func TestTheOverviewIsFollowedByAsManyAsMay(t *testing.T) {
	h := newHandler(t, admin.Config{})
	h.AttachTarget(&fake{})
	a := serve(t, h)
	for range 32 {
		r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+a.addr+"/api/v1/overview?follow=true", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := a.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		line, err := bufio.NewReader(resp.Body).ReadBytes('\n')
		if err != nil || !json.Valid(line) {
			t.Fatalf("the first line is %q, %v", line, err)
		}
	}
	a.expect("GET", "/api/v1/overview?follow=true", "", http.StatusTooManyRequests, "busy")
	a.expect("GET", "/api/v1/overview", "", http.StatusOK, "")
}

func TestAnyNodeIsDrainedByItsNumber(t *testing.T) {
	h, n := newHandler(t, admin.Config{Tokens: []admin.Token{{Token: "looks", Scope: admin.ScopeRead | admin.ScopeSend}, {Token: "rules", Scope: admin.ScopeAdmin}}}), &fake{}
	h.AttachTarget(n)
	a := serve(t, h)
	const path = "/api/v1/nodes/01adc9000/drain"
	a.expect("POST", path, "", http.StatusForbidden, "scope", bearing("looks"))
	a.edit = append(a.edit, bearing("rules"))
	a.expect("POST", path+"?wait=5s", "", http.StatusBadRequest, "bad-request")
	a.expect("POST", path+"?wait=5s&duration=soon", "", http.StatusBadRequest, "bad-request")
	a.expect("POST", "/api/v1/nodes/zz/drain", "", http.StatusBadRequest, "bad-request")
	if calls := n.taken(); len(calls) != 0 {
		t.Fatalf("bad requests came to %+v", calls)
	}
	a.expect("POST", path, "", http.StatusAccepted, "")
	a.expect("POST", path+"?wait=5s&duration=1m", "", http.StatusAccepted, "")
	calls := n.taken()
	if len(calls) != 2 || calls[0].msg != "01adc9000 as it says" || calls[1].msg != "01adc9000 5s 1m0s" {
		t.Errorf("the node was asked %+v", calls)
	}
	n.err = node.ErrUnreachable
	a.expect("POST", path, "", http.StatusServiceUnavailable, "unreachable")
}

func TestTheDashboardIsServedWithoutATokenAndTrustsNobodyElse(t *testing.T) {
	a := serve(t, newHandler(t, admin.Config{Token: token}))
	page := a.expect("GET", "/ui/", "", http.StatusOK, "")
	if kind := page.header.Get("Content-Type"); kind != "text/html; charset=utf-8" {
		t.Errorf("the page is %s", kind)
	}
	policy := page.header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self';", "style-src 'self';", "frame-ancestors 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("policy %q is without %s", policy, want)
		}
	}
	for _, foul := range []string{"unsafe", "http", "*"} {
		if strings.Contains(policy, foul) {
			t.Errorf("policy %q has %s", policy, foul)
		}
	}
	weight := 0
	for _, name := range admin.DashboardFiles() {
		weight += len(a.expect("GET", "/ui/"+name, "", http.StatusOK, "").body)
	}
	if const150 := 150 << 10; weight == 0 || weight >= const150 {
		t.Errorf("the dashboard weighs %d bytes, want less than %d", weight, const150)
	}
	for _, name := range []string{"nothing.js", "ui", "../handler.go", "%2e%2e/handler.go"} {
		if got := a.do("GET", "/ui/"+name, ""); got.status == http.StatusOK {
			t.Errorf("/ui/%s is answered", name)
		}
	}
	open := serve(t, newHandler(t, admin.Config{}))
	open.expect("GET", "/ui/", "", http.StatusMisdirectedRequest, "wrong-host", asking("evil.example"))
	if got := a.do("GET", "/ui?x=1", ""); got.status != http.StatusBadRequest {
		t.Errorf("/ui?x=1: %d", got.status)
	}
}
