package admin

import (
	"fmt"
	"strings"
)

// A Scope says what a token is good for.
type Scope uint8

// The scopes; combine them with |.
const (
	ScopeRead  Scope = 1 << iota // look at everything but settings and profiles
	ScopeSend                    // send to connections, end them, put them into groups
	ScopeAdmin                   // drain, retire, settings, profiles; and all the others

	allScopes = ScopeRead | ScopeSend | ScopeAdmin
)

var scopeNames = [...]struct {
	scope Scope
	name  string
}{{ScopeRead, "read"}, {ScopeSend, "send"}, {ScopeAdmin, "admin"}}

// String returns the names of the scopes, with commas between them.
func (s Scope) String() string {
	var names []string
	for _, n := range scopeNames {
		if s&n.scope != 0 {
			names = append(names, n.name)
		}
	}
	return strings.Join(names, ",")
}

// ParseScope returns the scopes of a text such as "read,send". The error says what
// there is.
func ParseScope(text string) (s Scope, err error) {
next:
	for name := range strings.SplitSeq(text, ",") {
		for _, n := range scopeNames {
			if n.name == name {
				s |= n.scope
				continue next
			}
		}
		return 0, fmt.Errorf("%.40q is no scope: there are read, send and admin", name)
	}
	return s, nil
}

// has reports whether s is good for what asks for that scope.
func (s Scope) has(wanted Scope) bool { return s&(wanted|ScopeAdmin) != 0 }

// A Token is what a request bears, and what for.
type Token struct {
	Token string // as Config.Token
	Scope Scope  // at least one
}
