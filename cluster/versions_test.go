package cluster_test

import (
	"errors"
	"strings"
	"testing"

	"flamingo/cluster"
	"flamingo/cluster/mesh"
)

func TestNodeThatNoMemberUnderstandsIsGrantedNothing(t *testing.T) {
	for _, tc := range []struct {
		name   string
		speaks mesh.Versions
		meets  bool
	}{
		{"only a later version", mesh.Versions{Min: mesh.MaxVersion + 1, Max: mesh.MaxVersion + 2}, false},
		{"a later version too", mesh.Versions{Min: mesh.MaxVersion, Max: mesh.MaxVersion + 2}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				plans := w.plans(3, 3)
				there := w.startAll(plans)
				comes := w.start(plan{host: 4, name: "late", join: []int{1}, dir: w.newDir(), speaks: tc.speaks})
				if tc.meets {
					w.awaitNumbers(comes)
					return
				}
				w.await("a refusal", func() bool { return comes.grantError() != nil })
				err := comes.grantError()
				if !errors.Is(err, cluster.ErrVersions) || !errors.Is(err, cluster.ErrRefused) {
					t.Errorf("a node that speaks %v: %v, want ErrVersions and ErrRefused", tc.speaks, err)
				}
				for _, words := range []string{mesh.Spoken().String(), tc.speaks.String()} {
					if !strings.Contains(err.Error(), "speaks "+words) {
						t.Errorf("%v, want it to say %q", err, "speaks "+words)
					}
				}
				for _, n := range there {
					w.await(n.name+" to say so", func() bool {
						log := n.log.String()
						return strings.Contains(log, "late") && strings.Contains(log, "speaks "+tc.speaks.String())
					})
				}
			})
		})
	}
}
