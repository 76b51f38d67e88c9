package transport_test

import (
	"fmt"
	"runtime"
	"testing"
	"weak"

	"flamingo/idspace"
	"flamingo/transport"
	"flamingo/transport/websocket"
)

func TestTakenOpenIsAllThatKeepsTheRequest(t *testing.T) {
	tr, _ := serve(t, func(c *transport.Config) { c.Listeners[0].WebSocket = &transport.WebSocket{} })
	nc := connect(t, tr)
	fmt.Fprint(nc, "GET / HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	id, request := takeOpen(t, tr)
	for within := limit(t); within.Err() == nil && request.Value() != nil; {
		runtime.GC()
	}
	if request.Value() != nil {
		t.Error("an open connection keeps its request, which the program has let go of")
	}
	if _, err := tr.Describe(id); err != nil {
		t.Errorf("the connection is not open any more: %v", err)
	}
}

// takeOpen takes the open of a WebSocket and lets go of it.
func takeOpen(t *testing.T, tr *transport.Transport) (idspace.ID, weak.Pointer[websocket.Request]) {
	c, ok := tr.RecvOpen()
	if !ok || c.WebSocket() == nil {
		t.Fatalf("opened with %v, want a WebSocket", c)
	}
	return c.ID(), weak.Make(c.WebSocket())
}
