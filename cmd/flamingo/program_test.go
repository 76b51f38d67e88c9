package main

import "testing"

func TestHintsNameTheProgramAsItWasCalled(t *testing.T) {
	for arg0, want := range map[string]string{
		"flamingo":                                   "flamingo",
		"./flamingo":                                 "./flamingo",
		"/usr/local/bin/flamingo":                    "/usr/local/bin/flamingo",
		"/tmp/go-build123/b001/exe/flamingo":         "go run ./cmd/flamingo",
		"/home/a/.cache/go-build/ab/abcd-d/flamingo": "go run ./cmd/flamingo",
	} {
		if got := calledAs(arg0); got != want {
			t.Errorf("called as %s it says %q, want %q", arg0, got, want)
		}
	}
}
