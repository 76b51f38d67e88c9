package main

import (
	"strings"
	"testing"

	"flamingo/node/admin"
)

func TestSettingsSayWhereTheyComeFrom(t *testing.T) {
	path := writeFile(t, "framing: raw\napp: sink\nlimits: {max_message: 1KiB, activity_timeout: 5s}\nlog: {level: debug}\n")
	t.Setenv("FLAMINGO_APP", "echo")
	t.Setenv("FLAMINGO_JOIN", "a,b")
	con := newConsole(strings.NewReader(""), t.Output(), t.Output())
	var cli commands
	parser, err := newParser(t.Context(), &cli, con, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse([]string{"run", "-c", path, "--framing=line", "--insecure"}); err != nil {
		t.Fatal(err)
	}
	got := make(map[string]admin.Setting)
	for _, s := range cli.Run.shown(&con.origins) {
		got[s.Key] = s
	}
	if len(got) != len(flagsOf(t)) {
		t.Errorf("%d settings, want %d", len(got), len(flagsOf(t)))
	}
	for key, want := range map[string]admin.Setting{
		"framing":                 {Value: "line", Source: "flag"},
		"cluster.insecure":        {Value: true, Source: "flag"},
		"app":                     {Value: "echo", Source: "environment"},
		"limits.max_message":      {Value: 1024, Source: "file", Where: path},
		"limits.activity_timeout": {Value: "5s", Source: "file", Where: path},
		"log.level":               {Value: "DEBUG", Source: "file", Where: path},
		"limits.max_conns":        {Value: 0, Source: "default"},
		"node.name":               {Value: "", Source: "default"},
	} {
		if s := got[key]; s.Value != want.Value || s.Source != want.Source || s.Where != want.Where {
			t.Errorf("%s: %+v, want %+v", key, s, want)
		}
	}
	if join, ok := got["cluster.join"].Value.([]string); !ok || strings.Join(join, " ") != "a b" {
		t.Errorf("cluster.join: %+v", got["cluster.join"])
	}
}
