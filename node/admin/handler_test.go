package admin_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"flamingo/node/admin"
)

func TestNodeThatWaitsIsAliveAndNotReady(t *testing.T) {
	a := serve(t, newHandler(t, admin.Config{}))
	expectText := func(target string, status int, text string) {
		t.Helper()
		if got := a.expect("GET", target, "", status, ""); got.body != text {
			t.Errorf("GET %s: %q, want %q", target, got.body, text)
		}
	}
	expectText("/livez", 200, "ok\n")
	expectText("/readyz", 503, "starting\n")
	a.h.Waiting("waiting for 2 of 3 nodes")
	expectText("/livez", 200, "ok\n")
	expectText("/readyz", 503, "waiting for 2 of 3 nodes\n")
	for _, r := range []struct{ method, target string }{
		{"GET", "/api/v1/connections"},
		{"GET", "/api/v1/connections/01adc9000000002a"},
		{"DELETE", "/api/v1/connections/01adc9000000002a"},
		{"POST", "/api/v1/connections/01adc9000000002a/messages"},
		{"GET", "/api/v1/nodes"},
		{"POST", "/api/v1/nodes/01adc9000/retire"},
		{"GET", "/api/v1/ids/01adc9000000002a"},
	} {
		got := a.expect(r.method, r.target, "", 503, "not-ready")
		if p := problemIn(t, got); p.Detail != "waiting for 2 of 3 nodes" || !p.Retryable || got.header.Get("Retry-After") == "" {
			t.Errorf("%s %s: %s, Retry-After %q; want what is waited for, and when to come again", r.method, r.target, got.body, got.header.Get("Retry-After"))
		}
	}

	n := openNode(t, lines())
	a.h.Attach(n)
	expectText("/readyz", 200, "ok\n")
	startDrain(t, n)
	expectText("/livez", 200, "ok\n")
	expectText("/readyz", 503, "draining\n")
	a.expect("GET", "/api/v1/connections", "", 200, "") // while it drains, everything else goes on
	closeNow(t, n)
	expectText("/livez", 200, "ok\n")
	expectText("/readyz", 503, "closed\n")
}

func TestReadinessIsToldInFull(t *testing.T) {
	a := serve(t, newHandler(t, admin.Config{}))
	expect := func(status int, want string) {
		t.Helper()
		if got := a.expect("GET", "/readyz?verbose", "", status, ""); got.body != want+"\n" {
			t.Errorf("%s\nwant %s", got.body, want)
		}
	}
	expect(503, `{"ready":false,"checks":[{"name":"number","ok":false,"reason":"starting"},{"name":"serving","ok":true},{"name":"open","ok":true}]}`)
	n := openNode(t, lines())
	a.h.Attach(n)
	expect(200, `{"ready":true,"checks":[{"name":"number","ok":true},{"name":"serving","ok":true},{"name":"open","ok":true}]}`)
	startDrain(t, n)
	closeNow(t, n)
	expect(503, `{"ready":false,"checks":[{"name":"number","ok":true},{"name":"serving","ok":false,"reason":"draining"},{"name":"open","ok":false,"reason":"closed"}]}`)
}

func TestUnknownPathsAndMethodsAreProblems(t *testing.T) {
	h := newHandler(t, admin.Config{})
	f := &fake{}
	h.AttachTarget(f)
	a := serve(t, h)
	for _, target := range []string{
		"/", "/api", "/api/v1", "/api/v1/", "/api/v2/nodes", "/livez/", "//livez", "/./livez", "/livez/../readyz",
		"/api/v1/connections/", "/api/v1/connections//messages", "/api/v1/connections/01adc9000000002a/",
		"/api/v1/connections/01adc9000000002a/messages/1", "/api/v1/../v1/nodes", "/metrics/", "/problems/", "/problems/no-such", "/LIVEZ",
	} {
		for _, method := range []string{"GET", "POST", "OPTIONS"} {
			if target == "/problems/no-such" && method != "GET" {
				continue
			}
			a.expect(method, target, "", 404, "no-such-path")
		}
	}
	for _, c := range []struct{ method, target, allow string }{
		{"POST", "/livez", "GET, HEAD"},
		{"DELETE", "/readyz", "GET, HEAD"},
		{"PUT", "/problems/gone", "GET, HEAD"},
		{"POST", "/api/v1/connections", "GET, HEAD"},
		{"POST", "/api/v1/connections/01adc9000000002a", "DELETE, GET, HEAD"},
		{"PATCH", "/api/v1/connections/01adc9000000002a", "DELETE, GET, HEAD"},
		{"OPTIONS", "/api/v1/connections/01adc9000000002a", "DELETE, GET, HEAD"},
		{"GET", "/api/v1/connections/01adc9000000002a/messages", "POST"},
		{"DELETE", "/api/v1/nodes", "GET, HEAD"},
		{"BREW", "/api/v1/ids/01adc9000000002a", "GET, HEAD"},
	} {
		if got := a.expect(c.method, c.target, "", 405, "no-such-method"); got.header.Get("Allow") != c.allow {
			t.Errorf("%s %s: Allow %q, want %q", c.method, c.target, got.header.Get("Allow"), c.allow)
		}
	}
	if calls := f.taken(); len(calls) > 0 {
		t.Errorf("the node was asked: %+v", calls)
	}
}

func TestHeadIsGetWithoutABody(t *testing.T) {
	a, n := show(t, admin.Config{}, lines())
	_, id := connect(t, n)
	for target, status := range map[string]int{
		"/livez": 200, "/readyz": 200, "/problems/gone": 200, "/api/v1/connections": 200, "/api/v1/nodes": 200,
		"/api/v1/connections/" + id.String():       200,
		"/api/v1/connections/" + (id + 1).String(): 404,
		"/api/v1/connections/nonsense":             400,
	} {
		head, get := a.do("HEAD", target, ""), a.do("GET", target, "")
		if head.status != status || get.status != status || head.body != "" {
			t.Errorf("%s: HEAD %d with %d bytes, GET %d; want %d", target, head.status, len(head.body), get.status, status)
		}
		if h, g := head.header.Get("Content-Type"), get.header.Get("Content-Type"); h != g {
			t.Errorf("%s: type %q for HEAD, %q for GET", target, h, g)
		}
	}
}

func TestEveryAnswerKeepsBrowsersAtADistance(t *testing.T) {
	h := newHandler(t, admin.Config{Token: "0123456789abcdef"})
	h.AttachTarget(&fake{})
	for _, r := range []*http.Request{
		httptest.NewRequest("GET", "/livez", nil),
		httptest.NewRequest("GET", "/readyz", nil),
		httptest.NewRequest("GET", "/problems/gone", nil),
		httptest.NewRequest("GET", "/api/v1/nodes", nil), // no token
		httptest.NewRequest("GET", "/nothing", nil),
		httptest.NewRequest("PUT", "/livez", nil),
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		for name, want := range map[string]string{
			"X-Content-Type-Options":       "nosniff",
			"Content-Security-Policy":      "default-src 'none'; frame-ancestors 'none'",
			"Cross-Origin-Resource-Policy": "same-origin",
			"Referrer-Policy":              "no-referrer",
			"Cache-Control":                "no-store",
		} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s %s: %s is %q, want %q", r.Method, r.URL, name, got, want)
			}
		}
		if w.Header().Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s %s: other origins may read", r.Method, r.URL)
		}
	}
}

func TestBadConfigIsRefusedAllAtOnce(t *testing.T) {
	secret := "a secret with spaces"
	_, err := admin.New(admin.Config{Token: secret, Hosts: []string{"ok.example", "http://x", "a:4180", ""}, MaxMessage: -1})
	if !errors.Is(err, admin.ErrBadConfig) {
		t.Fatalf("New: %v, want %v", err, admin.ErrBadConfig)
	}
	for _, want := range []string{"Token", `Hosts "http://x"`, `Hosts "a:4180"`, `Hosts ""`, "MaxMessage -1"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("New: %v\nwant it to name %s", err, want)
		}
	}
	if strings.Contains(err.Error(), secret) {
		t.Errorf("the error tells the token: %v", err)
	}
	for _, cfg := range []admin.Config{
		{Token: "="},
		{Token: "a\n"},
		{Token: "a=b"},
		{Token: strings.Repeat("a", 4097)},
		{MaxMessage: 1<<30 + 1},
		{Hosts: []string{"*"}},
		{Hosts: []string{"[::1]"}},
	} {
		if _, err := admin.New(cfg); !errors.Is(err, admin.ErrBadConfig) {
			t.Errorf("New with %+.60v: %v", cfg, err)
		}
	}
	for _, cfg := range []admin.Config{
		{},
		{Token: "abc-._~+/=="},
		{Token: strings.Repeat("a", 4096)},
		{MaxMessage: 1 << 30},
		{Hosts: []string{"node1.example.", "192.0.2.1", "2001:db8::1", "under_score"}},
	} {
		if _, err := admin.New(cfg); err != nil {
			t.Errorf("New with %+.60v: %v", cfg, err)
		}
	}
}

func TestParametersAreChecked(t *testing.T) {
	h := newHandler(t, admin.Config{})
	f := &fake{}
	h.AttachTarget(f)
	a := serve(t, h)
	const one = "/api/v1/connections/01adc9000000002a"
	for _, c := range []struct{ method, target, detail string }{
		{"POST", one + "/messages?ack=written&timeout=61s", "timeout="},
		{"POST", one + "/messages?ack=written&timeout=2", "timeout="},
		{"POST", one + "/messages?ack=written&timeout=0s", "timeout="},
		{"POST", one + "/messages?ack=written&timeout=-1s", "timeout="},
		{"POST", one + "/messages?ack=written&timeout=", "timeout="},
		{"POST", one + "/messages?timeout=2s", "ack=written"},
		{"POST", one + "/messages?ack=queued&timeout=2s", "ack=written"},
		{"POST", one + "/messages?ack=", "queued or written or peer"},
		{"POST", one + "/messages?ack=yes", "queued or written or peer"},
		{"POST", one + "/messages?ack=peer&timeout=0s", "timeout="},
		{"POST", one + "/messages?ack=peer&within=1s", "ack=queued"},
		{"POST", one + "/messages?ack=written&within=1s", "ack=queued"},
		{"POST", one + "/messages?within=61m", "within="},
		{"POST", one + "/messages?within=-1s", "within="},
		{"POST", one + "/messages?within=1", "within="},
		{"POST", one + "/messages?ack=written&ack=queued", "2 times"},
		{"POST", one + "/messages?akc=written", "akc"},
		{"POST", one + "/messages?ack=written;timeout=1s", "query"},
		{"POST", one + "/messages?%zz", "query"},
		{"DELETE", one + "?missing=no", "allowed is ok"},
		{"DELETE", one + "?code=", "code="},
		{"DELETE", one + "?code=x", "code="},
		{"DELETE", one + "?code=0", "code="},
		{"DELETE", one + "?code=-4001", "code="},
		{"DELETE", one + "?code=4001.5", "code="},
		{"DELETE", one + "?code=4001&code=4002", "2 times"},
		{"DELETE", one + "?code=4001&reason=a&reason=b", "2 times"},
		{"DELETE", one + "?dry_run=true", "dry_run"},
		{"GET", one + "?x", "none is allowed"},
		{"GET", "/api/v1/nodes?x=1", "none is allowed"},
		{"GET", "/api/v1/ids/01adc9000000002a?x=1", "none is allowed"},
		{"GET", "/api/v1/connections?limit=x", "1 to 1000"},
		{"GET", "/api/v1/connections?limit=", "1 to 1000"},
		{"GET", "/api/v1/connections?offset=5", "offset"},
	} {
		got := a.expect(c.method, c.target, "", 400, "bad-request")
		if p := problemIn(t, got); !strings.Contains(p.Detail, c.detail) {
			t.Errorf("%s %s: detail %q, want it to say %q", c.method, c.target, p.Detail, c.detail)
		}
	}
	if calls := f.taken(); len(calls) > 0 {
		t.Errorf("the node was asked: %+v", calls)
	}
	// The same without the fault is done.
	a.expect("POST", one+"/messages?ack=written&timeout=60s", "", 200, "")
	a.expect("POST", one+"/messages?ack=queued", "", 202, "")
	a.expect("DELETE", one+"?missing=ok", "", 204, "")
	a.expect("GET", "/api/v1/connections?limit=5", "", 200, "")
	if calls := f.taken(); len(calls) != 4 {
		t.Errorf("the node was asked %d times, want 4: %+v", len(calls), calls)
	}
}

func TestAnswersAreJSONInOneLine(t *testing.T) {
	a, _ := show(t, admin.Config{}, lines())
	for _, target := range []string{"/api/v1/nodes", "/api/v1/connections", "/api/v1/ids/01adc9000000002a", "/nothing", "/readyz?verbose"} {
		got := a.do("GET", target, "")
		if !json.Valid([]byte(got.body)) || strings.Count(got.body, "\n") != 1 || !strings.HasSuffix(got.body, "\n") {
			t.Errorf("GET %s: %q", target, got.body)
		}
		if kind := got.header.Get("Content-Type"); kind != "application/json" && kind != "application/problem+json" {
			t.Errorf("GET %s: type %q", target, kind)
		}
	}
}
