package consensus

import (
	"context"
	"fmt"
	"slices"

	"github.com/hashicorp/raft"

	"flamingo/idspace"
)

// member is a server in raft's configuration.
type member struct {
	id    idspace.ServerID
	voter bool
}

// members returns raft's latest configuration, ascending.
func members(node *raft.Raft) []member {
	f := node.GetConfiguration()
	if f.Error() != nil {
		return nil
	}
	var all []member
	for _, srv := range f.Configuration().Servers {
		all = append(all, member{id: fromRaft(srv.ID), voter: srv.Suffrage == raft.Voter})
	}
	slices.SortFunc(all, func(a, b member) int { return compareServers(a.id, b.id) })
	return all
}

// AddNonVoter has the leader send the log to a server, which has no vote yet.
// A server that has one keeps it. Errors of the three are as for Grant; each
// can be repeated.
func (s *Server) AddNonVoter(ctx context.Context, id idspace.ServerID) error {
	return s.reconfigure(ctx, "add", func(n *raft.Raft) raft.Future {
		return n.AddNonvoter(raftID(id), raftAddress(id), 0, enqueueTimeout)
	})
}

// Promote gives a server a vote, whether it has caught up or not.
func (s *Server) Promote(ctx context.Context, id idspace.ServerID) error {
	return s.reconfigure(ctx, "promote", func(n *raft.Raft) raft.Future {
		return n.AddVoter(raftID(id), raftAddress(id), 0, enqueueTimeout)
	})
}

// Remove takes a server out. A leader that removes itself stops leading, and
// its Run returns ErrRemoved.
func (s *Server) Remove(ctx context.Context, id idspace.ServerID) error {
	return s.reconfigure(ctx, "remove", func(n *raft.Raft) raft.Future {
		return n.RemoveServer(raftID(id), 0, enqueueTimeout)
	})
}

func (s *Server) reconfigure(ctx context.Context, op string, change func(*raft.Raft) raft.Future) error {
	t, err := s.leading()
	if err == nil {
		err = t.change(ctx, change)
	}
	if err != nil {
		return fmt.Errorf("consensus: %s server: %w", op, err)
	}
	return nil
}

func (t *term) change(ctx context.Context, change func(*raft.Raft) raft.Future) error {
	if err := t.s.await(ctx, func() raft.Future { return change(t.node) }); err != nil {
		return raftError(err)
	}
	return nil
}

// Leave makes ready for an orderly stop: a leader hands over to another voter,
// and a server in memory, which never comes back, leaves the configuration as
// well. The mesh must still be running. After an error the stop is safe all
// the same; others then find out later.
func (s *Server) Leave(ctx context.Context) error {
	if err := s.leave(ctx); err != nil {
		return fmt.Errorf("consensus: leave: %w", err)
	}
	return nil
}

// HandOver has another voter lead, if this server does and there is one. The server
// stays what it is, a voter that can be elected again.
func (s *Server) HandOver(ctx context.Context) error {
	if _, err := s.handOver(ctx); err != nil {
		return fmt.Errorf("consensus: hand over: %w", err)
	}
	return nil
}

// handOver returns the node that does not lead any more, nil if there is nobody to
// hand over to.
func (s *Server) handOver(ctx context.Context) (*raft.Raft, error) {
	s.mu.Lock()
	phase, node := s.phase, s.node
	s.mu.Unlock()
	if phase != Running {
		return nil, nil //nolint:nilnil // nothing is to be done
	}
	in, others := false, false
	for _, m := range members(node) {
		in = in || m.id == s.self.Server
		others = others || m.id != s.self.Server && m.voter
	}
	if !in || !others {
		return nil, nil //nolint:nilnil // nothing is to be done
	}
	if node.State() == raft.Leader {
		if err := s.await(ctx, func() raft.Future { return node.LeadershipTransfer() }); err != nil {
			return nil, err
		}
	}
	return node, nil
}

func (s *Server) leave(ctx context.Context) error {
	node, err := s.handOver(ctx)
	if node == nil || err != nil {
		return err
	}
	if s.store.Durable() || s.cfg.AskRemoval == nil {
		return nil
	}
	leader, err := s.otherLeader(ctx, node)
	if err != nil {
		return err
	}
	return s.cfg.AskRemoval(ctx, leader)
}

// otherLeader waits until another server leads.
func (s *Server) otherLeader(ctx context.Context, node *raft.Raft) (idspace.ServerID, error) {
	for {
		changed := s.Changed()
		_, id := node.LeaderWithID()
		if leader := fromRaft(id); !leader.IsZero() && leader != s.self.Server {
			return leader, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return idspace.ServerID{}, ctx.Err()
		}
	}
}
