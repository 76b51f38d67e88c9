package admin

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"flamingo/node"
)

const (
	describeTimeout = 5 * time.Second // for the word of another node
	defaultLimit    = 50              // connections a page; at most 1,000, as in package node
)

// connection is a connection as it is shown.
type connection struct {
	ID         node.ID         `json:"id"`
	NodeNumber node.NodeNumber `json:"node_number"`
	Listener   string          `json:"listener"`
	Remote     string          `json:"remote,omitempty"`
	Local      string          `json:"local,omitempty"`
	Proxied    bool            `json:"proxied,omitempty"` // the other end of the socket is a proxy
	Opened     string          `json:"opened_at"`
	LastActive string          `json:"last_active_at"`
	In         received        `json:"in"`
	Out        output          `json:"out"`

	TLS       *encryption         `json:"tls,omitempty"`
	WebSocket *node.WebSocketInfo `json:"web_socket,omitempty"`
	Meta      map[string]string   `json:"meta,omitempty"`
}

type received struct {
	Messages uint64 `json:"messages"`
	Bytes    uint64 `json:"bytes"`
	Queued   int    `json:"queued_messages"`
}

type output struct {
	Messages uint64 `json:"messages"`
	Bytes    uint64 `json:"bytes"`
	Pending  int    `json:"pending_bytes"`
}

// encryption is what the handshake of TLS has settled.
type encryption struct {
	Version     string    `json:"version"`
	CipherSuite string    `json:"cipher_suite"`
	ServerName  string    `json:"server_name,omitempty"`
	Client      *identity `json:"client,omitempty"`
}

// identity is what the verified certificate of a client says.
type identity struct {
	Subject     string   `json:"subject"`
	Names       []string `json:"names,omitempty"`
	Fingerprint string   `json:"fingerprint"`
}

func shown(c node.ConnInfo) connection {
	s := connection{
		ID: c.ID, NodeNumber: c.ID.Node(), Listener: c.Listener,
		Remote: addrText(c.Remote), Local: addrText(c.Local), Proxied: c.Proxied,
		Opened: instant(c.Opened), LastActive: instant(c.LastActive),
		In:  received{c.MessagesIn, c.BytesIn, c.QueuedIn},
		Out: output{c.MessagesOut, c.BytesOut, c.PendingBytes},

		WebSocket: c.WebSocket, Meta: c.Meta,
	}
	if t := c.TLS; t != nil {
		s.TLS = &encryption{t.Version, t.CipherSuite, t.ServerName, (*identity)(t.Client)}
	}
	return s
}

func addrText(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}

// instant is RFC 3339 in UTC, to a ten-thousandth of a second: the coarsest
// decimal form that tells the ticks of node numbers apart exactly.
func instant(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.0000Z") }

// describe answers GET /api/v1/connections/{id}.
func (h *Handler) describe(n target, w http.ResponseWriter, r *http.Request) error {
	id, err := idOf(r)
	if err != nil {
		return err
	}
	if _, err := parametersOf(r); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), describeTimeout)
	defer cancel()
	info, err := n.Describe(ctx, id)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, shown(info))
}

// connectionPage is a part of the list of connections.
type connectionPage struct {
	Items []connection `json:"items"`
	Next  string       `json:"next,omitempty"` // cursor; none after the last

	Missing []failedNode `json:"missing,omitempty"` // of those of all nodes
}

// list answers GET /api/v1/connections: those of this node, or of all.
func (h *Handler) list(n target, w http.ResponseWriter, r *http.Request) error {
	values, err := parametersOf(r, "limit", "cursor", "scope")
	if err != nil {
		return err
	}
	scope, err := choice(values, "scope", "node", "cluster")
	if err != nil {
		return err
	}
	limit := defaultLimit
	if values.Has("limit") {
		if limit, err = strconv.Atoi(values.Get("limit")); err != nil {
			return fail(problemBadRequest, "limit=%.40q: allowed is 1 to 1000", values.Get("limit"))
		}
	}
	page, missing := node.Page{}, []failedNode(nil)
	if scope == "node" {
		page, err = n.Connections(values.Get("cursor"), limit)
	} else {
		var all node.ClusterPage
		all, err = n.ClusterConnections(r.Context(), values.Get("cursor"), limit)
		page, missing = node.Page{Items: all.Items, Next: all.Next}, failedNodes(all.Missing)
	}
	if err != nil {
		return err
	}
	answer := connectionPage{Items: make([]connection, 0, len(page.Items)), Next: page.Next, Missing: missing}
	for _, c := range page.Items {
		answer.Items = append(answer.Items, shown(c))
	}
	return writeJSON(w, http.StatusOK, answer)
}

// disconnect answers DELETE /api/v1/connections/{id}. The program of the node
// is told of the end: it has not asked for it.
func (h *Handler) disconnect(n target, w http.ResponseWriter, r *http.Request) error {
	id, err := idOf(r)
	if err != nil {
		return err
	}
	values, err := parametersOf(r, "missing", "code", "reason")
	if err != nil {
		return err
	}
	missing, err := choice(values, "missing", "", "ok")
	if err != nil {
		return err
	}
	code, err := closeCode(values)
	if err != nil {
		return err
	}
	if err := n.DisconnectWith(id, code, values.Get("reason")); err != nil && (missing == "" || !errors.Is(err, node.ErrGone)) {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// closeCode returns the code for the client of a WebSocket, 0 if none is given.
// Which codes there are the node knows.
func closeCode(values url.Values) (int, error) {
	if !values.Has("code") {
		return 0, nil
	}
	code, err := strconv.Atoi(values.Get("code"))
	if err != nil || code <= 0 {
		return 0, fail(problemBadRequest, "code=%.40q: allowed is a number, such as 1000 or 4001", values.Get("code"))
	}
	return code, nil
}
