package main

import (
	"strings"
	"testing"

	"flamingo/node/admin"

	"github.com/google/go-cmp/cmp"
)

func TestFileOfTokens(t *testing.T) {
	const all = admin.ScopeRead | admin.ScopeSend | admin.ScopeAdmin
	for text, want := range map[string][]admin.Token{
		"s3cret":     {{Token: "s3cret", Scope: all}},
		"s3cret\r\n": {{Token: "s3cret", Scope: all}},
		"# who\nabc read # a dashboard\n\n\tdef  read,send\nghi admin\n": {
			{Token: "abc", Scope: admin.ScopeRead}, {Token: "def", Scope: admin.ScopeRead | admin.ScopeSend}, {Token: "ghi", Scope: admin.ScopeAdmin},
		},
	} {
		path := writeFile(t, text)
		got, err := readTokens(path)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: want -, got +:\n%s", text, diff)
		}
		if first, err := readToken(path); err != nil || first != want[0].Token {
			t.Errorf("%q: the first is %q, %v", text, first, err)
		}
	}
	for text, why := range map[string]string{
		"": "want a token", "# none\n": "want a token", "abc write": ":1: \"write\" is no scope", "abc\nabc read send": ":2: want",
		strings.Repeat("x", maxToken+1): ":1: want", strings.Repeat("x\n", maxTokens): "longer than",
	} {
		if _, err := readTokens(writeFile(t, text)); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%.20q: %v, want %q", text, err, why)
		}
	}
}
