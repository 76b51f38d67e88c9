package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"flamingo/node"
)

// versionCommand says what this program is.
type versionCommand struct {
	JSON bool `short:"j" help:"Print JSON."`
}

// versionInfo is what it says.
type versionInfo struct {
	Version    string `json:"version"`
	Revision   string `json:"revision"` // the commit; empty if it is not known
	Modified   bool   `json:"modified"` // files differed from those of the commit
	Go         string `json:"go"`
	OS         string `json:"os"`
	Arch       string `json:"arch"`
	Protocol   [2]int `json:"protocol"`    // least and greatest version spoken between nodes
	DataFormat int    `json:"data_format"` // of data directories
}

// Help is the end of the help text.
func (*versionCommand) Help() string {
	return `Nodes can be of one cluster if they have a version of the protocol between nodes in common, ` +
		`and a data directory can be used by every release of its format.`
}

// Run prints the version.
func (c *versionCommand) Run(con *console) error {
	v := thisVersion()
	if c.JSON {
		body, err := json.Marshal(v)
		if err != nil {
			return err
		}
		return printJSON(con.out, body)
	}
	_, err := fmt.Fprintf(con.out, "flamingo %s %s %s/%s\nprotocol between nodes %s, data directories of format %d\n",
		v.Version, v.Go, v.OS, v.Arch, versionsText(v.Protocol), v.DataFormat)
	return err
}

func thisVersion() versionInfo {
	v := versionInfo{
		Version: node.Version(), Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, DataFormat: node.DataFormat,
	}
	v.Protocol[0], v.Protocol[1] = node.Protocol()
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				v.Revision = s.Value
			case "vcs.modified":
				v.Modified = s.Value == "true"
			}
		}
	}
	return v
}

func versionsText(v [2]int) string {
	if v[0] == v[1] {
		return fmt.Sprint(v[0])
	}
	return fmt.Sprintf("%d to %d", v[0], v[1])
}
