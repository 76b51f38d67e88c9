package main

import (
	"io"
	"os"
	"strings"

	"flamingo/node/admin"
)

// maxTokens bounds the file of tokens, in bytes: all that a node takes.
const maxTokens = 64 * (maxToken + 32)

// readTokens returns the tokens that a file holds, of which there is at least one: a
// token a line, and behind it the scopes that it is for, with commas between them;
// without them it is for everything. # begins a comment.
func readTokens(path string) ([]admin.Token, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, badUse("token: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxTokens+1))
	if err != nil {
		return nil, badUse("token: %w", err)
	}
	if len(text) > maxTokens {
		return nil, badUse("token: %s is longer than %d bytes", path, maxTokens)
	}
	var tokens []admin.Token
	for i, line := range strings.Split(string(text), "\n") {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if len(words) > 2 || len(words[0]) > maxToken {
			return nil, badUse("token: %s:%d: want a token of at most %d bytes, and its scopes: read, send, admin, with commas between them", path, i+1, maxToken)
		}
		t := admin.Token{Token: words[0], Scope: admin.ScopeRead | admin.ScopeSend | admin.ScopeAdmin}
		if len(words) == 2 {
			if t.Scope, err = admin.ParseScope(words[1]); err != nil {
				return nil, badUse("token: %s:%d: %w", path, i+1, err)
			}
		}
		tokens = append(tokens, t)
	}
	if len(tokens) == 0 {
		return nil, badUse("token: %s: want a token of at most %d bytes, one a line", path, maxToken)
	}
	return tokens, nil
}
