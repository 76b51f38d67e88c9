package admin_test

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"flamingo/node/admin"
)

const (
	token  = "0123456789abcdef-._~+/=="
	sample = "/api/v1/connections/01adc9000000002a"
)

// request returns a request that every guard lets pass: from loopback, to
// localhost, bearing the token.
func request(method, target string, edit ...func(r *http.Request)) *http.Request {
	r := httptest.NewRequest(method, target, strings.NewReader("hello"))
	r.RemoteAddr = "127.0.0.1:54321"
	r.Host = "localhost:4180"
	bearing(token)(r)
	for _, e := range edit {
		e(r)
	}
	return r
}

func from(remote string) func(r *http.Request) {
	return func(r *http.Request) { r.RemoteAddr = remote }
}

// An attack is what keeps an honest request from being answered.
type attack struct {
	name   string
	edit   func(r *http.Request)
	method string // empty: every method
	status int
	slug   string
}

// attacksWithoutToken are what a handler without a token withstands.
var attacksWithoutToken = []attack{
	{name: "from another machine", edit: from("192.0.2.7:1"), status: 403, slug: "forbidden"},
	{name: "from another machine in 6", edit: from("[2001:db8::7]:1"), status: 403, slug: "forbidden"},
	{name: "from another machine as 4 in 6", edit: from("[::ffff:192.0.2.7]:1"), status: 403, slug: "forbidden"},
	{name: "from a link", edit: from("[fe80::1%eth0]:1"), status: 403, slug: "forbidden"},
	{name: "from nowhere", edit: from(""), status: 403, slug: "forbidden"},
	{name: "from a name", edit: from("localhost:1"), status: 403, slug: "forbidden"},
	{name: "through a proxy", edit: with("X-Forwarded-For", "192.0.2.7"), status: 403, slug: "forbidden"},
	{name: "through a proxy of RFC 7239", edit: with("Forwarded", "for=192.0.2.7"), status: 403, slug: "forbidden"},
	{name: "through nginx", edit: with("X-Real-IP", "192.0.2.7"), status: 403, slug: "forbidden"},
	{name: "through a proxy that hides for whom", edit: with("X-Forwarded-For", ""), status: 403, slug: "forbidden"},
	{name: "through a proxy that renames", edit: with("X-Forwarded-Host", "localhost"), status: 403, slug: "forbidden"},
	{name: "rebound name", edit: asking("evil.example:4180"), status: 421, slug: "wrong-host"},
	{name: "rebound name without port", edit: asking("evil.example"), status: 421, slug: "wrong-host"},
	{name: "name like localhost", edit: asking("localhost.evil.example:4180"), status: 421, slug: "wrong-host"},
	{name: "name below localhost", edit: asking("evil.localhost:4180"), status: 421, slug: "wrong-host"},
	{name: "name like an address", edit: asking("127.0.0.1.evil.example:4180"), status: 421, slug: "wrong-host"},
	{name: "address in another form", edit: asking("2130706433:4180"), status: 421, slug: "wrong-host"},
	{name: "address in octal", edit: asking("0177.0.0.1:4180"), status: 421, slug: "wrong-host"},
	{name: "every address", edit: asking("0.0.0.0:4180"), status: 421, slug: "wrong-host"},
	{name: "address of another machine", edit: asking("192.0.2.1:4180"), status: 421, slug: "wrong-host"},
	{name: "user", edit: asking("evil@localhost"), status: 421, slug: "wrong-host"},
	{name: "two ports", edit: asking("localhost:1:2"), status: 421, slug: "wrong-host"},
	{name: "no host", edit: asking(""), status: 421, slug: "wrong-host"},
	{name: "only a port", edit: asking(":4180"), status: 421, slug: "wrong-host"},
}

// attacksWithToken are what a handler with a token withstands.
var attacksWithToken = []attack{
	{name: "no token", edit: func(r *http.Request) { r.Header.Del("Authorization") }, status: 401, slug: "unauthorized"},
	{name: "empty header", edit: authorization(""), status: 401, slug: "unauthorized"},
	{name: "empty token", edit: authorization("Bearer "), status: 401, slug: "unauthorized"},
	{name: "scheme alone", edit: authorization("Bearer"), status: 401, slug: "unauthorized"},
	{name: "token alone", edit: authorization(token), status: 401, slug: "unauthorized"},
	{name: "another token", edit: authorization("Bearer 0123456789abcdeg-._~+/=="), status: 401, slug: "unauthorized"},
	{name: "beginning of the token", edit: authorization("Bearer " + token[:len(token)-1]), status: 401, slug: "unauthorized"},
	{name: "more than the token", edit: authorization("Bearer " + token + "a"), status: 401, slug: "unauthorized"},
	{name: "token in capitals", edit: authorization("Bearer " + strings.ToUpper(token)), status: 401, slug: "unauthorized"},
	{name: "space behind the token", edit: authorization("Bearer " + token + " "), status: 401, slug: "unauthorized"},
	{name: "another scheme", edit: authorization("Basic " + token), status: 401, slug: "unauthorized"},
	{name: "another scheme as long", edit: authorization("Digest " + token), status: 401, slug: "unauthorized"},
	{name: "two tokens", edit: func(r *http.Request) { r.Header["Authorization"] = []string{"Bearer " + token, "Bearer x"} }, status: 401, slug: "unauthorized"},
	{name: "token in the query", edit: func(r *http.Request) {
		r.Header.Del("Authorization")
		r.URL.RawQuery = "access_token=" + token
	}, status: 401, slug: "unauthorized"},
}

// attacksOnBoth are what every handler withstands.
var attacksOnBoth = []attack{
	{name: "page of another site posts", method: "POST", edit: with("Sec-Fetch-Site", "cross-site"), status: 403, slug: "cross-origin"},
	{name: "page of another origin posts", method: "POST", edit: with("Sec-Fetch-Site", "same-site"), status: 403, slug: "cross-origin"},
	{name: "page of another site deletes", method: "DELETE", edit: with("Sec-Fetch-Site", "cross-site"), status: 403, slug: "cross-origin"},
	{name: "old browser posts", method: "POST", edit: with("Origin", "https://evil.example"), status: 403, slug: "cross-origin"},
	{name: "old browser posts from another port", method: "POST", edit: with("Origin", "http://localhost:3000"), status: 403, slug: "cross-origin"},
	{name: "page in a sandbox posts", method: "POST", edit: with("Origin", "null"), status: 403, slug: "cross-origin"},
	{name: "form posts", method: "POST", edit: func(r *http.Request) {
		r.Header.Set("Content-Type", "text/plain") // needs no preflight
		r.Header.Set("Origin", "http://evil.example")
	}, status: 403, slug: "cross-origin"},
}

func authorization(value string) func(r *http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", value) }
}

// honest are requests that are answered without an attack, one for each
// operation of a node.
var honest = []struct {
	method, target string
	status         int
}{
	{"GET", "/api/v1/connections", 200},
	{"GET", sample, 200},
	{"HEAD", sample, 200},
	{"DELETE", sample, 204},
	{"POST", sample + "/messages", 202},
	{"POST", sample + "/messages?ack=written", 200},
	{"GET", "/api/v1/nodes", 200},
	{"POST", "/api/v1/nodes/01adc9000/retire", 204},
}

func eachGuard(t *testing.T, test func(t *testing.T, h *admin.Handler, f *fake, attacks []attack)) {
	t.Helper()
	for name, c := range map[string]struct {
		cfg     admin.Config
		attacks []attack
	}{
		"without token": {admin.Config{}, append(attacksWithoutToken, attacksOnBoth...)},
		"with token":    {admin.Config{Token: token}, append(attacksWithToken, attacksOnBoth...)},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHandler(t, c.cfg)
			f := &fake{}
			h.AttachTarget(f)
			test(t, h, f, c.attacks)
		})
	}
}

func TestHonestRequestsAreAnswered(t *testing.T) {
	eachGuard(t, func(t *testing.T, h *admin.Handler, f *fake, _ []attack) {
		for _, r := range honest {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, request(r.method, r.target))
			if calls := f.taken(); w.Code != r.status || len(calls) != 1 {
				t.Errorf("%s %s: %d %s with calls %+v, want %d with one", r.method, r.target, w.Code, w.Body, calls, r.status)
			}
		}
	})
}

func TestLoopbackIsAnsweredInEveryForm(t *testing.T) {
	h := newHandler(t, admin.Config{})
	h.AttachTarget(&fake{})
	for _, remote := range []string{"127.0.0.1:1", "127.1.2.3:1", "[::1]:1", "[::ffff:127.0.0.1]:1"} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, request("GET", "/api/v1/nodes", from(remote)))
		if w.Code != 200 {
			t.Errorf("from %s: %d %s", remote, w.Code, w.Body)
		}
	}
}

func TestNoAttackReachesTheNode(t *testing.T) {
	eachGuard(t, func(t *testing.T, h *admin.Handler, f *fake, attacks []attack) {
		for _, a := range attacks {
			for _, r := range honest {
				if a.method != "" && a.method != r.method {
					continue
				}
				w := httptest.NewRecorder()
				h.ServeHTTP(w, request(r.method, r.target, a.edit))
				if calls := f.taken(); len(calls) > 0 {
					t.Errorf("%s: %s %s reached the node: %+v", a.name, r.method, r.target, calls)
				}
				if w.Code != a.status {
					t.Errorf("%s: %s %s: %d %s, want %d", a.name, r.method, r.target, w.Code, w.Body, a.status)
					continue
				}
				got := answer{w.Code, w.Header(), w.Body.String()}
				if p := problemIn(t, got); p.Type != "/problems/"+a.slug || p.Outcome != "" {
					t.Errorf("%s: %s %s: %s, want the problem %s", a.name, r.method, r.target, w.Body, a.slug)
				}
			}
		}
	})
}

// The attacks are refused for what they are and not because the request could
// not succeed anyway: without the guard every one of them does.
func TestEveryAttackSucceedsWithoutTheGuard(t *testing.T) {
	eachGuard(t, func(t *testing.T, h *admin.Handler, f *fake, attacks []attack) {
		for _, a := range attacks {
			if a.name == "token in the query" {
				continue // a parameter that is unknown, whoever lets it pass
			}
			for _, r := range honest {
				if a.method != "" && a.method != r.method {
					continue
				}
				w := httptest.NewRecorder()
				h.Unguarded().ServeHTTP(w, request(r.method, r.target, a.edit))
				if calls := f.taken(); w.Code != r.status || len(calls) != 1 {
					t.Errorf("%s: %s %s: %d with calls %+v, want %d with one", a.name, r.method, r.target, w.Code, calls, r.status)
				}
			}
		}
	})
}

func TestStrangersLearnNotWhichPathsThereAre(t *testing.T) {
	eachGuard(t, func(t *testing.T, h *admin.Handler, f *fake, attacks []attack) {
		for _, a := range attacks {
			if a.method != "" {
				continue
			}
			for _, target := range []string{"/", "/metrics", "/api/v1/nodes", "/api/v1/ids/x", sample, "//livez", "/problems/"} {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, request("GET", target, a.edit))
				if w.Code != a.status {
					t.Errorf("%s: GET %s: %d, want %d", a.name, target, w.Code, a.status)
				}
			}
			for _, method := range []string{"PUT", "OPTIONS", "CONNECT"} {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, request(method, sample, a.edit))
				if w.Code != a.status {
					t.Errorf("%s: %s: %d, want %d", a.name, method, w.Code, a.status)
				}
			}
		}
	})
}

func TestHealthIsToldToEverybody(t *testing.T) {
	eachGuard(t, func(t *testing.T, h *admin.Handler, _ *fake, attacks []attack) {
		for _, a := range attacks {
			for _, target := range []string{"/livez", "/readyz", "/readyz?verbose"} {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, request("GET", target, a.edit))
				if w.Code != 200 {
					t.Errorf("%s: GET %s: %d %s", a.name, target, w.Code, w.Body)
				}
			}
		}
	})
}

func TestHelpIsForWhoeverWasRefused(t *testing.T) {
	h := newHandler(t, admin.Config{Token: token})
	for _, a := range attacksWithToken {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, request("GET", "/problems/"+a.slug, a.edit))
		if w.Code != 200 {
			t.Errorf("%s: %d %s", a.name, w.Code, w.Body)
		}
	}
	h = newHandler(t, admin.Config{}) // a web page must not find a node by it
	w := httptest.NewRecorder()
	h.ServeHTTP(w, request("GET", "/problems/gone", asking("evil.example")))
	if w.Code != 421 {
		t.Errorf("help by another name: %d", w.Code)
	}
}

func TestRefusalSaysWhatIsNeeded(t *testing.T) {
	h := newHandler(t, admin.Config{Token: token})
	for _, c := range []struct {
		edit func(r *http.Request)
		want string
	}{
		{func(r *http.Request) { r.Header.Del("Authorization") }, `Bearer realm="flamingo"`},
		{authorization("Bearer x"), `Bearer realm="flamingo", error="invalid_token"`},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, request("GET", "/api/v1/nodes", c.edit))
		if got := w.Header().Get("WWW-Authenticate"); got != c.want {
			t.Errorf("WWW-Authenticate %q, want %q", got, c.want)
		}
		if strings.Contains(w.Body.String(), token) {
			t.Errorf("the answer tells the token: %s", w.Body)
		}
	}
}

func TestBearerMayBeWrittenInAnyCase(t *testing.T) {
	h := newHandler(t, admin.Config{Token: token})
	h.AttachTarget(&fake{})
	for _, scheme := range []string{"Bearer ", "bearer ", "BEARER ", "Bearer   "} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, request("GET", "/api/v1/nodes", authorization(scheme+token), from("192.0.2.7:1"), asking("node1.example")))
		if w.Code != 200 {
			t.Errorf("%q: %d %s", scheme, w.Code, w.Body)
		}
	}
}

func TestHostsThatAreThisNode(t *testing.T) {
	allowed := []string{"Node1.Example", "192.0.2.1", "2001:db8::1", "dotted.example."}
	for _, host := range []string{
		"localhost", "localhost:4180", "LocalHost:1", "localhost.", "localhost.:4180",
		"127.0.0.1", "127.0.0.1:4180", "127.9.9.9:1", "[::1]", "[::1]:4180", "[0:0:0:0:0:0:0:1]:1", "[::ffff:127.0.0.1]:1",
		"node1.example", "NODE1.EXAMPLE:4180", "node1.example.:1", "192.0.2.1:4180", "[2001:DB8:0::1]:4180", "[::ffff:192.0.2.1]", "dotted.example",
	} {
		if !admin.IsOurs(host, allowed...) {
			t.Errorf("%q is refused", host)
		}
	}
	for _, host := range []string{
		"", ":", ":4180", "example", "node1.example.evil", "xnode1.example", "192.0.2.10", "[2001:db8::2]:4180",
		"localhost..", "[localhost]x", "[::1", "::1]", "[::1]]:1", "local host", "localhost/", "localhost#", "127.0.0.1..", "127.1",
	} {
		if admin.IsOurs(host, allowed...) {
			t.Errorf("%q is taken for this node", host)
		}
	}
	if admin.IsOurs("node1.example") {
		t.Error("a name that was not given is taken for this node")
	}
}

// What a browser does once evil.example means 127.0.0.1: a plain request, as of
// the same origin, over a connection from loopback.
func TestReboundNameReachesNothingOverARealConnection(t *testing.T) {
	a, n := show(t, admin.Config{Hosts: []string{"node1.example"}}, lines())
	c, id := connect(t, n)
	rebound := []func(r *http.Request){
		asking("evil.example:4180"),
		with("Origin", "http://evil.example:4180"),
		with("Sec-Fetch-Site", "same-origin"),
	}
	a.expect("GET", "/api/v1/connections", "", 421, "wrong-host", rebound...)
	a.expect("POST", "/api/v1/connections/"+id.String()+"/messages", "evil", 421, "wrong-host", rebound...)
	a.expect("DELETE", "/api/v1/connections/"+id.String(), "", 421, "wrong-host", rebound...)
	a.expect("GET", "/nothing", "", 421, "wrong-host", rebound...)

	// Absolute forms: the one host that counts is that of the request line.
	for target, status := range map[string]string{
		"http://evil.example/api/v1/nodes": "421",
		"http://localhost/api/v1/nodes":    "200",
	} {
		if got := raw(t, a.addr, "GET "+target+" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 "+status) {
			t.Errorf("GET %s: %.100q, want %s", target, got, status)
		}
	}
	if got := raw(t, a.addr, "GET /api/v1/nodes HTTP/1.0\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.0 421") {
		t.Errorf("without a host: %.100q", got)
	}

	a.expect("POST", "/api/v1/connections/"+id.String()+"/messages?ack=written", "honest", 200, "", asking("node1.example"))
	c.expect("honest")
}

// raw writes text to a server and returns all that comes back.
func raw(t testing.TB, addr, text string) string {
	t.Helper()
	nc, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(nc, text); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(bufio.NewReader(nc))
	if err != nil {
		t.Fatalf("%v after %.100q", err, got)
	}
	return string(got)
}

func TestServerBoundsWhatAClientHoldsUp(t *testing.T) {
	h := newHandler(t, admin.Config{})
	s := admin.Server(h)
	if s.Handler != h || s.ReadHeaderTimeout <= 0 || s.IdleTimeout <= 0 || s.WriteTimeout <= 0 || s.MaxHeaderBytes <= 0 || s.ErrorLog == nil {
		t.Errorf("%+v: some bound is missing", s)
	}
	a := serve(t, h)
	got := raw(t, a.addr, "GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Long: "+strings.Repeat("x", 32<<10)+"\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 431") {
		t.Errorf("32 KiB of headers: %.100q, want 431", got)
	}
}

// A body that never comes holds up neither an answer nor, after it, the
// connection.
func TestBodyThatNeverComesIsNotWaitedFor(t *testing.T) {
	h := newHandler(t, admin.Config{Token: token})
	h.SetPatience(50 * time.Millisecond)
	h.AttachTarget(&fake{})
	a := serve(t, h)
	for _, c := range []struct{ line, header, status string }{
		{"POST " + sample + "/messages", "", "401"},
		{"GET /livez", "", "200"},
		{"POST /livez", "", "405"},
		{"POST " + sample + "/messages", "Authorization: Bearer " + token + "\r\n", "408"},
		{"DELETE " + sample, "Authorization: Bearer " + token + "\r\n", "204"},
	} {
		got := raw(t, a.addr, c.line+" HTTP/1.1\r\nHost: localhost\r\n"+c.header+"Content-Length: 5\r\n\r\nhel")
		if !strings.HasPrefix(got, "HTTP/1.1 "+c.status) {
			t.Errorf("%s: %.200q, want %s and the end of the connection", c.line, got, c.status)
		}
	}
}

func TestRefusalsAreLoggedForWhoeverLooksClosely(t *testing.T) {
	var log strings.Builder
	h := newHandler(t, admin.Config{Token: token, Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, request("GET", "/api/v1/nodes", authorization("Bearer wrong-secret"), from("192.0.2.7:1")))
	if !strings.Contains(log.String(), "192.0.2.7:1") || strings.Contains(log.String(), "wrong-secret") {
		t.Errorf("logged: %s\nwant who it was, and not the token", log.String())
	}
}
