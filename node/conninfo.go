package node

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"time"

	"flamingo/transport"
)

// connInfoJSON is a ConnInfo on its way from node to node: the body of the
// answer to a describe request.
type connInfoJSON struct {
	ID           ID        `json:"id"`
	Listener     string    `json:"listener"`
	Local        *addrJSON `json:"local,omitempty"`
	Remote       *addrJSON `json:"remote,omitempty"`
	Opened       time.Time `json:"opened"`
	LastActive   time.Time `json:"last_active"`
	MessagesIn   uint64    `json:"messages_in"`
	BytesIn      uint64    `json:"bytes_in"`
	MessagesOut  uint64    `json:"messages_out"`
	BytesOut     uint64    `json:"bytes_out"`
	PendingBytes int       `json:"pending_bytes"`
	QueuedIn     int       `json:"queued_in"`

	TLS       *tlsJSON       `json:"tls,omitempty"`
	WebSocket *WebSocketInfo `json:"web_socket,omitempty"`

	Proxied bool `json:"proxied,omitempty"`

	Meta map[string]string `json:"meta,omitempty"`
}

// tlsJSON and clientJSON have the fields of transport.TLSInfo and
// transport.ClientIdentity.
type tlsJSON struct {
	Version     string      `json:"version"`
	CipherSuite string      `json:"cipher_suite"`
	ServerName  string      `json:"server_name,omitempty"`
	Client      *clientJSON `json:"client,omitempty"`
}

type clientJSON struct {
	Subject     string   `json:"subject"`
	Names       []string `json:"names,omitempty"`
	Fingerprint string   `json:"fingerprint"`
}

type addrJSON struct {
	Network string `json:"network"` // "tcp" or "unix"
	Address string `json:"address"`
}

func encodeConnInfo(c ConnInfo) ([]byte, error) {
	return json.Marshal(connInfoJSON{
		ID: c.ID, Listener: c.Listener, Local: addrToJSON(c.Local), Remote: addrToJSON(c.Remote),
		Opened: c.Opened, LastActive: c.LastActive,
		MessagesIn: c.MessagesIn, BytesIn: c.BytesIn, MessagesOut: c.MessagesOut, BytesOut: c.BytesOut,
		PendingBytes: c.PendingBytes, QueuedIn: c.QueuedIn,
		TLS: tlsToJSON(c.TLS), WebSocket: c.WebSocket, Proxied: c.Proxied, Meta: c.Meta,
	})
}

func decodeConnInfo(body []byte) (ConnInfo, error) {
	var c connInfoJSON
	if err := json.Unmarshal(body, &c); err != nil {
		return ConnInfo{}, fmt.Errorf("connection: %w", err)
	}
	local, err := c.Local.addr()
	if err != nil {
		return ConnInfo{}, fmt.Errorf("connection: local: %w", err)
	}
	remote, err := c.Remote.addr()
	if err != nil {
		return ConnInfo{}, fmt.Errorf("connection: remote: %w", err)
	}
	return ConnInfo{
		ID: c.ID, Listener: c.Listener, Local: local, Remote: remote,
		Opened: c.Opened, LastActive: c.LastActive,
		MessagesIn: c.MessagesIn, BytesIn: c.BytesIn, MessagesOut: c.MessagesOut, BytesOut: c.BytesOut,
		PendingBytes: c.PendingBytes, QueuedIn: c.QueuedIn,
		TLS: c.TLS.info(), WebSocket: c.WebSocket, Proxied: c.Proxied, Meta: c.Meta,
	}, nil
}

func tlsToJSON(t *transport.TLSInfo) *tlsJSON {
	if t == nil {
		return nil
	}
	return &tlsJSON{t.Version, t.CipherSuite, t.ServerName, (*clientJSON)(t.Client)}
}

func (t *tlsJSON) info() *transport.TLSInfo {
	if t == nil {
		return nil
	}
	return &transport.TLSInfo{
		Version: t.Version, CipherSuite: t.CipherSuite, ServerName: t.ServerName,
		Client: (*transport.ClientIdentity)(t.Client),
	}
}

func addrToJSON(a net.Addr) *addrJSON {
	if a == nil {
		return nil
	}
	return &addrJSON{Network: a.Network(), Address: a.String()}
}

func (a *addrJSON) addr() (net.Addr, error) {
	switch {
	case a == nil:
		return nil, nil //nolint:nilnil // an address that is not known is nil in ConnInfo
	case a.Network == "unix":
		return &net.UnixAddr{Net: a.Network, Name: a.Address}, nil
	}
	tcp, err := netip.ParseAddrPort(a.Address)
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", a.Address, err)
	}
	return net.TCPAddrFromAddrPort(tcp), nil
}
