package node

import (
	"context"
	"fmt"
	"strconv"

	"flamingo/transport"
)

// Conn is what RecvOpen returns as net.Conn: the addresses of a connection and
// the options of its socket.
type Conn = transport.Conn

// ConnInfo describes an open connection at one moment.
type ConnInfo = transport.ConnInfo

// WebSocketInfo is what a client asked for when it opened a WebSocket, and got.
type WebSocketInfo = transport.WebSocketInfo

// Stats are counts of a node since it was opened, and sizes at this moment.
type Stats = transport.Stats

// Describe returns what is known of the connection id, wherever it is. The
// error matches an outcome.
func (n *Node) Describe(ctx context.Context, id ID) (ConnInfo, error) {
	c, err := n.route(ctx, id)
	if err != nil {
		return ConnInfo{}, n.outcome("describe", id, err)
	}
	info, err := c.describe(ctx, id)
	return info, n.outcome("describe", id, err)
}

// A Page is a part of a list of connections.
type Page struct {
	Items []ConnInfo
	Next  string // cursor of the next page; empty after the last
}

// Connections returns open connections of this node, at most limit (1 to
// 1,000), from cursor on: empty to begin with, then Page.Next. A connection
// that is open throughout is listed exactly once.
func (n *Node) Connections(cursor string, limit int) (Page, error) {
	if limit < 1 || limit > 1000 {
		return Page{}, badOption("limit", limit, "1 to 1000")
	}
	var from uint64
	if cursor != "" {
		var err error
		if from, err = strconv.ParseUint(cursor, 16, 32); err != nil {
			return Page{}, badOption("cursor", strconv.Quote(cursor), "what the page before says")
		}
	}
	items, next := n.clients.Connections(uint32(from), limit)
	for i := range items {
		items[i].Meta = n.groups.meta.get(items[i].ID)
	}
	p := Page{Items: items}
	if next != 0 {
		p.Next = fmt.Sprintf("%x", next)
	}
	return p, nil
}

// Stats returns the counts of this node.
func (n *Node) Stats() Stats { return n.clients.Stats() }
