package main

import (
	"net/url"
	"strings"
	"testing"
)

// listenersPage explains listeners by example.
const listenersPage = "docs/listeners.md"

func TestListenersOfThePageAreTakenAndHaveEveryOption(t *testing.T) {
	used := make(map[string]bool)
	for _, block := range strings.Split(readPage(t, listenersPage), "```listener\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		for line := range strings.Lines(block) {
			line = strings.TrimSpace(line)
			if _, err := parseListener(line); err != nil {
				t.Error(err)
				continue
			}
			u, err := url.Parse(line)
			if err != nil {
				t.Fatal(err)
			}
			for name := range u.Query() {
				used[name] = true
			}
		}
	}
	for _, scheme := range []string{"tcp", "unix", "tls", "ws", "wss"} {
		for _, name := range optionsOf(t, scheme) {
			if !used[name] {
				t.Errorf("%s has no example of %s, which %s takes", listenersPage, name, scheme)
			}
		}
	}
}

// optionsOf returns what options a listener of a scheme has, as the error says
// that refuses another one.
func optionsOf(t *testing.T, scheme string) []string {
	t.Helper()
	_, err := parseListener(scheme + "://:1?no-such-option=1")
	if err == nil {
		t.Fatalf("a listener %s takes any option", scheme)
	}
	m := allowed.FindStringSubmatch(strings.SplitN(err.Error(), "\n", 2)[0])
	if m == nil {
		t.Fatalf("the error does not list the options: %v", err)
	}
	return strings.Split(m[1], ", ")
}
