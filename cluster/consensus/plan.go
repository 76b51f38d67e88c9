package consensus

import (
	"slices"
	"time"

	"flamingo/idspace"
)

// roster is what the leader knows when it decides about the voters. Its
// methods are pure.
type roster struct {
	self    idspace.ServerID
	target  int // 1, 3 or 5
	servers []rosterEntry
	spare   []idspace.ServerID // reachable, want a vote, not in servers; ascending
}

type rosterEntry struct {
	id    idspace.ServerID
	voter bool

	caughtUp bool // holds nearly all entries and was heard just now
	dead     bool // silent for DeadAfter, and the mesh does not reach it either
	leaving  bool // the mesh reaches it and it wants no vote
}

// step is one change of the configuration; at most one is under way.
type step struct {
	kind stepKind
	id   idspace.ServerID
}

type stepKind uint8

const (
	stepNone stepKind = iota
	stepAdd
	stepPromote
	stepRemove
)

func (k stepKind) String() string {
	return [...]string{"none", "add", "promote", "remove"}[k]
}

// targetOf is the number of voters to keep: as many as this leader wants, or as
// there are, if that is more. Leaders that want different numbers would
// otherwise undo each other's changes for ever.
func targetOf(want int, all []member) int {
	voters := 0
	for _, m := range all {
		if m.voter {
			voters++
		}
	}
	settled := (voters - 1) | 1 // an even number is on its way from the odd one below
	return max(want, min(settled, MaxProposalServers))
}

// next returns what to do now. Even numbers of voters occur only on the way:
//
//	1 → 3, 3 → 5  begins when enough non-voters have caught up to end it
//	replacement   the new voter first, then the dead one goes
//	too many      the dead, the leaving, the highest go, while a majority of
//	              the rest is alive
func (r roster) next() step {
	voters, others := r.split()
	gone := r.replaceable(voters)
	spareGone := len(voters)%2 == 0 && len(voters) > 2 && len(gone) > 0
	if len(voters) > r.target || spareGone {
		if id, ok := r.removable(voters, gone); ok {
			return step{stepRemove, id}
		}
	}
	if s := r.promotion(voters, others, len(gone)); s.kind != stepNone {
		return s
	}
	return r.nonVoters(voters, others, len(gone))
}

func (r roster) split() (voters, others []rosterEntry) {
	for _, e := range r.servers {
		if e.voter {
			voters = append(voters, e)
		} else {
			others = append(others, e)
		}
	}
	return voters, others
}

// replaceable returns the voters that are dead, then those that leave.
func (r roster) replaceable(voters []rosterEntry) []idspace.ServerID {
	var dead, leaving []idspace.ServerID
	for _, e := range voters {
		switch {
		case e.id == r.self:
		case e.dead:
			dead = append(dead, e.id)
		case e.leaving:
			leaving = append(leaving, e.id)
		}
	}
	return append(dead, leaving...)
}

// removable returns the voter to take out, if a majority of those that stay
// is alive.
func (r roster) removable(voters []rosterEntry, gone []idspace.ServerID) (idspace.ServerID, bool) {
	var id idspace.ServerID
	if len(gone) > 0 {
		id = gone[0]
	} else {
		for _, e := range voters {
			if e.id != r.self {
				id = e.id // the highest
			}
		}
	}
	alive := 0
	for _, e := range voters {
		if e.id != id && !e.dead {
			alive++
		}
	}
	return id, !id.IsZero() && alive >= (len(voters)-1)/2+1
}

func (r roster) promotion(voters, others []rosterEntry, gone int) step {
	var ready []idspace.ServerID
	for _, e := range others {
		if e.caughtUp && !e.dead && !e.leaving {
			ready = append(ready, e.id)
		}
	}
	need := 1 // ends a change that is under way, or begins a replacement
	if len(voters)%2 == 1 && len(voters) < r.target {
		need = 2
		if gone > 0 {
			need = 1
		}
	}
	wanted := len(voters) < r.target || gone > 0 && len(voters) == r.target
	if !wanted || len(ready) < need {
		return step{}
	}
	return step{stepPromote, ready[0]}
}

// nonVoters keeps as many non-voters as could be promoted, and drops the dead
// and the superfluous.
func (r roster) nonVoters(voters, others []rosterEntry, gone int) step {
	want := max(r.target-len(voters), 0) + gone
	var usable []idspace.ServerID
	for _, e := range others {
		if e.dead || e.leaving {
			return step{stepRemove, e.id}
		}
		usable = append(usable, e.id)
	}
	switch {
	case len(usable) > want:
		return step{stepRemove, usable[len(usable)-1]}
	case len(usable) < want && len(r.spare) > 0:
		return step{stepAdd, r.spare[0]}
	}
	return step{}
}

// silence tells dead servers from others, by when each was last heard.
type silence struct {
	since map[idspace.ServerID]time.Time // cleared with each term
}

// dead reports whether a server was neither heard nor reachable for limit.
func (s *silence) dead(id idspace.ServerID, heard time.Time, reachable bool, now time.Time, limit time.Duration) bool {
	last, ok := s.since[id]
	switch {
	case !ok || reachable:
		last = now
	case heard.After(last):
		last = heard
	}
	s.since[id] = last
	return now.Sub(last) >= limit
}

// keep forgets servers that are no longer members.
func (s *silence) keep(all []member) {
	for id := range s.since {
		if !slices.ContainsFunc(all, func(m member) bool { return m.id == id }) {
			delete(s.since, id)
		}
	}
}
