package test

// The order of the layers and the homes of outside modules, checked on the
// import clauses of every Go file of the module, whatever its build
// constraints. The files are parsed in this process: the result of a test that
// asks the go command instead is served from the test cache after an import
// was added elsewhere.

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// module is the path of this module; its root package is the layer "flamingo".
const module = "flamingo"

// ranks orders the layers. A package imports its own layer and lower ranks;
// layers of one rank do not import each other.
var ranks = map[string]int{
	"idspace":   0,
	"framing":   1,
	"transport": 2,
	"cluster":   2,
	"node":      3,
	"flamingo":  4,
	"cmd":       5,
	"scripts":   6,
	"test":      6,
}

// home says who may import an outside module besides test code.
type home struct {
	module   string
	dirs     []string // folders with all below them; none: test code alone
	testToo  bool     // test code anywhere may import it
	testOnly bool     // test code alone may import it
}

// homes lists every outside module that may be imported. A module without a
// line is refused: a new dependency comes with its ADR and its line here and
// in .golangci.yml.
var homes = []home{
	{module: "github.com/hashicorp/memberlist", dirs: []string{"cluster"}},
	{module: "github.com/hashicorp/raft", dirs: []string{"cluster"}},
	{module: "github.com/hashicorp/go-hclog", dirs: []string{"cluster"}},
	{module: "github.com/hashicorp/go-metrics", dirs: []string{"cluster"}},
	{module: "go.etcd.io/bbolt", dirs: []string{"cluster"}},
	{module: "github.com/vmihailenco/msgpack/v5", dirs: []string{"cluster", "node/attach"}, testToo: true},
	{module: "golang.org/x/sys", dirs: []string{"transport", "cluster"}, testToo: true},
	{module: "github.com/pires/go-proxyproto", dirs: []string{"transport"}, testToo: true},

	{module: "github.com/prometheus/client_golang", dirs: []string{"node/admin"}, testToo: true},

	{module: "github.com/alecthomas/kong", dirs: []string{"cmd"}},
	{module: "github.com/goccy/go-yaml", dirs: []string{"cmd"}},
	{module: "github.com/lmittmann/tint", dirs: []string{"cmd"}},
	{module: "github.com/HdrHistogram/hdrhistogram-go", dirs: []string{"cmd"}},
	{module: "github.com/coder/websocket", dirs: []string{"cmd"}, testToo: true},
	{module: "charm.land", dirs: []string{"cmd"}},
	{module: "github.com/charmbracelet", dirs: []string{"cmd"}},

	{module: "github.com/anishathalye/porcupine", testOnly: true},
	{module: "github.com/getkin/kin-openapi", testOnly: true},
	{module: "github.com/google/go-cmp", testOnly: true},
	{module: "github.com/rogpeppe/go-internal/testscript", testOnly: true},
	{module: "go.uber.org/goleak", testOnly: true},
	{module: "golang.org/x/net/nettest", testOnly: true},
	{module: "pgregory.net/rapid", testOnly: true},
}

// file is what the rules see of a Go file.
type file struct {
	path    string // relative to the root of the module, with slashes
	imports []string
}

// faults returns what the files import against the rules, a sentence each.
func faults(files []file) []string {
	var all []string
	for _, f := range files {
		if _, ok := ranks[layerOf(path.Dir(f.path))]; !ok {
			all = append(all, fmt.Sprintf("%s: its folder belongs to no layer", f.path))
			continue
		}
		for _, imp := range f.imports {
			if why := fault(f.path, imp); why != "" {
				all = append(all, fmt.Sprintf("%s imports %s: %s", f.path, imp, why))
			}
		}
	}
	return all
}

// fault says why the file must not import imp; empty if it may.
func fault(name, imp string) string {
	first, _, _ := strings.Cut(imp, "/")
	switch {
	case first == module:
		return ownFault(name, imp)
	case strings.Contains(first, "."):
		return homeFault(name, imp)
	default:
		return "" // the standard library
	}
}

func ownFault(name, imp string) string {
	dir := strings.TrimPrefix(strings.TrimPrefix(imp, module), "/")
	if dir == "" {
		dir = "."
	}
	from, to := layerOf(path.Dir(name)), layerOf(dir)
	rank, ok := ranks[to]
	switch {
	case !ok:
		return fmt.Sprintf("%s is no layer", to)
	case rank > ranks[from]:
		return fmt.Sprintf("%s lies above %s", to, from)
	case isTestPackage(dir) && !isTestCode(name):
		return "a package of test helpers is for test code"
	case from == to:
		return ""
	case rank == ranks[from]:
		return fmt.Sprintf("%s and %s do not import each other", from, to)
	default:
		return ""
	}
}

func homeFault(name, imp string) string {
	i := slices.IndexFunc(homes, func(h home) bool { return within(imp, h.module) })
	if i < 0 {
		return "the module has no home yet (an ADR, then a line in test/layers_test.go and .golangci.yml)"
	}
	h := homes[i]
	if isTestCode(name) && (h.testOnly || h.testToo) {
		return ""
	}
	if h.testOnly {
		return h.module + " is for test code"
	}
	if !slices.ContainsFunc(h.dirs, func(dir string) bool { return within(name, dir) }) {
		return fmt.Sprintf("%s is at home in %s", h.module, strings.Join(h.dirs, " and "))
	}
	return ""
}

// layerOf names the layer of a folder: its first element, or the root package.
func layerOf(dir string) string {
	if dir == "." {
		return module
	}
	first, _, _ := strings.Cut(dir, "/")
	return first
}

// isTestCode reports whether the file never becomes part of a program.
func isTestCode(name string) bool {
	return strings.HasSuffix(name, "_test.go") || isTestPackage(path.Dir(name))
}

// isTestPackage reports whether the folder holds helpers for tests, as
// transport/transporttest and test do.
func isTestPackage(dir string) bool {
	return layerOf(dir) == "test" || strings.HasSuffix(path.Base(dir), "test")
}

// within reports whether p is dir or lies below it.
func within(p, dir string) bool {
	return p == dir || strings.HasPrefix(p, dir+"/")
}

// sources parses the import clauses of every Go file below root, except in
// nested modules, testdata and folders that the go command passes over.
func sources(root string) ([]file, error) {
	var files []file
	fset := token.NewFileSet()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != root && passedOver(name) {
				return fs.SkipDir
			}
			return nil
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		parsed, err := parser.ParseFile(fset, name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		f := file{path: filepath.ToSlash(rel)}
		for _, spec := range parsed.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			f.imports = append(f.imports, imp)
		}
		files = append(files, f)
		return nil
	})
	return files, err
}

func passedOver(dir string) bool {
	base := filepath.Base(dir)
	if base == "testdata" || base == "node_modules" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return true
	}
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

func TestEveryImportPointsDownwards(t *testing.T) {
	files, err := sources("..")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(files, func(f file) bool { return f.path == "test/layers_test.go" }) {
		t.Fatalf("the walk over %d files missed this one", len(files))
	}
	for _, f := range faults(files) {
		t.Error(f)
	}
}

func TestForbiddenImportsAreRefused(t *testing.T) {
	const memberlist = "github.com/hashicorp/memberlist"
	tests := []struct {
		path, imp string
		want      string // part of the fault; empty: allowed
	}{
		{"idspace/id.go", "flamingo/framing", "framing lies above idspace"},
		{"idspace/id_test.go", "flamingo/node", "node lies above idspace"},
		{"framing/line.go", "flamingo/idspace", ""},
		{"framing/line.go", "flamingo/cluster/mesh", "cluster lies above framing"},
		{"transport/conn.go", "flamingo/framing", ""},
		{"transport/conn.go", "flamingo/cluster", "transport and cluster do not import each other"},
		{"transport/conn_test.go", "flamingo/cluster/gossip", "do not import each other"},
		{"cluster/mesh/link.go", "flamingo/transport", "cluster and transport do not import each other"},
		{"cluster/mesh/link.go", "flamingo/cluster/gossip", ""},
		{"cluster/link.go", "flamingo/idspace", ""},
		{"node/node.go", "flamingo/transport", ""},
		{"node/node.go", "flamingo", "flamingo lies above node"},
		{"node/admin/admin.go", "flamingo/node", ""},
		{"node/admin/admin.go", "flamingo/cmd/flamingo", "cmd lies above node"},
		{"flamingo.go", "flamingo/node", ""},
		{"flamingo.go", "flamingo/cmd/flamingo/demo", "cmd lies above flamingo"},
		{"example_test.go", "flamingo", ""},
		{"cmd/flamingo/main.go", "flamingo", ""},
		{"cmd/flamingo/main.go", "flamingo/test/e2e", "test lies above cmd"},
		{"cmd/flamingo/main.go", "flamingo/util", "util is no layer"},
		{"test/e2e/run_test.go", "flamingo/cmd/flamingo/demo", ""},
		{"util/util.go", "fmt", "belongs to no layer"},

		{"transport/conn.go", "flamingo/transport/transporttest", "for test code"},
		{"transport/conn_test.go", "flamingo/transport/transporttest", ""},
		{"transport/transporttest/suite.go", "flamingo/framing/framingtest", ""},
		{"transport/transporttest/suite.go", "flamingo/node", "node lies above transport"},

		{"cluster/gossip/members.go", memberlist, ""},
		{"node/node.go", memberlist, "at home in cluster"},
		{"node/node_test.go", memberlist, "at home in cluster"},
		{"clusters/members.go", memberlist, "belongs to no layer"},
		{"idspace/registry.go", "github.com/hashicorp/raft", "at home in cluster"},
		{"idspace/registry.go", "go.etcd.io/bbolt/errors", "at home in cluster"},
		{"idspace/id.go", "github.com/vmihailenco/msgpack/v5", "at home in cluster and node/attach"},
		{"idspace/id_test.go", "github.com/vmihailenco/msgpack/v5", ""},
		{"cluster/mesh/frame.go", "github.com/vmihailenco/msgpack/v5/msgpcode", ""},
		{"node/attach/frame.go", "github.com/vmihailenco/msgpack/v5", ""},
		{"node/admin/api.go", "github.com/vmihailenco/msgpack/v5", "at home in cluster and node/attach"},
		{"cmd/flamingo/main.go", "github.com/alecthomas/kong", ""},
		{"node/config.go", "github.com/goccy/go-yaml", "at home in cmd"},
		{"node/log.go", "github.com/lmittmann/tint", "at home in cmd"},
		{"transport/bench.go", "github.com/HdrHistogram/hdrhistogram-go", "at home in cmd"},
		{"node/top.go", "charm.land/bubbletea/v2", "at home in cmd"},
		{"transport/poll_linux.go", "golang.org/x/sys/unix", ""},
		{"framing/line.go", "golang.org/x/sys/unix", "at home in transport and cluster"},
		{"transport/websocket/decoder.go", "github.com/coder/websocket", "at home in cmd"},
		{"framing/line_test.go", "github.com/google/go-cmp/cmp", ""},
		{"framing/line.go", "github.com/google/go-cmp/cmp", "for test code"},
		{"framing/framingtest/suite.go", "pgregory.net/rapid", ""},
		{"test/histories.go", "github.com/anishathalye/porcupine", ""},
		{"test/histories.go", memberlist, "at home in cluster"},
		{"cmd/flamingo/script_test.go", "github.com/rogpeppe/go-internal/testscript", ""},
		{"cmd/flamingo/main.go", "github.com/rogpeppe/go-internal/testscript", "for test code"},
		{"framing/line.go", "example.com/new", "has no home"},
		{"framing/line.go", "github.com/google/go-cmpx", "has no home"},
	}
	for _, tt := range tests {
		got := strings.Join(faults([]file{{path: tt.path, imports: []string{tt.imp}}}), "\n")
		if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%s importing %s: fault %q, want %q", tt.path, tt.imp, got, tt.want)
		}
	}
}

func TestImportsAreReadWhateverTheBuildConstraints(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":                "module flamingo\n",
		"node/a_windows.go":     "package node\n\nimport _ \"flamingo/cmd/flamingo\"\n",
		"node/b.go":             "//go:build never\n\npackage node\n\nimport x \"flamingo\"\n\nvar _ = x.Y\n",
		"node/b_test.go":        "package node_test\n\nimport (\n\t\"testing\"\n\n\t. \"flamingo/test/e2e\"\n)\n",
		"test/peers/go.mod":     "module peers\n",
		"test/peers/peer.go":    "package peers\n\nimport _ \"example.com/new\"\n",
		"node/testdata/gone.go": "package gone\n\nimport _ \"example.com/new\"\n",
	} {
		name = filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files, err := sources(root)
	if err != nil {
		t.Fatal(err)
	}
	got := faults(files)
	want := []string{
		"node/a_windows.go imports flamingo/cmd/flamingo: cmd lies above node",
		"node/b.go imports flamingo: flamingo lies above node",
		"node/b_test.go imports flamingo/test/e2e: test lies above node",
	}
	if !slices.Equal(got, want) {
		t.Errorf("faults:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// topLevel lists what the root of the repository may hold, besides test files
// of the root package and what .gitignore names there.
var topLevel = []string{
	".ci", ".git", ".gitignore", ".golangci.yml",
	"CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "NOTICE", "README.md",
	"cluster", "cmd", "docs", "framing", "idspace", "node", "scripts", "test", "transport",
	"doc.go", "flamingo.go", "go.mod", "go.sum",
}

// strays returns the entries of the root that do not belong there. Ignored is
// the text of .gitignore, of which the lines that name one entry of the root
// count: a slash, then a name without a pattern.
func strays(entries []string, ignored string) []string {
	allowed := slices.Clone(topLevel)
	for line := range strings.Lines(ignored) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "/"); ok {
			allowed = append(allowed, strings.TrimSuffix(name, "/"))
		}
	}
	return slices.DeleteFunc(slices.Clone(entries), func(name string) bool {
		return strings.HasSuffix(name, "_test.go") || slices.Contains(allowed, name)
	})
}

func TestTopLevelHoldsOnlyWhatBelongsThere(t *testing.T) {
	dir, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	var entries []string
	for _, entry := range dir {
		entries = append(entries, entry.Name())
	}
	ignored, err := os.ReadFile(filepath.Join("..", ".gitignore"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range strays(entries, string(ignored)) {
		t.Errorf("%s does not belong at the top of the repository", name)
	}
}

func TestStraysAtTheTopLevelAreRefused(t *testing.T) {
	entries := []string{"go.mod", "node", "util", "example_test.go", "flamingo", "main.go", "notes.md", "x.out"}
	got := strays(entries, "# built\n/flamingo\n*.out\n")
	want := []string{"util", "main.go", "notes.md", "x.out"}
	if !slices.Equal(got, want) {
		t.Errorf("strays of %q: %q, want %q", entries, got, want)
	}
}
