package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"flamingo/cmd/flamingo/internal/client"
	"flamingo/framing"
	"flamingo/idspace"
)

const (
	// maxLine bounds a line of either side, in bytes: the longest message of a
	// node with the default options fits.
	maxLine = 1<<20 + 1<<10

	// greetingWait is how long a client waits for its greeting before it sends
	// what may be its end: an application of one's own may greet nobody.
	greetingWait = time.Second
)

// greetingPrefix begins the line with which the built-in applications greet.
const greetingPrefix = "flamingo "

// connectCommand is a client that speaks lines.
type connectCommand struct {
	Addr     string `arg:"" optional:"" default:"127.0.0.1:4100" help:"HOST:PORT, tcp://HOST:PORT, tls://HOST:PORT or unix:///PATH of a listener with framing line, or ws://HOST:PORT/PATH, wss://HOST:PORT/PATH."`
	Insecure bool   `help:"Take any certificate of the node's, such as one of its own making."`
}

// Run connects, and ends when either side does.
func (c *connectCommand) Run(ctx context.Context, con *console) error {
	lines, err := framing.Line(framing.LineConfig{MaxMessage: maxLine})
	if err != nil {
		return err
	}
	cl, err := client.Dial(ctx, c.Addr, client.Config{
		Codec:      lines,
		MaxMessage: maxLine,
		TLS:        &tls.Config{InsecureSkipVerify: c.Insecure}, //nolint:gosec // if the user says so
	})
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case isRefused(err):
		return unreachable{fmt.Errorf("no node at %s - start one: %s run", c.Addr, program())}
	case err != nil:
		return unreachable{fmt.Errorf("no node at %s: %w", c.Addr, err)}
	}
	defer context.AfterFunc(ctx, func() { cl.Close() })()
	defer cl.Close()
	fmt.Fprintf(con.talk, "connected to %s; what you type goes there line by line, ^D ends; this connection is\n", c.Addr)
	l := &lineClient{client: cl, console: con, greeted: make(chan struct{})}
	go l.sendLines() // ends with the input, or with the process
	err = l.receiveLines()
	if ctx.Err() != nil {
		fmt.Fprintln(con.talk, "closed:", context.Cause(ctx))
		return nil
	}
	return err
}

// A lineClient is a client whose messages are lines of text.
type lineClient struct {
	client client.Client
	*console
	greeted chan struct{} // closed by receiveLines after the first line, or at the end
}

// sendLines sends the lines of the input, then the end.
func (l *lineClient) sendLines() {
	select {
	case <-l.greeted:
	case <-time.After(greetingWait):
	}
	lines := bufio.NewScanner(l.in)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		if err := l.client.Send(lines.Bytes()); err != nil {
			return // receiveLines says why
		}
	}
	if err := lines.Err(); err != nil {
		fmt.Fprintln(l.talk, "flamingo: standard input:", err)
	}
	_ = l.client.CloseSend() // receiveLines says why, if not
}

// receiveLines prints what comes, the id first, until the end, and says why
// that is.
func (l *lineClient) receiveLines() error {
	begin := sync.OnceFunc(func() { close(l.greeted) })
	defer begin()
	for first := true; ; first = false {
		msg, err := l.client.Receive()
		if err != nil {
			return l.ended(err)
		}
		text := string(msg)
		if first {
			text = l.identify(text)
		}
		if isTerminal(l.out) {
			text = printable(text)
		}
		if _, err := fmt.Fprintln(l.out, text); err != nil {
			return err
		}
		begin()
	}
}

// ended says why nothing more comes.
func (l *lineClient) ended(err error) error {
	var closed *client.ClosedError
	switch {
	case errors.As(err, &closed):
		fmt.Fprintln(l.talk, closed)
		return nil
	case errors.Is(err, io.EOF):
		fmt.Fprintln(l.talk, "closed by the node")
		return nil
	case errors.Is(err, framing.ErrTooLarge):
		return fmt.Errorf("the node sends a line of more than %d bytes", maxLine)
	default:
		return fmt.Errorf("the connection has failed: %w", err)
	}
}

// identify returns the id of a greeting, and a line that is none as it is.
func (l *lineClient) identify(line string) string {
	text, ok := strings.CutPrefix(line, greetingPrefix)
	if _, err := idspace.ParseID(text); !ok || err != nil {
		fmt.Fprintln(l.talk, "of an id that the node does not tell; it begins with")
		return line
	}
	return text
}
