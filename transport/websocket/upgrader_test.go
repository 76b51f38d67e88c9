package websocket_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"flamingo/transport/websocket"
)

// answer hands the chunks in, each behind those before it, until there is an
// answer. It returns what of the stream does not belong to the request.
func answer(u *websocket.Upgrader, chunks [][]byte) (*websocket.Answer, []byte) {
	var data []byte
	searched := 0
	var got *websocket.Answer
	for i, chunk := range chunks {
		data = append(data, chunk...)
		if got = u.Answer(data, searched); got != nil {
			rest := slices.Concat(append([][]byte{data[got.Size:]}, chunks[i+1:]...)...)
			clear(data) // the answer keeps no reference to it
			return got, rest
		}
		searched = len(data)
	}
	return nil, data
}

// wrongAnswers returns what the upgrader gets wrong of a case, a line for each
// way to deliver the request.
func wrongAnswers(c handshakeCase, seed uint64) []string {
	u := must(websocket.NewUpgrader(c.cfg))
	var wrong []string
	var first *websocket.Answer
	for _, split := range splits(seed) {
		got, rest := answer(u, split.cut([]byte(c.sent)))
		if line := describeAnswer(got, rest); line != c.want {
			wrong = append(wrong, fmt.Sprintf("%s\n got %s\nwant %s", split.name, line, c.want))
		}
		if first == nil {
			first = got
		}
		if got != nil && !bytes.Equal(got.Response, first.Response) {
			wrong = append(wrong, fmt.Sprintf("%s: response %q\nwant that of the whole: %q", split.name, got.Response, first.Response))
		}
	}
	return wrong
}

func TestHandshakesAreAnsweredTheSameHoweverTheyAreSplit(t *testing.T) {
	for i, c := range handshakeCases() {
		t.Run(c.name, func(t *testing.T) {
			for _, wrong := range wrongAnswers(c, uint64(i)) {
				t.Errorf("%.300q (seed %d), %s", c.sent, i, wrong)
			}
			u := must(websocket.NewUpgrader(c.cfg))
			if got := u.Answer([]byte(c.sent), 0); got != nil {
				checkResponse(t, got)
			}
		})
	}
}

// What a case wants is what no case of another outcome gets.
func TestHandshakeCasesTellOutcomesApart(t *testing.T) {
	cases := handshakeCases()
	for i, c := range cases {
		other := cases[(i+1)%len(cases)]
		if other.want == c.want {
			continue
		}
		c.want = other.want
		if len(wrongAnswers(c, 1)) != len(splits(1)) {
			t.Errorf("%s: %q passes too", c.name, other.want)
		}
	}
}

// checkResponse reads a response as a client does.
func checkResponse(t *testing.T, a *websocket.Answer) {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(a.Response)), &http.Request{Method: http.MethodGet})
	if err != nil {
		t.Fatalf("%q: %v", a.Response, err)
	}
	body, err := io.ReadAll(resp.Body)
	if text := string(body); err != nil || resp.StatusCode != a.Status || !a.Accepted() && (text != a.Reason+"\n" || !resp.Close) {
		t.Errorf("%q: status %d, body %q, close %v, %v", a.Response, resp.StatusCode, text, resp.Close, err)
	}
	want := map[string]string{"Upgrade": "", "Sec-Websocket-Version": "", "Allow": ""}
	switch a.Status {
	case http.StatusSwitchingProtocols:
		want["Upgrade"], want["Connection"], want["Sec-Websocket-Protocol"] = "websocket", "Upgrade", a.Request.Subprotocol
	case http.StatusUpgradeRequired:
		want["Upgrade"], want["Sec-Websocket-Version"] = "websocket", "13"
	case http.StatusMethodNotAllowed:
		want["Allow"] = "GET"
	}
	for name, value := range want {
		if got := resp.Header.Get(name); got != value {
			t.Errorf("%q: %s is %q, want %q", a.Response, name, got, value)
		}
	}
}

func TestAcceptIsThatOfTheRFC(t *testing.T) {
	u := must(websocket.NewUpgrader(websocket.UpgradeConfig{Subprotocols: []string{"chat"}}))
	got := u.Answer([]byte(request("Sec-WebSocket-Protocol: chat")), 0)
	want := "HTTP/1.1 101 Switching Protocols\r\n" +
		"Upgrade: websocket\r\n" +
		"Connection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" +
		"Sec-WebSocket-Protocol: chat\r\n\r\n"
	if string(got.Response) != want {
		t.Errorf("got %q\nwant %q", got.Response, want)
	}
}

func TestRequestHasItsFields(t *testing.T) {
	u := must(websocket.NewUpgrader(websocket.UpgradeConfig{}))
	got := u.Answer([]byte(request("User-Agent: test", "+X-Forwarded-For: 192.0.2.1", "+x-forwarded-for:192.0.2.2 ")), 0).Request
	for name, want := range map[string][]string{
		"user-agent":      {"test"},
		"X-Forwarded-For": {"192.0.2.1", "192.0.2.2"},
		"Cookie":          nil,
	} {
		if values := got.Values(name); !slices.Equal(values, want) {
			t.Errorf("%s: got %q, want %q", name, values, want)
		}
	}
}

func TestAnswerIsNotSearchedAgainFromTheStart(t *testing.T) {
	u := must(websocket.NewUpgrader(websocket.UpgradeConfig{}))
	data := []byte(request() + "more")
	if got := u.Answer(data, len(data)-1); got != nil {
		t.Errorf("got %+v, want nothing in the bytes not searched", got)
	}
}

func TestUpgraderRefusesBadSettings(t *testing.T) {
	for _, cfg := range []websocket.UpgradeConfig{
		{Path: "chat"},
		{Path: "/chat?a"},
		{Path: "/a b"},
		{Path: "/ä"},
		{Path: "/#"},
		{Origins: []string{""}},
		{Origins: []string{"example.com"}},
		{Origins: []string{"https://"}},
		{Origins: []string{"https://example.com/"}},
		{Origins: []string{"https://example.com", "https://*.example.com/x"}},
		{Subprotocols: []string{""}},
		{Subprotocols: []string{"a b"}},
		{Subprotocols: []string{"a", "a"}},
	} {
		if _, err := websocket.NewUpgrader(cfg); !errors.Is(err, websocket.ErrBadOption) {
			t.Errorf("%+v: got %v, want ErrBadOption", cfg, err)
		}
	}
	_, err := websocket.NewUpgrader(websocket.UpgradeConfig{Path: "chat", Origins: []string{"x"}, Subprotocols: []string{","}})
	if err == nil || strings.Count(err.Error(), "bad option") != 3 {
		t.Errorf("got %v, want three settings reported", err)
	}
}

func TestSettingsOfTheCallerMayBeReused(t *testing.T) {
	cfg := websocket.UpgradeConfig{Origins: []string{"https://a.example"}, Subprotocols: []string{"chat"}}
	u := must(websocket.NewUpgrader(cfg))
	cfg.Origins[0], cfg.Subprotocols[0] = "https://b.example", "talk"
	got := u.Answer([]byte(request("Origin: https://a.example", "Sec-WebSocket-Protocol: chat")), 0)
	if got.Request.Subprotocol != "chat" {
		t.Errorf("got %+v, want chat", got)
	}
}

func readRequest(r io.Reader) (*http.Request, error) { return http.ReadRequest(bufio.NewReader(r)) }
