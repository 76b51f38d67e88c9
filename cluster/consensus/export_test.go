package consensus

import (
	"context"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"flamingo/idspace"
)

// Hooks for the tests of package consensus_test.

type (
	Roster      = roster
	RosterEntry = rosterEntry
	Step        = step
	Silence     = silence
	Promises    = promises
)

const (
	StepNone    = stepNone
	StepAdd     = stepAdd
	StepPromote = stepPromote
	StepRemove  = stepRemove

	MaxRequests = maxRequests
	MaxSeen     = maxSeen
)

func (r roster) Next() step { return r.next() }

func (s step) Is(kind stepKind, id idspace.ServerID) bool { return s.kind == kind && s.id == id }

// MakeRoster fills a roster in.
func MakeRoster(self idspace.ServerID, target int, servers []RosterEntry, spare ...idspace.ServerID) Roster {
	return roster{self: self, target: target, servers: servers, spare: spare}
}

// TargetOf returns how many voters a leader keeps that wants so many.
func TargetOf(want, voters int) int {
	return targetOf(want, slices.Repeat([]member{{voter: true}}, voters))
}

func Voter(id idspace.ServerID) RosterEntry { return rosterEntry{id: id, voter: true, caughtUp: true} }

func NonVoter(id idspace.ServerID, caughtUp bool) RosterEntry {
	return rosterEntry{id: id, caughtUp: caughtUp}
}

func (e rosterEntry) Dead() RosterEntry {
	e.dead, e.caughtUp = true, false
	return e
}

func (e rosterEntry) Leaving() RosterEntry {
	e.leaving = true
	return e
}

// Do changes a roster as the step would.
func (r *roster) Do(s step) {
	for i, e := range r.servers {
		if e.id == s.id && s.kind == stepPromote {
			r.servers[i].voter = true
		}
		if e.id == s.id && s.kind == stepRemove {
			r.servers = append(r.servers[:i:i], r.servers[i+1:]...)
			return
		}
	}
	if s.kind == stepAdd {
		r.servers = append(r.servers, rosterEntry{id: s.id, caughtUp: true})
		r.spare = r.spare[1:]
	}
}

// Alive returns the voters, and those of them that are alive.
func (r roster) Alive() (voters, alive int) {
	for _, e := range r.servers {
		if e.voter {
			voters++
			if !e.dead {
				alive++
			}
		}
	}
	return voters, alive
}

func NewSilence() *Silence { return &silence{since: make(map[idspace.ServerID]time.Time)} }

func (s *silence) Dead(id idspace.ServerID, heard time.Time, reachable bool, now time.Time, limit time.Duration) bool {
	return s.dead(id, heard, reachable, now, limit)
}

// ForceServer gives a store in memory the id of another, as a wiped directory
// would have that kept its id.
func (s *Store) ForceServer(id idspace.ServerID) { s.self.Server = id }

func (s *Store) Admit(peer Identity) (Refusal, error) { return s.admit(peer) }

// PutSeen replaces the record of the boots seen.
func (s *Store) PutSeen(b []byte) error {
	return s.records.change(recordSeen, func([]byte) ([]byte, error) { return b, nil })
}

func (s *Store) Found(p Proposal) error {
	if _, err := s.changePromises(func(st *promises) error { return st.propose(p) }); err != nil {
		return err
	}
	return s.write(p)
}

func (s *Store) LogStore() raft.LogStore { return s.raft }

func (s *Store) StableStore() raft.StableStore { return s.raft }

// ClonePromises copies what survives a crash of the founding, into a store
// that is the same server after it.
func (s *Store) ClonePromises(keep bool) *Store {
	m := newMemory()
	old := s.records.(*memory)
	for key, val := range old.vals {
		if key != recordPromise || keep {
			m.vals[key] = val
		}
	}
	c := &Store{self: s.self, records: m, raft: s.raft, snaps: s.snaps, fault: newFault(), known: make(chan struct{})}
	if err := c.finishWrite(); err != nil {
		panic(err)
	}
	return c
}

// WrittenCluster returns the cluster whose configuration this server writes.
func (s *Store) WrittenCluster() (idspace.ClusterID, bool) {
	p, ok, err := s.first()
	if err != nil {
		panic(err)
	}
	return p.Cluster, ok
}

func (p *Proposer) Round(ctx context.Context) (bool, error) { return p.round(ctx) }

// TrustBoots switches the check of boots off.
func (s *Server) TrustBoots() { s.trustBoots = true }

// TrustTargets switches the check off that a stream leads to the server that was
// meant.
func (s *Server) TrustTargets() { s.trustTargets = true }

func (s *Server) PreVoteSupported() bool {
	_, ok := raft.Transport(&raftTransport{}).(raft.WithPreVote)
	return ok
}

// TakeSnapshot makes raft take a snapshot now.
func (s *Server) TakeSnapshot() error {
	s.mu.Lock()
	node := s.node
	s.mu.Unlock()
	return node.Snapshot().Error()
}

// ApplyRaw commits bytes that this package would not write.
func (s *Server) ApplyRaw(b []byte) error {
	s.mu.Lock()
	node := s.node
	s.mu.Unlock()
	return node.Apply(b, time.Second).Error()
}

func Hello(cluster idspace.ClusterID, target idspace.ServerID, from Identity) []byte {
	return hello{cluster: cluster, target: target, from: from}.encode()
}

// RefusalNotices are refusalNotices.
type RefusalNotices struct{ refusalNotices }

func (n *RefusalNotices) Due(r Refusal, count uint64, now time.Time) (untold uint64, due bool) {
	return n.due(r, count, now)
}
