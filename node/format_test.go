package node_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"flamingo/node"
)

// opening opens a node on a data directory and closes it again.
func opening(t *testing.T, opts node.Opts) error {
	t.Helper()
	n, err := node.Open(opts)
	if err != nil {
		return err
	}
	return n.Close(t.Context())
}

func TestDataDirectoryOfAnotherFormatIsRefusedAndLeftAlone(t *testing.T) {
	alone := lines()
	alone.DataDir = t.TempDir()
	inCluster := alone
	inCluster.DataDir, inCluster.Expect, inCluster.Cluster, inCluster.Name = t.TempDir(), 1, "127.0.0.1:0", "ash"
	for name, opts := range map[string]node.Opts{"alone": alone, "in a cluster": inCluster} {
		t.Run(name, func(t *testing.T) {
			if err := opening(t, opts); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(opts.DataDir, "format")
			if text, err := os.ReadFile(file); err != nil || string(text) != "1\n" {
				t.Fatalf("the format is noted as %q, %v", text, err)
			}
			for _, tc := range []struct{ text, want string }{
				{"2\n", "has format 2"},
				{"0\n", "allowed is 1"},
				{"-1\n", "allowed is 1"},
				{"", "allowed is 1"},
				{"one\n", "allowed is 1"},
				{"1\n1\n", "allowed is 1"},
				{strings.Repeat("9", 99), "allowed is 1"},
			} {
				if err := os.WriteFile(file, []byte(tc.text), 0o600); err != nil {
					t.Fatal(err)
				}
				before := contents(t, opts.DataDir)
				err := opening(t, opts)
				if !errors.Is(err, node.ErrFormat) || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), opts.DataDir) {
					t.Errorf("format %q: %v, want ErrFormat, %q and the directory", tc.text, err, tc.want)
				}
				if after := contents(t, opts.DataDir); after != before {
					t.Errorf("format %q: the directory was changed from\n%s\nto\n%s", tc.text, before, after)
				}
			}
			if err := os.WriteFile(file, []byte("1\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := opening(t, opts); err != nil {
				t.Errorf("the format of this release: %v", err)
			}
		})
	}
}

// contents are the files of a directory with their times and sizes.
func contents(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		b.WriteString(path + " " + info.ModTime().String() + " " + info.Mode().String() + "\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
