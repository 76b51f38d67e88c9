package admin_test

import (
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"flamingo/node/admin"
	"flamingo/node/attach"
	"flamingo/node/nodetest"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// A line is a line of /metrics.
type line struct {
	family string
	labels string // as they stand between the braces
	value  float64
}

var sampleLine = regexp.MustCompile(`^([a-z_]+)(?:\{(.*)\})? ([^ ]+)$`)

// scrape returns the samples of /metrics, those of flamingo alone.
func scrape(a *api) (samples []line, text string) {
	a.t.Helper()
	got := a.expect("GET", "/metrics", "", 200, "")
	for text := range strings.Lines(got.body) {
		m := sampleLine.FindStringSubmatch(strings.TrimSpace(text))
		if m == nil || !strings.HasPrefix(m[1], "flamingo_") {
			continue
		}
		value, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			a.t.Fatalf("%q: %v", text, err)
		}
		samples = append(samples, line{m[1], m[2], value})
	}
	return samples, got.body
}

// valueOf returns the value of a sample that there is.
func valueOf(t *testing.T, samples []line, family, labels string) float64 {
	t.Helper()
	for _, s := range samples {
		if s.family == family && s.labels == labels {
			return s.value
		}
	}
	t.Errorf("no %s{%s}", family, labels)
	return -1
}

// lint returns what is wrong with families in their text form.
func lint(t *testing.T, text string) []promlint.Problem {
	t.Helper()
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	return problems
}

func TestMetricsAreInGoodForm(t *testing.T) {
	a := clusterOfOne(t)
	_, text := scrape(a)
	for _, p := range lint(t, text) {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	if len(lint(t, "# HELP bad_count x\n# TYPE bad_count counter\nbad_count 1\n")) == 0 {
		t.Error("a counter that does not end in _total passes")
	}
}

// clusterOfOne shows the one node of a cluster, whose application are workers: it has
// every family.
func clusterOfOne(t *testing.T) *api {
	t.Helper()
	opts := lines()
	opts.Cluster, opts.Expect = nodetest.FreeAddrs(t, 1)[0], 1
	a, n := show(t, admin.Config{}, opts)
	s, err := attach.New(attach.Config{Node: n, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	a.h.AttachWorkers(s)
	return a
}

func TestEveryFamilyIsShown(t *testing.T) {
	a := clusterOfOne(t)
	first, _ := scrape(a)
	_, text := scrape(a) // by then a request was counted
	shown := func(name string) bool { return strings.Contains(text, "# TYPE "+name+" ") }
	for _, m := range admin.Metrics() {
		if !shown(m.Name) && !isOfPeers(m) {
			t.Errorf("%s is not shown", m.Name)
		}
	}
	for _, name := range []string{"go_goroutines", "process_open_fds", "process_max_fds", "flamingo_api_request_duration_seconds"} {
		if !shown(name) {
			t.Errorf("%s is not shown", name)
		}
	}
	for _, s := range first {
		name := s.family
		known := slices.ContainsFunc(admin.Metrics(), func(m admin.Metric) bool { return m.Name == name })
		if !known && !strings.HasPrefix(name, "flamingo_api_request_duration_seconds") {
			t.Errorf("%s is shown, and in no table", name)
		}
	}
}

// isOfWorkers reports whether a family has samples only where workers, or a webhook, are
// the application.
func isOfWorkers(m admin.Metric) bool {
	return strings.HasPrefix(m.Name, "flamingo_attach_") || strings.HasPrefix(m.Name, "flamingo_webhook_")
}

// isOfPeers reports whether a family has samples only where there are other nodes.
func isOfPeers(m admin.Metric) bool { return slices.Contains(m.Labels, "peer") }

func TestCountersOfANodeAreShown(t *testing.T) {
	a, n := show(t, admin.Config{}, lines())
	c, id := connect(t, n)
	if _, err := c.Write([]byte("one\ntwo\n")); err != nil {
		t.Fatal(err)
	}
	until(t, "the messages", func() bool { return n.Stats().QueuedMessages == 2 })
	a.expect("POST", "/api/v1/connections/"+id.String()+"/messages?ack=written", "three", 200, "")
	a.expect("GET", "/api/v1/connections/"+(id+1).String(), "", 404, "never-issued")
	if err := n.JoinGroup(id, "room/7"); err != nil {
		t.Fatal(err)
	}
	samples, _ := scrape(a)
	for _, want := range []line{
		{"flamingo_connections", "", 1},
		{"flamingo_connections_accepted_total", "", 1},
		{"flamingo_connections_closed_total", `reason="slow"`, 0},
		{"flamingo_client_received_messages_total", "", 2},
		{"flamingo_client_received_bytes_total", "", 8},
		{"flamingo_client_sent_messages_total", "", 1},
		{"flamingo_receive_queue_messages", "", 2},
		{"flamingo_groups", "", 1},
		{"flamingo_group_memberships", "", 1},
		{"flamingo_operations_failed_total", `op="describe",result="never-issued"`, 1},
		{"flamingo_operations_failed_total", `op="send",result="uncertain"`, 0},
		{"flamingo_messages_dropped_total", `hop="client",reason="gone"`, 0},
		{"flamingo_node_info", `node="birch",role="none"`, 1},
		{"flamingo_node_state", `state="ready"`, 1},
		{"flamingo_node_state", `state="draining"`, 0},
		{"flamingo_drain_phase", `phase="serving"`, 1},
		{"flamingo_idspace_numbers", "", 1},
		{"flamingo_api_requests_total", `code="200",method="POST",route="/api/v1/connections/{id}/messages"`, 1},
		{"flamingo_api_requests_total", `code="404",method="GET",route="/api/v1/connections/{id}"`, 1},
		{"flamingo_api_requests_in_flight", "", 1},
	} {
		if got := valueOf(t, samples, want.family, want.labels); got != want.value {
			t.Errorf("%s{%s} %v, want %v", want.family, want.labels, got, want.value)
		}
	}
	began := valueOf(t, samples, "flamingo_node_life_began_timestamp_seconds", "")
	if want := float64(n.Number().Time().UnixNano()) / 1e9; began != want {
		t.Errorf("the life began at %v, want %v", began, want)
	}
	for _, s := range samples {
		if strings.HasPrefix(s.family, "flamingo_raft") || strings.HasPrefix(s.family, "flamingo_mesh") {
			t.Errorf("a node alone has %s", s.family)
		}
	}
	startDrain(t, n)
	if samples, _ = scrape(a); valueOf(t, samples, "flamingo_node_state", `state="draining"`) != 1 {
		t.Error("a node that drains does not say so")
	}
}

func TestPeersAreShownByName(t *testing.T) {
	apis, _ := fabric(t)
	until(t, "links to both peers", func() bool {
		samples, _ := scrape(apis[0])
		up := 0
		for _, s := range samples {
			if s.family == "flamingo_mesh_peer_up" && s.value == 1 {
				up++
			}
		}
		return up == 2
	})
	samples, text := scrape(apis[0])
	for _, m := range admin.Metrics() {
		if !isOfWorkers(m) && !strings.Contains(text, "# TYPE "+m.Name+" ") {
			t.Errorf("%s is not shown", m.Name)
		}
	}
	if got := valueOf(t, samples, "flamingo_cluster_members", `state="ready"`); got != 3 {
		t.Errorf("%v members are ready, want 3", got)
	}
	for _, p := range lint(t, text) {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// Addresses, ids and numbers: what has no end of values.
var unbounded = regexp.MustCompile(`[0-9a-f]{9}|[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+|:[0-9]+`)

func TestNoLabelIsAnIDOrAnAddress(t *testing.T) {
	a := clusterOfOne(t)
	for i := range 50 { // whatever strangers ask for is no label
		a.do("GET", fmt.Sprintf("/api/v1/ids/%016x", 1<<40+i), "")
		a.do("GET", fmt.Sprintf("/%d.0.0.1", i), "")
		a.do(fmt.Sprintf("BREW%d", i), "/livez", "")
	}
	samples, _ := scrape(a)
	if len(samples) == 0 || len(samples) > 500 {
		t.Errorf("%d samples", len(samples))
	}
	for _, s := range samples {
		if s.family != "flamingo_build_info" && unbounded.MatchString(s.labels) {
			t.Errorf("%s{%s}", s.family, s.labels)
		}
	}
	if !unbounded.MatchString(`peer="127.0.0.1:4110"`) || !unbounded.MatchString(`id="01adc9000000002a"`) {
		t.Error("an address or an id is not found")
	}
}

func TestMetricsWithoutANodeAreThoseOfTheAPI(t *testing.T) {
	a := serve(t, newHandler(t, admin.Config{}))
	a.expect("GET", "/readyz", "", 503, "")
	samples, _ := scrape(a)
	if got := valueOf(t, samples, "flamingo_api_requests_total", `code="503",method="GET",route="/readyz"`); got != 1 {
		t.Errorf("%v requests for /readyz, want 1", got)
	}
	for _, s := range samples {
		if !strings.HasPrefix(s.family, "flamingo_api_") {
			t.Errorf("without a node there is %s", s.family)
		}
	}
}

func TestMetricsNeedTheToken(t *testing.T) {
	a, _ := show(t, admin.Config{Token: "of-metrics"}, lines())
	a.expect("GET", "/metrics", "", 401, "unauthorized")
	a.expect("GET", "/metrics", "", 200, "", bearing("of-metrics"))
	a.expect("POST", "/metrics", "", 405, "no-such-method", bearing("of-metrics"))
	a.expect("GET", "/metrics?x=1", "", 400, "bad-request", bearing("of-metrics"))
}

func TestStatsAreTheMetricsInJSON(t *testing.T) {
	a, n := show(t, admin.Config{}, lines())
	connect(t, n)
	var got struct {
		Samples []struct {
			Name   string            `json:"name"`
			Labels map[string]string `json:"labels"`
			Value  float64           `json:"value"`
		} `json:"samples"`
	}
	a.get("/api/v1/stats", &got)
	found := 0
	for _, s := range got.Samples {
		switch {
		case s.Name == "flamingo_connections" && s.Value == 1 && s.Labels == nil:
			found++
		case s.Name == "flamingo_node_state" && s.Labels["state"] == "ready" && s.Value == 1:
			found++
		}
	}
	if found != 2 {
		t.Errorf("%+v; want a connection, and a node that is ready", got)
	}
	a.expect("GET", "/api/v1/stats?x=1", "", 400, "bad-request")
}

// scrapeFamilies are the names that a rule or a board may use.
func scrapeFamilies() map[string]bool {
	names := map[string]bool{
		"flamingo_api_request_duration_seconds":        true,
		"flamingo_api_request_duration_seconds_bucket": true,
		"flamingo_api_request_duration_seconds_sum":    true,
		"flamingo_api_request_duration_seconds_count":  true,
	}
	for _, m := range admin.Metrics() {
		names[m.Name] = true
	}
	return names
}

var familyName = regexp.MustCompile(`\bflamingo_[a-z_]+`)

// strangersIn returns the families that a text names and no node has.
func strangersIn(text string) (strange []string) {
	known := scrapeFamilies()
	for _, name := range familyName.FindAllString(text, -1) {
		if !known[name] {
			strange = append(strange, name)
		}
	}
	return strange
}

func TestBoardAndRulesNameFamiliesThatThereAre(t *testing.T) {
	for _, path := range []string{"../../docs/monitoring/alerts.yaml", "../../docs/monitoring/grafana.json", "../../docs/metrics.md"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(familyName.FindAllString(string(text), -1)) < 10 {
			t.Errorf("%s names next to no families", path)
		}
		for _, name := range strangersIn(string(text)) {
			t.Errorf("%s names %s, which no node has", path, name)
		}
	}
	if len(strangersIn("rate(flamingo_connectoins[5m])")) != 1 {
		t.Error("a family that no node has is not found")
	}
}

func TestThePageOfMetricsIsThatOfTheTable(t *testing.T) {
	text, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	var want [][]string
	for _, m := range admin.Metrics() {
		kind := "gauge"
		if m.Counter {
			kind = "counter"
		}
		labels := ""
		if len(m.Labels) > 0 {
			labels = "`" + strings.Join(m.Labels, "`, `") + "`"
		}
		want = append(want, []string{m.Name, kind, strings.Trim(labels, "`"), m.Help})
	}
	got := tableRows(string(text), "family")
	if !slices.EqualFunc(got, want, slices.Equal) {
		var table strings.Builder
		for _, m := range want {
			labels := m[2]
			if labels != "" {
				labels = "`" + labels + "`"
			}
			fmt.Fprintf(&table, "| `%s` | %s | %s | %s |\n", m[0], m[1], labels, m[3])
		}
		t.Errorf("the table of docs/metrics.md is not that of the code, which is\n%s", table.String())
	}
}
