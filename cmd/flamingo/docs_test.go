package main

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"flamingo/framing"
	"flamingo/node/admin"

	"github.com/alecthomas/kong"
)

const cliPage = "docs/cli.md"

// reference is the part of the page that the code has.
func reference(t *testing.T) string {
	t.Helper()
	parser, err := newParser(t.Context(), &commands{}, newConsole(strings.NewReader(""), t.Output(), t.Output()), func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("\n## Commands\n\n| command | |\n|---|---|\n")
	leaves := parser.Model.Leaves(true)
	for _, command := range leaves {
		fmt.Fprintf(&b, "| `%s` | %s |\n", command.Summary(), cell(command.Help))
	}
	for _, command := range leaves {
		own := rows(command.Flags)
		if own == "" && len(command.Positional) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n### %s\n", command.FullPath())
		for _, p := range command.Positional {
			fmt.Fprintf(&b, "\n`%s`: %s\n", p.Summary(), cell(p.Help))
		}
		if own != "" {
			b.WriteString("\n" + own)
		}
	}
	return b.String() + "\n"
}

// rows is the table of flags: that of settings has their keys.
func rows(flags []*kong.Flag) string {
	var b strings.Builder
	isSettings := len(settings(flags)) > 0
	for _, f := range flags {
		if f.Name == "help" {
			continue
		}
		name := "`--" + f.Name + "`"
		if f.Short != 0 {
			name += fmt.Sprintf(", `-%c`", f.Short)
		}
		variable := strings.Join(f.Envs, " ")
		if isSettings {
			variable = envName(f)
		}
		fmt.Fprintf(&b, "| %s | %s | ", name, code(variable))
		if isSettings {
			fmt.Fprintf(&b, "%s | ", code(f.Tag.Get(keyTag)))
		}
		fmt.Fprintf(&b, "%s | %s |\n", code(f.Default), cell(f.Help))
	}
	switch {
	case b.Len() == 0:
		return ""
	case isSettings:
		return "| flag | variable | key | default | |\n|---|---|---|---|---|\n" + b.String()
	default:
		return "| flag | variable | default | |\n|---|---|---|---|\n" + b.String()
	}
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}

func cell(help string) string {
	return strings.NewReplacer("|", `\|`, "$$", "$", "<", `\<`).Replace(help)
}

func TestReferenceOfTheCommandLineIsThatOfTheCode(t *testing.T) {
	page := readPage(t, cliPage)
	const from, to = "-update writes it -->\n", "<!-- end of the reference -->\n"
	before, rest, begun := strings.Cut(page, from)
	got, after, ended := strings.Cut(rest, to)
	if !begun || !ended {
		t.Fatalf("%s has no place for the reference", cliPage)
	}
	want := reference(t)
	if got == want {
		return
	}
	if !*update {
		t.Fatalf("%s differs from the code; -update writes\n%s", cliPage, want)
	}
	if err := os.WriteFile(filepath.Join("..", "..", cliPage), []byte(before+from+want+to+after), 0o600); err != nil {
		t.Fatal(err)
	}
}

// yamlOf returns the only block of YAML of a page.
func yamlOf(t *testing.T, page string) string {
	t.Helper()
	_, after, _ := strings.Cut(readPage(t, page), "```yaml\n")
	block, rest, found := strings.Cut(after, "```")
	if !found || strings.Contains(rest, "```yaml\n") {
		t.Fatalf("%s: want one block of YAML", page)
	}
	return block
}

func TestFileOfSettingsOfThePageHasEveryKey(t *testing.T) {
	flags := flagsOf(t)
	path := writeFile(t, yamlOf(t, cliPage))
	values, err := loadConfig(path, flags)
	if err != nil {
		t.Fatal(err)
	}
	got, want := slices.Sorted(maps.Keys(values)), slices.Sorted(maps.Keys(flags))
	if !slices.Equal(got, want) {
		t.Errorf("keys of the page: %q\nknown are      %q", got, want)
	}
	run, _ := parse(t, "-c", path)
	if err := run.check(); err != nil {
		t.Errorf("the node would not start: %v", err)
	}
	if _, err := run.opts(); err != nil {
		t.Errorf("the node would not start: %v", err)
	}
}

func TestExitCodesOfThePageAreThoseOfTheProblems(t *testing.T) {
	want := make(map[int][]string)
	for _, p := range admin.Problems() {
		want[p.Exit] = append(want[p.Exit], p.Slug)
	}
	row := regexp.MustCompile(`(?m)^\| (\d) \| (.*) \|$`)
	slug := regexp.MustCompile("`([a-z-]+)`")
	seen := make(map[int]bool)
	for _, m := range row.FindAllStringSubmatch(readPage(t, cliPage), -1) {
		exit, _ := strconv.Atoi(m[1])
		seen[exit] = true
		var got []string
		for _, s := range slug.FindAllStringSubmatch(m[2], -1) {
			got = append(got, s[1])
		}
		if !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want[exit]))) {
			t.Errorf("exit code %d: the page has %q, the code %q", exit, got, want[exit])
		}
	}
	for exit, slugs := range want {
		if !seen[exit] {
			t.Errorf("the page does not have exit code %d, that of %q", exit, slugs)
		}
	}
}

// allowed follows in the error what options a listener has.
var allowed = regexp.MustCompile(`allowed are (.*)$`)

func TestOptionsOfListenersOfThePageAreAllThereAre(t *testing.T) {
	_, table, _ := strings.Cut(readPage(t, cliPage), "| options | of |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	for _, scheme := range []string{"tcp", "ws"} {
		_, err := parseListener(scheme + "://:1?no-such-option=1")
		if err == nil {
			t.Fatal("a listener takes any option")
		}
		m := allowed.FindStringSubmatch(err.Error())
		if m == nil {
			t.Fatalf("the error does not list the options: %v", err)
		}
		for _, name := range slices.Concat(strings.Split(m[1], ", "), framing.Options()) {
			if !strings.Contains(table, "`"+name+"`") {
				t.Errorf("the page does not have %s", cmp.Or(name, "an option"))
			}
		}
	}
}
