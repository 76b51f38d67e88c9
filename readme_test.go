package flamingo_test

import (
	"os"
	"strings"
	"testing"
)

// blocks returns the blocks of a page that are marked with a language.
func blocks(t *testing.T, path, language string) (all []string) {
	t.Helper()
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rest := string(page)
	for {
		_, after, found := strings.Cut(rest, "```"+language+"\n")
		if !found {
			return all
		}
		block, after, _ := strings.Cut(after, "```")
		all, rest = append(all, block), after
	}
}

// dedent returns the lines of Go code as they would stand in a body: of a
// program, the body of main.
func dedent(code string) string {
	if _, body, isProgram := strings.Cut(code, "\nfunc main() {\n"); isProgram {
		body, _, _ = strings.Cut(body, "\n}\n")
		return strings.ReplaceAll("\n"+body, "\n\t", "\n")[1:]
	}
	return strings.TrimSuffix(code, "\n")
}

func TestGoOfTheREADMEIsThatOfTheExamples(t *testing.T) {
	source, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var kept strings.Builder
	for line := range strings.Lines(string(source)) {
		if !strings.HasPrefix(line, "\tgo sayHello") { // the client, which readers have at hand
			kept.WriteString(line)
		}
	}
	examples := strings.NewReplacer("tcp://127.0.0.1:0?", "tcp://:4100?").Replace(kept.String())
	examples = strings.ReplaceAll(examples, "\n\t", "\n")

	found := blocks(t, "README.md", "go")
	if len(found) != 2 {
		t.Fatalf("README.md has %d blocks of Go, want 2", len(found))
	}
	for _, block := range found {
		if want := dedent(block); !strings.Contains(examples, "{\n"+want+"\n") {
			t.Errorf("README.md shows\n%s\nwhich is no part of example_test.go", want)
		}
	}
}
