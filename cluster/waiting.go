package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"flamingo/idspace"
)

// What is waited for is logged after waitQuiet, and again after pauses that
// double up to waitSeldom.
const (
	waitQuiet  = 3 * time.Second
	waitSeldom = time.Minute
	waitLook   = time.Second
)

// namesShown bounds the names in one line.
const namesShown = 8

// reportWaiting tells and logs what this node waits for, until ctx is done.
func (c *Cluster) reportWaiting(ctx context.Context) error {
	since, every := time.Now(), waitQuiet
	told := ""
	for ctx.Err() == nil {
		pause(ctx, waitLook)
		why := c.Waiting()
		if why != told {
			c.cfg.Waiting(why)
			told = why
		}
		switch {
		case why == "":
			since, every = time.Now(), waitQuiet
		case time.Since(since) >= every:
			c.cfg.Logger.Warn("waiting", "for", why)
			since, every = time.Now(), min(2*every, waitSeldom)
		}
	}
	return nil
}

// Waiting says what this node waits for before it has a number, or its next
// one, whom it sees, and what to type if that is not what was meant. It is
// empty when the node does not wait.
func (c *Cluster) Waiting() string {
	switch {
	case !c.asking.now.Load() && c.asking.ordinal.Load() > 0:
		return ""
	case c.cluster().IsZero():
		return c.waitsForCluster()
	}
	return c.waitsForNumber()
}

// waitsForCluster names a promise first: with or without --expect, whatever else
// is missing, it holds until its proposer has founded a cluster or given up.
func (c *Cluster) waitsForCluster() string {
	blank := c.blank()
	held, err := c.seat().store.Held()
	promised := err == nil && !held.IsZero() && held.Proposer != c.seat().store.Identity().Server
	_, seen := c.dir.bootOf(held.Proposer)
	switch missing := c.cfg.Expect - 1 - len(blank); {
	case promised && seen:
		return fmt.Sprintf("server %v to found the cluster that this node has promised to join; %s", held.Proposer, c.sees(blank))
	case promised:
		return fmt.Sprintf("server %v, which is not seen, to found the cluster that this node has promised to join; %s."+
			" If that server is lost for good, %s", held.Proposer, c.sees(blank), c.toForget())
	case c.cfg.Expect == 0:
		return fmt.Sprintf("a node that belongs to a cluster, at %s; %s. To found one, start this node and two others"+
			" with --expect 3, or this node alone with --expect 1", c.places(), c.sees(blank))
	case missing > 0:
		return fmt.Sprintf("%s without a cluster yet, started with --expect %d, to found one with, at %s; %s",
			count(missing, "more node"), c.cfg.Expect, c.places(), c.sees(blank))
	default:
		return fmt.Sprintf("the promises of %d nodes to found a cluster; %s", c.cfg.Expect, c.sees(blank))
	}
}

// toForget says how to give up a promise: one in memory goes with the node.
func (c *Cluster) toForget() string {
	if c.cfg.Dir == "" {
		return "start this node again"
	}
	return "stop this node and, before it starts again: flamingo raft forget-promise --data " + c.cfg.Dir
}

func (c *Cluster) waitsForNumber() string {
	st := c.State()
	members := c.names(func(id idspace.ClusterID) bool { return !id.IsZero() })
	switch own := st.Identity.Server; {
	case st.Err != nil:
		return fmt.Sprintf("a leader of cluster %v, and takes no part in electing one: %v; %s", c.cluster(), st.Err, c.sees(members))
	case st.Leader.IsZero() && slices.Contains(st.Voters, own):
		return fmt.Sprintf("a majority of the %d voters of cluster %v, of which %d are there; %s",
			len(st.Voters), c.cluster(), c.votersPresent(st.Voters), c.sees(members))
	case len(members) == 0 && st.Leader.IsZero():
		return fmt.Sprintf("a member of cluster %v, to which this node belongs, at %s; %s", c.cluster(), c.places(), c.sees(members))
	}
	why := ""
	if err := c.asking.last(); err != nil {
		why = fmt.Sprintf(" (%v)", err)
	}
	return fmt.Sprintf("the leader of cluster %v to grant a number%s; %s", c.cluster(), why, c.sees(members))
}

func (c *Cluster) votersPresent(voters []idspace.ServerID) (n int) {
	own := c.seat().store.Identity().Server
	for _, server := range voters {
		if _, ok := c.dir.bootOf(server); ok || server == own {
			n++
		}
	}
	return n
}

// blank returns the names of the other nodes without a cluster.
func (c *Cluster) blank() []string { return c.names(idspace.ClusterID.IsZero) }

// names returns those of the other members whose cluster is as asked, sorted.
func (c *Cluster) names(with func(idspace.ClusterID) bool) (names []string) {
	for _, m := range c.dir.others(c.boot) {
		if with(m.Meta.Cluster) {
			names = append(names, m.Meta.Name)
		}
	}
	slices.Sort(names)
	return names
}

func (c *Cluster) sees(names []string) string {
	more := ""
	if len(names) > namesShown {
		more = fmt.Sprintf(" and %d more", len(names)-namesShown)
	}
	if len(names) == 0 {
		return "sees nobody"
	}
	return "sees " + strings.Join(names[:min(len(names), namesShown)], ", ") + more
}

// places are where this node looks for others.
func (c *Cluster) places() string {
	if len(c.cfg.Join) == 0 {
		return "no place: no --join is given"
	}
	return strings.Join(c.cfg.Join, ", ")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
