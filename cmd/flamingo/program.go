package main

import (
	"os"
	"path/filepath"
	"strings"
)

// program is what to type to run this program again.
func program() string { return calledAs(os.Args[0]) }

// calledAs is what was typed to run a program that finds arg0 as its name: a
// path is needed again, and what the go command has built for one run is run by
// it.
func calledAs(arg0 string) string {
	const name = "flamingo"
	switch path := filepath.ToSlash(arg0); {
	case strings.Contains(path, "/go-build"):
		return "go run ./cmd/" + name
	case strings.Contains(path, "/"):
		return arg0
	default:
		return name
	}
}
