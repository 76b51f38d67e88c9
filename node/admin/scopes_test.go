package admin_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"runtime/trace"
	"slices"
	"strings"
	"testing"

	"flamingo/node/admin"
)

// tokensOf are a token for each scope, named as it.
func tokensOf() []admin.Token {
	return []admin.Token{
		{Token: "read", Scope: admin.ScopeRead},
		{Token: "send", Scope: admin.ScopeSend},
		{Token: "read-send", Scope: admin.ScopeRead | admin.ScopeSend},
		{Token: "admin", Scope: admin.ScopeAdmin},
	}
}

// adminRoutes are what only the scope admin is for.
var adminRoutes = []string{
	"POST /api/v1/drain", "POST /api/v1/nodes/{number}/retire", "POST /api/v1/nodes/{number}/drain", "GET /api/v1/config", "GET /debug/pprof/", "GET /debug/pprof/{name}",
}

// wanted is the scope that a route asks for, as the page says it.
func wanted(route string) string {
	method, path, _ := strings.Cut(route, " ")
	if slices.Contains(adminRoutes, route) {
		return "admin"
	}
	switch {
	case path == "/livez" || path == "/readyz" || path == "/problems/{slug}" || path == "/openapi.yaml" || strings.HasPrefix(path, "/ui"):
		return ""
	case method == "GET":
		return "read"
	default:
		return "send"
	}
}

func TestEveryRouteAsksForItsScope(t *testing.T) {
	h := newHandler(t, admin.Config{Tokens: tokensOf()})
	f := &fake{}
	h.AttachTarget(f)
	fill := strings.NewReplacer("{id}", "01adc9000000002a", "{group}", "g", "{key}", "k", "{number}", "01adc9000", "{slug}", "gone", "{name}", "heap")
	for _, route := range h.Routes() {
		method, path, _ := strings.Cut(route, " ")
		want := wanted(route)
		for _, token := range []string{"read", "send", "read-send", "admin"} {
			r := httptest.NewRequest(method, fill.Replace(path), strings.NewReader(""))
			bearing(token)(r)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			refused := w.Code == 403 && strings.Contains(w.Body.String(), `"type":"/problems/scope"`)
			may := want == "" || strings.Contains(token, want) || token == "admin"
			if refused == may || w.Code == 401 {
				t.Errorf("%s with a token for %s: %d %s; may it: %t", route, token, w.Code, w.Body, may)
			}
			if refused && !strings.Contains(w.Header().Get("WWW-Authenticate"), `scope="`+want+`"`) {
				t.Errorf("%s with a token for %s: WWW-Authenticate %q, want it to name %s", route, token, w.Header().Get("WWW-Authenticate"), want)
			}
			if calls := f.taken(); refused && len(calls) > 0 {
				t.Errorf("%s with a token for %s is refused, and has done %+v", route, token, calls)
			}
		}
	}
}

func TestTokensAreChecked(t *testing.T) {
	many := make([]admin.Token, 65)
	for i := range many {
		many[i] = admin.Token{Token: strings.Repeat("x", i+1), Scope: admin.ScopeRead}
	}
	for _, tokens := range [][]admin.Token{
		{{Token: "", Scope: admin.ScopeRead}},
		{{Token: "with space", Scope: admin.ScopeRead}},
		{{Token: "a"}},
		{{Token: "a", Scope: 8}},
		{{Token: "a", Scope: admin.ScopeRead}, {Token: "a", Scope: admin.ScopeSend}},
		{{Token: "main", Scope: admin.ScopeRead}},
		many,
	} {
		if _, err := admin.New(admin.Config{Token: "main", Tokens: tokens}); !errors.Is(err, admin.ErrBadConfig) {
			t.Errorf("%.200v: %v, want %v", tokens, err, admin.ErrBadConfig)
		}
	}
	if _, err := admin.New(admin.Config{Token: "main", Tokens: many[:64]}); err != nil {
		t.Error(err)
	}
}

func TestScopesAreReadAsTheyAreWritten(t *testing.T) {
	for text, want := range map[string]admin.Scope{
		"read": admin.ScopeRead, "send": admin.ScopeSend, "admin": admin.ScopeAdmin, "read,send": admin.ScopeRead | admin.ScopeSend,
	} {
		if got, err := admin.ParseScope(text); err != nil || got != want || got.String() != text {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "write", "read,", "read send", "READ"} {
		if got, err := admin.ParseScope(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

func TestProfilesAreThoseOfTheRuntime(t *testing.T) {
	a, _ := show(t, admin.Config{}, lines())
	names := strings.FieldsSeq(a.expect("GET", "/debug/pprof/", "", 200, "").body)
	for name := range names {
		if name == "profile" || name == "trace" {
			continue
		}
		if got := a.expect("GET", "/debug/pprof/"+name, "", 200, ""); !strings.HasPrefix(got.body, "\x1f\x8b") {
			t.Errorf("%s is no profile: %.20q", name, got.body)
		}
	}
	if got := a.expect("GET", "/debug/pprof/goroutine?debug=2", "", 200, ""); !strings.HasPrefix(got.body, "goroutine ") {
		t.Errorf("goroutines in words: %.20q", got.body)
	}
	a.expect("GET", "/debug/pprof/heap?gc=1", "", 200, "")
	a.expect("GET", "/debug/pprof/no-such", "", 404, "no-such-path")
	for _, target := range []string{"profile?seconds=0", "profile?seconds=61", "trace?seconds=x", "heap?debug=3", "heap?seconds=1", "profile?debug=1", "?x=1"} {
		a.expect("GET", "/debug/pprof/"+target, "", 400, "bad-request")
	}
}

func TestProfileLastsUntilNobodyListensAndIsOneAtATime(t *testing.T) {
	h := newHandler(t, admin.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	take := func() *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.Unguarded().ServeHTTP(w, request("GET", "/debug/pprof/trace?seconds=60").WithContext(ctx))
		return w
	}
	first := make(chan *httptest.ResponseRecorder, 1)
	go func() { first <- take() }()
	until(t, "the first to be under way", trace.IsEnabled)
	if w := take(); w.Code != 429 || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("a second one: %d %s", w.Code, w.Body)
	}
	cancel()
	w := within(t, "the end of the first", func() *httptest.ResponseRecorder { return <-first })
	if w.Code != 200 || w.Body.Len() == 0 {
		t.Errorf("%d with %d bytes, want a trace", w.Code, w.Body.Len())
	}
	if trace.IsEnabled() {
		t.Error("nobody listens, and a trace is taken")
	}
}
