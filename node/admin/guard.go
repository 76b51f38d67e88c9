package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// access says who is answered at a resource.
type access uint8

const (
	forEverybody access = iota // health: load balancers come from anywhere, as anybody
	forReaders                 // what is public, and still no matter for web pages
	forBearers                 // everything else, also what does not exist: by scope
)

// A guard decides who is answered. It does not change.
type guard struct {
	tokens []hashedToken
	open   bool // there is no token
	hosts  map[string]bool
	cross  http.CrossOriginProtection
}

// A hashedToken is a token: comparing its hash does not tell how long it is.
type hashedToken struct {
	hash  [sha256.Size]byte
	scope Scope
}

func newGuard(tokens []Token, hosts []string) *guard {
	g := &guard{open: len(tokens) == 0, hosts: map[string]bool{"localhost": true}}
	for _, t := range tokens {
		g.tokens = append(g.tokens, hashedToken{sha256.Sum256([]byte(t.Token)), t.Scope})
	}
	for _, host := range hosts {
		g.hosts[hostName(host)] = true
	}
	return g
}

// check returns why the request, which asks for that scope, is refused. It may put
// into header what the client needs to know.
func (g *guard) check(header http.Header, r *http.Request, a access, wanted Scope) error {
	if a == forEverybody {
		return nil
	}
	if g.open {
		if err := g.checkLocal(r); err != nil {
			return err
		}
	}
	if a == forReaders {
		return nil
	}
	if err := g.cross.Check(r); err != nil {
		return fail(problemCrossOrigin, "a page of another origin asked: %v", err)
	}
	if g.open {
		return nil
	}
	return g.checkToken(header, r, wanted)
}

// forwarding are the headers by which proxies say that they ask for somebody
// else.
var forwarding = [...]string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip"}

// checkLocal refuses what comes from another machine, as far as can be seen, or
// from a web page that has its name lead here.
func (g *guard) checkLocal(r *http.Request) error {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !from.Addr().IsLoopback() {
		return fail(problemForbidden, "without a token the node answers only on loopback")
	}
	for _, name := range forwarding {
		if len(r.Header.Values(name)) > 0 {
			return fail(problemForbidden, "without a token the node answers no proxy, and %s says there is one", name)
		}
	}
	if !g.isOurs(r.Host) {
		return fail(problemWrongHost, "host %.80q: without a token the node answers to localhost and to hosts it was told of", r.Host)
	}
	return nil
}

// isOurs reports whether a Host names this node: an address of loopback, which
// nobody can have another name lead to, or an allowed name.
func (g *guard) isOurs(host string) bool {
	name := hostName(host)
	if addr, err := netip.ParseAddr(name); err == nil && addr.IsLoopback() {
		return true
	}
	return g.hosts[name]
}

// hostName returns the host in HOST, HOST:PORT, [ADDR] or [ADDR]:PORT, in the
// one form in which hosts are compared.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	} else if inner, ok := strings.CutPrefix(host, "["); ok && strings.HasSuffix(inner, "]") {
		host = strings.TrimSuffix(inner, "]")
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().String()
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// isHost reports whether s is a name or an address that isOurs can find.
func isHost(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	name := strings.TrimSuffix(s, ".")
	return name != "" && len(name) <= 253 && !strings.ContainsFunc(name, func(r rune) bool {
		return !isAlphanumeric(r) && r != '-' && r != '.' && r != '_'
	})
}

const challenge = `Bearer realm="flamingo"`

// checkToken refuses a request that does not bear a token for the scope.
func (g *guard) checkToken(header http.Header, r *http.Request, wanted Scope) error {
	given := r.Header.Values("Authorization")
	if len(given) == 0 {
		header.Set("WWW-Authenticate", challenge)
		return fail(problemUnauthorized, "the request bears no token")
	}
	scheme, token, _ := strings.Cut(given[0], " ")
	token, bears := strings.TrimLeft(token, " "), strings.EqualFold(scheme, "Bearer")
	if strings.HasPrefix(r.URL.Path, gatewayPrefix) && !bears {
		token, bears = signedBy(given[0])
	}
	scope := g.scopeOf(token)
	if len(given) != 1 || !bears || scope == 0 {
		header.Set("WWW-Authenticate", challenge+`, error="invalid_token"`)
		return fail(problemUnauthorized, "the token is none of this node")
	}
	if !scope.has(wanted) {
		header.Set("WWW-Authenticate", challenge+`, error="insufficient_scope", scope="`+wanted.String()+`"`)
		return fail(problemScope, "the token is good for %s, and this asks for %s", scope, wanted)
	}
	return nil
}

// scopeOf returns what a token is good for, 0 if it is none. It takes as long
// whichever it is.
func (g *guard) scopeOf(token string) (scope Scope) {
	hash := sha256.Sum256([]byte(token))
	for i := range g.tokens {
		if subtle.ConstantTimeCompare(hash[:], g.tokens[i].hash[:]) == 1 {
			scope = g.tokens[i].scope
		}
	}
	return scope
}
