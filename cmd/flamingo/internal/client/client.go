// Package client is the other end of a listener: a client that speaks what the
// listener does, for commands that are one.
package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"flamingo/framing"

	"github.com/coder/websocket"
)

// A Client is a connection to a listener. One goroutine may send while another
// one receives.
type Client interface {
	// Send sends a message.
	Send(msg []byte) error

	// Receive waits for the next message. At the end that the node has made in
	// order, the error matches io.EOF; over WebSocket it is a *ClosedError.
	Receive() ([]byte, error)

	// CloseSend says that no message follows. Over WebSocket there is no such
	// thing: it closes, and what is under way from the node is lost.
	CloseSend() error

	// Close ends the connection. What waits fails.
	Close() error
}

// Config is what a client is to speak.
type Config struct {
	// Codec is the framing of the listener. WebSocket does not use it.
	Codec framing.Codec

	// TLS are the settings for tls and wss. Nil means the system's.
	TLS *tls.Config

	// MaxMessage is the longest message in bytes that is received over
	// WebSocket. Zero means framing.DefaultMaxMessage.
	MaxMessage int
}

// A ClosedError is the end of a WebSocket: what the close frame of the node said.
type ClosedError struct {
	Code   int
	Reason string
}

// Error returns code and reason.
func (c *ClosedError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("closed by the node with code %d %s", c.Code, c.Reason))
}

// Unwrap makes it an io.EOF: the node has ended the connection in order.
func (c *ClosedError) Unwrap() error { return io.EOF }

// Split returns the scheme of an address, tcp if it has none, and what follows
// it, without the options of a listener.
func Split(addr string) (scheme, rest string) {
	scheme, rest, ok := strings.Cut(addr, "://")
	if !ok {
		return "tcp", addr
	}
	rest, _, _ = strings.Cut(rest, "?")
	return scheme, rest
}

// Dial connects to a listener: tcp, tls, ws or wss://HOST:PORT, the latter two
// with a path, or unix:///PATH. ctx bounds that, and no more.
func Dial(ctx context.Context, addr string, cfg Config) (Client, error) {
	scheme, rest := Split(addr)
	switch scheme {
	case "ws", "wss":
		return dialWeb(ctx, addr, cfg)
	case "tls":
		conf := cfg.TLS
		if conf == nil {
			conf = &tls.Config{}
		}
		d := tls.Dialer{Config: conf}
		return newStream(cfg.Codec)(d.DialContext(ctx, "tcp", rest))
	default:
		var d net.Dialer
		return newStream(cfg.Codec)(d.DialContext(ctx, scheme, rest))
	}
}

// A Stream is a client whose messages are framed on a stream of bytes.
type Stream struct {
	net.Conn
	codec framing.Codec
	buf   []byte // owned by Receive
	in    []byte // owned by Receive: not yet decoded
}

// readSize is how much a stream reads at a time, in bytes.
const readSize = 4 << 10

// newStream returns what makes a Stream of a dialled connection.
func newStream(codec framing.Codec) func(net.Conn, error) (Client, error) {
	return func(nc net.Conn, err error) (Client, error) {
		if err != nil {
			return nil, err
		}
		return &Stream{Conn: nc, codec: codec, buf: make([]byte, readSize)}, nil
	}
}

// Send implements Client.
func (s *Stream) Send(msg []byte) error {
	data, err := s.codec.Encode(nil, msg)
	if err != nil {
		return err
	}
	_, err = s.Write(data)
	return err
}

// Receive implements Client.
func (s *Stream) Receive() ([]byte, error) {
	searched := 0
	for {
		msg, size, err := s.codec.Decode(s.in, searched)
		if err != nil {
			return nil, err
		}
		if size > 0 {
			s.in = s.in[size:]
			return msg, nil
		}
		searched = len(s.in)
		n, err := s.Read(s.buf)
		s.in = append(s.in, s.buf[:n]...)
		if n == 0 && err != nil {
			return nil, err
		}
	}
}

// CloseSend implements Client.
func (s *Stream) CloseSend() error { return s.Conn.(interface{ CloseWrite() error }).CloseWrite() }

// A web is a client over WebSocket.
type web struct{ conn *websocket.Conn }

func dialWeb(ctx context.Context, addr string, cfg Config) (Client, error) {
	conn, answer, err := websocket.Dial(ctx, addr, &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: &http.Transport{TLSClientConfig: cfg.TLS, DisableKeepAlives: true}},
	})
	if answer != nil && answer.Body != nil && err != nil {
		answer.Body.Close()
	}
	if err != nil {
		return nil, err
	}
	limit := cfg.MaxMessage
	if limit == 0 {
		limit = framing.DefaultMaxMessage
	}
	conn.SetReadLimit(int64(limit))
	return &web{conn}, nil
}

// Send implements Client. The message is text.
func (w *web) Send(msg []byte) error {
	return w.conn.Write(context.Background(), websocket.MessageText, msg)
}

// Receive implements Client.
func (w *web) Receive() ([]byte, error) {
	_, msg, err := w.conn.Read(context.Background())
	var closed websocket.CloseError
	if errors.As(err, &closed) {
		return nil, &ClosedError{int(closed.Code), closed.Reason}
	}
	return msg, err
}

// CloseSend implements Client.
func (w *web) CloseSend() error { return w.conn.Close(websocket.StatusNormalClosure, "") }

// Close implements Client.
func (w *web) Close() error { return w.conn.CloseNow() }
