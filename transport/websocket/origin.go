package websocket

import "strings"

// origin is a web page's, RFC 6454, in lower case and without the scheme's own
// port. The opaque one has neither part.
type origin struct {
	scheme string
	host   string
}

func parseOrigin(text string) (origin, bool) {
	if text == "null" {
		return origin{}, true
	}
	scheme, host, ok := strings.Cut(text, "://")
	if !ok || !isToken(scheme) || !isHost(host) { // so both are ASCII
		return origin{}, false
	}
	scheme, host = strings.ToLower(scheme), strings.ToLower(host)
	return origin{scheme: scheme, host: withoutDefaultPort(scheme, host)}, true
}

// isOf reports whether the page comes from the host, as the request names it,
// which is not empty.
// The scheme does not count: who takes TLS off may stand before the server.
func (o origin) isOf(host string) bool {
	return o.host == withoutDefaultPort(o.scheme, strings.ToLower(host))
}

func withoutDefaultPort(scheme, host string) string {
	switch scheme {
	case "http", "ws":
		return strings.TrimSuffix(host, ":80")
	case "https", "wss":
		return strings.TrimSuffix(host, ":443")
	default:
		return host
	}
}
