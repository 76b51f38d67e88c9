package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// healthy returns what three nodes say that are well: ash leads.
func healthy() *survey {
	s := &survey{At: time.Unix(1_800_000_000, 0)}
	for i, name := range []string{"ash", "birch", "cedar"} {
		n := surveyed{listedNode: listedNode{Name: name, Number: fmt.Sprintf("01adc900%d", i), State: "ready", Self: i == 0, RTT: int64(i * 100), Version: "v1"}}
		add := func(family string, value float64, labels ...string) {
			v := sample{Name: metricPrefix + family, Value: value}
			if len(labels) > 0 {
				v.Labels = map[string]string{labels[0]: labels[1]}
			}
			n.Samples.Samples = append(n.Samples.Samples, v)
		}
		add("node_info", 1, "role", "voter")
		add("raft_has_leader", 1)
		add("raft_is_leader", map[bool]float64{true: 1}[i == 0])
		add("raft_term", 7)
		add("raft_log_index", 4182)
		add("raft_applied_index", 4182)
		add("connections", 1000)
		add("connections_limit", 10_000)
		add("closes_waiting", 0)
		add("idspace_remaining_ids", serialsOfNumber)
		add("idspace_number_wanted", 0)
		add("idspace_ahead_ticks", -100)
		add("clock_ahead_seconds", 0.1)
		add("node_life_began_timestamp_seconds", 1_799_990_000)
		for j, peer := range []string{"ash", "birch", "cedar"} {
			if i != j {
				add("mesh_peer_rtt_seconds", float64(i+j)*1e-4, "peer", peer)
				add("mesh_peer_unreachable", 0, "peer", peer)
			}
		}
		s.Nodes = append(s.Nodes, n)
	}
	return s
}

// set changes a figure of a node.
func (n *surveyed) set(family string, value float64, labels ...string) {
	for i, v := range n.Samples.Samples {
		if v.Name == metricPrefix+family && (len(labels) == 0 || v.Labels[labels[0]] == labels[1]) {
			n.Samples.Samples[i].Value = value
		}
	}
}

func TestWhatIsWrongWithAClusterIsFound(t *testing.T) {
	if found := healthy().findings(); len(found) != 0 {
		t.Errorf("a cluster that is well has %+v", found)
	}
	for _, test := range []struct {
		what  string
		spoil func(s *survey)
		level int
		want  []string // parts of the findings, in order
	}{
		{"a lost node", func(s *survey) {
			s.Nodes[2] = surveyed{listedNode: listedNode{Name: "cedar", Number: "01adc9002", State: stateAbsent}, Missing: "it is not there"}
		}, levelCritical, []string{"cedar was lost"}},
		{"a silent node", func(s *survey) { s.Nodes[1].Missing, s.Nodes[1].Samples = "no answer", samples{} }, levelWarning, []string{"birch cannot be asked: no answer"}},
		{"a drain", func(s *survey) { s.Nodes[1].State = "draining" }, levelWarning, []string{"birch drains: 1000 connections left"}},
		{"a node that joins", func(s *survey) { s.Nodes[1].State = "joining" }, levelWarning, []string{"birch joins"}},
		{"no leader", func(s *survey) {
			for i := range s.Nodes {
				s.Nodes[i].set("raft_has_leader", 0)
				s.Nodes[i].set("raft_is_leader", 0)
			}
		}, levelCritical, []string{" no leader"}},
		{"one that does not know the leader", func(s *survey) { s.Nodes[1].set("raft_has_leader", 0) }, levelOK, nil},
		{"a cut, and a full node", func(s *survey) {
			s.Nodes[0].set("connections", 9001)
			s.Nodes[1].set("mesh_peer_unreachable", 1, "peer", "cedar")
		}, levelCritical, []string{"birch does not reach cedar", "ash has 9001 connections of at most 10000"}},
		{"nearly nearly full", func(s *survey) { s.Nodes[0].set("connections", 9000) }, levelOK, nil},
		{"closes", func(s *survey) { s.Nodes[0].set("closes_waiting", 5001) }, levelWarning, []string{"ash holds 5001 closes"}},
		{"ids that run out", func(s *survey) {
			s.Nodes[0].set("idspace_remaining_ids", 1000)
			s.Nodes[0].set("idspace_number_wanted", 1)
		}, levelCritical, []string{"ash has 1000 ids left"}},
		{"few ids of several numbers", func(s *survey) { s.Nodes[0].set("idspace_remaining_ids", 1000) }, levelOK, nil},
		{"a clock behind", func(s *survey) { s.Nodes[2].set("clock_ahead_seconds", -1.5) }, levelWarning, []string{"cedar has a clock that is off by -1.5 s"}},
		{"numbers ahead", func(s *survey) { s.Nodes[2].set("idspace_ahead_ticks", 16*61) }, levelWarning, []string{"cedar sees numbers that are 61 s ahead"}},
	} {
		s := healthy()
		test.spoil(s)
		found := s.findings()
		if got := worst(found); got != test.level || len(found) != len(test.want) {
			t.Errorf("%s: level %d, want %d; found %+v, want %q", test.what, got, test.level, found, test.want)
			continue
		}
		for i, f := range found {
			if !strings.HasPrefix(f.Node+" "+f.What, test.want[i]) {
				t.Errorf("%s: found %+v, want %q", test.what, f, test.want[i])
			}
		}
	}
}

func TestChangesBetweenTwoSurveysAreEvents(t *testing.T) {
	kinds := func(events []event) (list []string) {
		for _, e := range events {
			list = append(list, e.Kind+" "+e.Node)
		}
		return list
	}
	compare := func(what string, before, after *survey, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, kinds(changes(before, after))); diff != "" {
			t.Errorf("%s: want -, got +:\n%s", what, diff)
		}
	}
	compare("nothing", healthy(), healthy())
	compare("the beginning", &survey{}, healthy(), "joined ash", "joined birch", "joined cedar", "leader ash")

	without := healthy()
	without.Nodes = without.Nodes[1:]
	without.Nodes[0].set("raft_is_leader", 1)
	compare("the leader leaves", healthy(), without, "left ash", "leader birch")

	headless := healthy()
	headless.Nodes[0].set("raft_is_leader", 0)
	headless.Nodes[2].State = "draining"
	headless.Nodes[1].Missing = "no answer"
	compare("much at once", healthy(), headless, "silent birch", "state cedar", "no-leader ")
	compare("and back", headless, healthy(), "answers birch", "state cedar", "leader ash")

	again := healthy()
	again.Nodes[2].Number = "01adc9009"
	compare("another life", healthy(), again, "joined cedar", "left cedar")
}

// serveCluster serves the API of every node of a survey, and returns where that
// of the first is. One that has no samples answers that it is busy.
func serveCluster(t *testing.T, s *survey) string {
	t.Helper()
	servers := make([]*httptest.Server, len(s.Nodes))
	for i := range s.Nodes {
		servers[i] = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var answer any = s.Nodes[i].Samples
			if strings.HasSuffix(r.URL.Path, "/nodes") {
				list := nodeList{}
				for _, n := range s.Nodes {
					list.Nodes = append(list.Nodes, n.listedNode)
				}
				answer = list
			} else if len(s.Nodes[i].Samples.Samples) == 0 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			_ = json.NewEncoder(w).Encode(answer)
		}))
		t.Cleanup(servers[i].Close)
		if s.Nodes[i].State != stateAbsent {
			s.Nodes[i].Admin = strings.TrimPrefix(servers[i].URL, "http://")
		}
	}
	return servers[0].URL
}

func TestEveryNodeIsAskedAtItsOwnAddress(t *testing.T) {
	s := healthy()
	s.Nodes[1].set("connections", 5)
	s.Nodes[2].State, s.Nodes[2].Samples = stateAbsent, samples{}
	f := &apiFlags{Addr: serveCluster(t, s)}
	got, _, err := f.survey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n := got.Nodes[1].Samples.sum("connections"); n != 5 || got.total("connections") != 1005 {
		t.Errorf("birch has %v connections, all %v; want 5 and 1005", n, got.total("connections"))
	}
	if got.Nodes[2].Missing == "" || got.leader().Name != "ash" {
		t.Errorf("missing %q, leader %v", got.Nodes[2].Missing, got.leader())
	}
	if _, _, err := (&apiFlags{Addr: "127.0.0.1:1"}).survey(t.Context()); codeOf(err) != 4 {
		t.Errorf("nobody there: %v", err)
	}
}

func TestCommandsThatLookAtAllNodes(t *testing.T) {
	well, ill := healthy(), healthy()
	ill.Nodes[1].set("mesh_peer_unreachable", 1, "peer", "cedar")
	ill.Nodes[2].Samples = samples{}
	wellAt, illAt := serveCluster(t, well), serveCluster(t, ill)
	for _, test := range []struct {
		at   string
		args string
		code int
		want []string // lines that are printed
	}{
		{wellAt, "status", 0, []string{
			"nodes     3 nodes · 3 ready", "numbers   granted by ash · 3 voters · term 7",
			"ash    01adc9000  ready  leader  1,000    0B      -      ", "cedar  01adc9002  ready  voter   1,000    0B      200µs  ",
		}},
		{illAt, "status", 0, []string{"critical  birch does not reach cedar", "warning   cedar cannot be asked: the answer is 503", "cedar  01adc9002  ready  -       -  "}},
		{wellAt, "check", 0, []string{"FLAMINGO OK - 3 of 3 nodes ready, 3000 clients | nodes=3 ready=3 connections=3000 "}},
		{wellAt, "check --nodes 4", 2, []string{"FLAMINGO CRITICAL - has 3 nodes ready of 4; 3 of 3 nodes ready"}},
		{illAt, "check", 2, []string{"FLAMINGO CRITICAL - birch does not reach cedar; ", "warning: cedar cannot be asked"}},
		{wellAt, "check --json", 0, []string{`{"findings":[],"level":"ok"}`}},
		{"127.0.0.1:1", "check", 3, []string{"FLAMINGO UNKNOWN - no node at 127.0.0.1:1"}},
		{wellAt, "rtt", 0, []string{"FROM   ash    birch  cedar", "ash    ·      100µs  200µs", "cedar  200µs  300µs  ·"}},
		{wellAt, "rtt --json", 0, []string{`{"round_trips":[{"from":"ash","to":"birch","rtt_us":100},`}},
		{wellAt, "raft", 0, []string{"ash    01adc9000  leader  7     4,182  4,182    0"}},
		{illAt, "raft status", 0, []string{"cedar  01adc9002  not asked: the answer is 503"}},
	} {
		out, talk, code := command(t.Context(), append(strings.Fields(test.args), "--addr", test.at)...)
		lines := strings.Split(out, "\n")
		for _, want := range test.want {
			if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, want) }) {
				t.Errorf("%s prints\n%s%s\nwant %q", test.args, out, talk, want)
			}
		}
		if code != test.code {
			t.Errorf("%s: exit code %d, want %d: %s%s", test.args, code, test.code, out, talk)
		}
	}
}

// A stopper ends what writes to it once that has written a text.
type stopper struct {
	strings.Builder
	at   string
	stop func()
}

func (w *stopper) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(w.at)) {
		w.stop()
	}
	return w.Builder.Write(p)
}

func TestEventsAreFollowedUntilInterrupted(t *testing.T) {
	at := serveCluster(t, healthy())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := stopper{at: "leads the voters", stop: cancel}
	if err := run(ctx, []string{"events", "--interval", "100ms", "--addr", at}, &out, t.Output()); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); strings.Count(got, "\n") != 4 || !strings.Contains(got, "  leader        ash leads the voters in term 7\n") {
		t.Errorf("prints %q", got)
	}
	if _, talk, code := command(t.Context(), "events", "--interval", "1ms"); code != 2 || !strings.Contains(talk, "--interval 1ms: want 100ms to 1h0m0s") {
		t.Errorf("says %q, exit code %d", talk, code)
	}
}

func TestEventsGoOnWhenANodeAnswersAgain(t *testing.T) {
	s := healthy()
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/nodes") {
			_ = json.NewEncoder(w).Encode(s.Nodes[0].Samples)
			return
		}
		switch asked.Add(1) {
		case 2, 3:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 4:
			_ = json.NewEncoder(w).Encode(nodeList{Nodes: []listedNode{{Name: "ash", Number: "01adc9000", State: "draining", Self: true}}})
		default:
			_ = json.NewEncoder(w).Encode(nodeList{Nodes: []listedNode{{Name: "ash", Number: "01adc9000", State: "ready", Self: true}}})
		}
	}))
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := stopper{at: "draining", stop: cancel}
	if err := run(ctx, []string{"events", "--interval", "100ms", "--json", "--addr", server.URL}, &out, t.Output()); err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for line := range strings.Lines(out.String()) {
		var e event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		kinds = append(kinds, e.Kind)
	}
	if want := []string{"joined", "leader", "lost-contact", "state"}; !slices.Equal(kinds, want) {
		t.Errorf("events %q, want %q", kinds, want)
	}
}
