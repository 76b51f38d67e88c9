package load

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
)

// A session is what is spoken on a connection of Idle until nothing but its
// socket is held: lines, or messages of WebSocket, in clear text or through TLS.
// One goroutine uses it. Its waits end with the deadline of the connection.
type session struct {
	conn net.Conn
	web  *bufio.Reader // of a WebSocket; nil: lines
}

// begin opens the layers that the scheme has. When ctx is done the caller
// closes nc.
func (r *idleRun) begin(ctx context.Context, nc net.Conn) (*session, error) {
	s := &session{conn: nc}
	if r.Scheme == "tls" || r.Scheme == "wss" {
		cfg := r.TLS.Clone()
		if cfg == nil {
			cfg = new(tls.Config)
		}
		if cfg.ServerName == "" {
			cfg.ServerName, _, _ = net.SplitHostPort(r.Addr)
		}
		tc := tls.Client(nc, cfg)
		if err := tc.HandshakeContext(ctx); err != nil {
			return nil, err
		}
		s.conn = tc
	}
	if r.Scheme == "ws" || r.Scheme == "wss" {
		if err := s.upgrade(r.Addr, r.Path); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// echo has a line echoed.
func (s *session) echo(line []byte, greeting string) error {
	var err error
	if s.web != nil {
		err = s.echoMessage(line, greeting)
	} else {
		err = s.echoLine(line, greeting)
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%w: none within %v", ErrWrongReply, connectWithin)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("it is ended by the server")
	}
	return err
}

func (s *session) echoLine(line []byte, greeting string) error {
	if _, err := s.conn.Write(line); err != nil {
		return err
	}
	var in input
	buf := make([]byte, 2*maxGreeting)
	for replied := false; !replied; {
		n, err := s.conn.Read(buf)
		if err != nil {
			return err
		}
		err = in.cut(buf[:n], len(line), greeting, func(got []byte) error {
			if replied || !bytes.Equal(got, line) {
				return wrongReply([connDigits]byte(line), got, "which is not what it sent")
			}
			replied = true
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// echoMessage sends the line as a message.
func (s *session) echoMessage(line []byte, greeting string) error {
	if _, err := s.conn.Write(frameOf(line)); err != nil {
		return err
	}
	for met := false; ; met = true {
		got, err := s.message()
		if err != nil {
			return err
		}
		if !met && greeting != "" && strings.HasPrefix(string(got), greeting) {
			continue
		}
		if !bytes.Equal(got, line) {
			return wrongReply([connDigits]byte(line), got, "which is not what it sent")
		}
		return nil
	}
}

// upgrade makes the connection a WebSocket, RFC 6455 §4.1.
func (s *session) upgrade(host, path string) error {
	if path == "" {
		path = "/"
	}
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // it never fails
	key := base64.StdEncoding.EncodeToString(nonce[:])
	_, err := fmt.Fprintf(s.conn, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n", path, host, key)
	if err != nil {
		return err
	}
	s.web = bufio.NewReaderSize(s.conn, 2*maxGreeting)
	resp, err := http.ReadResponse(s.web, nil)
	if err != nil {
		return fmt.Errorf("answer to the request for a WebSocket: %w", err)
	}
	defer resp.Body.Close()
	const suffix = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" // RFC 6455 §1.3
	digest := sha1.Sum([]byte(key + suffix))
	if resp.StatusCode != http.StatusSwitchingProtocols ||
		resp.Header.Get("Sec-WebSocket-Accept") != base64.StdEncoding.EncodeToString(digest[:]) {
		return fmt.Errorf("%w: no WebSocket at %s: %s", ErrWrongReply, path, resp.Status)
	}
	return nil
}

// The parts of a frame, RFC 6455 §5.2.
const (
	frameFin    = 0x80 // of the first byte: the last frame of its message
	frameOpcode = 0x0f // of the first byte
	frameMask   = 0x80 // of the second byte: a key follows
	frameLength = 0x7f // of the second byte; two bytes of it follow if it is frameLong
	frameLong   = 126

	opText  = 1
	opBin   = 2
	opClose = 8
)

// frameOf returns the frame of a text of no more than 125 bytes, with a key that
// changes nothing.
func frameOf(text []byte) []byte {
	return append([]byte{frameFin | opText, frameMask | byte(len(text)), 0, 0, 0, 0}, text...)
}

// message returns the next message, which comes in one frame and is no longer
// than a greeting may be. Pings are passed over.
func (s *session) message() ([]byte, error) {
	for {
		var head [2]byte
		if _, err := io.ReadFull(s.web, head[:]); err != nil {
			return nil, err
		}
		n := int(head[1] & frameLength)
		if n == frameLong {
			var long [2]byte
			if _, err := io.ReadFull(s.web, long[:]); err != nil {
				return nil, err
			}
			n = int(binary.BigEndian.Uint16(long[:]))
		}
		if head[0]&frameFin == 0 || head[1]&frameMask != 0 || head[1]&frameLength > frameLong || n > maxGreeting {
			return nil, fmt.Errorf("%w: a frame that begins with % x", ErrWrongReply, head)
		}
		payload := make([]byte, n)
		if _, err := io.ReadFull(s.web, payload); err != nil {
			return nil, err
		}
		switch head[0] & frameOpcode {
		case opText, opBin:
			return payload, nil
		case opClose:
			return nil, io.EOF
		}
	}
}
