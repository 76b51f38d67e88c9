package test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const embeddingProgram = `package main

import (
	"fmt"

	"flamingo"
)

func main() {
	n := flamingo.New(flamingo.Opts{Listen: []string{"tcp://127.0.0.1:0"}, BufferTillDelim: true, Delim: '\n'})
	fmt.Println("address", n.Addrs()[0])
	id, _ := n.RecvOpen()
	from, msg := n.RecvData()
	fmt.Println("same", id == from)
	if err := n.SendData(from, msg); err != nil {
		panic(err)
	}
	fmt.Println("closed", n.RecvClose() == id)
}
`

// embed writes a module that uses this one, and returns its folder.
func embed(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	var mod struct {
		Go      string
		Require []struct{ Path, Version string }
	}
	if err := json.Unmarshal([]byte(goCommand(t, root, "mod", "edit", "-json")), &mod); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	fmt.Fprintf(&text, "module embedding\n\ngo %s\n\nrequire flamingo v0.0.0\n\nreplace flamingo => %s\n\nrequire (\n", mod.Go, root)
	for _, r := range mod.Require {
		fmt.Fprintf(&text, "\t%s %s // indirect\n", r.Path, r.Version)
	}
	text.WriteString(")\n")
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, content := range map[string]string{"go.mod": text.String(), "go.sum": string(sums), "main.go": embeddingProgram} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestAnotherModuleEmbedsANode(t *testing.T) {
	t.Parallel()
	dir := embed(t)
	program := filepath.Join(dir, "embedding")
	goCommand(t, dir, "build", "-mod=mod", "-o", program, ".")
	p := startProcess(t, exec.Command(program))
	address := strings.TrimPrefix(p.awaitLine(t, "address "), "address ")
	nc := dialPort(t, address[strings.LastIndex(address, ":")+1:])
	echo(t, nc, "hello\n")
	p.awaitLine(t, "same true")
	nc.Close()
	p.awaitLine(t, "closed true")
}

// An embedding program links nothing of the command line, of files of
// configuration or of tests.
func TestEmbeddingBringsNothingOfTheCommandLine(t *testing.T) {
	t.Parallel()
	dir := embed(t)
	out := goCommand(t, dir, "list", "-mod=mod", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "flamingo")
	raft := false
	for dep := range strings.FieldsSeq(out) {
		raft = raft || dep == "github.com/hashicorp/raft"
		if strings.HasPrefix(dep, "flamingo/cmd") {
			t.Errorf("flamingo brings %s", dep)
		}
		for _, h := range homes {
			foreign := h.testOnly || !slices.ContainsFunc(h.dirs, func(d string) bool { return !strings.HasPrefix(d, "cmd") })
			if foreign && (dep == h.module || strings.HasPrefix(dep, h.module+"/")) {
				t.Errorf("flamingo brings %s", dep)
			}
		}
	}
	if !raft {
		t.Error("the list of what flamingo brings lacks raft: the test looks at the wrong thing")
	}
}
