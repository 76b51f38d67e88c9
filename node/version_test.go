package node_test

import (
	"runtime/debug"
	"strings"
	"testing"

	"flamingo/cluster/gossip"
	"flamingo/node"
)

func TestVersionIsThatOfFlamingoAndNotOfTheProgram(t *testing.T) {
	for _, tc := range []struct {
		name string
		info debug.BuildInfo
		want string
	}{
		{"its own binary", debug.BuildInfo{Main: debug.Module{Path: "flamingo", Version: "v1.2.0"}}, "v1.2.0"},
		{"of a build without a commit", debug.BuildInfo{Main: debug.Module{Path: "flamingo"}}, "(devel)"},
		{"a program that embeds it", debug.BuildInfo{
			Main: debug.Module{Path: "shop.example", Version: "v9.0.0"},
			Deps: []*debug.Module{{Path: "other.example", Version: "v3.0.0"}, {Path: "flamingo", Version: "v1.1.0"}},
		}, "v1.1.0"},
		{"replaced by another version", debug.BuildInfo{
			Main: debug.Module{Path: "shop.example", Version: "v9.0.0"},
			Deps: []*debug.Module{{Path: "flamingo", Version: "v1.1.0", Replace: &debug.Module{Path: "fork.example", Version: "v1.1.1"}}},
		}, "v1.1.1"},
		{"replaced by a directory", debug.BuildInfo{
			Main: debug.Module{Path: "shop.example", Version: "v9.0.0"},
			Deps: []*debug.Module{{Path: "flamingo", Version: "v1.1.0", Replace: &debug.Module{Path: "../flamingo"}}},
		}, "(devel)"},
		{"no word of it", debug.BuildInfo{Main: debug.Module{Path: "shop.example", Version: "v9.0.0"}}, "unknown"},
		{
			"a long one",
			debug.BuildInfo{Main: debug.Module{Path: "flamingo", Version: "v1.0.0-" + strings.Repeat("x", 99)}},
			("v1.0.0-" + strings.Repeat("x", 99))[:gossip.MaxReleaseLen],
		},
	} {
		if got := node.VersionIn(&tc.info); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}
