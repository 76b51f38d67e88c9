//go:build linux

package main

import (
	"fmt"
	"slices"
	"strings"
)

// The designs.
const (
	ours   = "flamingo"
	keyed  = "flamingo, key"   // with TLS between the nodes
	before = "flamingo before" // of another commit
	limit  = "limit"
	nats   = "nats"
	redis  = "redis"
)

// A plan says how to start the two processes of a design, and a server between
// them.
type plan struct {
	name    string
	program []string
	server  func(addr string) []string // nil: none
}

// programs are what runs the designs.
type programs struct {
	self   string
	before string // meshbench of another commit; empty: none
	nats   string // natsmesh
	redis  string // redis-server
	key    string // file of a key
}

// plans returns the designs named, those that compare with another commit or all
// that can be had.
func (p programs) plans(names string) (all []plan, err error) {
	known := []plan{{name: ours, program: []string{p.self, "node"}}}
	if p.before != "" {
		return append(known, plan{name: before, program: []string{p.before, "node"}}), nil
	}
	known = append(known, plan{name: keyed, program: []string{p.self, "node", "-key", p.key}})
	known = append(known, plan{name: limit, program: []string{p.self, "link"}})
	if p.nats != "" {
		known = append(known, plan{name: nats, program: []string{p.nats}})
	}
	if p.redis != "" {
		known = append(known, plan{name: redis, program: []string{p.self, "redis"}, server: p.redisServer})
	}
	if names == "" {
		return known, nil
	}
	for name := range strings.SplitSeq(names, "+") {
		at := slices.IndexFunc(known, func(k plan) bool { return k.name == name })
		if at < 0 {
			return nil, fmt.Errorf("design %q: allowed are %s", name, listed(known))
		}
		all = append(all, known[at])
	}
	return all, nil
}

func listed(plans []plan) string {
	var names []string
	for _, p := range plans {
		names = append(names, p.name)
	}
	return strings.Join(names, " + ")
}

// redisServer is a Redis that keeps nothing and sends subscribers whatever they
// are behind.
func (p programs) redisServer(addr string) []string {
	host, port, _ := strings.Cut(addr, ":")
	return []string{
		p.redis, "--bind", host, "--port", port, "--save", "", "--appendonly", "no", "--loglevel", "warning",
		"--client-output-buffer-limit", "pubsub 0 0 0",
	}
}
