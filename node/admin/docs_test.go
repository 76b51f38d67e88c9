package admin_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"flamingo/node/admin"
)

const (
	docID     = "01adc9000000002a" // the connection of the page
	docNumber = "01adc9000"
)

func readPage(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "http.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// An example is a command of the page, and what it prints.
type example struct{ command, output string }

// examplesIn returns the examples of a page, in its order: in a console block, a
// line that begins with a dollar and what follows it.
func examplesIn(page string) (examples []example) {
	inside := false
	for line := range strings.Lines(page) {
		switch text := strings.TrimSuffix(line, "\n"); {
		case text == "```console":
			inside = true
		case text == "```":
			inside = false
		case !inside:
		case strings.HasPrefix(text, "$ "):
			examples = append(examples, example{command: text[2:]})
		default:
			examples[len(examples)-1].output += line
		}
	}
	return examples
}

func TestEveryExampleOfThePagePrintsWhatItSays(t *testing.T) {
	open, n := show(t, admin.Config{}, lines())
	guarded := newHandler(t, admin.Config{Token: token})
	guarded.Attach(n)
	sites := map[string]*api{"localhost:4180": open, "node1.example:4180": serve(t, guarded)}

	c, id := connect(t, n)
	real := strings.NewReplacer(docID, id.String(), docNumber, n.Number().String(), "$TOKEN", token)
	shown := strings.NewReplacer(id.String(), docID, n.Number().String(), docNumber)
	examples := examplesIn(readPage(t))
	if len(examples) < 12 {
		t.Fatalf("%d examples; the page is read wrong", len(examples))
	}
	for _, e := range examples {
		run, err := parseCurl(real.Replace(e.command))
		if err != nil {
			t.Errorf("%s: %v", e.command, err)
			continue
		}
		a := sites[run.host]
		if a == nil {
			t.Errorf("%s: no site %q", e.command, run.host)
			continue
		}
		got, want := varying.Replace(shown.Replace(run.print(a))), varying.Replace(e.output)
		if got != want {
			t.Errorf("$ %s\n%swant\n%s", e.command, got, want)
		}
	}
	c.expect("hello")
	c.expect("hello again")
	c.expect("and again")
	c.expect("hello, all")
	c.expectEnd()
}

// varying stands for what is different in every run.
var varying = replacements{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,4}Z`), "TIME"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "ADDRESS"},
	{regexp.MustCompile(`"elapsed_us":\d+`), `"elapsed_us":N`},
	{regexp.MustCompile(`"serial":\d+`), `"serial":N`},
	{regexp.MustCompile(`"version":"(\(devel\)|unknown|v[^"]+)"`), `"version":"V"`},
}

type replacements []struct {
	pattern *regexp.Regexp
	by      string
}

func (r replacements) Replace(s string) string {
	for _, one := range r {
		s = one.pattern.ReplaceAllString(s, one.by)
	}
	return s
}

// A curl is a call of curl, as far as the page uses it.
type curl struct {
	method, host, target, body string
	header                     http.Header
	code                       bool // -w '%{http_code}\n'
	jq                         bool // | jq
}

// parseCurl reads a command of the page.
func parseCurl(command string) (c curl, err error) {
	c.header = http.Header{}
	command, c.jq = strings.CutSuffix(command, " | jq")
	words, err := splitWords(command)
	if err != nil || len(words) < 2 || words[0] != "curl" {
		return c, fmt.Errorf("not a call of curl: %q, %w", words, err)
	}
	c.method = "GET"
	for i := 1; i < len(words); i++ {
		word := words[i]
		if len(word) > 1 && word[0] == '-' && word != "-s" {
			if i++; i == len(words) {
				return c, fmt.Errorf("nothing behind %s", word)
			}
		}
		switch word {
		case "-s":
		case "-X":
			c.method = words[i]
		case "-d", "--data-binary":
			c.method, c.body = "POST", words[i]
		case "-H":
			name, value, _ := strings.Cut(words[i], ": ")
			c.header.Add(name, value)
		case "-w":
			if c.code = words[i] == `%{http_code}\n`; !c.code {
				return c, fmt.Errorf("-w %q is not known here", words[i])
			}
		default:
			url := strings.TrimPrefix(word, "http://")
			if c.host != "" || strings.HasPrefix(word, "-") {
				return c, fmt.Errorf("%q is not known here", word)
			}
			c.host, c.target, _ = strings.Cut(url, "/")
			c.target = "/" + c.target
		}
	}
	return c, nil
}

// splitWords splits a command as a shell does: quotes of each kind, and no
// other magic.
func splitWords(command string) (words []string, err error) {
	word := regexp.MustCompile(`^(?:'([^']*)'|"([^"]*)"|\$'([^']*)'|([^ '"]+))(?: +|$)`)
	for command != "" {
		m := word.FindStringSubmatch(command)
		if m == nil {
			return nil, fmt.Errorf("cannot split %q", command)
		}
		ansi, err := strconv.Unquote(`"` + m[3] + `"`)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m[3], err)
		}
		words = append(words, m[1]+m[2]+ansi+m[4])
		command = command[len(m[0]):]
	}
	return words, nil
}

// print makes the request and returns what the command would print.
func (c curl) print(a *api) string {
	a.t.Helper()
	got := a.do(c.method, c.target, c.body, asking(c.host), func(r *http.Request) {
		maps.Copy(r.Header, c.header)
	})
	out := got.body
	if c.jq {
		var indented bytes.Buffer
		if err := json.Indent(&indented, []byte(got.body), "", "  "); err != nil {
			a.t.Errorf("%s %s: %v in %s", c.method, c.target, err, got.body)
		}
		out = indented.String()
	}
	if c.code {
		out += fmt.Sprintln(got.status)
	}
	return out
}

// tableRows returns the cells of every line of a table, of those tables whose
// first column has that title.
func tableRows(page, title string) (rows [][]string) {
	inside := false
	for line := range strings.Lines(page) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.Trim(strings.TrimSpace(cells[i]), "`")
		}
		switch {
		case !strings.HasPrefix(line, "|"):
			inside = false
		case cells[0] == title:
			inside = true
		case inside && !strings.HasPrefix(cells[0], "---"):
			rows = append(rows, cells)
		}
	}
	return rows
}

func TestTheRoutesOfThePageAreThoseOfTheHandler(t *testing.T) {
	var documented []string
	for _, row := range tableRows(readPage(t), "route") {
		documented = append(documented, row[0])
	}
	answered := newHandler(t, admin.Config{}).Routes()
	slices.Sort(documented)
	slices.Sort(answered)
	if !slices.Equal(documented, answered) {
		t.Errorf("documented %q\nanswered   %q", documented, answered)
	}
}

func TestTheProblemsOfThePageAreThoseOfTheHandler(t *testing.T) {
	yes := map[bool]string{true: "yes", false: "no"}
	var want [][]string
	for _, p := range admin.Problems() {
		want = append(want, []string{p.Slug, strconv.Itoa(p.Status), yes[p.Outcome != nil], yes[p.Retryable], strconv.Itoa(p.Exit), p.Title})
	}
	got := tableRows(readPage(t), "problem")
	if !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("documented %q\nin code    %q", got, want)
	}
}

func TestExamplesAreReadAsAShellWould(t *testing.T) {
	for command, want := range map[string][]string{
		`curl -s 'a b' "c d" e`:     {"curl", "-s", "a b", "c d", "e"},
		`curl $'two\nlines' '%{\n'`: {"curl", "two\nlines", `%{\n`},
	} {
		if got, err := splitWords(command); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v; want %q", command, got, err, want)
		}
	}
	for _, command := range []string{`curl 'a`, `curl -X`, `wget x`, `curl -v -x`, `curl a b`, `curl -w x y`} {
		if c, err := parseCurl(command); err == nil {
			t.Errorf("%s is read as %+v", command, c)
		}
	}
}
