package attach

import (
	"bufio"
	"fmt"
	"io"
	"slices"

	"flamingo/transport/websocket"
)

// upgrade answers the request of a worker that speaks over WebSocket. Its frames
// are messages of the form that its subprotocol names.
func upgrade(nc *lifeline, in *bufio.Reader, pages bool) (stream, error) {
	upgrader, err := websocket.NewUpgrader(websocket.UpgradeConfig{
		Path: "/", Origins: []string{"*"}, Subprotocols: []string{subprotocolJSON, subprotocolMsgpack},
	})
	if err != nil {
		return nil, err
	}
	var answer *websocket.Answer
	for have := 1; answer == nil; {
		if _, err := in.Peek(have); err != nil {
			return nil, err
		}
		head, _ := in.Peek(in.Buffered()) // all that is there
		if answer = upgrader.Answer(head, 0); answer == nil && len(head) == in.Size() {
			return nil, malformed("a request of more than %d bytes", in.Size())
		}
		have = len(head) + 1
	}
	response, refused := answer.Response, error(nil)
	switch r := &answer.Request; {
	case !answer.Accepted():
		refused = malformed("%s", answer.Reason)
	case r.Subprotocol == "":
		refused = malformed("none of the subprotocols %s and %s", subprotocolJSON, subprotocolMsgpack)
	case r.Origin != "" && !pages:
		refused = malformed("a page of %.100q, and there is no token", r.Origin)
	}
	if refused != nil && answer.Accepted() {
		response = []byte("HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
	}
	if _, err := nc.Write(response); err != nil {
		return nil, err
	}
	if refused != nil {
		return nil, refused
	}
	if _, err := in.Discard(answer.Size); err != nil {
		return nil, err
	}
	return newMessages(nc, in, answer.Request.Subprotocol == subprotocolJSON)
}

// messages are frames of a WebSocket.
type messages struct {
	nc      *lifeline
	in      *bufio.Reader
	form    format
	kind    websocket.Kind // of a message in this form
	decoder *websocket.Decoder
	state   websocket.State
	chunk   []byte // what was read and is not decoded, a part of buf
	buf     []byte

	pongs chan []byte // to be written by the writer; what does not fit is dropped
}

func newMessages(nc *lifeline, in *bufio.Reader, inJSON bool) (*messages, error) {
	m := &messages{nc: nc, in: in, buf: make([]byte, 16<<10), pongs: make(chan []byte, 4)}
	m.form, m.kind = msgpackForm{}, websocket.Binary
	if inJSON {
		m.form, m.kind = jsonForm{}, websocket.Text
	}
	var err error
	m.decoder, err = websocket.NewDecoder(websocket.DecoderConfig{MaxMessage: maxFrame, Only: m.kind})
	return m, err
}

func (m *messages) format() format { return m.form }
func (m *messages) begin() []byte  { return nil }

func (m *messages) read(limit int) ([]byte, error) {
	for {
		for len(m.chunk) > 0 {
			e, n, err := m.decoder.Decode(&m.state, m.chunk)
			m.chunk = m.chunk[n:]
			switch {
			case err != nil:
				return nil, malformed("%v", err)
			case e.Kind == websocket.Close:
				return nil, io.EOF
			case e.Kind == websocket.Ping:
				select {
				case m.pongs <- slices.Clone(e.Payload):
				default:
				}
			case e.Kind == m.kind && len(e.Payload) > limit:
				return nil, malformed("a message of %d bytes: allowed are 1 to %d", len(e.Payload), limit)
			case e.Kind == m.kind:
				return e.Payload, nil
			}
		}
		if m.state.Buffered() > limit {
			return nil, malformed("a message of more than %d bytes", limit)
		}
		n, err := m.in.Read(m.buf)
		if err != nil {
			return nil, fmt.Errorf("without a close: %w", err)
		}
		m.chunk = m.buf[:n]
	}
}

// seal puts the header of a message in front of the frame, and pongs that are due
// behind it.
func (m *messages) seal(b []byte, start int) []byte {
	var head [16]byte
	h := websocket.AppendHeader(head[:0], m.kind, len(b)-start)
	b = slices.Insert(b, start, h...)
	for {
		select {
		case payload := <-m.pongs:
			b, _ = websocket.AppendPong(b, payload) // a ping's payload fits
		default:
			return b
		}
	}
}

func (m *messages) end() []byte {
	b, _ := websocket.AppendClose(nil, websocket.CloseNormal, "") // that code may be sent
	return b
}
