package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"flamingo/idspace"
	"flamingo/node"
)

// connsCommand is about connections: a list of them, or one.
type connsCommand struct {
	List connsListCommand `cmd:"" default:"withargs" help:"The connections of the node that is asked."`
	Show connsShowCommand `cmd:"" help:"One connection, of any node."`
}

// connsListCommand lists a page of connections.
type connsListCommand struct {
	apiFlags

	Limit  int    `default:"50" placeholder:"N" help:"How many at most, up to 1000."`
	Cursor string `placeholder:"CURSOR" help:"Where to go on, as the page before says."`
}

// connsShowCommand describes one connection.
type connsShowCommand struct {
	apiFlags

	ID idspace.ID `arg:"" help:"The connection."`
}

// connection is a connection as a node describes it.
type connection struct {
	ID         string    `json:"id"`
	Listener   string    `json:"listener"`
	Remote     string    `json:"remote"`
	Local      string    `json:"local"`
	Opened     time.Time `json:"opened_at"`
	LastActive time.Time `json:"last_active_at"`
	In         struct {
		Messages uint64 `json:"messages"`
		Bytes    uint64 `json:"bytes"`
		Queued   int    `json:"queued_messages"`
	} `json:"in"`
	Out struct {
		Messages uint64 `json:"messages"`
		Bytes    uint64 `json:"bytes"`
		Pending  uint64 `json:"pending_bytes"`
	} `json:"out"`
	TLS       *encryption         `json:"tls"`
	WebSocket *node.WebSocketInfo `json:"web_socket"`
	Meta      map[string]string   `json:"meta"`
}

// encryption is how a connection is encrypted.
type encryption struct {
	Version     string `json:"version"`
	CipherSuite string `json:"cipher_suite"`
	ServerName  string `json:"server_name"`
	Client      *struct {
		Subject     string `json:"subject"`
		Fingerprint string `json:"fingerprint"`
	} `json:"client"`
}

// rows is a line for the encryption and one for the client's certificate, as far
// as there are these.
func (e *encryption) rows() (lines [][2]string) {
	if e == nil {
		return nil
	}
	text := e.Version + ", " + e.CipherSuite
	if e.ServerName != "" {
		text += ", for " + e.ServerName
	}
	lines = append(lines, [2]string{"tls", text})
	if e.Client != nil {
		lines = append(lines, [2]string{"client", e.Client.Subject + ", SHA-256 " + e.Client.Fingerprint})
	}
	return lines
}

type connectionPage struct {
	Items []connection `json:"items"`
	Next  string       `json:"next"`
}

// Run prints a page as a table.
func (c *connsListCommand) Run(ctx context.Context, con *console) error {
	body, err := c.call(ctx, request{method: http.MethodGet, path: "connections", query: pageQuery(c.Limit, c.Cursor)})
	if err != nil {
		return c.failed(con, body, err)
	}
	if c.JSON {
		return printJSON(con.out, body)
	}
	page, err := decode[connectionPage](body)
	if err != nil {
		return err
	}
	if err := printTable(con.out, connectionRows(page.Items, time.Now())); err != nil {
		return err
	}
	switch {
	case page.Next != "":
		fmt.Fprintln(con.talk, hint(con.talk, fmt.Sprintf("more: %s --limit %d --cursor %s", c.again("conns"), c.Limit, page.Next)))
	case isTerminal(con.out) && len(page.Items) > 0:
		fmt.Fprintln(con.talk, hint(con.talk, "next: "+c.again("conns show "+page.Items[0].ID)))
	}
	return nil
}

// pageQuery asks for a page of a list.
func pageQuery(limit int, cursor string) url.Values {
	query := url.Values{"limit": {strconv.Itoa(limit)}}
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	return query
}

func connectionRows(items []connection, now time.Time) [][]string {
	rows := [][]string{{"ID", "LISTENER", "REMOTE", "AGE", "IDLE", "IN", "OUT", "PENDING"}}
	for _, i := range items {
		rows = append(rows, []string{
			i.ID, i.Listener, i.Remote,
			span(now.Sub(i.Opened)), span(now.Sub(i.LastActive)),
			traffic(i.In.Messages, i.In.Bytes), traffic(i.Out.Messages, i.Out.Bytes), count(i.Out.Pending),
		})
	}
	return rows
}

func traffic(messages, bytes uint64) string { return fmt.Sprintf("%d/%s", messages, count(bytes)) }

// Run prints what is known of the connection, a line each.
func (c *connsShowCommand) Run(ctx context.Context, con *console) error {
	body, err := c.call(ctx, request{method: http.MethodGet, path: "connections/" + c.ID.String()})
	if err != nil {
		return c.failed(con, body, err)
	}
	if c.JSON {
		return printJSON(con.out, body)
	}
	i, err := decode[connection](body)
	if err != nil {
		return err
	}
	now := time.Now()
	lines := [][2]string{
		{"id", i.ID},
		{"node", c.ID.Node().String()},
		{"listener", i.Listener},
		{"remote", i.Remote},
		{"local", i.Local},
		{"opened", i.Opened.Local().Format(timeFormat) + ", " + span(now.Sub(i.Opened)) + " ago"},
		{"active", i.LastActive.Local().Format(timeFormat) + ", " + span(now.Sub(i.LastActive)) + " ago"},
		{"in", fmt.Sprintf("%d messages, %d bytes, %d messages not yet taken", i.In.Messages, i.In.Bytes, i.In.Queued)},
		{"out", fmt.Sprintf("%d messages, %d bytes, %d bytes not yet written", i.Out.Messages, i.Out.Bytes, i.Out.Pending)},
	}
	lines = append(lines, i.TLS.rows()...)
	if w := i.WebSocket; w != nil {
		lines = append(lines, [][2]string{{"path", w.Path}, {"host", w.Host}, {"origin", w.Origin}, {"protocol", w.Subprotocol}}...)
	}
	for _, key := range slices.Sorted(maps.Keys(i.Meta)) {
		lines = append(lines, [2]string{"meta", key + "=" + i.Meta[key]})
	}
	for _, line := range lines {
		if _, err := fmt.Fprintf(con.out, "%-8s  %s\n", line[0], orDash(printable(line[1]))); err != nil {
			return err
		}
	}
	return nil
}
