package admin_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"flamingo/cluster/consensus"
	"flamingo/cluster/gossip"
	"flamingo/cluster/trust"
	"flamingo/idspace"
	"flamingo/node"
	"flamingo/node/admin"
)

type standingJSON struct {
	Role     string `json:"role"`
	Phase    string `json:"phase"`
	Leading  bool   `json:"leading"`
	Leader   bool   `json:"has_leader"`
	Reseated uint64 `json:"reseated"`
	Error    string `json:"error"`
}

// inCluster is a fake with the counts of a part in a cluster.
type inCluster struct {
	*fake
	stats node.ClusterStats
}

func (f inCluster) ClusterStats() (node.ClusterStats, bool) { return f.stats, true }

func TestNodesSayHowTheNodeThatIsAskedStands(t *testing.T) {
	const clearText, out = "nodes speak clear text", "takes no part in granting numbers: disk full"
	for name, tc := range map[string]struct {
		stats    node.ClusterStats
		trust    string
		want     standingJSON
		warnings []string // how each begins or ends
		metrics  map[string]float64
	}{
		"a voter with certificates": {
			stats: node.ClusterStats{
				Role: gossip.RoleVoter, TrustMode: trust.ModeTLS, Reseated: 2,
				Raft: consensus.State{Phase: consensus.Running, Leading: true, Leader: idspace.ServerID{1}},
			},
			trust:   "tls",
			want:    standingJSON{Role: "voter", Phase: "running", Leading: true, Leader: true, Reseated: 2},
			metrics: map[string]float64{"flamingo_raft_is_voter": 1, "flamingo_raft_stopped": 0, "flamingo_raft_reseats_total": 2, "flamingo_trust_clear_text": 0},
		},
		"clear text on loopback": {
			stats: node.ClusterStats{Role: gossip.RoleNonvoter, Raft: consensus.State{Phase: consensus.Running}},
			trust: "none",
			want:  standingJSON{Role: "nonvoter", Phase: "running"},
		},
		"clear text that others may hear, and a failed disk": {
			stats: node.ClusterStats{
				ClearText: true,
				Raft: consensus.State{
					Phase: consensus.Stopped, Err: errors.New("disk full"),
					Identity: consensus.Identity{Server: idspace.ServerID{1}}, Voters: []idspace.ServerID{{1}},
				},
			},
			trust:    "none",
			want:     standingJSON{Role: "outside", Phase: "stopped", Error: "disk full"},
			warnings: []string{clearText, out},
			metrics:  map[string]float64{"flamingo_raft_is_voter": 0, "flamingo_raft_stopped": 1, "flamingo_trust_clear_text": 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := serve(t, newHandler(t, admin.Config{}))
			a.h.AttachTarget(inCluster{&fake{nodes: []node.NodeInfo{{Name: "ash", State: "ready", Role: "voter"}}}, tc.stats})
			var got nodesJSON
			a.get("/api/v1/nodes", &got)
			if got.Trust != tc.trust || got.Consensus == nil || *got.Consensus != tc.want || got.Nodes[0].Role != "voter" {
				t.Errorf("it says trust %s, %+v, nodes %+v; want %s, %+v", got.Trust, got.Consensus, got.Nodes, tc.trust, tc.want)
			}
			if !slices.EqualFunc(got.Warnings, tc.warnings, strings.Contains) {
				t.Errorf("its warnings are %q, want %q", got.Warnings, tc.warnings)
			}
			samples, _ := scrape(a)
			for family, want := range tc.metrics {
				if value := valueOf(t, samples, family, ""); value != want {
					t.Errorf("%s is %v, want %v", family, value, want)
				}
			}
		})
	}
}
