package admin_test

import (
	"bufio"
	"encoding/json"
	"testing"
	"time"

	"flamingo/node"
	"flamingo/node/admin"
)

// startDrain begins a drain that lasts longer than the test.
func startDrain(t *testing.T, n *node.Node) {
	t.Helper()
	if err := n.StartDrain(node.DrainPlan{Wait: time.Hour}); err != nil {
		t.Error(err)
	}
}

func TestDrainIsPlannedByItsParametersOrTheOptions(t *testing.T) {
	h := newHandler(t, admin.Config{})
	f := &fake{}
	h.AttachTarget(f)
	a := serve(t, h)
	for target, want := range map[string]string{
		"/api/v1/drain":                       "1s 2s",
		"/api/v1/drain?wait=0s":               "0s 2s",
		"/api/v1/drain?duration=2m&wait=10ms": "10ms 2m0s",
	} {
		a.expect("POST", target, "", 202, "")
		if calls := f.taken(); len(calls) != 1 || calls[0].op != "drain" || calls[0].msg != want {
			t.Errorf("%s: %+v; want a drain of %s", target, calls, want)
		}
	}
	for _, target := range []string{
		"/api/v1/drain?wait=5", "/api/v1/drain?duration=soon", "/api/v1/drain?over=5s", "/api/v1/drain?follow=true",
	} {
		a.expect("POST", target, "", 400, "bad-request")
	}
	a.expect("GET", "/api/v1/drain?follow=yes", "", 400, "bad-request")
	a.expect("GET", "/api/v1/drain?wait=5s", "", 400, "bad-request")
	if calls := f.taken(); len(calls) > 0 {
		t.Errorf("a request that was refused has done %+v", calls)
	}
}

func TestDrainIsFollowedUntilItIsOver(t *testing.T) {
	h := newHandler(t, admin.Config{})
	n := openNode(t, lines())
	h.Attach(n)
	a := serve(t, h)
	if got := a.expect("GET", "/api/v1/drain", "", 200, ""); got.body != `{"phase":"serving","wait_ms":0,"duration_ms":0,"departed":0,"left":0}`+"\n" {
		t.Errorf("before: %s", got.body)
	}
	a.expect("POST", "/api/v1/drain?wait=-1s", "", 400, "bad-request")
	a.expect("POST", "/api/v1/drain?duration=25h", "", 400, "bad-request")
	resp, err := a.client.Get("http://" + a.addr + "/api/v1/drain?follow=true")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	rows := bufio.NewScanner(resp.Body)
	next := func() (p progress) {
		if !rows.Scan() || json.Unmarshal(rows.Bytes(), &p) != nil {
			t.Fatalf("no line, but %q, %v", rows.Text(), rows.Err())
		}
		return p
	}
	if p := next(); p.Phase != "serving" {
		t.Errorf("first %+v", p)
	}
	a.expect("POST", "/api/v1/drain?wait=1h", "", 202, "")
	p := next()
	for p.Phase == "serving" {
		p = next()
	}
	if p.Phase != "waiting" || p.Wait != 3600_000 || p.Began == "" || p.Ending != "" {
		t.Errorf("while it waits %+v", p)
	}
	closeNow(t, n)
	for p.Phase == "waiting" {
		p = next()
	}
	if p.Phase != "drained" || rows.Scan() {
		t.Errorf("at the end %+v, then %q; want drained, and nothing more", p, rows.Text())
	}
	a.expect("POST", "/api/v1/drain", "", 503, "closed")
}

type progress struct {
	Phase  string `json:"phase"`
	Wait   int64  `json:"wait_ms"`
	Began  string `json:"began_at"`
	Ending string `json:"ending_at"`
}
