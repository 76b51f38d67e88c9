package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

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
	Addr string `arg:"" optional:"" default:"127.0.0.1:4100" help:"HOST:PORT, tcp://HOST:PORT or unix:///PATH of a listener with framing line."`
}

// Run connects, and ends when either side does.
func (c *connectCommand) Run(ctx context.Context, con *console) error {
	network, address := dialAddr(c.Addr)
	var d net.Dialer
	nc, err := d.DialContext(ctx, network, address)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case isRefused(err):
		return unreachable{fmt.Errorf("no node at %s - start one: %s run", c.Addr, program())}
	case err != nil:
		return unreachable{fmt.Errorf("no node at %s: %w", c.Addr, err)}
	}
	defer context.AfterFunc(ctx, func() { nc.Close() })()
	defer nc.Close()
	fmt.Fprintf(con.talk, "connected to %s; what you type goes there line by line, ^D ends; this connection is\n", c.Addr)
	l := &lineClient{conn: nc, console: con, greeted: make(chan struct{})}
	go l.sendLines() // ends with the input, or with the process
	err = l.receiveLines()
	if ctx.Err() != nil {
		fmt.Fprintln(con.talk, "closed:", context.Cause(ctx))
		return nil
	}
	return err
}

// dialAddr returns what to dial for the address of a listener.
func dialAddr(text string) (network, address string) {
	network, address, ok := strings.Cut(text, "://")
	if !ok {
		return "tcp", text
	}
	address, _, _ = strings.Cut(address, "?")
	return network, address
}

// A lineClient is a client whose messages are lines.
type lineClient struct {
	conn net.Conn
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
		if _, err := l.conn.Write(append(lines.Bytes(), '\n')); err != nil {
			return // receiveLines says why
		}
	}
	if err := lines.Err(); err != nil {
		fmt.Fprintln(l.talk, "flamingo: standard input:", err)
	}
	if half, ok := l.conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // receiveLines says why, if not
	}
}

// receiveLines prints what comes, the id first, until the end, and says why
// that is.
func (l *lineClient) receiveLines() error {
	lines := bufio.NewScanner(l.conn)
	lines.Buffer(nil, maxLine)
	begin := sync.OnceFunc(func() { close(l.greeted) })
	defer begin()
	for first := true; lines.Scan(); first = false {
		text := lines.Text()
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
	switch err := lines.Err(); {
	case err == nil:
		fmt.Fprintln(l.talk, "closed by the node")
		return nil
	case errors.Is(err, bufio.ErrTooLong):
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
