package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"flamingo/node"
	"flamingo/node/admin"
)

const anID = "01adc9000000002a"

// flamingo runs a command against the admin API of a fake node, and returns
// what its user sees.
func flamingo(t *testing.T, serve http.HandlerFunc, args ...string) (out, talk string, code int) {
	t.Helper()
	server := httptest.NewServer(serve)
	defer server.Close()
	return command(t.Context(), append(args, "--addr", server.URL)...)
}

func command(ctx context.Context, args ...string) (out, talk string, code int) {
	var o, e bytes.Buffer
	code = exitCode(runIn(ctx, args, newConsole(strings.NewReader(""), &o, &e)), &e)
	return o.String(), e.String(), code
}

// problemOf answers with a problem.
func problemOf(p admin.Problem) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(p.Status)
		_ = json.NewEncoder(w).Encode(map[string]any{"type": p.Type(), "title": p.Title, "status": p.Status, "detail": "said so"})
	}
}

func TestEveryProblemHasItsExitCodeInEveryCommand(t *testing.T) {
	for _, p := range admin.Problems() {
		for _, args := range [][]string{
			{"send", anID, "hello"},
			{"send", "--ack", "queued", anID, "hello"},
			{"close", anID},
			{"conns"},
			{"conns", "show", anID},
			{"nodes"},
			{"status"},
			{"events"},
			{"top"},
			{"rtt"},
			{"raft"},
			{"groups"},
			{"groups", "show", "room/7"},
			{"groups", "join", anID, "room/7"},
			{"groups", "close", "room/7"},
			{"publish", "room/7", "hello"},
		} {
			out, talk, code := flamingo(t, problemOf(p), args...)
			if want := "flamingo: " + p.Slug + ": said so\n"; talk != want || out != "" || code != p.Exit {
				t.Errorf("%v answered %s: prints %q, says %q, exit code %d; want %q and %d", args, p.Slug, out, talk, code, want, p.Exit)
			}
			out, _, code = flamingo(t, problemOf(p), append(args, "--json")...)
			if !strings.Contains(out, `"type":"`+p.Type()+`"`) || strings.Count(out, "\n") != 1 || code != p.Exit {
				t.Errorf("%v --json answered %s: prints %q, exit code %d", args, p.Slug, out, code)
			}
		}
	}
}

func TestOutcomesHaveTheExitCodesOfTheirKind(t *testing.T) {
	for err, want := range map[error]int{
		nil:                  0,
		io.ErrUnexpectedEOF:  1,
		badUse("no"):         2,
		node.ErrBadID:        2,
		node.ErrTooLarge:     2,
		node.ErrUnframeable:  2,
		node.ErrBadOption:    2,
		node.ErrGone:         3,
		node.ErrNeverIssued:  3,
		node.ErrUnreachable:  4,
		node.ErrBackpressure: 4,
		node.ErrExpired:      4,
		node.ErrClosed:       4,
		node.ErrUncertain:    5,
	} {
		wrapped := err
		if err != nil {
			wrapped = fmt.Errorf("wrapped: %w", err)
		}
		if got := exitCode(wrapped, io.Discard); got != want {
			t.Errorf("%v: exit code %d, want %d", err, got, want)
		}
	}
}

func TestANewProblemIsAFailure(t *testing.T) {
	_, talk, code := flamingo(t, problemOf(admin.Problem{Slug: "tired", Status: 503}), "nodes")
	if code != exitFailed || !strings.Contains(talk, "tired: said so") {
		t.Errorf("an unknown problem: says %q, exit code %d", talk, code)
	}
}

// hangUp breaks the connection before an answer.
func hangUp(w http.ResponseWriter, _ *http.Request) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		conn.Close()
	}
}

func TestACallWithoutAnswerIsUncertainUnlessItOnlyLooks(t *testing.T) {
	for _, c := range []struct {
		want int
		args []string
	}{
		{5, []string{"send", anID, "hello"}},
		{5, []string{"close", anID}},
		{4, []string{"nodes"}},
		{4, []string{"conns", "show", anID}},
	} {
		_, talk, code := flamingo(t, hangUp, c.args...)
		if code != c.want || !strings.Contains(talk, "no answer from http://127.0.0.1:") {
			t.Errorf("%v without an answer: says %q, exit code %d, want %d", c.args, talk, code, c.want)
		}
	}
}

func TestAnInterruptedSendIsUncertain(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // else the server does not see the client leave
		cancel()
		select {
		case <-r.Context().Done():
		case <-time.After(patience):
		}
	}))
	defer server.Close()
	if _, talk, code := command(ctx, "send", anID, "hello", "--addr", server.URL); code != 5 {
		t.Errorf("interrupted: says %q, exit code %d, want 5", talk, code)
	}
}

func TestSomethingElseThanANodeIsAFailure(t *testing.T) {
	for name, serve := range map[string]http.HandlerFunc{
		"status":   func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "nothing here", http.StatusNotFound) },
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
		"page":     func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
		"flood":    func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, maxAnswer+1)) },
	} {
		if out, talk, code := flamingo(t, serve, "nodes"); code != exitFailed || out != "" {
			t.Errorf("%s: prints %q, says %q, exit code %d", name, out, talk, code)
		}
	}
}

func TestSendTellsTheNodeWhatIsAsked(t *testing.T) {
	for _, c := range []struct {
		args  []string
		query string
	}{
		{nil, "ack=written&timeout=2s"},
		{[]string{"--timeout", "300ms"}, "ack=written&timeout=300ms"},
		{[]string{"--ack", "queued"}, "ack=queued"},
	} {
		var got, body string
		_, talk, code := flamingo(t, func(w http.ResponseWriter, r *http.Request) {
			text, _ := io.ReadAll(r.Body)
			got, body = r.Method+" "+r.URL.String(), string(text)
			_, _ = io.WriteString(w, `{"id":"`+anID+`","outcome":"written","elapsed_us":12}`)
		}, append([]string{"send", anID, "hello"}, c.args...)...)
		if want := "POST /api/v1/connections/" + anID + "/messages?" + c.query; got != want || body != "hello" || code != 0 {
			t.Errorf("send %v asks %s with %q, want %s; says %q, exit code %d", c.args, got, body, want, talk, code)
		}
	}
}

func TestSendSaysTheKindThatIsAsked(t *testing.T) {
	for flag, want := range map[string]string{"--text": "text/plain; charset=utf-8", "--binary": "application/octet-stream", "--ack=queued": ""} {
		var got []string
		_, talk, code := flamingo(t, func(w http.ResponseWriter, r *http.Request) {
			got = r.Header.Values("Content-Type")
			_, _ = io.WriteString(w, `{"id":"`+anID+`","outcome":"written","elapsed_us":12}`)
		}, "send", anID, "hello", flag)
		if strings.Join(got, " ") != want || code != 0 {
			t.Errorf("send %s says %q, want %q; says %q, exit code %d", flag, got, want, talk, code)
		}
	}
	if _, talk, code := command(t.Context(), "send", anID, "hello", "--text", "--binary"); code != exitUsage {
		t.Errorf("both kinds: says %q, exit code %d", talk, code)
	}
}

func TestCloseSaysCodeAndReason(t *testing.T) {
	for _, c := range []struct {
		args  []string
		query string
	}{
		{nil, ""},
		{[]string{"--code", "4001", "--reason", "bye & thanks"}, "?code=4001&reason=bye+%26+thanks"},
		{[]string{"--reason", "bye"}, "?reason=bye"},
		{[]string{"--code=-1"}, "?code=-1"}, // the node judges
	} {
		var got string
		_, talk, code := flamingo(t, func(w http.ResponseWriter, r *http.Request) {
			got = r.Method + " " + r.URL.String()
			w.WriteHeader(http.StatusNoContent)
		}, append([]string{"close", anID}, c.args...)...)
		if want := "DELETE /api/v1/connections/" + anID + c.query; got != want || code != 0 {
			t.Errorf("close %v asks %s, want %s; says %q, exit code %d", c.args, got, want, talk, code)
		}
	}
}

func TestShownWebSocketHasWhatItsClientAskedFor(t *testing.T) {
	for about, want := range map[string]string{
		"": "",
		`,"web_socket":{"path":"/chat","host":"example.com","subprotocol":"v1\u001b"}`: "path      /chat\nhost      example.com\norigin    -\nprotocol  v1·\n",
	} {
		out, _, code := flamingo(t, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"id":"`+anID+`","listener":"ws://127.0.0.1:4100"`+about+`}`)
		}, "conns", "show", anID)
		_, end, _ := strings.Cut(out, "not yet written\n")
		if end != want || code != 0 {
			t.Errorf("with %s: %q behind the counts, want %q; exit code %d", about, end, want, code)
		}
	}
}

func TestHintsAskTheSameNodeAgain(t *testing.T) {
	for _, c := range []struct {
		flags     apiFlags
		addr, tok string // of the environment
		want      string
	}{
		{apiFlags{Addr: defaultAdmin}, "", "", "conns"},
		{apiFlags{Addr: ":4280"}, "", "", "conns --addr :4280"},
		{apiFlags{Addr: ":4280"}, ":4280", "", "conns"},
		{apiFlags{Addr: defaultAdmin}, ":4280", "", "conns --addr " + defaultAdmin},
		{apiFlags{Addr: ":4280", TokenFile: "token"}, ":4280", "", "conns --token-file token"},
		{apiFlags{Addr: ":4280", TokenFile: "token"}, ":4280", "token", "conns"},
	} {
		t.Setenv("FLAMINGO_ADDR", c.addr)
		t.Setenv("FLAMINGO_TOKEN_FILE", c.tok)
		if got := c.flags.again("conns"); got != program()+" "+c.want {
			t.Errorf("%+v with %q and %q in the environment: %q, want %q", c.flags, c.addr, c.tok, got, c.want)
		}
	}
}
