package node

import (
	"runtime/debug"

	"flamingo/cluster/gossip"
	"flamingo/cluster/mesh"
)

// module is the module that this package is of.
const module = "flamingo"

// Version returns the version of Flamingo that this program was built with, as the go
// command knows it: that of a tag, or one made of time and commit; "(devel)" of
// a build from files of which it knows no more, "unknown" without build information.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return versionIn(info)
}

func versionIn(info *debug.BuildInfo) string {
	version := "unknown"
	if info.Main.Path == module {
		version = info.Main.Version
	}
	for _, dep := range info.Deps {
		if dep.Path != module {
			continue
		}
		version = dep.Version
		if dep.Replace != nil {
			version = dep.Replace.Version
		}
	}
	if version == "" {
		version = "(devel)" // a directory, not a version
	}
	return version[:min(len(version), gossip.MaxReleaseLen)]
}

// Protocol returns the versions of the protocol between nodes that this release
// speaks, the least and the greatest. Two nodes can be of one cluster if they have
// one in common.
func Protocol() (least, greatest int) { return mesh.MinVersion, mesh.MaxVersion }

// DataFormat is the format of data directories that this release reads and writes.
const DataFormat = 1
