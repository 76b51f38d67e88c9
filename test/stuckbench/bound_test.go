//go:build e2e && linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"
)

// TestMain is a node when it is started as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "node" {
		if err := serve(context.Background(), os.Args[2:], os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1) //nolint:forbidigo // this is the main of a node
		}
		return
	}
	os.Exit(m.Run()) //nolint:forbidigo // so ends a TestMain that is another program, too
}

// stuckPlan sends some 480 MiB in all to clients of a node that may need 175 MiB.
func stuckPlan(policy string) *plan {
	return &plan{
		measure: time.Second, stuck: 300, honest: 20, rate: 5000, size: 16 << 10, output: 32 << 10, policy: policy,
	}
}

// needCgroups skips a test where no limit of memory can be set.
func needCgroups(t *testing.T) {
	t.Helper()
	g, err := newGroup(1 << 30)
	if err == nil {
		err = g.remove()
	}
	if err != nil {
		t.Skipf("needs root, and memory cgroups of version 1: %v", err)
	}
}

// TestStuckClientsKeepWithinTheBoundOfMemory floods clients that do not read, under
// each policy, of a node whose memory is limited to what docs/architecture.md says
// that it needs.
func TestStuckClientsKeepWithinTheBoundOfMemory(t *testing.T) {
	needCgroups(t)
	for _, policy := range []string{"close", "drop-newest", "fail-sender"} {
		t.Run(policy, func(t *testing.T) {
			p := stuckPlan(policy)
			p.limit = p.bound()
			r, err := p.round(t.Context(), p.stuck)
			if err != nil {
				t.Fatal(err)
			}
			if r.accepted != r.written+r.reported {
				t.Errorf("%d accepted, %d written and %d reported", r.accepted, r.written, r.reported)
			}
			if r.memory == 0 || r.accepted+r.refused == 0 {
				t.Errorf("%d bytes of memory, for %d sends", r.memory, r.accepted+r.refused)
			}
			t.Logf("%d MiB of %d MiB", r.memory>>20, p.limit>>20)
		})
	}
}

// TestLimitOfMemoryHolds: a node that is given too little is killed, and that is
// told from other failures.
func TestLimitOfMemoryHolds(t *testing.T) {
	needCgroups(t)
	p := stuckPlan("fail-sender")
	p.limit = 16 << 20
	if _, err := p.round(t.Context(), p.stuck); !errors.Is(err, errKilled) {
		t.Errorf("within 16 MiB: %v, want %v", err, errKilled)
	}
	p.limit = p.bound()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := p.round(ctx, p.stuck); err == nil || errors.Is(err, errKilled) {
		t.Errorf("of nodes that we have killed: %v", err)
	}
}
