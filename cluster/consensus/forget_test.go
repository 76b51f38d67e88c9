package consensus_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"flamingo/cluster/consensus"
)

func TestForgottenPromiseBindsNoMore(t *testing.T) {
	dir := t.TempDir()
	st := openStore(t, dir)
	self := st.Identity()
	lost, other := proposal(newServerID(t), self.Server), proposal(newServerID(t), self.Server)
	if ans, err := st.Promise(lost); !ans.Granted || err != nil {
		t.Fatalf("Promise: %+v, %v", ans, err)
	}
	if _, err := consensus.ForgetPromise(dir); !errors.Is(err, consensus.ErrLocked) {
		t.Errorf("beside a running node: %v, want ErrLocked", err)
	}
	st.Close()
	for _, want := range []consensus.Proposal{lost, {}} {
		if held, err := consensus.ForgetPromise(dir); !held.Equal(want) || err != nil {
			t.Errorf("ForgetPromise: %+v, %v, want %+v", held, err, want)
		}
	}
	st = openStore(t, dir)
	defer st.Close()
	if again := st.Identity(); again.Server != self.Server || again.Start != self.Start+1 {
		t.Errorf("the server is %+v, want the next start after %+v", again, self)
	}
	if ans, err := st.Promise(other); !ans.Granted || err != nil {
		t.Errorf("another promise: %+v, %v", ans, err)
	}
}

func TestPromiseOfAClusterIsNotForgotten(t *testing.T) {
	for name, join := range map[string]func(*consensus.Store) error{
		"founded": func(st *consensus.Store) error { return st.Found(proposal(st.Identity().Server)) },
		"joined": func(st *consensus.Store) error {
			p := proposal(newServerID(t), st.Identity().Server)
			_, err := st.Promise(p)
			return errors.Join(err, st.Join(p.Cluster))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			st := openStore(t, dir)
			if err := join(st); err != nil {
				t.Fatal(err)
			}
			before, _ := st.Held()
			st.Close()
			if _, err := consensus.ForgetPromise(dir); !errors.Is(err, consensus.ErrClusterKnown) {
				t.Errorf("ForgetPromise: %v, want ErrClusterKnown", err)
			}
			st = openStore(t, dir)
			defer st.Close()
			if held, err := st.Held(); !held.Equal(before) || held.IsZero() || err != nil {
				t.Errorf("held is %+v, %v, want %+v", held, err, before)
			}
		})
	}
}

func TestWithoutAStoreNothingIsForgottenOrMade(t *testing.T) {
	empty := t.TempDir()
	for _, dir := range []string{empty, filepath.Join(empty, "missing")} {
		if _, err := consensus.ForgetPromise(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("ForgetPromise(%q): %v, want ErrNotExist", dir, err)
		}
	}
	if made, err := os.ReadDir(empty); len(made) > 0 || err != nil {
		t.Errorf("made: %v, %v", made, err)
	}
}
