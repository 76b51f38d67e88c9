package main

import (
	"crypto/rand"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"flamingo/cluster/trust"
	"flamingo/node/admin"

	"github.com/goccy/go-yaml"
)

// What scripts/deploy has, held against this program: its flags, settings, ports and
// pages. Engines that run it are not here; test/deploy_test.go runs those that are.

const deployDir = "scripts/deploy"

// A change makes a text wrong, so that a check must find a fault that has these
// words.
type change struct{ from, to, want string }

// mustFind applies each change to a text without fault and wants it found.
func mustFind(t *testing.T, text string, check func(*testing.T, string) []string, changes []change) {
	t.Helper()
	if found := check(t, text); len(found) > 0 {
		t.Errorf("as it is:\n%s", strings.Join(found, "\n"))
	}
	for _, c := range changes {
		if !strings.Contains(text, c.from) {
			t.Errorf("%q is not there to be changed", c.from)
			continue
		}
		found := strings.Join(check(t, strings.Replace(text, c.from, c.to, 1)), "\n")
		if !strings.Contains(found, c.want) {
			t.Errorf("%q for %q: found %q, want %q", c.to, c.from, found, c.want)
		}
	}
}

// strictly reads YAML into a value that has a field for each key.
func strictly(text string, into any) []string {
	if err := yaml.UnmarshalWithOptions([]byte(text), into, yaml.Strict()); err != nil {
		return []string{yaml.FormatError(err, false, false)}
	}
	return nil
}

// deployFiles are files that nodes read, in the places of those that the deployments
// name.
func deployFiles(t *testing.T) *strings.Replacer {
	t.Helper()
	dir := t.TempDir()
	key, err := trust.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keyFile, tokenFile := filepath.Join(dir, "cluster.key"), filepath.Join(dir, "token")
	for path, text := range map[string]string{keyFile: key.Text(), tokenFile: "a-token"} {
		if err := os.WriteFile(path, []byte(text), 0o440); err != nil {
			t.Fatal(err)
		}
	}
	return strings.NewReplacer(
		"/etc/flamingo/cluster.key", keyFile, "/run/secrets/cluster-key", keyFile,
		"/etc/flamingo/token", tokenFile, "/run/secrets/token", tokenFile,
		"/var/lib/flamingo", filepath.Join(dir, "data"),
	)
}

// nodeFaults are what config check finds wrong with the flags of a node, and whether
// its manager grants it the time to drain.
func nodeFaults(t *testing.T, args []string, grace time.Duration) (faults []string) {
	t.Helper()
	_, talk, code := command(t.Context(), append([]string{"config", "check", "--"}, args...)...)
	if code != 0 {
		return []string{talk}
	}
	r, _ := parse(t, args...)
	if r.DrainWait == 0 || r.DrainDuration == 0 {
		faults = append(faults, "the node does not drain")
	}
	if least := r.DrainWait + r.DrainDuration + stopTimeout; grace < least {
		faults = append(faults, fmt.Sprintf("%v to end: want %v at least", grace, least))
	}
	return faults
}

// isServed reports whether a node has a page that answers without a token.
func isServed(t *testing.T, path string) bool {
	t.Helper()
	h, err := admin.New(admin.Config{Token: "a-token", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code == http.StatusOK || w.Code == http.StatusServiceUnavailable
}

// isCommand reports whether these are words of a command line of this program.
func isCommand(t *testing.T, words []string) error {
	t.Helper()
	con := newConsole(strings.NewReader(""), t.Output(), t.Output())
	parser, err := newParser(t.Context(), &commands{}, con, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	_, err = parser.Parse(words)
	return err
}

// dockerFaults are what is wrong with a Dockerfile.
func dockerFaults(t *testing.T, text string) (faults []string) {
	said := map[string]string{} // of the last stage
	for line := range strings.Lines(text) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "FROM":
			said = map[string]string{"FROM": rest}
		case "", "#", "COPY", "WORKDIR", "RUN":
			said["all"] += line
		case "USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD":
			said[word] = rest
		default:
			faults = append(faults, "unknown word "+word)
		}
	}
	if !strings.Contains(text, "CGO_ENABLED=0") {
		faults = append(faults, "not static")
	}
	for word, want := range map[string]string{
		"FROM": "scratch", "USER": "65532:65532", "STOPSIGNAL": "SIGTERM", "EXPOSE": "4100 4110/tcp 4110/udp 4180",
		"ENTRYPOINT": `["/usr/bin/flamingo"]`, "CMD": `["run"]`, "VOLUME": "/var/lib/flamingo",
	} {
		if said[word] != want {
			faults = append(faults, fmt.Sprintf("%s %s, want %s", word, said[word], want))
		}
	}
	_, check, _ := strings.Cut(said["HEALTHCHECK"], " CMD ")
	var words []string
	faults = append(faults, strictly(check, &words)...)
	if len(words) < 2 || words[0] != "/usr/bin/flamingo" {
		return append(faults, "no health check")
	}
	if err := isCommand(t, words[1:]); err != nil {
		faults = append(faults, "health check: "+err.Error())
	}
	return faults
}

func TestDockerfileBuildsThisProgram(t *testing.T) {
	text := readPage(t, deployDir+"/Dockerfile")
	mustFind(t, text, dockerFaults, []change{
		{"USER 65532:65532", "USER 0", "USER 0"},
		{"FROM scratch", "FROM debian", "FROM debian"},
		{"CGO_ENABLED=0 ", "", "not static"},
		{`"nodes", "list"`, `"nodes", "lists"`, "health check"},
		{"4110/udp ", "", "EXPOSE"},
		{"STOPSIGNAL SIGTERM", "STOPSIGNAL SIGKILL", "STOPSIGNAL"},
		{"VOLUME", "VOLUMES", "unknown word"},
	})
	if !strings.Contains(readPage(t, "go.mod"), "go 1.26") || !strings.Contains(text, "golang:1.26 ") {
		t.Error("the Dockerfile has another Go than go.mod")
	}
}

func TestSettingsBesideTheUnitAreThoseOfANode(t *testing.T) {
	unit := readPage(t, deployDir+"/systemd/flamingo.service")
	mustFind(t, unit+readPage(t, deployDir+"/systemd/flamingo.yaml"), func(t *testing.T, text string) (faults []string) {
		unit, settings, _ := strings.Cut(text, "# /etc/flamingo/flamingo.yaml")
		var grace time.Duration
		var args []string
		for line := range strings.Lines(unit) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			switch key {
			case "TimeoutStopSec":
				grace, _ = time.ParseDuration(value)
			case "ExecStart":
				args = strings.Fields(value)
			}
		}
		if len(args) < 2 || args[0] != "/usr/bin/flamingo" || args[1] != "run" {
			return []string{fmt.Sprintf("starts %q", args)}
		}
		path := writeFile(t, deployFiles(t).Replace("#"+settings))
		for i, word := range args {
			args[i] = strings.ReplaceAll(word, "/etc/flamingo/flamingo.yaml", path)
		}
		return nodeFaults(t, args[2:], grace)
	}, []change{
		{"TimeoutStopSec=100s", "TimeoutStopSec=90s", "to end"},
		{"flamingo run", "flamingo serve", "starts"},
		{"--config", "--settings", "--settings"},
		{"expect: 3", "expects: 3", "expects"},
		{"wait: 10s", "wait: 10", "drain.wait"},
		{"duration: 60s", "duration: 0s", "does not drain"},
	})
}

func TestBalancersAskForReadiness(t *testing.T) {
	for _, name := range []string{"haproxy.cfg", "Caddyfile", "envoy.yaml"} {
		asks := func(t *testing.T, text string) (faults []string) {
			if !strings.Contains(text, "/readyz") || !strings.Contains(text, "4180") {
				faults = append(faults, "no check")
			}
			return faults
		}
		mustFind(t, readPage(t, deployDir+"/"+name), asks, []change{{"/readyz", "/", "no check"}, {"/readyz", "/livez", "no check"}})
	}
	for path, want := range map[string]bool{"/readyz": true, "/livez": true, "/ready": false, "/api/v1/nodes": false} {
		if got := isServed(t, path); got != want {
			t.Errorf("%s is served without a token: %t", path, got)
		}
	}
	page := readPage(t, "docs/haproxy.md")
	_, block, _ := strings.Cut(page, "```haproxy\n")
	block, _, _ = strings.Cut(block, "```\n")
	if _, config, _ := strings.Cut(readPage(t, deployDir+"/haproxy.cfg"), "\n"); config != block {
		t.Error("haproxy.cfg is not the first configuration of docs/haproxy.md")
	}
	var envoy map[string]any
	if found := strictly(readPage(t, deployDir+"/envoy.yaml"), &envoy); found != nil {
		t.Error(found)
	}
}

// release is a configuration of goreleaser, as far as ours uses the format.
type release struct {
	Version     int
	ProjectName string `yaml:"project_name"`
	Before      struct{ Hooks []string }
	Builds      []struct {
		Main, Binary        string
		Env, Flags, Ldflags []string
		ModTimestamp        string `yaml:"mod_timestamp"`
		Goos, Goarch        []string
	}
	Archives []struct {
		Formats         []string
		FormatOverrides []struct {
			Goos    string
			Formats []string
		} `yaml:"format_overrides"`
		Files []string
	}
	Nfpms []struct {
		PackageName                              string `yaml:"package_name"`
		Description, Maintainer, License, Bindir string
		Formats                                  []string
		Contents                                 []struct{ Src, Dst, Type string }
	}
	Checksum struct {
		NameTemplate string `yaml:"name_template"`
	}
	Changelog struct{ Disable bool }
}

// releaseFaults are what is wrong with the configuration of a release.
func releaseFaults(t *testing.T, text string) []string {
	var r release
	faults := strictly(text, &r)
	var made []string // by hooks
	for _, hook := range r.Before.Hooks {
		if _, line, ok := strings.Cut(hook, "go run ./cmd/flamingo "); ok {
			words, path, _ := strings.Cut(strings.TrimSuffix(line, `"`), " > ")
			made = append(made, path)
			if err := isCommand(t, strings.Fields(words)); err != nil {
				faults = append(faults, err.Error())
			}
		}
	}
	var paths []string
	for _, b := range r.Builds {
		paths = append(paths, b.Main)
		if !slices.Equal(b.Env, []string{"CGO_ENABLED=0"}) {
			faults = append(faults, "not static")
		}
	}
	for _, a := range r.Archives {
		paths = append(paths, a.Files...)
	}
	for _, p := range r.Nfpms {
		for _, c := range p.Contents {
			if !slices.Contains(made, c.Src) {
				paths = append(paths, c.Src)
			}
			if dir := filepath.Base(c.Dst); strings.HasSuffix(c.Src, ".service") && dir != "flamingo.service" {
				faults = append(faults, "the unit is "+dir)
			}
		}
	}
	for _, path := range paths {
		path, _, _ = strings.Cut(path, "/**")
		if _, err := os.Stat(filepath.Join("..", "..", path)); err != nil {
			faults = append(faults, err.Error())
		}
	}
	return faults
}

func TestReleasesHaveWhatIsThere(t *testing.T) {
	mustFind(t, readPage(t, deployDir+"/goreleaser.yaml"), releaseFaults, []change{
		{"- LICENSE", "- LICENCE", "LICENCE"},
		{"completion zsh", "completions zsh", "completions"},
		{"CGO_ENABLED=0", "CGO_ENABLED=1", "not static"},
		{"completions/flamingo.fish\n        dst", "completions/fish\n        dst", "completions/fish"},
		{"nfpms:", "nfpm:", "nfpm"},
	})
}

func TestEveryFileOfDeploymentIsExplained(t *testing.T) {
	page := readPage(t, "docs/deploy.md")
	root := filepath.Join("..", "..", deployDir)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if d.IsDir() && (name == "secrets" || name == "completions") {
			return fs.SkipDir
		}
		if !d.IsDir() && name != ".gitignore" && !strings.Contains(page, "scripts/deploy/"+filepath.ToSlash(name)) {
			t.Errorf("docs/deploy.md does not name %s", name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
