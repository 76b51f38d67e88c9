package transporttest

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"

	"flamingo/transport"
)

// WebSocketVariant is the variant whose clients speak WebSocket. configure is
// applied last.
func WebSocketVariant(configure func(*transport.Config)) Variant {
	return Variant{
		Configure: func(c *transport.Config) {
			for i := range c.Listeners {
				c.Listeners[i].WebSocket = &transport.WebSocket{Send: transport.KindBinary, MaxMessage: 16 << 20}
			}
			configure(c)
		},
		Client:      dialWebLines,
		OwnMessages: true,
		Without:     append([]string{"Framing"}, BareGroups...),
	}
}

// dialWebLines is what a client of the suite speaks to WebSocket listeners: it
// opens a WebSocket, and then each line that is written is a message, and each
// message is read as a line. A line that is not complete is a fragment.
func dialWebLines(nc net.Conn) (net.Conn, error) {
	if _, err := io.WriteString(nc, upgradeRequest("/")); err != nil {
		return nil, err
	}
	in := bufio.NewReader(nc)
	answer, err := http.ReadResponse(in, nil)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusSwitchingProtocols {
		return nil, fmt.Errorf("answered with %s", answer.Status)
	}
	return &webLines{Conn: nc, in: in}, nil
}

type webLines struct {
	net.Conn
	in *bufio.Reader // owned by the reader

	rest []byte // owned by the reader: of a message that was not read up to its end
	over bool   // owned by the reader: a close frame came

	mu      sync.Mutex
	inParts bool // guarded by mu: a message was begun and not ended
}

// Write sends the lines of p. The frames of one call leave together.
func (w *webLines) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []byte
	for rest := p; len(rest) > 0; {
		text, behind, complete := bytes.Cut(rest, []byte("\n"))
		first := byte(opBinary)
		if w.inParts {
			first = opContinuation
		}
		if complete {
			first |= fin
		}
		out = append(out, frame(first, string(text))...)
		w.inParts = !complete
		rest = behind
	}
	if _, err := w.Conn.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Read reads lines. After a close frame it reads up to the end of the stream.
func (w *webLines) Read(p []byte) (int, error) {
	for len(w.rest) == 0 {
		if w.over {
			return 0, w.end()
		}
		var head [2]byte
		if _, err := io.ReadFull(w.in, head[:]); err != nil {
			return 0, err
		}
		length := uint64(head[1])
		if size := map[uint64]int{126: 2, 127: 8}[length]; size > 0 {
			var b [8]byte
			if _, err := io.ReadFull(w.in, b[8-size:]); err != nil {
				return 0, err
			}
			length = binary.BigEndian.Uint64(b[:])
		}
		payload := make([]byte, length, length+1)
		if _, err := io.ReadFull(w.in, payload); err != nil {
			return 0, err
		}
		switch head[0] {
		case fin | opText, fin | opBinary:
			w.rest = append(payload, '\n')
		case fin | opClose:
			w.over = true
		default:
			return 0, fmt.Errorf("frame %#x", head[0])
		}
	}
	n := copy(p, w.rest)
	w.rest = w.rest[n:]
	return n, nil
}

// end returns what there is instead of a frame behind the last one.
func (w *webLines) end() error {
	if b, err := w.in.ReadByte(); err != nil {
		return err
	} else {
		return fmt.Errorf("byte %#x behind the close frame", b)
	}
}

// CloseWrite ends the output of the socket, without a close frame.
func (w *webLines) CloseWrite() error { return w.Conn.(interface{ CloseWrite() error }).CloseWrite() }
