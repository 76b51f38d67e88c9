package node_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"flamingo/node"
	"flamingo/node/nodetest"
	"flamingo/transport/websocket"
)

// A webClient is the other end of a WebSocket.
type webClient struct {
	*nodetest.WebSocket
	t testing.TB
}

// openWeb opens a WebSocket at a listener, given by its place in Opts.Listen, and
// takes the open.
func openWeb(t testing.TB, n *node.Node, listener int, path string, header ...string) (*webClient, node.ID) {
	t.Helper()
	nc, err := net.DialTimeout("tcp", n.Addrs()[listener].String(), patience)
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, nc)
	w, err := nodetest.OpenWebSocket(c, path, header...)
	if err != nil {
		t.Fatal(err)
	}
	return &webClient{w, t}, recvOpen(t, n)
}

func (c *webClient) say(kind websocket.Kind, text string) {
	c.t.Helper()
	if err := c.Say(kind, text); err != nil {
		c.t.Fatal(err)
	}
}

func (c *webClient) expect(kind websocket.Kind, text string) {
	c.t.Helper()
	_ = c.SetDeadline(time.Now().Add(patience))
	if f, err := c.Next(); err != nil || f != (nodetest.Frame{Kind: kind, Text: text}) {
		c.t.Fatalf("client read %+v, %v; want the %v %.40q", f, err, kind, text)
	}
}

func (c *webClient) expectClose(code websocket.CloseCode, reason string) {
	c.t.Helper()
	_ = c.SetDeadline(time.Now().Add(patience))
	if f, err := c.Next(); err != nil || f != (nodetest.Frame{Kind: websocket.Close, Code: code, Text: reason}) {
		c.t.Fatalf("client read %+v, %v; want a close with %v %q", f, err, code, reason)
	}
}

// webFabric is fabric, each node with a listener of lines, one of WebSockets, and
// one of WebSockets whose messages are binary if nobody says.
func webFabric(t testing.TB) []node.Opts {
	all := fabric(t)
	for i := range all {
		all[i].Listen = append(all[i].Listen, "ws://127.0.0.1:0", "ws://127.0.0.1:0?send=binary")
	}
	return all
}

func TestMessagesOfEveryKindReachAnyWebSocket(t *testing.T) {
	nodes := openAll(t, webFabric(t))
	owner := nodes[0]
	for _, sender := range nodes[:2] {
		for listener, byDefault := range map[int]websocket.Kind{1: websocket.Text, 2: websocket.Binary} {
			c, id := openWeb(t, owner, listener, "/")
			for kind, want := range map[node.Kind]websocket.Kind{
				node.KindDefault: byDefault, node.KindText: websocket.Text, node.KindBinary: websocket.Binary,
			} {
				if err := sender.SendDataAs(id, kind, []byte("data")); err != nil {
					t.Fatal(err)
				}
				c.expect(want, "data")
				if err := sender.SendAs(t.Context(), id, kind, []byte("written")); err != nil {
					t.Fatal(err)
				}
				c.expect(want, "written")
				long := strings.Repeat("long ", 50_000) // travels in parts
				for _, err := range sender.SendManyAs([]node.ID{id, id}, kind, []byte(long)) {
					if err != nil {
						t.Fatal(err)
					}
				}
				c.expect(want, long)
				c.expect(want, long)
			}
			if err := sender.SendData(id, []byte("plain")); err != nil {
				t.Fatal(err)
			}
			c.expect(byDefault, "plain")
		}
	}
}

func TestWhatIsNoTextIsRefusedAsText(t *testing.T) {
	nodes := openAll(t, webFabric(t))
	c, id := openWeb(t, nodes[0], 1, "/")
	for _, sender := range nodes[:2] {
		for _, kind := range []node.Kind{node.KindDefault, node.KindText} {
			if err := sender.SendAs(t.Context(), id, kind, []byte{0xff}); !errors.Is(err, node.ErrUnframeable) {
				t.Errorf("a byte ff as %v: %v, want %v", kind, err, node.ErrUnframeable)
			}
		}
		if err := sender.SendAs(t.Context(), id, node.KindBinary, []byte{0xff}); err != nil {
			t.Error(err)
		}
		c.expect(websocket.Binary, "\xff")
	}
}

func TestReceivedMessagesHaveTheirKind(t *testing.T) {
	eachDriver(t, func(t *testing.T, opts node.Opts) {
		opts.Listen = append(opts.Listen, "ws://127.0.0.1:0")
		n := start(t, opts)
		plain, plainID := connectID(t, n)
		web, webID := openWeb(t, n, 1, "/")
		want := func(id node.ID, kind node.Kind, text string) {
			t.Helper()
			got := within(t, "a message", func() node.Message {
				m, ok := n.RecvMessage()
				if !ok {
					t.Error("the node is closed")
				}
				return m
			})
			if got.ID != id || got.Kind != kind || string(got.Data) != text {
				t.Errorf("received %+v, want %q as %v from %s", got, text, kind, id)
			}
		}
		for k := range 3 { // a batch has one kind
			web.say(websocket.Text, fmt.Sprint("text ", k))
			web.say(websocket.Binary, fmt.Sprint("binary ", k))
		}
		for k := range 3 {
			want(webID, node.KindText, fmt.Sprint("text ", k))
			want(webID, node.KindBinary, fmt.Sprint("binary ", k))
		}
		plain.say("line\n")
		want(plainID, node.KindDefault, "line")
		if err := closeNow(n); err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if m, ok := n.RecvMessage(); ok || m.ID != 0 {
			t.Errorf("of a closed node: %+v, %v", m, ok)
		}
	})
}

func TestSendManyAsReachesListenersOfEverySortOnEveryNode(t *testing.T) {
	nodes := openAll(t, webFabric(t))
	var ids []node.ID
	var lines []*client
	var webs []*webClient
	for range 5 {
		for _, n := range nodes {
			c, id := connectID(t, n)
			lines, ids = append(lines, c), append(ids, id)
			for listener := 1; listener <= 2; listener++ {
				w, id := openWeb(t, n, listener, "/")
				webs, ids = append(webs, w), append(ids, id)
			}
		}
	}
	for _, kind := range []node.Kind{node.KindText, node.KindBinary} {
		for _, text := range []string{"short", strings.Repeat("x", 1000)} { // above 512 bytes the copy is shared
			for i, err := range nodes[0].SendManyAs(ids, kind, []byte(text)) {
				if err != nil {
					t.Errorf("to %s: %v", ids[i], err)
				}
			}
			for _, c := range lines {
				c.expect(text)
			}
			for _, c := range webs {
				c.expect(websocket.Kind(kind), text)
			}
		}
	}
}

func TestClientIsToldWhyItIsClosedFromAnyNode(t *testing.T) {
	nodes := openAll(t, webFabric(t))
	owner := nodes[0]
	for _, n := range nodes[:2] {
		for name, end := range map[string]func(node.ID, int, string) error{
			"SendCloseWith": n.SendCloseWith, "DisconnectWith": n.DisconnectWith,
		} {
			for _, c := range []struct {
				code   int
				reason string
				want   websocket.CloseCode
				text   string
			}{
				{4001, "bye", 4001, "bye"},
				{0, "", 1000, ""},
				{0, "bye", 1000, "bye"},
				{1001, "", 1001, ""},
				{3000, strings.Repeat("x", 120) + "😀", 3000, strings.Repeat("x", 120)},
				{4999, "\xff" + strings.Repeat("é", 61), 4999, "\ufffd" + strings.Repeat("é", 60)},
			} {
				web, id := openWeb(t, owner, 1, "/")
				if err := n.SendData(id, []byte("goodbye")); err != nil {
					t.Fatal(err)
				}
				if err := end(id, c.code, c.reason); err != nil {
					t.Fatalf("%s with %d: %v", name, c.code, err)
				}
				web.expect(websocket.Text, "goodbye")
				web.expectClose(c.want, c.text)
				if err := end(id, c.code, c.reason); !errors.Is(err, node.ErrGone) {
					t.Errorf("a second %s: %v, want %v", name, err, node.ErrGone)
				}
			}
			line, id := connectID(t, owner)
			if err := end(id, 4001, "bye"); err != nil {
				t.Errorf("%s of a connection that is no WebSocket: %v", name, err)
			}
			line.expectEnd()
		}
	}
}

func TestCodeThatAProgramMustNotSendIsRefusedEverywhere(t *testing.T) {
	nodes := openAll(t, webFabric(t))
	c, id := openWeb(t, nodes[0], 1, "/")
	_, line := connectID(t, nodes[0])
	for _, n := range nodes[:2] {
		for _, code := range []int{-1, 1, 999, 1002, 1004, 1005, 1006, 1010, 1015, 1016, 2999, 5000, 65536 + 1000, 1 << 40} {
			for _, id := range []node.ID{id, line} {
				var opErr *node.OpError
				err := n.SendCloseWith(id, code, "bye")
				if !errors.Is(err, node.ErrBadCloseCode) || !errors.As(err, &opErr) || opErr.ID != id {
					t.Errorf("SendCloseWith %d: %v, want %v of %s", code, err, node.ErrBadCloseCode, id)
				}
				if err := n.DisconnectWith(id, code, ""); !errors.Is(err, node.ErrBadCloseCode) {
					t.Errorf("DisconnectWith %d: %v, want %v", code, err, node.ErrBadCloseCode)
				}
			}
		}
	}
	if err := nodes[1].SendData(id, []byte("still here")); err != nil {
		t.Fatal(err)
	}
	c.expect(websocket.Text, "still here")
}

func TestConnectionEndsAlsoWithACodeOfALaterRelease(t *testing.T) {
	opts := lines()
	opts.Cluster, opts.Expect, opts.Listen = nodetest.FreeAddrs(t, 1)[0], 1, []string{"ws://127.0.0.1:0"}
	n := openAll(t, []node.Opts{opts})[0]
	for _, code := range []uint16{1, 1015, 2999, 65535} {
		c, id := openWeb(t, n, 0, "/")
		if err := node.OwnerOf(n).Close(id, code, "bye"); err != nil {
			t.Errorf("close with %d: %v", code, err)
		}
		c.expectClose(websocket.CloseNormal, "")
	}
}

func TestAnyNodeDescribesAWebSocket(t *testing.T) {
	opts := webFabric(t)
	opts[0].Listen[1] = "ws://127.0.0.1:0/chat?origin=https://example.com&subprotocol=v2,v1"
	nodes := openAll(t, opts)
	c, id := openWeb(t, nodes[0], 1, "/chat?room=1", "Origin: https://example.com", "Sec-WebSocket-Protocol: v1")
	want := node.WebSocketInfo{Path: "/chat", Host: "node.example", Origin: "https://example.com", Subprotocol: "v1"}
	if c.Subprotocol != "v1" {
		t.Errorf("the client got subprotocol %q, want v1", c.Subprotocol)
	}
	_, line := connectID(t, nodes[0])
	for i, n := range nodes {
		info, err := n.Describe(t.Context(), id)
		if err != nil || info.WebSocket == nil || *info.WebSocket != want || !strings.HasPrefix(info.Listener, "ws://") {
			t.Errorf("node %d describes %+v, %+v, %v; want %+v", i, info, info.WebSocket, err, want)
		}
		if info, err := n.Describe(t.Context(), line); err != nil || info.WebSocket != nil {
			t.Errorf("node %d describes a line as %+v, %v", i, info.WebSocket, err)
		}
	}
}

func TestMaxMessageBoundsWebSocketsThatNameNone(t *testing.T) {
	for name, c := range map[string]struct {
		opts node.Opts
		want int
	}{
		"alone":            {node.Opts{Listen: []string{"ws://127.0.0.1:0"}, MaxMessage: 10}, 10},
		"beside raw":       {node.Opts{Listen: []string{"WS://127.0.0.1:0"}, Framing: "raw", MaxMessage: 10}, 10},
		"beside fixed":     {node.Opts{Listen: []string{"ws://127.0.0.1:0"}, Framing: "fixed&fixed-size=4", MaxMessage: 10}, 10},
		"beside a framing": {node.Opts{Listen: []string{"ws://127.0.0.1:0"}, Framing: "line&max-message=5", MaxMessage: 10}, 10},
		"beside a codec":   {node.Opts{Listen: []string{"ws://127.0.0.1:0"}, Codec: ownCodec(t), MaxMessage: 10}, 10},
		"of its own":       {node.Opts{Listen: []string{"ws://127.0.0.1:0?max-message=20"}, MaxMessage: 10}, 20},
		"default":          {node.Opts{Listen: []string{"ws://127.0.0.1:0"}}, 1 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			c.opts.Logger = lines().Logger
			n := start(t, c.opts)
			web, id := openWeb(t, n, 0, "/")
			if err := n.SendData(id, make([]byte, c.want+1)); !errors.Is(err, node.ErrTooLarge) {
				t.Errorf("sending %d bytes: %v, want %v", c.want+1, err, node.ErrTooLarge)
			}
			if err := n.SendDataAs(id, node.KindBinary, make([]byte, c.want)); err != nil {
				t.Errorf("sending %d bytes: %v", c.want, err)
			}
			web.expect(websocket.Binary, string(make([]byte, c.want)))
			if c.want > websocket.MaxControlPayload {
				return
			}
			web.say(websocket.Text, strings.Repeat("x", c.want))
			if got := recvData(t, n); len(got.data) != c.want {
				t.Errorf("received %d bytes, want %d", len(got.data), c.want)
			}
			web.say(websocket.Text, strings.Repeat("x", c.want+1))
			if _, why := nextClose(t, n); why != node.ReasonTooLarge {
				t.Errorf("after a message of %d bytes: %v, want %v", c.want+1, why, node.ReasonTooLarge)
			}
		})
	}
}

func TestServeTellsOfWhichKindAMessageIs(t *testing.T) {
	for _, workers := range []int{1, 3} {
		n := start(t, node.Opts{Listen: []string{"ws://127.0.0.1:0"}})
		serve(t, n, node.HandlerFuncs{Message: func(m node.Message) { _ = n.SendDataAs(m.ID, m.Kind, m.Data) }}, workers)
		nc, err := net.DialTimeout("tcp", n.Addrs()[0].String(), patience)
		if err != nil {
			t.Fatal(err)
		}
		w, err := nodetest.OpenWebSocket(newClient(t, nc), "/")
		if err != nil {
			t.Fatal(err)
		}
		c := &webClient{w, t}
		for _, kind := range []websocket.Kind{websocket.Text, websocket.Binary, websocket.Binary, websocket.Text} {
			c.say(kind, "as it came")
			c.expect(kind, "as it came")
		}
	}
}
