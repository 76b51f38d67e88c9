//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// results are samples by row, then by design, then by round.
type results struct {
	file string // where they are kept; empty: nowhere
	all  map[string]map[string][]sample
}

func loadResults(file string) (*results, error) {
	r := &results{file: file, all: make(map[string]map[string][]sample)}
	if file == "" {
		return r, nil
	}
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return r, os.MkdirAll(filepath.Dir(file), 0o700)
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &r.all); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return r, nil
}

// add adds a sample, and keeps it. With the first round those of a former
// measurement are forgotten.
func (r *results) add(round int, row, design string, s sample) error {
	if r.all[row] == nil {
		r.all[row] = make(map[string][]sample)
	}
	if round == 0 {
		r.all[row][design] = nil
	}
	r.all[row][design] = append(r.all[row][design], s)
	if r.file == "" {
		return nil
	}
	b, err := json.Marshal(r.all)
	if err != nil {
		return err
	}
	return os.WriteFile(r.file, b, 0o600)
}

// designs returns those that were measured, in their order.
func (r *results) designs() (names []string) {
	for _, name := range []string{ours, keyed, before, limit, nats, redis} {
		for _, of := range r.all {
			if len(of[name]) > 0 {
				names = append(names, name)
				break
			}
		}
	}
	return names
}

// missing names a row that not all designs of the page have been measured in, or
// nothing.
func (r *results) missing() string {
	for _, row := range rows() {
		for _, d := range []string{ours, keyed, limit, nats, redis} {
			if len(r.all[row.name][d]) == 0 {
				return fmt.Sprintf("%q by %s", row.name, d)
			}
		}
	}
	return ""
}
