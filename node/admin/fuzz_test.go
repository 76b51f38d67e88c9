package admin_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"flamingo/idspace"
	"flamingo/node/admin"
)

// FuzzRequest makes requests of any bytes that the server would take for one.
// Whatever they are, the answer is of a known kind, and the node is asked only
// by who may and only about the id in the path.
func FuzzRequest(f *testing.F) {
	for _, text := range []string{
		"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /readyz?verbose HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /problems/gone HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"GET /api/v1/connections?limit=2&cursor=a HTTP/1.1\r\nHost: localhost:4180\r\nAuthorization: Bearer " + token + "\r\n\r\n",
		"HEAD " + sample + " HTTP/1.1\r\nHost: [::1]:1\r\nAuthorization: bearer " + token + "\r\n\r\n",
		"DELETE " + sample + "?missing=ok HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://127.0.0.1\r\n\r\n",
		"POST " + sample + "/messages?ack=written&timeout=2s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi",
		"POST " + sample + "/messages HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
		"POST " + sample + "/messages HTTP/1.1\r\nHost: evil\r\nSec-Fetch-Site: cross-site\r\nContent-Length: 99999999\r\n\r\n",
		"GET /api/v1/ids/%2e%2e HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: ::1\r\n\r\n",
		"GET http://evil/api/v1/nodes HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost:1\r\n\r\n",
		"GET //api/v1/../v1/nodes/ HTTP/1.0\r\n\r\n",
	} {
		f.Add([]byte(text), true)
		f.Add([]byte(text), false)
	}
	open, bearing := newHandler(f, admin.Config{MaxMessage: 100}), newHandler(f, admin.Config{MaxMessage: 100, Token: token})
	f.Fuzz(func(t *testing.T, text []byte, withToken bool) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(text)))
		if err != nil {
			return
		}
		r.RemoteAddr = "127.0.0.1:1"
		h := open
		if withToken {
			h = bearing
		}
		asked := &fake{}
		h.AttachTarget(asked)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		calls := asked.taken()
		checkAnswer(t, r, w)
		switch {
		case len(calls) == 0:
			return
		case len(calls) > 1:
			t.Errorf("the node was asked %d times: %+v", len(calls), calls)
		case withToken && strings.TrimLeft(r.Header.Get("Authorization")[len("Bearer"):], " ") != token:
			t.Errorf("asked by who bears %q: %+v", r.Header["Authorization"], calls)
		case !withToken && (r.Host == "" || strings.Contains(r.Host, "evil") || r.Header.Get("X-Forwarded-For") != ""):
			t.Errorf("asked by way of %q: %+v", r.Host, calls)
		case r.Header.Get("Sec-Fetch-Site") == "cross-site" && r.Method != "GET" && r.Method != "HEAD":
			t.Errorf("asked by another site: %+v", calls)
		case w.Code >= 400:
			t.Errorf("asked, and refused with %d: %+v", w.Code, calls)
		case calls[0].id != 0 && !strings.Contains(r.URL.Path, "/connections/"+calls[0].id.String()):
			t.Errorf("%s asked about %s", r.URL.Path, calls[0].id)
		case len(calls[0].msg) > 100:
			t.Errorf("a message of %d bytes passed", len(calls[0].msg))
		}
	})
}

// checkAnswer checks what holds for every answer.
func checkAnswer(t *testing.T, r *http.Request, w *httptest.ResponseRecorder) {
	t.Helper()
	kind := w.Header().Get("Content-Type")
	switch {
	case w.Header().Get("X-Content-Type-Options") != "nosniff" || w.Header().Get("Cache-Control") != "no-store":
		t.Errorf("headers %v", w.Header())
	case w.Code == http.StatusNoContent:
		if w.Body.Len() > 0 {
			t.Errorf("204 with %q", w.Body)
		}
	case w.Code < 400:
		if kind != "application/json" && kind != "text/plain; charset=utf-8" || kind == "application/json" && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s %s: %d of type %q: %q", r.Method, r.URL, w.Code, kind, w.Body)
		}
	case strings.HasPrefix(r.URL.Path, "/readyz"):
	default:
		var d admin.Details
		if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil || kind != "application/problem+json" || d.Status != w.Code || d.Title == "" {
			t.Errorf("%s %s: %d of type %q: %v in %q", r.Method, r.URL, w.Code, kind, err, w.Body)
		}
		if w.Code >= 500 && w.Code != 503 {
			t.Errorf("%s %s: %d %s", r.Method, r.URL, w.Code, w.Body)
		}
	}
}

// FuzzID puts any text in the place of an id: what is one reaches the node as
// that very id, what is none is a bad-id, and nothing else happens.
func FuzzID(f *testing.F) {
	for _, text := range []string{"01adc9000000002a", "01ADC9000000002A", "0000000000000000", "1", "", "..", "a/b", "01adc9000000002a/messages", "%", "/", "//", "\x00", "ü", "ffffffffffffffff"} {
		f.Add(text)
	}
	h := newHandler(f, admin.Config{})
	f.Fuzz(func(t *testing.T, text string) {
		id, err := idspace.ParseID(text)
		for _, r := range []struct{ method, before, after, op string }{
			{"GET", "/api/v1/connections/", "", "describe"},
			{"DELETE", "/api/v1/connections/", "", "disconnect"},
			{"POST", "/api/v1/connections/", "/messages", "send"},
			{"POST", "/api/v1/connections/", "/messages?ack=written", "send and wait"},
			{"POST", "/api/v1/connections/", "/messages?ack=peer", "send and wait for the peer"},
			{"POST", "/api/v1/connections/", "/messages?within=1h", "send within 1h0m0s"},
			{"GET", "/api/v1/ids/", "", ""},
		} {
			asked := &fake{}
			h.AttachTarget(asked)
			w := httptest.NewRecorder()
			u, perr := url.Parse("http://localhost" + r.before + url.PathEscape(text) + r.after)
			if perr != nil {
				t.Fatal(perr)
			}
			h.ServeHTTP(w, &http.Request{
				Method: r.method, URL: u, Host: "localhost", RemoteAddr: "[::1]:1", Header: http.Header{},
				Body: io.NopCloser(strings.NewReader("x")), ContentLength: 1,
			})
			calls := asked.taken()
			switch {
			case err == nil && r.op != "":
				if len(calls) != 1 || calls[0].id != id || calls[0].op != r.op || w.Code >= 300 {
					t.Errorf("%s of %q: %d, calls %+v", r.method, text, w.Code, calls)
				}
			case err == nil:
				if len(calls) != 0 || w.Code != 200 {
					t.Errorf("%s of %q: %d, calls %+v", r.method, text, w.Code, calls)
				}
			case text == "" || text == "." || text == ".." || text == "/": // another path
				if len(calls) != 0 || w.Code != 404 {
					t.Errorf("%s of %q: %d, calls %+v", r.method, text, w.Code, calls)
				}
			case len(calls) != 0 || w.Code != 400 || !strings.Contains(w.Body.String(), "/problems/bad-id"):
				t.Errorf("%s of %q: %d %s, calls %+v", r.method, text, w.Code, w.Body, calls)
			}
		}
	})
}
