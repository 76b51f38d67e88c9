//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// What the owner's memory is made of, in bytes, as docs/architecture.md has it.
const (
	queueBytes = 16 << 20  // its QueueBytes
	chunkBytes = 68 << 10  // begun and not full, for each connection with output
	lanesBytes = 32 << 20  // for each peer: a lane's window and the outcomes owed to it
	fixedBytes = 64 << 20  // the program, its runtime, gossip, consensus
	slotBytes  = 136 << 10 // for each thousand connections
)

// bound is how much memory the owner may need.
func (p *plan) bound() int64 {
	clients := int64(p.stuck + p.honest)
	return clients*(int64(p.output)+chunkBytes) + queueBytes + 2*lanesBytes + fixedBytes + clients/1000*slotBytes
}

// A group is a cgroup (v1) with a limit of memory; nil is none.
type group struct{ dir string }

func newGroup(limit int64) (*group, error) {
	if limit == 0 {
		return nil, nil //nolint:nilnil // no limit is wanted
	}
	g := &group{filepath.Join("/sys/fs/cgroup/memory", fmt.Sprintf("flamingo-stuck-%d", os.Getpid()))}
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		return nil, err
	}
	return g, os.WriteFile(filepath.Join(g.dir, "memory.limit_in_bytes"), strconv.AppendInt(nil, limit, 10), 0o644)
}

func (g *group) procs() string { return filepath.Join(g.dir, "cgroup.procs") }

// most returns the most memory that was in use, 0 for no group.
func (g *group) most() (int64, error) {
	if g == nil {
		return 0, nil
	}
	text, err := os.ReadFile(filepath.Join(g.dir, "memory.max_usage_in_bytes"))
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
}

// errKilled: the limit is below what the owner needs.
var errKilled = errors.New("the kernel has killed the node for its memory")

// killed is errKilled if the kernel has killed a process of the group because of the
// limit; nil for no group.
func (g *group) killed() error {
	if g == nil {
		return nil
	}
	text, err := os.ReadFile(filepath.Join(g.dir, "memory.oom_control"))
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		if count, found := strings.CutPrefix(line, "oom_kill "); found {
			if strings.TrimSpace(count) == "0" {
				return nil
			}
			return errKilled
		}
	}
	return errors.New("this kernel does not count whom it kills in a cgroup")
}

// remove is called when no process is left in the group.
func (g *group) remove() error {
	if g == nil {
		return nil
	}
	return os.Remove(g.dir)
}
