package consensus

import (
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"flamingo/idspace"
)

const (
	// streamPool is how many idle streams to a peer are kept: heartbeats and
	// entries each use one.
	streamPool = 3

	// rpcsInFlight 1 turns pipelining off, which can wedge replication; there
	// are a handful of entries a minute.
	rpcsInFlight = 1
)

// raftTransport is raft's own transport on our streams. It also notes what
// followers answer, which raft does not tell otherwise.
type raftTransport struct {
	*raft.NetworkTransport
	contacts *contacts
}

func newRaftTransport(s *Server, layer *streams) *raftTransport {
	return &raftTransport{
		NetworkTransport: raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
			Stream:          layer,
			MaxPool:         streamPool,
			MaxRPCsInFlight: rpcsInFlight,
			Timeout:         s.cfg.RPCTimeout,
			Logger:          newHclog(s.log),
		}),
		contacts: s.contacts,
	}
}

// AppendEntries implements [raft.Transport].
func (t *raftTransport) AppendEntries(id raft.ServerID, target raft.ServerAddress,
	args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse,
) error {
	err := t.NetworkTransport.AppendEntries(id, target, args, resp)
	if err == nil {
		t.contacts.note(fromRaft(id), resp)
	}
	return err
}

// contacts is what the leader last heard of each server it replicates to:
// never more than are in raft's configuration, and cleared with each term.
type contacts struct {
	mu   sync.Mutex
	from map[idspace.ServerID]contact
}

type contact struct {
	at    time.Time // of the last answer
	index uint64    // the last entry it has said to hold
}

func newContacts() *contacts { return &contacts{from: make(map[idspace.ServerID]contact)} }

func (c *contacts) note(id idspace.ServerID, resp *raft.AppendEntriesResponse) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := contact{at: time.Now(), index: c.from[id].index}
	if resp.Success {
		now.index = resp.LastLog
	}
	c.from[id] = now
}

func (c *contacts) of(id idspace.ServerID) contact {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.from[id]
}

func (c *contacts) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.from)
}

var (
	_ raft.Transport   = (*raftTransport)(nil)
	_ raft.WithPreVote = (*raftTransport)(nil)
	_ raft.WithClose   = (*raftTransport)(nil)
)
