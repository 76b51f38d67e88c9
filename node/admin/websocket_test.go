package admin_test

import (
	"net"
	"net/http"
	"testing"
	"time"

	"flamingo/node"
	"flamingo/node/admin"
	"flamingo/node/nodetest"
	"flamingo/transport/websocket"
)

func TestContentTypeIsTheKindOfTheMessage(t *testing.T) {
	h := newHandler(t, admin.Config{})
	f := &fake{}
	h.AttachTarget(f)
	a := serve(t, h)
	for contentType, want := range map[string]node.Kind{
		"":                                  node.KindDefault,
		"application/x-www-form-urlencoded": node.KindDefault,
		"text/plain":                        node.KindText,
		"text/plain; charset=utf-8":         node.KindText,
		"Text/HTML":                         node.KindText,
		"application/json":                  node.KindText,
		"application/json;charset=utf-8":    node.KindText,
		"application/octet-stream":          node.KindBinary,
		"image/png":                         node.KindBinary,
		"multipart/form-data; boundary=x":   node.KindBinary,
	} {
		for query, status := range map[string]int{"": 202, "?ack=written": 200} {
			edit := with("Content-Type", contentType)
			if contentType == "" {
				edit = func(r *http.Request) { r.Header.Del("Content-Type") }
			}
			a.expect("POST", "/api/v1/connections/01adc9000000002a/messages"+query, "x", status, "", edit)
			if calls := f.taken(); len(calls) != 1 || calls[0].kind != want {
				t.Errorf("%q: %+v, want the kind %v", contentType, calls, want)
			}
		}
	}
}

func TestCodeAndReasonReachTheNode(t *testing.T) {
	h := newHandler(t, admin.Config{})
	f := &fake{}
	h.AttachTarget(f)
	a := serve(t, h)
	for query, want := range map[string]string{
		"":                                    `0 ""`,
		"?code=4001&reason=bye":               `4001 "bye"`,
		"?reason=good+bye":                    `0 "good bye"`,
		"?code=1000&missing=ok":               `1000 ""`,
		"?code=99999999":                      `99999999 ""`, // the node judges
		"?code=4001&reason=%F0%9F%98%80&code": "",
	} {
		status := map[bool]int{true: 400, false: 204}[want == ""]
		slug := map[bool]string{true: "bad-request"}[want == ""]
		a.expect("DELETE", "/api/v1/connections/01adc9000000002a"+query, "", status, slug)
		if calls := f.taken(); want != "" && (len(calls) != 1 || calls[0].msg != want) || want == "" && len(calls) != 0 {
			t.Errorf("%q: %+v, want %s", query, calls, want)
		}
	}
}

func TestWebSocketIsShownSentToAndClosed(t *testing.T) {
	opts := lines()
	opts.Listen = []string{"ws://127.0.0.1:0/chat?subprotocol=v1"}
	a, n := show(t, admin.Config{}, opts)
	nc, err := net.DialTimeout("tcp", n.Addrs()[0].String(), patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	web, err := nodetest.OpenWebSocket(nc, "/chat", "Sec-WebSocket-Protocol: v1")
	if err != nil {
		t.Fatal(err)
	}
	id := within(t, "an open", func() node.ID {
		id, _ := n.RecvOpen()
		return id
	})
	path := "/api/v1/connections/" + id.String()
	expect := func(want nodetest.Frame) {
		t.Helper()
		if got, err := web.Next(); err != nil || got != want {
			t.Errorf("the client reads %+v, %v; want %+v", got, err, want)
		}
	}

	var shown connectionJSON
	a.get(path, &shown)
	if want := (node.WebSocketInfo{Path: "/chat", Host: "node.example", Subprotocol: "v1"}); shown.WebSocket == nil || *shown.WebSocket != want {
		t.Errorf("shown as %+v, want %+v", shown.WebSocket, want)
	}
	a.expect("POST", path+"/messages", `{"a":1}`, 202, "", with("Content-Type", "application/json"))
	expect(nodetest.Frame{Kind: websocket.Text, Text: `{"a":1}`})
	a.expect("POST", path+"/messages?ack=written", "\xff", 200, "", with("Content-Type", "application/octet-stream"))
	expect(nodetest.Frame{Kind: websocket.Binary, Text: "\xff"})
	a.expect("POST", path+"/messages", "\xff", 422, "unframeable", with("Content-Type", "text/plain"))
	got := a.expect("DELETE", path+"?code=1002&reason=no", "", 400, "bad-close-code")
	if p := problemIn(t, got); p.Outcome != "bad-close-code" || p.ID != id || p.Retryable {
		t.Errorf("the problem is %+v", p)
	}
	a.expect("DELETE", path+"?code=4001&reason=bye", "", 204, "")
	expect(nodetest.Frame{Kind: websocket.Close, Code: 4001, Text: "bye"})
	a.expect("DELETE", path+"?code=4001&reason=bye&missing=ok", "", 204, "")
}
