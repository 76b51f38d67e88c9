package admin_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"flamingo/node"
	"flamingo/node/admin"
)

type bulkLine struct {
	ID      string `json:"id"`
	Outcome string `json:"outcome"`
	Detail  string `json:"detail"`
}

// bulkLines are the lines of an answer, each as outcome and id.
func bulkLines(t *testing.T, body string) (lines []bulkLine) {
	t.Helper()
	for text := range strings.Lines(body) {
		var l bulkLine
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("%v in %q", err, text)
		}
		lines = append(lines, l)
	}
	return lines
}

func TestManyMessagesGoOutAtOnceEachIDInOrder(t *testing.T) {
	a, n := show(t, admin.Config{}, lines())
	one, first := connect(t, n)
	two, second := connect(t, n)
	body := fmt.Sprintf(`{"ids":["%[1]s","%[2]s"],"text":"to both"}

{"ids":["%[2]s","nonsense","%[3]s"],"data":"AGJpbg=="}
{"ids":["%[1]s"],"text":"two\nlines"}
{"ids":["%[1]s"],"text":"last"}
`, first, second, second+7)
	got := a.expect("POST", "/api/v1/messages", body, 200, "")
	if kind := got.header.Get("Content-Type"); kind != "application/x-ndjson" {
		t.Errorf("type %q", kind)
	}
	want := []bulkLine{
		{first.String(), "accepted", ""},
		{second.String(), "accepted", ""},
		{second.String(), "accepted", ""},
		{"nonsense", "bad-id", "x"},
		{(second + 7).String(), "never-issued", "x"},
		{first.String(), "unframeable", "x"},
		{first.String(), "accepted", ""},
	}
	lines := bulkLines(t, got.body)
	if len(lines) != len(want) {
		t.Fatalf("%d lines, want %d:\n%s", len(lines), len(want), got.body)
	}
	for i, l := range lines {
		if l.ID != want[i].ID || l.Outcome != want[i].Outcome || (l.Detail == "") != (want[i].Detail == "") {
			t.Errorf("line %d: %+v, want %+v", i+1, l, want[i])
		}
	}
	one.expect("to both")
	one.expect("last")
	two.expect("to both")
	two.expect("\x00bin")
}

func TestManyMessagesOfWhichOneIsWrongAreNotSent(t *testing.T) {
	h := newHandler(t, admin.Config{MaxMessage: 10})
	f := &fake{}
	h.AttachTarget(f)
	a := serve(t, h)
	const good = `{"ids":["01adc9000000002a"],"text":"x"}` + "\n"
	for body, want := range map[string]string{
		"":                                    "want a line",
		"\n \n":                               "want a line",
		good + `{"ids":["01adc9000000002a"]}`: "line 2: want ids, and either",
		good + `{"ids":[],"text":"x"}`:        "line 2: want ids",
		good + `{"ids":["x"],"text":"x","data":""}`: "line 2: want ids, and either",
		good + `{"ids":["x"],"txt":"x"}`:            "line 2: not the JSON",
		good + `{"ids":["x"],"data":"%"}`:           "line 2: not the JSON",
		good + `{"ids":["x"],"text":"x"} {}`:        "line 2: something is behind",
		good + "[]":                                 "line 2: not the JSON",
	} {
		if p := problemIn(t, a.expect("POST", "/api/v1/messages", body, 400, "bad-request")); !strings.Contains(p.Detail, want) {
			t.Errorf("%q: %q, want %q", body, p.Detail, want)
		}
	}
	a.expect("POST", "/api/v1/messages", good+`{"ids":["x"],"text":"12345678901"}`, 413, "too-large")
	a.expect("POST", "/api/v1/messages", strings.Repeat(good, 10_001), 413, "too-large")
	a.expect("POST", "/api/v1/messages?ack=written", good, 400, "bad-request")
	if calls := f.taken(); len(calls) > 0 {
		t.Errorf("the node was asked: %+v", calls)
	}
	a.expect("POST", "/api/v1/messages", good, 200, "")
	if calls := f.taken(); len(calls) != 1 || calls[0].kind != node.KindText {
		t.Errorf("without the fault: %+v", calls)
	}
}

type closedJSON struct {
	DryRun  bool `json:"dry_run"`
	Matched int  `json:"matched"`
	Closed  int  `json:"closed"`
	Failed  []struct {
		ID      string `json:"id"`
		Problem string `json:"problem"`
	} `json:"failed"`
	Missing []struct {
		Node    string `json:"node"`
		Number  string `json:"number"`
		Problem string `json:"problem"`
	} `json:"missing"`
}

func closeMany(a *api, query, body string) (got closedJSON) {
	a.t.Helper()
	answer := a.expect("POST", "/api/v1/connections/close"+query, body, 200, "", with("Content-Type", "application/json"))
	if err := json.Unmarshal([]byte(answer.body), &got); err != nil {
		a.t.Fatal(err)
	}
	return got
}

func TestManyConnectionsAreEndedOnceTheyWereCounted(t *testing.T) {
	a, n := show(t, admin.Config{}, lines())
	var clients []*client
	var ids []string
	for range 40 {
		c, id := connect(t, n)
		clients, ids = append(clients, c), append(ids, `"`+id.String()+`"`)
	}
	body := `{"ids":[` + strings.Join(append(ids[:39:39], `"nonsense"`), ",") + `]}`
	for range 2 { // a dry run changes nothing
		if got := closeMany(a, "?dry_run=true", body); !got.DryRun || got.Matched != 39 || got.Closed != 0 || len(got.Failed) != 1 {
			t.Errorf("dry run: %+v, want 39 matched and 1 failed", got)
		}
	}
	got := closeMany(a, "", body)
	if got.DryRun || got.Matched != 39 || got.Closed != 39 || len(got.Failed) != 1 || got.Failed[0].ID != "nonsense" || got.Failed[0].Problem != "bad-id" {
		t.Errorf("%+v, want 39 closed, and one that is no id", got)
	}
	for _, c := range clients[:39] {
		c.expectEnd()
	}
	if got := closeMany(a, "", `{"ids":[`+ids[0]+`]}`); got.Closed != 0 || got.Failed[0].Problem != "gone" {
		t.Errorf("once more: %+v", got)
	}
}

func TestMembersOfAGroupAreEndedOnAllNodes(t *testing.T) {
	apis, nodes := fabric(t)
	awaitLinks(t, apis, nodes)
	var clients []*client
	for _, n := range nodes {
		c, id := connect(t, n)
		if err := n.JoinGroup(id, "room/7"); err != nil {
			t.Fatal(err)
		}
		clients = append(clients, c)
	}
	until(t, "every node to answer", func() bool {
		return len(closeMany(apis[0], "?dry_run=true", `{"group":"room/7"}`).Missing) == 0
	})
	if got := closeMany(apis[0], "?dry_run=true", `{"group":"room/7"}`); got.Matched != 3 || got.Closed != 0 || len(got.Missing) > 0 {
		t.Errorf("dry run: %+v, want 3 matched", got)
	}
	if got := closeMany(apis[0], "?code=4001&reason=bye", `{"group":"room/7"}`); got.Matched != 3 || got.Closed != 3 {
		t.Errorf("%+v, want 3 closed", got)
	}
	for _, c := range clients {
		c.expectEnd()
	}
}

func TestEndingManyAsksForOneSelector(t *testing.T) {
	a := serve(t, newHandler(t, admin.Config{}))
	f := &fake{}
	a.h.AttachTarget(f)
	for _, body := range []string{"", "{}", `{"ids":[]}`, `{"ids":["01adc9000000002a"],"group":"x"}`, `{"id":"x"}`, `{"ids":["01adc9000000002a"]}x`} {
		a.expect("POST", "/api/v1/connections/close", body, 400, "bad-request")
	}
	a.expect("POST", "/api/v1/connections/close?dry_run=yes", `{"ids":["01adc9000000002a"]}`, 400, "bad-request")
	a.expect("POST", "/api/v1/connections/close?code=x", `{"ids":["01adc9000000002a"]}`, 400, "bad-request")
	if calls := f.taken(); len(calls) > 0 {
		t.Errorf("the node was asked: %+v", calls)
	}
}

func TestSettingsAreShown(t *testing.T) {
	a := serve(t, newHandler(t, admin.Config{Settings: []admin.Setting{
		{Key: "listen", Value: []string{"tcp://:4100"}, Source: "file", Where: "/etc/flamingo.yaml"},
		{Key: "limits.max_conns", Value: 0, Source: "default"},
	}}))
	const want = `{"settings":[{"key":"listen","value":["tcp://:4100"],"source":"file","where":"/etc/flamingo.yaml"},` +
		`{"key":"limits.max_conns","value":0,"source":"default"}]}` + "\n"
	if got := a.expect("GET", "/api/v1/config", "", 200, ""); got.body != want {
		t.Errorf("%s\nwant %s", got.body, want)
	}
	none := serve(t, newHandler(t, admin.Config{}))
	if got := none.expect("GET", "/api/v1/config", "", 200, ""); got.body != `{"settings":[]}`+"\n" {
		t.Errorf("without settings: %s", got.body)
	}
}

func TestConnectionsAreThoseOfAPIGateway(t *testing.T) {
	a, n := show(t, admin.Config{}, lines())
	c, id := connect(t, n)
	path := "/@connections/" + id.String()
	if got := a.expect("POST", path, "hello", 200, ""); got.body != "" {
		t.Errorf("a message is answered %q", got.body)
	}
	c.expect("hello")
	var info struct {
		ConnectedAt  string `json:"connectedAt"`
		LastActiveAt string `json:"lastActiveAt"`
		Identity     struct {
			SourceIP  string `json:"sourceIp"`
			UserAgent string `json:"userAgent"`
		} `json:"identity"`
	}
	a.get(path, &info)
	if info.ConnectedAt == "" || info.LastActiveAt == "" || info.Identity.SourceIP != "127.0.0.1" {
		t.Errorf("%+v", info)
	}
	a.expect("DELETE", path, "", 204, "")
	c.expectEnd()
	for _, id := range []string{id.String(), (id + 1).String(), "L0SM9cOFvHcCIhw="} {
		for _, method := range []string{"POST", "GET", "DELETE"} {
			got := a.expect(method, "/@connections/"+id, "", 410, "")
			if got.header.Get("X-Amzn-Errortype") != "GoneException" || !strings.HasPrefix(got.body, `{"message":"`) {
				t.Errorf("%s %s: %s of type %q", method, id, got.body, got.header.Get("X-Amzn-Errortype"))
			}
		}
	}
	if got := a.expect("POST", path, strings.Repeat("x", 1<<20+1), 413, ""); got.header.Get("X-Amzn-Errortype") != "PayloadTooLargeException" {
		t.Errorf("too large: %s of type %q", got.body, got.header.Get("X-Amzn-Errortype"))
	}
}

func TestASignatureBearsATokenToAPIGatewayAlone(t *testing.T) {
	a, n := show(t, admin.Config{Token: "key"}, lines())
	_, id := connect(t, n)
	signed := func(by string) func(r *http.Request) {
		return with("Authorization", "AWS4-HMAC-SHA256 Credential="+by+"/20261128/eu-west-1/execute-api/aws4_request, SignedHeaders=host;x-amz-date, Signature=00")
	}
	a.expect("POST", "/@connections/"+id.String(), "x", 200, "", signed("key"))
	a.expect("POST", "/@connections/"+id.String(), "x", 200, "", bearing("key"))
	a.expect("POST", "/@connections/"+id.String(), "x", 401, "unauthorized", signed("other"))
	a.expect("POST", "/@connections/"+id.String(), "x", 401, "unauthorized", signed(""))
	a.expect("POST", "/@connections/"+id.String(), "x", 401, "unauthorized", with("Authorization", "AWS4-HMAC-SHA256 key/"))
	a.expect("GET", "/api/v1/nodes", "", 401, "unauthorized", signed("key"))
}

func TestOneTooManyIsBusy(t *testing.T) {
	a := serve(t, newHandler(t, admin.Config{}))
	f := &fake{}
	a.h.AttachTarget(f)
	const line = `{"ids":["01adc9000000002a"]`
	for range 2 * 8 { // more than there are places: each is given back
		a.expect("POST", "/api/v1/messages", line+`,"text":"x"}`, 200, "")
		a.expect("GET", "/metrics", "", 200, "")
	}
	f.taken()
	a.h.OccupyOthers()
	a.expect("POST", "/api/v1/messages", line+`,"text":"x"}`, 429, "busy")
	a.expect("POST", "/api/v1/connections/close", line+"}", 429, "busy")
	a.expect("GET", "/metrics", "", 429, "busy")
	if calls := f.taken(); len(calls) > 0 {
		t.Errorf("the node was asked: %+v", calls)
	}
	a.expect("POST", sample+"/messages", "x", 202, "") // one message has a place of its own
}
