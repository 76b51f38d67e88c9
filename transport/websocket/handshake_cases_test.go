package websocket_test

import (
	"fmt"
	"slices"
	"strings"

	"flamingo/transport/websocket"
)

// A handshakeCase says what an Upgrader answers. Its name begins with the
// section of RFC 6455 that it follows from.
type handshakeCase struct {
	name string
	cfg  websocket.UpgradeConfig
	sent string
	want string // the status, then the request or the reason
}

// request is a handshake with edits. "Name: value" replaces a field or adds
// it, "+Name: value" adds a line, "-Name" takes the field away, and what has
// no colon is the request line.
func request(edits ...string) string {
	lines := []string{
		"GET /chat HTTP/1.1",
		"Host: example.com",
		"Upgrade: websocket",
		"Connection: Upgrade",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
		"Sec-WebSocket-Version: 13",
	}
	for _, edit := range edits {
		name, _, isField := strings.Cut(strings.TrimPrefix(edit, "-"), ":")
		same := func(line string) bool { return strings.HasPrefix(line, name+":") }
		switch at := slices.IndexFunc(lines, same); {
		case strings.HasPrefix(edit, "+"):
			lines = append(lines, edit[1:])
		case strings.HasPrefix(edit, "-"):
			lines = slices.DeleteFunc(lines, same)
		case !isField || strings.Contains(edit, " HTTP/"):
			lines[0] = edit
		case at >= 0:
			lines[at] = edit
		default:
			lines = append(lines, edit)
		}
	}
	return strings.Join(lines, "\r\n") + "\r\n\r\n"
}

// Outcomes of handshakes.
const (
	accepted    = `101 "/chat" "" "example.com" "" ""`
	notHTTP     = "400 not an HTTP request"
	badLines    = "400 lines must end with CR LF"
	badControl  = "400 control character in the request"
	badLine     = "400 bad request line"
	badTarget   = "400 bad request target"
	badField    = "400 bad header field"
	badHost     = "400 there must be one Host"
	badLength   = "400 bad Content-Length"
	oneKey      = "400 there must be one Sec-WebSocket-Key"
	badKey      = "400 Sec-WebSocket-Key must be 16 bytes in base64"
	badProtocol = "400 bad Sec-WebSocket-Protocol"
	badOrigin   = "403 pages of this origin must not connect"
	notFound    = "404 nothing is served at this path"
	notGet      = "405 WebSocket needs GET"
	hasBody     = "413 the request has a body"
	longLine    = "414 the request line is too long"
	notUpgrade  = "426 only WebSocket is served here"
	notVersion  = "426 only version 13 of WebSocket is served here"
	longHead    = "431 the head of the request is too long"
	manyFields  = "431 too many header fields"
	badHTTP     = "505 WebSocket needs HTTP/1.1"
)

// Settings of the cases.
var (
	none   = websocket.UpgradeConfig{}
	chat   = websocket.UpgradeConfig{Path: "/chat"}
	listed = websocket.UpgradeConfig{Origins: []string{"https://a.example", "http://b.example:8080"}}
	anyone = websocket.UpgradeConfig{Origins: []string{"*"}}
	opaque = websocket.UpgradeConfig{Origins: []string{"null"}}
	bank   = websocket.UpgradeConfig{Origins: []string{"https://bank.example"}}
	spoken = websocket.UpgradeConfig{Subprotocols: []string{"v2.chat", "v1.chat"}}
)

func handshakeCases() []handshakeCase {
	return slices.Concat(headCases(), requestLineCases(), fieldCases(), answerCases(), originCases())
}

// headCases are those of a request as such.
func headCases() []handshakeCase {
	pad := func(n int) string { return "X-Pad: " + xs(n) }
	bare := len(request(pad(0)))
	return []handshakeCase{
		{
			"1.3: the request of the RFC", spoken, "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n" +
				"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://server.example.com\r\n" +
				"Sec-WebSocket-Protocol: v1.chat, superchat\r\nSec-WebSocket-Version: 13\r\n\r\n",
			`101 "/chat" "" "server.example.com" "http://server.example.com" "v1.chat"`,
		},

		{"4.1: the least there can be", none, request(), accepted},
		{"4.1: nothing", none, "", waits},
		{"4.1: a method", none, "GET", waits},
		{"4.1: no empty line", none, strings.TrimSuffix(request(), "\r\n"), waits},
		{"4.1: half an empty line", none, strings.TrimSuffix(request(), "\n"), waits},
		{"4.1: a frame right behind", none, request() + "\x81\x80\x01\x02\x03\x04", accepted + ` + "\x81\x80\x01\x02\x03\x04"`},
		{"4.1: an empty line before the request", none, "\r\n" + request(), notHTTP},
		{"4.1: a space before the request", none, " " + request(), notHTTP},
		{"4.1: TLS", none, "\x16\x03\x01\x02\x00", notHTTP},
		{"4.1: a frame without a handshake", none, "\x81\x85\x00\x00\x00\x00Hello", notHTTP},
		{"4.1: PROXY protocol", none, "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + request(), badLine},
		{"4.1: lines that end with LF", none, strings.ReplaceAll(request(), "\r\n", "\n"), badLines},
		{"4.1: one line that ends with LF", none, request("X-A: 1\nX-B: 2"), badLines},
		{"4.1: a line that ends with CR", none, request("X-A: 1\rX-B: 2"), badLines},
		{"4.1: a line that ends with CR CR LF", none, request("X-A: 1\r"), badLines},
		{"4.1: a zero", none, request("X-A: \x00"), badControl},
		{"4.1: a control character", none, request("X-A: \x1b[m"), badControl},
		{"4.1: DEL", none, request("X-A: \x7f"), badControl},
		{"4.1: a tab in a value", none, request("X-A: a\tb"), accepted},
		{"4.1: bytes that are not ASCII in a value", none, request("X-A: ä\xff"), accepted},
		{"4.1: spaces and tabs around a value", none, request("Sec-WebSocket-Version: \t 13 \t"), accepted},
		{"4.1: no space before a value", none, request("Sec-WebSocket-Version:13"), accepted},
		{"4.1: an empty value", none, request("X-A:"), accepted},
		{"4.1: names in lower case", none, "GET /chat HTTP/1.1\r\nhost: example.com\r\nupgrade: websocket\r\nconnection: upgrade\r\n" +
			"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n", accepted},
		{"4.1: a space before the colon", none, request("X-A : 1"), badField},
		{"4.1: a line without a colon", none, request("X-A: 1\r\nX-B"), badField},
		{"4.1: a line without a name", none, request("X-A: 1\r\n: 2"), badField},
		{"4.1: a folded line", none, request("X-A: 1\r\n 2"), badField},
		{"4.1: a folded first line", none, strings.Replace(request(), "Host:", " Host:", 1), badField},
		{"4.1: a name that is not ASCII", none, request("X-ä: 1"), badField},
		{"4.1: as many fields as can be", none, request(slices.Repeat([]string{"+X-A: 1"}, 128-5)...), accepted},
		{"4.1: a field too many", none, request(slices.Repeat([]string{"+X-A: 1"}, 128-4)...), manyFields},
		{"4.1: the longest head", none, request(pad(websocket.MaxHead - bare)), accepted},
		{"4.1: a head that is too long by a byte", none, request(pad(websocket.MaxHead - bare + 1)), longHead},
		{"4.1: a head that is too long", none, request(pad(100_000)), longHead},
		{"4.1: a head of all that fits, without end", none, request(pad(websocket.MaxHead - bare + 1))[:websocket.MaxHead-1], waits},
		{"4.1: a target without end", none, "GET /" + xs(10_000), longLine},
		{"4.1: a fault beyond the longest head", none, request(pad(websocket.MaxHead)) + "\x00", longHead},
	}
}

// requestLineCases are those of §4.2.1 on the first line.
func requestLineCases() []handshakeCase {
	return []handshakeCase{
		{"4.2.1: POST", none, request("POST /chat HTTP/1.1"), notGet},
		{"4.2.1: HEAD", none, request("HEAD /chat HTTP/1.1"), notGet},
		{"4.2.1: CONNECT", none, request("CONNECT example.com:443 HTTP/1.1"), notGet},
		{"4.2.1: get", none, request("get /chat HTTP/1.1"), notGet},
		{"4.2.1: a method that is no token", none, request("G@T /chat HTTP/1.1"), badLine},
		{"4.2.1: HTTP/1.0", none, request("GET /chat HTTP/1.0"), badHTTP},
		{"4.2.1: HTTP/0.9", none, request("GET /chat HTTP/0.9"), badHTTP},
		{"4.2.1: HTTP/1.2", none, request("GET /chat HTTP/1.2"), accepted},
		{"4.2.1: HTTP/2.0", none, request("GET /chat HTTP/2.0"), badHTTP},
		{"4.2.1: the preface of HTTP/2", none, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", badHTTP},
		{"4.2.1: HTTP/1", none, request("GET /chat HTTP/1"), badLine},
		{"4.2.1: HTTP/1.10", none, request("GET /chat HTTP/1.10"), badLine},
		{"4.2.1: http/1.1", none, request("GET /chat http/1.1"), badLine},
		{"4.2.1: no version", none, request("GET /chat"), badLine},
		{"4.2.1: two spaces", none, request("GET  /chat HTTP/1.1"), badLine},
		{"4.2.1: a space in the target", none, request("GET /a b HTTP/1.1"), badLine},
		{"4.2.1: a request line and nothing else", none, "GET /chat HTTP/1.1\r\n\r\n", badHost},
		{"4.2.1: a query", none, request("GET /chat?a=1&b=2 HTTP/1.1"), `101 "/chat" "a=1&b=2" "example.com" "" ""`},
		{"4.2.1: an empty query", none, request("GET /chat? HTTP/1.1"), accepted},
		{"4.2.1: two question marks", none, request("GET /?a?b HTTP/1.1"), `101 "/" "a?b" "example.com" "" ""`},
		{"4.2.1: percent-encoding", none, request("GET /%63hat%20 HTTP/1.1"), `101 "/%63hat%20" "" "example.com" "" ""`},
		{"4.2.1: a target that is not ASCII", none, request("GET /ä HTTP/1.1"), badTarget},
		{"4.2.1: a fragment", none, request("GET /chat#a HTTP/1.1"), badTarget},
		{"4.2.1: percent-encoding of nothing", none, request("GET /%zz HTTP/1.1"), badTarget},
		{"4.2.1: percent-encoding cut short", none, request("GET /chat%2 HTTP/1.1"), badTarget},
		{"4.2.1: percent signs in a query", none, request("GET /chat?100% HTTP/1.1"), `101 "/chat" "100%" "example.com" "" ""`},
		{"4.2.1: no slash", none, request("GET chat HTTP/1.1"), badTarget},
		{"4.2.1: an asterisk", none, request("GET * HTTP/1.1"), badTarget},
		{"4.2.1: a whole URI", none, request("GET http://other.example:80/chat?a HTTP/1.1"), `101 "/chat" "a" "other.example:80" "" ""`},
		{"4.2.1: a whole URI without a path", none, request("GET HTTPS://other.example HTTP/1.1"), `101 "/" "" "other.example" "" ""`},
		{"4.2.1: a whole URI with a query alone", none, request("GET http://other.example?a HTTP/1.1"), `101 "/" "a" "other.example" "" ""`},
		{"4.2.1: a whole URI without a host", none, request("GET http:///chat HTTP/1.1"), badTarget},
		{"4.2.1: a whole URI with a user", none, request("GET http://u@example.com/chat HTTP/1.1"), badTarget},
		{"4.2.1: a whole URI of another scheme", none, request("GET ws://example.com/chat HTTP/1.1"), badTarget},
	}
}

// fieldCases are those of §4.2.1 on the header fields.
func fieldCases() []handshakeCase {
	return []handshakeCase{
		{"4.2.1: no Host", none, request("-Host"), badHost},
		{"4.2.1: an empty Host", none, request("Host:"), badHost},
		{"4.2.1: two Hosts", none, request("+Host: example.com"), badHost},
		{"4.2.1: a Host with a path", none, request("Host: example.com/chat"), badHost},
		{"4.2.1: a Host with a user", none, request("Host: u@example.com"), badHost},
		{"4.2.1: a list of Hosts", none, request("Host: a.example, b.example"), badHost},
		{"4.2.1: a Host with a port", none, request("Host: example.com:8080"), `101 "/chat" "" "example.com:8080" "" ""`},
		{"4.2.1: a Host of IPv6", none, request("Host: [::1]:80"), `101 "/chat" "" "[::1]:80" "" ""`},
		{"4.2.1: a Host of IPv6 without its end", none, request("Host: [::1"), badHost},
		{"4.2.1: a Host of IPv6 without brackets", none, request("Host: ::1"), badHost},
		{"4.2.1: a Host of IPv6 that is none", none, request("Host: [::x]"), badHost},
		{"4.2.1: a Host of IPv6 with a zone", none, request("Host: [fe80::1%25eth0]"), badHost},
		{"4.2.1: a Host of IPv4 in brackets", none, request("Host: [127.0.0.1]"), badHost},
		{"4.2.1: a Host with a port that is no number", none, request("Host: example.com:http"), badHost},
		{"4.2.1: a Host with a port and no name", none, request("Host: :80"), badHost},
		{"4.2.1: a Host in percent-encoding", none, request("Host: a%2Eexample"), badHost},
		{"4.2.1: no Upgrade", none, request("-Upgrade"), notUpgrade},
		{"4.2.1: Upgrade to something else", none, request("Upgrade: h2c"), notUpgrade},
		{"4.2.1: Upgrade to what begins like it", none, request("Upgrade: websockets"), notUpgrade},
		{"4.2.1: Upgrade to a version of it", none, request("Upgrade: websocket/13"), notUpgrade},
		{"4.2.1: Upgrade in capitals", none, request("Upgrade: WebSocket"), accepted},
		{"4.2.1: Upgrade to a list", none, request("Upgrade: h2c , websocket"), accepted},
		{"4.2.1: Upgrade to a list of two lines", none, request("Upgrade: h2c", "+Upgrade: websocket"), accepted},
		{"4.2.1: Upgrade with another kind of k", none, request("Upgrade: websoc\u212aet"), notUpgrade},
		{"4.2.1: no Connection", none, request("-Connection"), notUpgrade},
		{"4.2.1: Connection without Upgrade", none, request("Connection: keep-alive"), notUpgrade},
		{"4.2.1: Connection of the old draft", none, request("Connection: keep-alive, Upgrade"), accepted},
		{"4.2.1: Connection in lower case", none, request("Connection: upgrade"), accepted},
		{"4.2.1: Connection of two lines", none, request("Connection: keep-alive", "+Connection: upgrade"), accepted},
		{"4.2.1: Connection with empty items", none, request("Connection: ,, Upgrade,"), accepted},
		{"4.2.1: Connection without commas", none, request("Connection: keep-alive Upgrade"), notUpgrade},
		{"4.2.1: no key", none, request("-Sec-WebSocket-Key"), oneKey},
		{"4.2.1: two keys", none, request("+Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), oneKey},
		{"4.2.1: an empty key", none, request("Sec-WebSocket-Key:"), badKey},
		{"4.2.1: a key of 15 bytes", none, request("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j"), badKey},
		{"4.2.1: a key of 17 bytes", none, request("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZWE="), badKey},
		{"4.2.1: a key without padding", none, request("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ"), badKey},
		{"4.2.1: a key in another alphabet", none, request("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j-_=="), badKey},
		{"4.2.1: a key that is not base64", none, request("Sec-WebSocket-Key: this is not base64 at all"), badKey},
		{"4.2.1: no version of WebSocket", none, request("-Sec-WebSocket-Version"), notVersion},
		{"4.2.1: a Content-Length of nothing", none, request("Content-Length: 0"), accepted},
		{"4.2.1: a body", none, request("Content-Length: 5") + "Hello", hasBody},
		{"4.2.1: a long body", none, request("Content-Length: 99999999999999999999"), hasBody},
		{"4.2.1: a Content-Length that is no number", none, request("Content-Length: -1"), badLength},
		{"4.2.1: an empty Content-Length", none, request("Content-Length:"), badLength},
		{"4.2.1: two Content-Lengths", none, request("Content-Length: 0", "+Content-Length: 0"), badLength},
		{"4.2.1: a body in chunks", none, request("Transfer-Encoding: chunked") + "0\r\n\r\n", hasBody},
		{"4.2.1: a body of both kinds", none, request("Content-Length: 0", "Transfer-Encoding: chunked"), hasBody},
	}
}

// answerCases are those of what is chosen and what is served.
func answerCases() []handshakeCase {
	return []handshakeCase{
		{"4.2.2: the path", chat, request(), accepted},
		{"4.2.2: the path with a query", chat, request("GET /chat?a HTTP/1.1"), `101 "/chat" "a" "example.com" "" ""`},
		{"4.2.2: the path in a whole URI", chat, request("GET http://example.com/chat HTTP/1.1"), accepted},
		{"4.2.2: another path", chat, request("GET / HTTP/1.1"), notFound},
		{"4.2.2: a path below", chat, request("GET /chat/ HTTP/1.1"), notFound},
		{"4.2.2: the path in capitals", chat, request("GET /Chat HTTP/1.1"), notFound},
		{"4.2.2: the path spelled otherwise", chat, request("GET /%63hat HTTP/1.1"), notFound},
		{"4.2.2: a way to the path", chat, request("GET /x/../chat HTTP/1.1"), notFound},
		{"4.2.2: another path comes before what is not an upgrade", chat, request("GET / HTTP/1.1", "-Upgrade"), notFound},
		{"4.2.2: a subprotocol nobody knows", none, request("Sec-WebSocket-Protocol: v1.chat"), accepted},
		{"4.2.2: no subprotocol", spoken, request(), accepted},
		{"4.2.2: another subprotocol", spoken, request("Sec-WebSocket-Protocol: v3.chat"), accepted},
		{"4.2.2: a subprotocol", spoken, request("Sec-WebSocket-Protocol: v1.chat"), `101 "/chat" "" "example.com" "" "v1.chat"`},
		{"4.2.2: the server's preference", spoken, request("Sec-WebSocket-Protocol: v1.chat, v2.chat"), `101 "/chat" "" "example.com" "" "v2.chat"`},
		{"4.2.2: subprotocols of two lines", spoken, request("Sec-WebSocket-Protocol: a", "+Sec-WebSocket-Protocol: b,v1.chat"), `101 "/chat" "" "example.com" "" "v1.chat"`},
		{"4.2.2: a subprotocol in capitals", spoken, request("Sec-WebSocket-Protocol: V1.CHAT"), accepted},
		{"4.2.2: an empty list of subprotocols", spoken, request("Sec-WebSocket-Protocol:"), accepted},
		{"4.2.2: a subprotocol that is no token", spoken, request("Sec-WebSocket-Protocol: v1.chat, a b"), badProtocol},
		{"4.2.2: extensions are not agreed on", none, request("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"), accepted},

		{"4.4: version 8", none, request("Sec-WebSocket-Version: 8"), notVersion},
		{"4.4: version 14", none, request("Sec-WebSocket-Version: 14"), notVersion},
		{"4.4: version 013", none, request("Sec-WebSocket-Version: 013"), notVersion},
		{"4.4: a list of versions", none, request("Sec-WebSocket-Version: 13, 8"), notVersion},
		{"4.4: two versions", none, request("+Sec-WebSocket-Version: 13"), notVersion},
		{"4.4: a version comes before a bad key", none, request("Sec-WebSocket-Version: 8", "-Sec-WebSocket-Key"), notVersion},
	}
}

// originCases are those of the pages that may connect.
func originCases() []handshakeCase {
	return []handshakeCase{
		{"10.2: no Origin where some are listed", listed, request(), accepted},
		{"10.2: an Origin that is listed", listed, request("Origin: https://a.example"), `101 "/chat" "" "example.com" "https://a.example" ""`},
		{"10.2: an Origin with a port that is listed", listed, request("Origin: http://b.example:8080"), `101 "/chat" "" "example.com" "http://b.example:8080" ""`},
		{"10.2: an Origin in capitals", listed, request("Origin: HTTPS://A.Example"), `101 "/chat" "" "example.com" "HTTPS://A.Example" ""`},
		{"10.2: an Origin with the port of its scheme", listed, request("Origin: https://a.example:443"), `101 "/chat" "" "example.com" "https://a.example:443" ""`},
		{"10.2: an Origin of another scheme", listed, request("Origin: http://a.example"), badOrigin},
		{"10.2: an Origin of another port", listed, request("Origin: http://b.example"), badOrigin},
		{"10.2: an Origin that ends like one", listed, request("Origin: https://evil-a.example"), badOrigin},
		{"10.2: an Origin that begins like one", listed, request("Origin: https://a.example.evil.example"), badOrigin},
		{"10.2: an Origin with a user", listed, request("Origin: https://a.example@evil.example"), badOrigin},
		{"10.2: an Origin with a path", listed, request("Origin: https://a.example/"), badOrigin},
		{"10.2: the host's Origin where others are listed", listed, request("Origin: https://example.com"), badOrigin},
		{"10.2: an opaque Origin", listed, request("Origin: null"), badOrigin},
		{"10.2: an empty Origin", listed, request("Origin:"), badOrigin},
		{"10.2: two Origins", listed, request("Origin: https://a.example", "+Origin: https://a.example"), "400 more than one Origin"},
		{"10.2: a list of Origins", listed, request("Origin: https://a.example https://a.example"), badOrigin},
		{"10.2: any Origin", anyone, request("Origin: https://evil.example"), `101 "/chat" "" "example.com" "https://evil.example" ""`},
		{"10.2: any opaque Origin", anyone, request("Origin: null"), `101 "/chat" "" "example.com" "null" ""`},
		{"10.2: the opaque Origin that is listed", opaque, request("Origin: null"), `101 "/chat" "" "example.com" "null" ""`},
		{"10.2: another than the opaque Origin", opaque, request("Origin: https://a.example"), badOrigin},
		{"10.2: the host's own Origin", none, request("Origin: https://example.com"), `101 "/chat" "" "example.com" "https://example.com" ""`},
		{"10.2: the host's own Origin in capitals", none, request("Host: Example.COM", "Origin: http://eXample.com"), `101 "/chat" "" "Example.COM" "http://eXample.com" ""`},
		{"10.2: the host's own Origin with a port", none, request("Host: example.com:8080", "Origin: http://example.com:8080"), `101 "/chat" "" "example.com:8080" "http://example.com:8080" ""`},
		{"10.2: the host's own Origin, its port left out", none, request("Host: example.com:443", "Origin: https://example.com"), `101 "/chat" "" "example.com:443" "https://example.com" ""`},
		{"10.2: the host's Origin of another port", none, request("Host: example.com:8080", "Origin: http://example.com"), badOrigin},
		{"10.2: the host's Origin with the port of another scheme", none, request("Host: example.com:443", "Origin: http://example.com"), badOrigin},
		{"10.2: another host's Origin", none, request("Origin: https://evil.example"), badOrigin},
		{"10.2: an Origin below the host", none, request("Origin: https://a.example.com"), badOrigin},
		{"10.2: an opaque Origin at a host", none, request("Origin: null"), badOrigin},
		{"10.2: an Origin with another kind of k", bank, request("Origin: https://ban\u212a.example"), badOrigin},
		{"10.2: a key comes before a bad Origin", none, request("Origin: https://evil.example", "-Sec-WebSocket-Key"), oneKey},
	}
}

// describeAnswer is the answer in the words of handshakeCases, with what
// follows an accepted request.
func describeAnswer(a *websocket.Answer, rest []byte) string {
	if a == nil {
		return waits
	}
	if !a.Accepted() {
		return fmt.Sprintf("%d %s", a.Status, a.Reason)
	}
	r := a.Request
	line := fmt.Sprintf("%d %q %q %q %q %q", a.Status, r.Path, r.Query, r.Host, r.Origin, r.Subprotocol)
	if len(rest) > 0 {
		line += fmt.Sprintf(" + %q", rest)
	}
	return line
}
