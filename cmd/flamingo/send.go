package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"flamingo/idspace"
)

// maxData bounds the message that send reads from a file or a pipe, in bytes:
// over the 15 MiB that nodes forward.
const maxData = 64 << 20

// sendCommand sends one message.
type sendCommand struct {
	apiFlags

	ID   idspace.ID `arg:"" help:"The connection."`
	Data string     `arg:"" placeholder:"DATA" help:"The message; - reads it from standard input, @FILE from a file. It is sent as it is: a line without its end."`

	Ack     string        `enum:"written,queued,peer" default:"written" help:"Wait until it is written to the client's socket, or acknowledged by the TCP of that socket's other end, or only accepted: written, peer or queued."`
	Timeout time.Duration `default:"2s" help:"How long to wait for that."`
	Within  time.Duration `placeholder:"TIME" help:"With --ack queued: drop it if it was not written by then, at most 1h."`
	Text    bool          `xor:"kind" help:"Send it as text over WebSocket; without --text or --binary the listener says."`
	Binary  bool          `xor:"kind" help:"Send it as binary over WebSocket."`
}

// sent is the answer to a send.
type sent struct {
	ID        string `json:"id"`
	Outcome   string `json:"outcome"`
	ElapsedUS int64  `json:"elapsed_us"`
}

// Run sends, and prints what became of it.
func (c *sendCommand) Run(ctx context.Context, con *console) error {
	if c.Timeout <= 0 {
		return badUse("--timeout %v: want more than 0s", c.Timeout)
	}
	if c.Within != 0 && (c.Ack != "queued" || c.Within < 0) {
		return badUse("--within %v with --ack %s: want more than 0s, with --ack queued", c.Within, c.Ack)
	}
	data, err := messageData(c.Data, con.in)
	if err != nil {
		return err
	}
	query := url.Values{"ack": {c.Ack}}
	if c.Ack != "queued" {
		query.Set("timeout", c.Timeout.String())
	}
	if c.Within > 0 {
		query.Set("within", c.Within.String())
	}
	body, err := c.call(ctx, request{
		method: http.MethodPost,
		path:   "connections/" + c.ID.String() + "/messages",
		query:  query,
		body:   data,
		media:  mediaOf(c.Text, c.Binary),
		takes:  c.Timeout,
	})
	if err != nil {
		return c.failed(con, body, err)
	}
	if c.JSON {
		return printJSON(con.out, body)
	}
	answer, err := decode[sent](body)
	if err != nil {
		return err
	}
	elapsed := time.Duration(answer.ElapsedUS) * time.Microsecond
	_, err = fmt.Fprintf(con.out, "%s: %d bytes to %s in %v\n", answer.Outcome, len(data), c.ID, elapsed)
	return err
}

// mediaOf is the type of the body by which a node knows the kind of the message.
func mediaOf(text, binary bool) string {
	switch {
	case text:
		return "text/plain; charset=utf-8"
	case binary:
		return "application/octet-stream"
	default:
		return ""
	}
}

// messageData returns the message that an argument means, wherever it comes from.
func messageData(arg string, in io.Reader) ([]byte, error) {
	path, isFile := strings.CutPrefix(arg, "@")
	switch {
	case isFile:
		f, err := os.Open(path)
		if err != nil {
			return nil, badUse("message: %w", err)
		}
		defer f.Close()
		in = f
	case arg != "-":
		return []byte(arg), nil
	}
	data, err := io.ReadAll(io.LimitReader(in, maxData+1))
	if err != nil {
		return nil, fmt.Errorf("message: %w", err)
	}
	if len(data) > maxData {
		return nil, badUse("message: longer than %d bytes, which is too large for any framing here", maxData)
	}
	return data, nil
}
