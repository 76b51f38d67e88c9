package websocket_test

import (
	"errors"
	"fmt"

	"flamingo/transport/websocket"
)

// The owner of a connection keeps what has arrived of the handshake, and after
// it a State.
func Example() {
	upgrader, err := websocket.NewUpgrader(websocket.UpgradeConfig{Path: "/chat"})
	if err != nil {
		fmt.Println(err)
		return
	}
	decoder, err := websocket.NewDecoder(websocket.DecoderConfig{MaxMessage: 1 << 16})
	if err != nil {
		fmt.Println(err)
		return
	}

	read := []byte("GET /chat?room=1 HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n" +
		"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58" + "\x89\x80\x37\xfa\x21\x3d" + "\x88\x80\x37\xfa\x21\x3d")
	answer := upgrader.Answer(read, 0)
	if answer == nil {
		return // call again with more
	}
	fmt.Println(answer.Status, answer.Request.Path, answer.Request.Query)
	out := answer.Response // to be written, whatever it says
	if !answer.Accepted() {
		return // and to be closed
	}

	var state websocket.State
	for data := read[answer.Size:]; len(data) > 0; {
		event, size, err := decoder.Decode(&state, data)
		data = data[size:]
		var broken *websocket.ProtocolError
		if errors.As(err, &broken) {
			out, _ = websocket.AppendClose(out, broken.Code, broken.Reason)
			break
		}
		switch event.Kind {
		case websocket.Text, websocket.Binary:
			fmt.Printf("%v %q\n", event.Kind, event.Payload)
		case websocket.Ping:
			out, _ = websocket.AppendPong(out, event.Payload)
		case websocket.Close:
			fmt.Println("close", event.Code)
			out, _ = websocket.AppendClose(out, event.Code, "")
		case websocket.Pong, websocket.None:
		}
	}
	fmt.Printf("%q\n", out[len(answer.Response):])
	// Output:
	// 101 /chat room=1
	// text "Hello"
	// close 1005 (no status)
	// "\x8a\x00\x88\x00"
}
