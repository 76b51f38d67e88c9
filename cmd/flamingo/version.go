package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
)

// versionCommand says what this program is.
type versionCommand struct {
	JSON bool `short:"j" help:"Print JSON."`
}

// Run prints the version.
func (c *versionCommand) Run(con *console) error {
	version, revision := "unknown", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = s.Value
			}
		}
	}
	if c.JSON {
		body, err := json.Marshal(map[string]string{
			"version": version, "revision": revision, "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH,
		})
		if err != nil {
			return err
		}
		return printJSON(con.out, body)
	}
	_, err := fmt.Fprintf(con.out, "flamingo %s %s %s/%s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}
