package main

import (
	"slices"
	"strings"
	"testing"
)

func TestWordsAreCompleted(t *testing.T) {
	for typed, want := range map[string]string{
		"sta":                         "status",
		"c":                           "check close completion config connect conns",
		"nodes ":                      "list retire",
		"conns show --t":              "--token-file",
		"status --j":                  "--json",
		"nodes --ad":                  "--addr",
		"run --app ":                  "attach echo sink",
		"run --app s":                 "sink",
		"run --slow-client=d":         "--slow-client=drop-newest",
		"run --app sink --slow-cl":    "--slow-client",
		"--addr nodes nodes re":       "retire",
		"completion ":                 "bash fish zsh",
		"bench serv":                  "",
		"nothing-like-this --unknown": "",
		"config show -- --exp":        "",
		"send 01adc9000000002a ":      "",
	} {
		out, talk, code := command(t.Context(), append([]string{"completion", "words", "--"}, strings.Split(typed, " ")...)...)
		if got := strings.Join(strings.Fields(out), " "); got != want || code != 0 {
			t.Errorf("%q becomes %q, want %q; says %q, exit code %d", typed, got, want, talk, code)
		}
	}
	out, _, _ := command(t.Context(), "completion", "words")
	if words := strings.Fields(out); !slices.Contains(words, "demo") || !slices.Contains(words, "version") {
		t.Errorf("nothing becomes %q", words)
	}
}

func TestOnlyShellsThatAreKnownGetAScript(t *testing.T) {
	if _, talk, code := command(t.Context(), "completion", "tcsh"); code != 2 || !strings.Contains(talk, "bash") {
		t.Errorf("says %q, exit code %d", talk, code)
	}
	if _, talk, code := command(t.Context(), "completion", "bash", "zsh"); code != 2 || !strings.Contains(talk, "want nothing behind the shell") {
		t.Errorf("says %q, exit code %d", talk, code)
	}
}
