package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

const alertsPage = "docs/monitoring/alerts.yaml"

// rules are a file of alerting rules, as far as ours uses the format.
type rules struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Alert       string
			Expr        string
			For         string
			Labels      map[string]string
			Annotations map[string]string
		}
	}
}

func TestEveryAlertIsExplained(t *testing.T) {
	var file rules
	if err := yaml.UnmarshalWithOptions([]byte(readPage(t, alertsPage)), &file, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	var alerts []string
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			alerts = append(alerts, r.Alert)
			if severity := r.Labels["severity"]; severity != "warning" && severity != "critical" {
				t.Errorf("%s: severity %q, want warning or critical", r.Alert, severity)
			}
			if r.Expr == "" || r.Annotations["summary"] == "" {
				t.Errorf("%s has no condition, or says nothing", r.Alert)
			}
		}
	}
	var explained []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(Flamingo[A-Za-z]+)` \\|").FindAllStringSubmatch(readPage(t, "docs/metrics.md"), -1) {
		explained = append(explained, m[1])
	}
	if len(alerts) == 0 || !slices.Equal(alerts, explained) {
		t.Errorf("alerts     %q\nexplained  %q", alerts, explained)
	}
}

func TestAlertsAreRulesOfPrometheus(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed")
	}
	check := func(path string) (string, error) {
		out, err := exec.CommandContext(t.Context(), promtool, "check", "rules", path).CombinedOutput()
		return string(out), err
	}
	path := filepath.Join("..", "..", alertsPage)
	if out, err := check(path); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	broken := filepath.Join(t.TempDir(), "alerts.yaml")
	text := strings.Replace(readPage(t, alertsPage), "expr: max by (job)", "expr: max by job", 1)
	if err := os.WriteFile(broken, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := check(broken); err == nil {
		t.Errorf("a condition that is none passes: %s", out)
	}
}

func TestTheBoardIsOneOfGrafana(t *testing.T) {
	var board struct {
		Title, UID string
		Panels     []struct {
			ID      int
			Type    string
			Title   string
			GridPos struct{ H, W, X, Y int }
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(readPage(t, "docs/monitoring/grafana.json")), &board); err != nil {
		t.Fatal(err)
	}
	ids := make(map[int]bool)
	for _, p := range board.Panels {
		if ids[p.ID] || p.Title == "" || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %d, %q: its id is taken, it has no title or leaves the board", p.ID, p.Title)
		}
		ids[p.ID] = true
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q shows nothing", p.Title)
		}
		for _, target := range p.Targets {
			if !strings.Contains(target.Expr, `job="$job"`) {
				t.Errorf("panel %q shows nodes of every job: %s", p.Title, target.Expr)
			}
		}
	}
	if board.Title == "" || len(board.Panels) == 0 {
		t.Error("the board is empty")
	}
}
