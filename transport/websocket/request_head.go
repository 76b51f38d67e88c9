package websocket

import (
	"iter"
	"net/netip"
	"net/url"
	"strings"
)

// Bounds of a request's head.
const (
	// MaxHead is the longest head, in bytes, its empty line included: what
	// common servers take.
	MaxHead = 8 << 10

	// maxFields is how many header fields a head may have.
	maxFields = 128
)

// head is a request's, RFC 9112 §3 and §5, as far as it is not for judge.
type head struct {
	path, query string
	host        string
	fields      []field
}

// field is one line of a head.
type field struct {
	name  string
	value string // without spaces around it
}

// endOfHead returns how many bytes the head takes that data begins with, zero
// while it is incomplete. It refuses what shows without the end: a beginning
// that is no method, as that of TLS, control characters, line breaks that are
// not CR LF, too many bytes.
func endOfHead(data []byte, searched int) (size int, refused *refusal) {
	if len(data) > 0 && !isTokenRune(rune(data[0])) {
		return 0, badRequest("not an HTTP request")
	}
	for i := max(searched, 1); i < min(len(data), MaxHead); i++ {
		b := data[i]
		switch {
		case (b == '\n') != (data[i-1] == '\r'):
			return 0, badRequest("lines must end with CR LF")
		case b < ' ' && b != '\t' && b != '\r' && b != '\n', b == 0x7F:
			return 0, badRequest("control character in the request")
		case b == '\n' && i >= 3 && data[i-2] == '\n':
			return i + 1, nil
		}
	}
	if len(data) < MaxHead {
		return 0, nil
	}
	if !strings.Contains(string(data[:MaxHead]), "\n") {
		return 0, &refusal{status: statusURITooLong, reason: "the request line is too long"}
	}
	return 0, &refusal{status: statusFieldsTooLarge, reason: "the head of the request is too long"}
}

// parseHead reads a head that endOfHead has found.
func parseHead(text string) (head, *refusal) {
	line, rest, _ := strings.Cut(strings.TrimSuffix(text, "\r\n"), "\r\n")
	h, authority, refused := parseRequestLine(line)
	if refused != nil {
		return head{}, refused
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(rest, "\r\n"), "\r\n") {
		if line == "" {
			break // there are no fields
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || !isToken(name) { // a folded line among them
			return head{}, badRequest("bad header field")
		}
		if len(h.fields) == maxFields {
			return head{}, &refusal{status: statusFieldsTooLarge, reason: "too many header fields"}
		}
		h.fields = append(h.fields, field{name, strings.Trim(value, " \t")})
	}
	hosts := (&Request{fields: h.fields}).Values("Host")
	if len(hosts) != 1 || !isHost(hosts[0]) {
		return head{}, badRequest("there must be one Host")
	}
	if h.host = authority; authority == "" {
		h.host = hosts[0]
	}
	return h, nil
}

// parseRequestLine returns the authority too, if the target is a whole URI:
// then it stands for the Host, RFC 9112 §3.2.2.
func parseRequestLine(line string) (h head, authority string, refused *refusal) {
	parts := strings.Split(line, " ")
	if len(parts) != 3 || !isToken(parts[0]) || !isVersion(parts[2]) {
		return h, "", badRequest("bad request line")
	}
	method, target, version := parts[0], parts[1], parts[2]
	if !strings.HasPrefix(version, "HTTP/1.") || version == "HTTP/1.0" {
		return h, "", &refusal{status: statusVersion, reason: "WebSocket needs HTTP/1.1"}
	}
	if method != "GET" {
		return h, "", &refusal{status: statusMethod, reason: "WebSocket needs GET", fields: "Allow: GET\r\n"}
	}
	path := target
	if scheme, rest, ok := strings.Cut(target, "://"); ok && isHTTP(scheme) {
		end := strings.IndexAny(rest, "/?")
		if end < 0 {
			end = len(rest)
		}
		authority, path = rest[:end], rest[end:]
		if !isHost(authority) {
			return h, "", badRequest("bad request target")
		}
		if !strings.HasPrefix(path, "/") {
			path = "/" + path
		}
	}
	if !isPath(path) {
		return h, "", badRequest("bad request target")
	}
	h.path, h.query, _ = strings.Cut(path, "?")
	return h, authority, nil
}

func isHTTP(scheme string) bool {
	return strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https")
}

// isVersion reports whether the text is a version of HTTP, whichever.
func isVersion(text string) bool {
	digits, ok := strings.CutPrefix(text, "HTTP/")
	return ok && len(digits) == 3 && isDigit(rune(digits[0])) && digits[1] == '.' && isDigit(rune(digits[2]))
}

// isPath reports whether the text is a path that can be unescaped, with or
// without a query.
func isPath(text string) bool {
	foreign := func(r rune) bool { return r <= ' ' || r >= 0x7F || r == '#' }
	if !strings.HasPrefix(text, "/") || strings.ContainsFunc(text, foreign) {
		return false
	}
	path, _, _ := strings.Cut(text, "?")
	_, err := url.PathUnescape(path)
	return err == nil
}

// isHost reports whether the text is a host, RFC 3986 §3.2.2, with or without
// a port. It may be a name that no host has, but not one in percent-encoding.
func isHost(text string) bool {
	name := text
	if colon := strings.LastIndexByte(text, ':'); colon > strings.LastIndexByte(text, ']') {
		name = text[:colon]
		if strings.ContainsFunc(text[colon+1:], func(r rune) bool { return !isDigit(r) }) {
			return false
		}
	}
	if inner, ok := strings.CutPrefix(name, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		addr, err := netip.ParseAddr(inner)
		return ok && err == nil && addr.Is6() && addr.Zone() == ""
	}
	foreign := func(r rune) bool { return !isAlphanumeric(r) && !strings.ContainsRune("-._~!$&'()*+;=", r) }
	return name != "" && !strings.ContainsFunc(name, foreign)
}

func isToken(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return !isTokenRune(r) })
}

// isTokenRune reports whether r may be in a token, RFC 9110 §5.6.2.
func isTokenRune(r rune) bool {
	return isAlphanumeric(r) || strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}

func isAlphanumeric(r rune) bool {
	return isDigit(r) || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}

func isDigit(r rune) bool { return '0' <= r && r <= '9' }

// listItems yields the items of a header field that is a list, RFC 9110
// §5.6.1, without the empty ones. A list may be spread over several lines.
func listItems(values []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, value := range values {
			for item := range strings.SplitSeq(value, ",") {
				item = strings.Trim(item, " \t")
				if item != "" && !yield(item) {
					return
				}
			}
		}
	}
}

func hasToken(values []string, token string) bool {
	for item := range listItems(values) {
		if isToken(item) && strings.EqualFold(item, token) {
			return true
		}
	}
	return false
}
