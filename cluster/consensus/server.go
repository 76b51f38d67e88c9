package consensus

import (
	"cmp"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"

	"flamingo/idspace"
)

// Server is one server of the raft group. It grants numbers while it leads,
// and keeps the record of them otherwise.
type Server struct {
	// immutable
	cfg   Config
	store *Store
	self  Identity
	log   *slog.Logger

	// stop ends Run with its error.
	stop     *fault
	contacts *contacts

	refused   [refusals]atomic.Uint64 // streams we refused
	notices   refusalNotices          // of those
	refusedUs [refusals]atomic.Uint64 // streams that peers refused us

	// trustBoots switches the check of boots off, for a test that shows what
	// it is good for.
	trustBoots bool

	// trustTargets switches the check off that a stream leads to the server that
	// was meant, for the same purpose.
	trustTargets bool

	// written by Run before any stream or raft exists
	cluster idspace.ClusterID

	waiters sync.WaitGroup // goroutines that wait for an answer of raft

	mu      sync.Mutex
	closing bool // no waiter may be added
	phase   Phase
	err     error         // of Run
	node    *raft.Raft    // nil before raft runs
	fsm     *fsm          // likewise
	term    *term         // nil unless this server leads and serves
	changed chan struct{} // closed and replaced at each change
}

// New returns a Server. It starts nothing. A store serves one Server: open it
// anew for the next.
func New(cfg Config) (*Server, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("consensus: config: %w", err)
	}
	self := cfg.Store.Identity()
	return &Server{
		cfg:      cfg,
		store:    cfg.Store,
		self:     self,
		log:      cfg.Logger.With("server", self.Server),
		stop:     newFault(),
		contacts: newContacts(),
		changed:  make(chan struct{}),
	}, nil
}

// Phase is how far the life of a Server has come.
type Phase uint8

// The phases, in order; Stopped is final.
const (
	Waiting Phase = iota // for Run, then for a cluster id
	Running
	Stopped
)

// String returns the phase in a word.
func (p Phase) String() string {
	switch p {
	case Waiting:
		return "waiting"
	case Running:
		return "running"
	case Stopped:
		return "stopped"
	}
	return fmt.Sprintf("phase %d", uint8(p))
}

// State is what a Server is doing; a snapshot.
type State struct {
	Identity Identity
	Phase    Phase
	Err      error // why it stopped or is about to; nil after an orderly stop

	Cluster idspace.ClusterID // zero while waiting for one
	Leader  idspace.ServerID  // zero: none known, so there may be no quorum
	Leading bool
	Serving bool // it leads and answers requests

	Term      uint64
	Index     uint64 // of the last entry in the log
	Applied   uint64
	Voters    []idspace.ServerID // ascending
	NonVoters []idspace.ServerID // ascending

	Last idspace.NodeNumber // granted last, as far as applied here

	// Ahead is Last less the tick of this machine's clock: how far numbers
	// run ahead of time, usually negative.
	Ahead int64

	Refused   map[Refusal]uint64 // streams this server refused
	RefusedBy map[Refusal]uint64 // streams that peers refused it
}

// TakesPart reports whether the server runs and nothing has ended that, nor is about
// to. Only then is what it is in Voters or NonVoters what it does.
func (st *State) TakesPart() bool { return st.Phase == Running && st.Err == nil }

// State describes the server at this moment.
func (s *Server) State() State {
	s.mu.Lock()
	st := State{Identity: s.self, Phase: s.phase, Err: s.err, Serving: s.term != nil}
	node, fsm := s.node, s.fsm
	s.mu.Unlock()
	if st.Phase != Stopped {
		st.Err = cmp.Or(s.store.Err(), s.stop.get())
	}

	st.Refused, st.RefusedBy = counts(&s.refused), counts(&s.refusedUs)
	if node == nil {
		return st
	}
	st.Cluster = fsm.cluster
	st.Last = fsm.last()
	st.Ahead = int64(st.Last) - int64(idspace.TickAt(s.cfg.Now()))
	st.Term, st.Index, st.Applied = node.CurrentTerm(), node.LastIndex(), node.AppliedIndex()
	if st.Phase == Running {
		_, leader := node.LeaderWithID()
		st.Leader = fromRaft(leader)
		st.Leading = node.State() == raft.Leader
	}
	for _, m := range members(node) {
		if m.voter {
			st.Voters = append(st.Voters, m.id)
		} else {
			st.NonVoters = append(st.NonVoters, m.id)
		}
	}
	return st
}

func counts(from *[refusals]atomic.Uint64) map[Refusal]uint64 {
	m := make(map[Refusal]uint64)
	for r := range from {
		if n := from[r].Load(); n > 0 {
			m[Refusal(r)] = n
		}
	}
	return m
}

// Changed returns a channel that is closed when State or Lives may have
// changed. Ask for it before looking, so that no change is missed.
func (s *Server) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

func (s *Server) announce() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
}

// Lives returns the last number granted and the lives that have not ended, as
// far as applied here. They are the caller's.
func (s *Server) Lives() (idspace.NodeNumber, []idspace.Life) {
	s.mu.Lock()
	f := s.fsm
	s.mu.Unlock()
	if f == nil {
		return 0, nil
	}
	return f.lives()
}

// Retired returns the numbers of the lives that were retired last. Of lives that
// Lives, called before, does not have, it has those that were retired. The slice
// is the caller's.
func (s *Server) Retired() []idspace.NodeNumber {
	s.mu.Lock()
	f := s.fsm
	s.mu.Unlock()
	if f == nil {
		return nil
	}
	return f.retired()
}

// Last returns the last number granted, as far as applied here.
func (s *Server) Last() idspace.NodeNumber {
	s.mu.Lock()
	f := s.fsm
	s.mu.Unlock()
	if f == nil {
		return 0
	}
	return f.last()
}
