//go:build e2e

package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// baseFile names the commit that the present tree is run beside until there is a tag.
const baseFile = "testdata/upgrade-base"

// A base is an earlier commit, checked out.
type base struct {
	dir    string // its tree
	name   string // of the tag, or the commit
	commit string
}

// checkOutBase returns the newest tag that the present commit comes from, or without
// one the commit that baseFile names. It asks no network.
func checkOutBase(t *testing.T) base {
	t.Helper()
	name, err := git("..", "describe", "--tags", "--abbrev=0", "--match", "v[0-9]*", "HEAD^")
	if err != nil {
		text, err := os.ReadFile(baseFile)
		if err != nil {
			t.Fatal(err)
		}
		name = strings.TrimSpace(string(text))
	}
	commit, err := commitOf(name)
	if err != nil {
		t.Fatal(err)
	}
	b := base{dir: filepath.Join(t.TempDir(), "base"), name: name, commit: commit}
	for _, args := range [][]string{
		{"clone", "--quiet", "--shared", "--no-checkout", "..", b.dir},
		{"-C", b.dir, "checkout", "--quiet", "--detach", commit},
	} {
		if _, err := git(".", args...); err != nil {
			t.Fatalf("git %s: %v", strings.Join(args, " "), err)
		}
	}
	return b
}

// commitOf returns the commit that a name leads to. Where it is not there, the error says
// what to do.
func commitOf(name string) (string, error) {
	commit, err := git("..", "rev-parse", "--verify", "--quiet", name+"^{commit}")
	if err != nil {
		return "", fmt.Errorf("the commit %q, beside which this tree is to run, is not here: %w."+
			" Clone the repository with its history, or: git fetch --unshallow --tags", name, err)
	}
	return commit, nil
}

func TestMissingBaseSaysWhatToDo(t *testing.T) {
	missing := strings.Repeat("0", 39) + "1"
	if _, err := commitOf(missing); err == nil || !strings.Contains(err.Error(), missing) || !strings.Contains(err.Error(), "git fetch --unshallow") {
		t.Errorf("%v; want it to name the commit and the remedy", err)
	}
}

// git runs it and returns what it prints; an error says what it complains of.
func git(dir string, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil && errs.Len() > 0 {
		err = &gitError{err, strings.TrimSpace(errs.String())}
	}
	return strings.TrimSpace(string(out)), err
}

type gitError struct {
	error
	said string
}

func (e *gitError) Error() string { return e.error.Error() + ": " + e.said }

func (e *gitError) Unwrap() error { return e.error }

// build builds a package of the base, stamped with its commit. What it builds does not
// depend on where the tree is, so that the go command has to do it once.
func (b base) build(t *testing.T, pkg string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "base-"+filepath.Base(pkg))
	goCommand(t, b.dir, "build", "-trimpath", "-buildvcs=true", "-o", path, pkg)
	return path
}

// isVersion reports whether a node that is seen as this version runs the base.
func (b base) isVersion(version string) bool {
	return version == b.name || strings.Contains(version, b.commit[:12])
}

// buildWith builds a package of this tree with another text for one of its files: every
// old one becomes the new one, and there must be one.
func buildWith(t *testing.T, pkg, file, old, new string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "changed-"+filepath.Base(pkg))
	goCommand(t, "..", "build", "-overlay", overlay(t, file, old, new), "-o", path, pkg)
	return path
}

// overlay returns the path of an overlay that changes a file of this tree so.
func overlay(t *testing.T, file, old, new string) string {
	t.Helper()
	file, err := filepath.Abs(filepath.Join("..", file))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), old) {
		t.Fatalf("%s has no %q to change", file, old)
	}
	dir := t.TempDir()
	changed, list := filepath.Join(dir, filepath.Base(file)), filepath.Join(dir, "overlay.json")
	for path, text := range map[string]string{
		changed: strings.ReplaceAll(string(text), old, new),
		list:    `{"Replace":{"` + file + `":"` + changed + `"}}`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return list
}
