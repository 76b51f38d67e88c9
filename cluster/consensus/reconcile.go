package consensus

import (
	"context"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"flamingo/idspace"
)

// maxBehind is how many entries a server may lack and still be promoted: it
// gets them while the change commits.
const maxBehind = 64

// reconcile compares the voters with the candidates every so often and makes
// one change at a time, until ctx is done.
func (t *term) reconcile(ctx context.Context) {
	if t.s.cfg.Candidates == nil {
		return
	}
	tick := time.NewTicker(t.s.cfg.ReconcileEvery)
	defer tick.Stop()
	quiet := &silence{since: make(map[idspace.ServerID]time.Time)}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		next := t.roster(quiet, time.Now()).next()
		if next.kind == stepNone {
			continue
		}
		t.s.log.Info("voters change", "change", next.kind.String(), "peer", next.id)
		if err := t.take(ctx, next); err != nil && ctx.Err() == nil {
			t.s.log.Warn("voters did not change", "change", next.kind.String(), "peer", next.id, "error", err)
		}
	}
}

func (t *term) take(ctx context.Context, next step) error {
	return t.change(ctx, func(n *raft.Raft) raft.Future {
		id, addr := raftID(next.id), raftAddress(next.id)
		switch next.kind {
		case stepAdd:
			return n.AddNonvoter(id, addr, 0, enqueueTimeout)
		case stepPromote:
			return n.AddVoter(id, addr, 0, enqueueTimeout)
		case stepRemove:
			return n.RemoveServer(id, 0, enqueueTimeout)
		case stepNone:
		}
		panic("consensus: no step to take")
	})
}

func (t *term) roster(quiet *silence, now time.Time) roster {
	candidates := make(map[idspace.ServerID]Candidate)
	for _, c := range t.s.cfg.Candidates() {
		candidates[c.Server] = c
	}
	all := members(t.node)
	r := roster{self: t.s.self.Server, target: targetOf(t.s.cfg.Voters, all)}
	quiet.keep(all)
	for _, m := range all {
		heard := t.s.contacts.of(m.id)
		c, known := candidates[m.id]
		r.servers = append(r.servers, rosterEntry{
			id:       m.id,
			voter:    m.voter,
			caughtUp: now.Sub(heard.at) <= t.s.cfg.LeaseTimeout && heard.index+maxBehind >= t.node.LastIndex(),
			dead: m.id != r.self &&
				quiet.dead(m.id, heard.at, known && c.Reachable, now, t.s.cfg.DeadAfter),
			leaving: known && c.Reachable && !c.WantsVote,
		})
		delete(candidates, m.id)
	}
	for id, c := range candidates {
		if c.Reachable && c.WantsVote {
			r.spare = append(r.spare, id)
		}
	}
	slices.SortFunc(r.spare, compareServers)
	return r
}
