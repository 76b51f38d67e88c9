package nodetest

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"flamingo/transport/websocket"
)

// A WebSocket is the client's end of one, with frames as they are: it answers
// nothing by itself. One goroutine says and another one reads.
type WebSocket struct {
	net.Conn
	Subprotocol string // that the server has chosen
	in          *bufio.Reader
}

// OpenWebSocket asks the server at the other end of nc for path, with further
// lines of header such as "Origin: https://example.com".
func OpenWebSocket(nc net.Conn, path string, header ...string) (*WebSocket, error) {
	var request strings.Builder
	request.WriteString("GET " + path + " HTTP/1.1\r\nHost: node.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
	for _, line := range header {
		request.WriteString(line + "\r\n")
	}
	if _, err := io.WriteString(nc, request.String()+"\r\n"); err != nil {
		return nil, err
	}
	in := bufio.NewReader(nc)
	answer, err := http.ReadResponse(in, nil)
	if err != nil {
		return nil, err
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusSwitchingProtocols {
		return nil, fmt.Errorf("answered with %s", answer.Status)
	}
	return &WebSocket{nc, answer.Header.Get("Sec-WebSocket-Protocol"), in}, nil
}

// Say sends a frame of at most 125 bytes. Its mask is zero, which changes nothing.
func (w *WebSocket) Say(kind websocket.Kind, payload string) error {
	if len(payload) > websocket.MaxControlPayload {
		return fmt.Errorf("%d bytes: want at most %d", len(payload), websocket.MaxControlPayload)
	}
	_, err := w.Write(append([]byte{0x80 | byte(kind), 0x80 | byte(len(payload)), 0, 0, 0, 0}, payload...))
	return err
}

// A Frame is what the server has sent.
type Frame struct {
	Kind websocket.Kind
	Code websocket.CloseCode // of a close
	Text string              // the payload; of a close its reason
}

// Next reads a frame.
func (w *WebSocket) Next() (Frame, error) {
	var head [2]byte
	if _, err := io.ReadFull(w.in, head[:]); err != nil {
		return Frame{}, err
	}
	length := uint64(head[1])
	if size := map[uint64]int{126: 2, 127: 8}[length]; size > 0 {
		var b [8]byte
		if _, err := io.ReadFull(w.in, b[8-size:]); err != nil {
			return Frame{}, err
		}
		length = binary.BigEndian.Uint64(b[:])
	}
	payload := make([]byte, length)
	if _, err := io.ReadFull(w.in, payload); err != nil {
		return Frame{}, err
	}
	f := Frame{Kind: websocket.Kind(head[0] & 0xf), Text: string(payload)}
	if f.Kind == websocket.Close && len(payload) >= 2 {
		f.Code, f.Text = websocket.CloseCode(binary.BigEndian.Uint16(payload)), string(payload[2:])
	}
	return f, nil
}
