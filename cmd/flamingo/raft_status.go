package main

import (
	"context"
	"encoding/json"
	"fmt"
)

// raftStatusCommand shows the voters, and how far each is.
type raftStatusCommand struct {
	apiFlags
}

// Help is the end of the help text.
func (*raftStatusCommand) Help() string {
	return `Raft grants the node numbers and nothing else: no message waits for it. A node that is outside asks the leader.`
}

// raftServer is a node of the cluster as raft has it.
type raftServer struct {
	Node    string `json:"node"`
	Number  string `json:"number"`
	Role    string `json:"role"`
	Leader  bool   `json:"leader"`
	Term    int64  `json:"term"`
	Log     int64  `json:"log_index"`     // of its last entry
	Applied int64  `json:"applied_index"` // of the last that was applied
	Behind  int64  `json:"behind"`        // entries that the leader has applied and it has not
	Missing string `json:"missing,omitempty"`
}

// Run prints them. Without a leader the exit code is 4: no number is granted.
func (c *raftStatusCommand) Run(ctx context.Context, con *console) error {
	s, body, err := c.survey(ctx)
	if err != nil {
		return c.failed(con, body, err)
	}
	servers := s.servers()
	if c.JSON {
		err = json.NewEncoder(con.out).Encode(map[string]any{"servers": servers})
	} else {
		err = printTable(con.out, serverTable(servers))
	}
	if err != nil {
		return err
	}
	if s.leader() == nil {
		return unreachable{fmt.Errorf("no leader is known: %s", s.whyNoLeader())}
	}
	return nil
}

// whyNoLeader says what there is in place of one.
func (s *survey) whyNoLeader() string {
	if len(s.Nodes) == 1 && s.Nodes[0].counted() && s.Nodes[0].role() == "" {
		return "the node stands alone, and takes its numbers from its clock"
	}
	return "no majority of the voters is in contact, or the leader cannot be asked; flamingo status says more"
}

func (s *survey) servers() []raftServer {
	var applied int64
	if leader := s.leader(); leader != nil {
		applied = int64(leader.Samples.sum("raft_applied_index"))
	}
	list := []raftServer{}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		m := &n.Samples
		v := raftServer{
			Node: n.Name, Number: n.Number, Role: n.role(), Leader: n.leads(), Missing: n.Missing,
			Term: int64(m.sum("raft_term")), Log: int64(m.sum("raft_log_index")), Applied: int64(m.sum("raft_applied_index")),
		}
		if v.isServer() {
			v.Behind = max(0, applied-v.Applied)
		}
		list = append(list, v)
	}
	return list
}

// isServer reports whether the node has a log of its own.
func (v *raftServer) isServer() bool { return v.Role == "voter" || v.Role == "nonvoter" }

func serverTable(servers []raftServer) [][]string {
	rows := [][]string{{"NODE", "NUMBER", "ROLE", "TERM", "LOG", "APPLIED", "BEHIND"}}
	for _, v := range servers {
		row := []string{v.Node, v.Number, v.Role, "", "", "", ""}
		switch {
		case v.Missing != "":
			row[2] = "not asked: " + v.Missing
		case v.Leader:
			row[2] = "leader"
		}
		if v.isServer() {
			row[3], row[4], row[5], row[6] = grouped(v.Term), grouped(v.Log), grouped(v.Applied), grouped(v.Behind)
		}
		rows = append(rows, row)
	}
	return rows
}
