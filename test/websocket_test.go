package test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	coder "github.com/coder/websocket"

	"flamingo"
)

// A library that is not ours, over a real socket to a node in this process.

// echoKinds sends messages back as the kind that they are, until the node is
// closed.
func echoKinds(t *testing.T, n *flamingo.Node) {
	for m, ok := n.RecvMessage(); ok; m, ok = n.RecvMessage() {
		if err := n.SendDataAs(m.ID, m.Kind, m.Data); err != nil && !errors.Is(err, flamingo.ErrGone) {
			t.Errorf("echo to %s: %v", m.ID, err)
		}
	}
}

// openWebNode returns a node that echoes, and the URL of its listener. The end of
// the test closes it.
func openWebNode(t *testing.T) (n *flamingo.Node, url string) {
	t.Helper()
	n, err := flamingo.Open(flamingo.Opts{Listen: []string{"ws://127.0.0.1:0/live?subprotocol=live.v2,live.v1"}})
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		echoKinds(t, n)
	}()
	t.Cleanup(func() { <-over })
	closeAtEnd(t, n)
	return n, "ws://" + n.Addrs()[0].String() + "/live"
}

func TestWebSocketOfAnotherLibrarySpeaksWithANode(t *testing.T) {
	n, url := openWebNode(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	dial := func() (*coder.Conn, flamingo.ID) {
		c, _, err := coder.Dial(ctx, url, &coder.DialOptions{Subprotocols: []string{"live.v1", "chat"}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.CloseNow() })
		c.SetReadLimit(1 << 20)
		id, _ := n.RecvOpen()
		return c, id
	}

	c, id := dial()
	if got := c.Subprotocol(); got != "live.v1" {
		t.Errorf("subprotocol %q, want live.v1", got)
	}
	for _, kind := range []coder.MessageType{coder.MessageText, coder.MessageBinary} {
		for _, size := range []int{0, 1, 125, 126, 65535, 65536, 500_000} {
			said := bytes.Repeat([]byte("x"), size)
			if err := c.Write(ctx, kind, said); err != nil {
				t.Fatal(err)
			}
			got, heard, err := c.Read(ctx)
			if err != nil || got != kind || !bytes.Equal(heard, said) {
				t.Fatalf("%d bytes of %v came back as %d of %v, %v", size, kind, len(heard), got, err)
			}
		}
	}
	if err := n.SendCloseWith(id, 4001, "bye"); err != nil {
		t.Fatal(err)
	}
	_, _, err := c.Read(ctx)
	if end, ok := errors.AsType[coder.CloseError](err); !ok || end.Code != 4001 || end.Reason != "bye" {
		t.Errorf("the client is told %v, want 4001 bye", err)
	}

	c, id = dial()
	if err := c.Close(4002, "enough"); err != nil { // it waits for the answer
		t.Errorf("close by the client: %v", err)
	}
	if got := n.RecvClose(); got != id {
		t.Errorf("closed is %s, want %s", got, id)
	}
}
