package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// These tests are new users: they type what the README shows, in its order, and
// compare what they see. Ports are others; node numbers, times and durations may
// be any, but the same number stands for the same node throughout.

// A typed line is a command of a page, and what it says that the command shows.
type typed struct {
	command string
	shows   []string
}

// sectionsOf returns what is typed in the sections of a page that have anything
// to type: in a console block, a line that begins with a dollar.
func sectionsOf(t *testing.T, page string) (titles []string, sections map[string][]typed) {
	t.Helper()
	sections = make(map[string][]typed)
	title, inside, goesOn := "", false, false
	for line := range strings.Lines(readPage(t, page)) {
		line = strings.TrimSuffix(line, "\n")
		if !inside && strings.HasPrefix(line, "## ") {
			title = line[3:]
		}
		all := sections[title]
		switch {
		case strings.HasPrefix(line, "```"):
			inside = line == "```console"
		case !inside:
		case strings.HasPrefix(line, "$ "):
			if len(all) == 0 {
				titles = append(titles, title)
			}
			all = append(all, typed{command: line[2:]})
		case goesOn:
			all[len(all)-1].command += "\n" + line
		default:
			all[len(all)-1].shows = append(all[len(all)-1].shows, line)
		}
		goesOn = inside && strings.HasSuffix(line, `\`)
		sections[title] = all
	}
	return titles, sections
}

func readPage(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", page))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestCommandsOfTheREADMEShowWhatItSays(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("they are typed into a shell")
	}
	titles, sections := sectionsOf(t, "README.md")
	if len(titles) < 2 {
		t.Fatalf("%d sections with commands; the page is read wrong", len(titles))
	}
	for _, title := range titles {
		t.Run(title, func(t *testing.T) {
			d := newDesk(t)
			for _, line := range sections[title] {
				d.enter(line)
			}
			d.leave()
		})
	}
}

// A desk is that of a user with as many terminals as are needed.
type desk struct {
	t       *testing.T
	dir     string            // with the program; also for what the page has in /tmp
	port    int               // what the page calls 4100
	numbers map[string]string // node numbers of the page: those that are seen here
	open    []*terminal
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	port, release, err := findPorts(3)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	dir := t.TempDir()
	self, err := os.Executable() // the program too, if it is called so: see TestMain
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(dir, "flamingo")); err != nil {
		t.Fatal(err)
	}
	return &desk{t: t, dir: dir, port: port, numbers: make(map[string]string)}
}

// enter types a line. What goes on until ^C gets a terminal of its own; before
// any line that asks a node, the nodes show that they are ready.
func (d *desk) enter(line typed) {
	d.t.Helper()
	words := strings.Fields(line.command)
	switch {
	case words[0] == "go": // CI does, and for the rest this test is the program
		return
	case words[0] != "./flamingo":
		d.t.Fatalf("nobody knows how to try: %s", line.command)
	}
	isNode := words[1] == "run" || words[1] == "dev"
	if !isNode {
		for _, node := range d.open {
			if node.isNode {
				d.await(node, node.shows)
			}
		}
	}
	switch {
	case isNode:
		d.start(line, true)
	case words[1] == "connect":
		client := d.start(line, false)
		known := slices.IndexFunc(client.shows, pageID.MatchString)
		d.await(client, append(slices.Clone(client.shows[:known+1]), "…"))
	default:
		d.compare(line, words[1] == "nodes") // links come up a moment after a node is ready
	}
}

// compare runs a command to its end, again if it may not show at first what it
// should.
func (d *desk) compare(line typed, again bool) {
	d.t.Helper()
	late := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		out, err := d.shell(line.command).CombinedOutput()
		fault := d.match(line.shows, string(out))
		if failed := bytes.HasPrefix(out, []byte("flamingo: ")); failed != (err != nil) {
			fault = fmt.Errorf("it ends with %w and prints %s", err, out)
		}
		if fault == nil {
			return
		}
		if !again {
			d.t.Fatalf("$ %s\n%v", line.command, fault)
		}
		select {
		case <-tick.C:
		case <-late:
			d.t.Fatalf("$ %s\nafter %v still: %v", line.command, patience, fault)
		}
	}
}

// leave waits for the end of the clients, which the nodes have closed, and ends
// the nodes, which have shown what the page says, with ^C.
func (d *desk) leave() {
	d.t.Helper()
	for _, client := range d.open {
		if !client.isNode {
			d.await(client, client.shows)
			d.ended(client)
		}
	}
	for _, node := range d.open {
		if node.isNode {
			d.await(node, node.shows)
			if err := node.cmd.Process.Signal(os.Interrupt); err != nil {
				d.t.Error(err)
			}
		}
	}
	for _, node := range d.open {
		d.ended(node)
	}
}

// A terminal is one that a program has to itself until it ends.
type terminal struct {
	typed
	isNode bool
	cmd    *exec.Cmd
	keys   io.Closer // what is typed, which is nothing

	mu      sync.Mutex
	seen    bytes.Buffer  // guarded by mu
	changed chan struct{} // guarded by mu; closed, and replaced, with every Write
	end     chan struct{} // closed at the end of cmd
	err     error         // of that end
}

func (m *terminal) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	close(m.changed)
	m.changed = make(chan struct{})
	return m.seen.Write(p)
}

func (m *terminal) text() (seen string, changed <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.seen.String(), m.changed
}

func (d *desk) start(line typed, isNode bool) *terminal {
	d.t.Helper()
	m := &terminal{typed: line, isNode: isNode, cmd: d.shell(line.command), changed: make(chan struct{}), end: make(chan struct{})}
	m.cmd.Stdout, m.cmd.Stderr = m, m
	var err error
	if m.keys, err = m.cmd.StdinPipe(); err != nil {
		d.t.Fatal(err)
	}
	if err := m.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	var waiting sync.WaitGroup
	waiting.Go(func() {
		m.err = m.cmd.Wait()
		close(m.end)
	})
	d.t.Cleanup(func() {
		_ = m.cmd.Process.Kill() // it has ended, unless the test has failed
		waiting.Wait()
	})
	d.open = append(d.open, m)
	return m
}

// shell is a command as it is typed here.
func (d *desk) shell(command string) *exec.Cmd {
	command = d.here(command)
	if strings.HasSuffix(command, "flamingo dev") {
		command += " --port " + strconv.Itoa(d.port)
	}
	cmd := exec.CommandContext(d.t.Context(), "sh", "-c", "exec "+command)
	cmd.Dir = d.dir
	cmd.Env = append(os.Environ(), "TZ=UTC", "GORACE=atexit_sleep_ms=10", "FLAMINGO_ADDR="+loopback(d.port+adminPort))
	return cmd
}

// await waits until a terminal shows the lines.
func (d *desk) await(m *terminal, lines []string) {
	d.t.Helper()
	late := time.After(patience)
	for {
		seen, changed := m.text()
		fault := d.match(lines, seen)
		if fault == nil {
			return
		}
		select {
		case <-changed:
		case <-m.end:
			if now, _ := m.text(); now == seen { // it writes no more
				d.t.Fatalf("$ %s\nhas ended: %v\n%v", m.command, m.err, fault)
			}
		case <-late:
			d.t.Fatalf("$ %s\nafter %v still: %v", m.command, patience, fault)
		}
	}
}

// ended waits for the end of the program, which is a good one.
func (d *desk) ended(m *terminal) {
	d.t.Helper()
	select {
	case <-m.end:
		if m.err != nil {
			seen, _ := m.text()
			d.t.Errorf("$ %s\nends with %v:\n%s", m.command, m.err, seen)
		}
	case <-time.After(patience):
		d.t.Fatalf("$ %s\nhas not ended after %v", m.command, patience)
	}
}

var (
	pagePort   = regexp.MustCompile(`:4([1-9])([018]0)\b`)
	pageID     = regexp.MustCompile(`\b0[0-9a-f]{15}\b`)
	pageNumber = regexp.MustCompile(`\b0[0-9a-f]{8}\b`)
	varies     = regexp.MustCompile(`\(\d+\)|\(devel\)|` + pagePort.String() + `|\./flamingo|` + pageID.String() + `|` + pageNumber.String() +
		`|\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d\.\d{3}|\b\d+(\.\d+)?(ns|µs|ms|s)\b|/tmp/flamingo| +`)
)

// here is a text of the page with the ports, ids and directories that it stands
// for.
func (d *desk) here(text string) string {
	d.t.Helper()
	text = pagePort.ReplaceAllStringFunc(text, d.portHere)
	text = pageID.ReplaceAllStringFunc(text, func(id string) string {
		number, known := d.numbers[id[:9]]
		if !known {
			d.t.Fatalf("%s\nnobody has shown the node of id %s", text, id)
		}
		return number + id[9:]
	})
	return strings.ReplaceAll(text, "/tmp/flamingo", filepath.Join(d.dir, "data"))
}

func (d *desk) portHere(page string) string {
	n, _ := strconv.Atoi(page[1:])
	return ":" + strconv.Itoa(n-4100+d.port)
}

// match compares what the page says with what is seen: each line of the page is
// there, in whatever order, and with a line of three dots others may be.
func (d *desk) match(shows []string, seen string) error {
	left := strings.Split(seen, "\n")
	numbers := maps.Clone(d.numbers)
	for _, line := range shows {
		if line == "…" {
			continue
		}
		want := d.pattern(line, numbers)
		i := slices.IndexFunc(left, want.MatchString)
		if i < 0 {
			return fmt.Errorf("the page shows\n%s\nand what is seen is\n%s", line, seen)
		}
		groups := want.FindStringSubmatch(left[i])
		for g, name := range want.SubexpNames() {
			if number, isNumber := strings.CutPrefix(name, "n"); isNumber {
				numbers[number] = groups[g]
			}
		}
		left = slices.Delete(left, i, i+1)
	}
	if rest := strings.TrimSpace(strings.Join(left, "\n")); rest != "" && !slices.Contains(shows, "…") {
		return fmt.Errorf("the page does not show\n%s", rest)
	}
	if different := slices.Compact(slices.Sorted(maps.Values(numbers))); len(different) != len(numbers) {
		return fmt.Errorf("different numbers of the page are the same here: %v", numbers)
	}
	maps.Copy(d.numbers, numbers)
	return nil
}

// pattern is what a line of the page stands for.
func (d *desk) pattern(line string, numbers map[string]string) *regexp.Regexp {
	number := func(page string) string {
		if here, known := numbers[page]; known {
			return here
		}
		return `(?P<n` + page + `>0[0-9a-f]{8})`
	}
	var b strings.Builder
	end := 0
	for _, at := range varies.FindAllStringIndex(line, -1) {
		b.WriteString(regexp.QuoteMeta(line[end:at[0]]))
		end = at[1]
		switch part := line[at[0]:at[1]]; {
		case part == "(devel)":
			b.WriteString(`(\(devel\)|unknown|v\S+)`)
		case part[0] == '(':
			b.WriteString(`\(\d+\)`)
		case part[0] == ' ':
			b.WriteString(` +`)
		case part[0] == ':':
			b.WriteString(d.portHere(part))
		case part == "./flamingo":
			b.WriteString(`(\./)?flamingo`)
		case part == "/tmp/flamingo":
			b.WriteString(regexp.QuoteMeta(filepath.Join(d.dir, "data")))
		case pageID.MatchString(part):
			b.WriteString(number(part[:9]) + part[9:])
		case pageNumber.MatchString(part):
			b.WriteString(number(part))
		case len(part) == len("2006-01-02 15:04:05.000"):
			b.WriteString(`\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d\.\d{3}`)
		default:
			b.WriteString(`\d+(\.\d+)?(ns|µs|ms|s)`)
		}
	}
	b.WriteString(regexp.QuoteMeta(line[end:]))
	return regexp.MustCompile(`^` + b.String() + `$`)
}
