package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// How bad a finding is: the exit codes of flamingo check, as Nagios has them.
const (
	levelOK = iota
	levelWarning
	levelCritical
)

var levelNames = [...]string{"ok", "warning", "critical"}

// Where findings begin: as the alert rules in docs/monitoring have it.
const (
	nearlyFull    = 0.9 // of the bound of the connections
	untakenCloses = 0.5 // of the same
	fewSerials    = 0.1 // of those of one number
	clockOff      = 1.0 // seconds
	numbersAhead  = 60  // seconds of ticks
)

// serialsOfNumber is how many ids one node number has: 28 bits, without 0.
const serialsOfNumber = 1<<28 - 1

// A finding is something about a cluster that somebody should know, and what to
// do about it.
type finding struct {
	Level  int    `json:"-"`
	Name   string `json:"level"`
	Node   string `json:"node,omitempty"` // which it is about; empty for the cluster
	What   string `json:"what"`
	Advice string `json:"advice,omitempty"`
}

// findings returns what is wrong with a cluster, the worst first.
func (s *survey) findings() []finding {
	var all []finding
	add := func(level int, node, what, advice string) {
		all = append(all, finding{level, levelNames[level], node, what, advice})
	}
	s.findNodes(add)
	s.findQuorum(add)
	for i := range s.Nodes {
		if n := &s.Nodes[i]; n.counted() {
			n.findOwn(add)
		}
	}
	return worstFirst(all)
}

// worstFirst sorts them by level, and leaves those of one level in their order.
func worstFirst(all []finding) []finding {
	slices.SortStableFunc(all, func(a, b finding) int { return b.Level - a.Level })
	return all
}

// A report takes one finding.
type report func(level int, node, what, advice string)

// findNodes finds those that are lost, going, or silent.
func (s *survey) findNodes(add report) {
	for i := range s.Nodes {
		n := &s.Nodes[i]
		switch {
		case n.State == stateAbsent:
			add(levelCritical, n.label(), "was lost and has not come back; sends to its ids answer unreachable",
				"start it again, or give it up: flamingo nodes retire "+n.Number)
			continue
		case n.State == "draining":
			add(levelWarning, n.label(), fmt.Sprintf("drains: %s left", plural(int(n.Samples.sum("connections")), "connection")), "")
		case n.State == "joining":
			add(levelWarning, n.label(), "joins, and accepts no client yet", "/readyz of the node says what it waits for")
		}
		if !n.counted() {
			add(levelWarning, n.label(), "cannot be asked: "+printable(n.Missing), "look at it from its own machine, or start it with --admin and --token-file")
		}
	}
}

// findQuorum finds whether numbers can be granted. Whoever stands alone grants
// its own.
func (s *survey) findQuorum(add report) {
	voters, led := 0, false
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if n.role() == "voter" {
			voters++
			led = led || n.Samples.sum("raft_has_leader") > 0
		}
	}
	if voters > 0 && !led {
		add(levelCritical, "", "no leader: no majority of the voters is in contact, so no node gets a number; clients are served as before",
			"start the voters that are missing")
	}
}

// findOwn finds what the node itself counts.
func (n *surveyed) findOwn(add report) {
	m := &n.Samples
	if peers := m.labelled("mesh_peer_unreachable", "peer"); len(peers) > 0 {
		add(levelCritical, n.label(), "does not reach "+printable(strings.Join(peers, ", ")), "look at the network between them: the port between nodes, TCP and UDP")
	}
	conns, limit := m.sum("connections"), m.sum("connections_limit")
	if limit > 0 && conns > nearlyFull*limit {
		add(levelWarning, n.label(), fmt.Sprintf("has %.0f connections of at most %.0f", conns, limit), "add a node, or raise --max-conns and the limit of open files")
	}
	if waiting := m.sum("closes_waiting"); limit > 0 && waiting > untakenCloses*limit {
		add(levelWarning, n.label(), fmt.Sprintf("holds %.0f closes that the program has not taken", waiting), "take them, or set Opts.Ignore")
	}
	if left := m.sum("idspace_remaining_ids"); m.sum("idspace_number_wanted") > 0 && left < fewSerials*serialsOfNumber {
		add(levelCritical, n.label(), fmt.Sprintf("has %.0f ids left and is granted no further number", left), "see whether the voters have a leader")
	}
	if off := m.sum("clock_ahead_seconds"); math.Abs(off) > clockOff {
		add(levelWarning, n.label(), fmt.Sprintf("has a clock that is off by %.1f s", off), "look at its time service")
	}
	if ahead := m.sum("idspace_ahead_ticks") / ticksPerSecond; ahead > numbersAhead {
		add(levelWarning, n.label(), fmt.Sprintf("sees numbers that are %.0f s ahead of its clock", ahead), "look at the clocks of the voters")
	}
}

// ticksPerSecond is how many node numbers a second has.
const ticksPerSecond = 16

// worst returns the level of the worst.
func worst(all []finding) int {
	level := levelOK
	for _, f := range all {
		level = max(level, f.Level)
	}
	return level
}
