package websocket

import (
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
)

// UpgradeConfig holds the settings of an Upgrader. The zero value is usable.
type UpgradeConfig struct {
	// Path that a request must be for; others are answered with 404. It is
	// compared as it is spelled, its percent-encoding included. Empty means
	// any path.
	Path string

	// Origins are those of the web pages that may connect, such as
	// "https://example.com"; "*" stands for every one. A page with an opaque
	// origin, as one from a file, needs "null" or "*". Empty means pages of
	// the host that the request is for. A request without an origin does not
	// come from a web page, and is not refused for it.
	Origins []string

	// Subprotocols are the names that the server knows, the preferred one
	// first. A client that offers none of them is accepted without one.
	Subprotocols []string
}

// An Upgrader judges opening handshakes, RFC 6455 §4.2.
type Upgrader struct {
	path         string
	anyOrigin    bool
	origins      []origin // empty: the host's own, unless anyOrigin
	subprotocols []string
}

// NewUpgrader returns an Upgrader. The error matches ErrBadOption and reports
// every bad setting.
func NewUpgrader(cfg UpgradeConfig) (*Upgrader, error) {
	u := &Upgrader{path: cfg.Path, subprotocols: slices.Clone(cfg.Subprotocols)}
	var errs []error
	if cfg.Path != "" && (!isPath(cfg.Path) || strings.ContainsRune(cfg.Path, '?')) {
		errs = append(errs, badOption("path %q: it begins with a slash, is percent-encoded, and has no query", cfg.Path))
	}
	for _, text := range cfg.Origins {
		if text == "*" {
			u.anyOrigin = true
			continue
		}
		o, ok := parseOrigin(text)
		if !ok {
			errs = append(errs, badOption("origin %q: allowed are scheme://host, scheme://host:port, null, *", text))
		}
		u.origins = append(u.origins, o)
	}
	for i, name := range cfg.Subprotocols {
		if !isToken(name) || slices.Contains(cfg.Subprotocols[:i], name) {
			errs = append(errs, badOption("subprotocol %q: allowed are different names without spaces and separators", name))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return u, nil
}

// A Request is what a program may want to know of an accepted handshake.
type Request struct {
	Path        string // as spelled, its percent-encoding included
	Query       string // what follows the question mark
	Host        string // with the port, if it has one
	Origin      string // of the web page; empty if there is none
	Subprotocol string // the one that was chosen; empty if there is none

	fields []field
}

// Values returns the values of a header field, one for each line. The case of
// the name does not matter.
func (r *Request) Values(name string) []string {
	var values []string
	for _, f := range r.fields {
		if strings.EqualFold(f.name, name) {
			values = append(values, f.value)
		}
	}
	return values
}

// An Answer is what a client gets for its request.
type Answer struct {
	// Status of HTTP. 101 means that frames follow in both directions; after
	// any other the connection is to be closed.
	Status int

	// Reason of a refusal, for the log. Nothing of it comes from the client.
	Reason string

	// Response is what to write, all of it.
	Response []byte

	// Size is how many bytes the request takes; of one that is refused, all.
	Size int

	// Request is that of an accepted client. It shares no memory with the
	// bytes that it came in; its strings share one copy of them.
	Request Request
}

// Accepted reports whether the connection is upgraded.
func (a *Answer) Accepted() bool { return a.Status == statusSwitching }

// Answer judges the request that data, all that a client has sent so far,
// begins with. searched is how many leading bytes of data an earlier call has
// already seen without an answer; zero is always right. It returns nil while
// there is no answer.
//
// What is not HTTP, or too long, is answered as soon as the bytes at hand show
// it, everything else at the end of the head.
func (u *Upgrader) Answer(data []byte, searched int) *Answer {
	size, refused := endOfHead(data, searched)
	if refused == nil && size == 0 {
		return nil
	}
	var request Request
	var response []byte
	if refused == nil {
		request, response, refused = u.judge(string(data[:size]))
	}
	if refused != nil {
		return &Answer{Status: refused.status, Reason: refused.reason, Response: refused.response(), Size: len(data)}
	}
	return &Answer{Status: statusSwitching, Response: response, Size: size, Request: request}
}

// judge decides on a complete head. The order of its steps is the order in
// which a request with several faults is refused for them.
func (u *Upgrader) judge(text string) (Request, []byte, *refusal) {
	h, refused := parseHead(text)
	if refused != nil {
		return Request{}, nil, refused
	}
	r := Request{Path: h.path, Query: h.query, Host: h.host, fields: h.fields}
	if u.path != "" && r.Path != u.path {
		return r, nil, &refusal{status: statusNotFound, reason: "nothing is served at this path"}
	}
	for _, check := range []func(*Request) *refusal{checkBody, checkUpgrade, checkVersion, checkKey, u.checkOrigin, u.chooseSubprotocol} {
		if refused = check(&r); refused != nil {
			return r, nil, refused
		}
	}
	return r, accept(&r), nil
}

func checkBody(r *Request) *refusal {
	lengths := r.Values("Content-Length")
	for _, value := range lengths {
		switch {
		case len(lengths) > 1 || value == "" || strings.Trim(value, "0123456789") != "":
			return badRequest("bad Content-Length")
		case strings.Trim(value, "0") != "":
			return &refusal{status: statusTooLarge, reason: "the request has a body"}
		}
	}
	if len(r.Values("Transfer-Encoding")) > 0 {
		return &refusal{status: statusTooLarge, reason: "the request has a body"}
	}
	return nil
}

func checkUpgrade(r *Request) *refusal {
	if !hasToken(r.Values("Upgrade"), "websocket") || !hasToken(r.Values("Connection"), "upgrade") {
		return upgradeRequired("only WebSocket is served here")
	}
	return nil
}

func checkVersion(r *Request) *refusal {
	if versions := r.Values("Sec-WebSocket-Version"); len(versions) != 1 || versions[0] != "13" {
		return upgradeRequired("only version 13 of WebSocket is served here")
	}
	return nil
}

func checkKey(r *Request) *refusal {
	keys := r.Values("Sec-WebSocket-Key")
	if len(keys) != 1 {
		return badRequest("there must be one Sec-WebSocket-Key")
	}
	if nonce, err := base64.StdEncoding.DecodeString(keys[0]); err != nil || len(nonce) != 16 {
		return badRequest("Sec-WebSocket-Key must be 16 bytes in base64")
	}
	return nil
}

func (u *Upgrader) checkOrigin(r *Request) *refusal {
	values := r.Values("Origin")
	if len(values) == 0 {
		return nil
	}
	if len(values) > 1 {
		return badRequest("more than one Origin")
	}
	r.Origin = values[0]
	if u.anyOrigin {
		return nil
	}
	o, ok := parseOrigin(r.Origin)
	if ok && len(u.origins) == 0 {
		ok = o.isOf(r.Host)
	} else if ok {
		ok = slices.Contains(u.origins, o)
	}
	if !ok {
		return &refusal{status: statusForbidden, reason: "pages of this origin must not connect"}
	}
	return nil
}

func (u *Upgrader) chooseSubprotocol(r *Request) *refusal {
	var offered []string
	for name := range listItems(r.Values("Sec-WebSocket-Protocol")) {
		if !isToken(name) {
			return badRequest("bad Sec-WebSocket-Protocol")
		}
		offered = append(offered, name)
	}
	for _, name := range u.subprotocols {
		if slices.Contains(offered, name) {
			r.Subprotocol = name
			break
		}
	}
	return nil
}

// keySuffix is the GUID that RFC 6455 §1.3 appends to the client's key.
const keySuffix = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// accept returns the response that upgrades the connection.
func accept(r *Request) []byte {
	digest := sha1.Sum([]byte(r.Values("Sec-WebSocket-Key")[0] + keySuffix))
	response := []byte("HTTP/1.1 101 Switching Protocols\r\n" +
		"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ")
	response = base64.StdEncoding.AppendEncode(response, digest[:])
	if r.Subprotocol != "" {
		response = append(response, "\r\nSec-WebSocket-Protocol: "+r.Subprotocol...)
	}
	return append(response, "\r\n\r\n"...)
}
