package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// statusCommand shows a cluster on one screen.
type statusCommand struct {
	apiFlags
}

// Help is the end of the help text.
func (*statusCommand) Help() string {
	return `The node at --addr lists the nodes, and each of them is asked at its own admin address, with the same token. ` +
		`What is wrong comes first, with what to do about it. The exit code is 0 whatever is found: flamingo check ` +
		`is for scripts.`
}

// statusNode is a node as status prints it in JSON.
type statusNode struct {
	Name      string  `json:"name"`
	Number    string  `json:"number"`
	State     string  `json:"state"`
	Role      string  `json:"role,omitempty"`
	Leader    bool    `json:"leader,omitempty"`
	Clients   int64   `json:"connections"`
	Groups    int64   `json:"groups"`
	Unwritten int64   `json:"send_queue_bytes"`
	Began     float64 `json:"began_unix_seconds,omitempty"`
	Version   string  `json:"version,omitempty"`
	Missing   string  `json:"missing,omitempty"`
}

// Run prints what is wrong, then a summary, then the nodes.
func (c *statusCommand) Run(ctx context.Context, con *console) error {
	s, body, err := c.survey(ctx)
	if err != nil {
		return c.failed(con, body, err)
	}
	found := s.findings()
	if c.JSON {
		return json.NewEncoder(con.out).Encode(map[string]any{
			"level": levelNames[worst(found)], "findings": orEmpty(found), "nodes": s.rows(),
		})
	}
	printFindings(con.out, found)
	fmt.Fprintln(con.out, strings.Join(s.summary(), "\n"))
	fmt.Fprintln(con.out)
	if err := printTable(con.out, s.table()); err != nil {
		return err
	}
	if isTerminal(con.out) {
		fmt.Fprintln(con.talk, hint(con.talk, "next: "+c.again("top")))
	}
	return nil
}

// orEmpty is a list that JSON shows as one even if it has nothing.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// printFindings prints what is wrong, a line each, below it what to do.
func printFindings(w io.Writer, found []finding) {
	for _, f := range found {
		about := f.Node
		if about == "" {
			about = "cluster"
		}
		fmt.Fprintf(w, "%-8s  %s %s\n", f.Name, about, f.What)
		if f.Advice != "" {
			fmt.Fprintf(w, "          %s\n", f.Advice)
		}
	}
	if len(found) > 0 {
		fmt.Fprintln(w)
	}
}

// summary is the cluster in words.
func (s *survey) summary() []string {
	states := make(map[string]int)
	voters := 0
	for i := range s.Nodes {
		states[s.Nodes[i].State]++
		if s.Nodes[i].role() == "voter" {
			voters++
		}
	}
	parts := []string{plural(len(s.Nodes), "node")}
	for _, state := range []string{"ready", "joining", "draining", stateAbsent} {
		if states[state] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", states[state], state))
		}
	}
	lines := []string{"nodes     " + strings.Join(parts, " · ")}
	if leader := s.leader(); leader != nil {
		lines = append(lines, fmt.Sprintf("numbers   granted by %s · %s · term %.0f", leader.label(), plural(voters, "voter"), leader.Samples.sum("raft_term")))
	} else if voters == 0 && len(s.Nodes) == 1 && s.Nodes[0].counted() {
		lines = append(lines, "numbers   its own: the node stands alone")
	} else {
		lines = append(lines, "numbers   no leader is known")
	}
	return append(lines,
		fmt.Sprintf("clients   %s · %s in groups · %s waits to be written",
			grouped(int64(s.total("connections"))), plural(int(s.total("group_memberships")), "membership"), count(uint64(s.total("send_queue_bytes")))),
		fmt.Sprintf("messages  %s received · %s written · %s dropped",
			grouped(int64(s.total("client_received_messages_total"))), grouped(int64(s.total("client_sent_messages_total"))), grouped(int64(s.total("messages_dropped_total")))),
	)
}

// rows are the nodes as JSON has them.
func (s *survey) rows() []statusNode {
	rows := make([]statusNode, 0, len(s.Nodes))
	for i := range s.Nodes {
		n := &s.Nodes[i]
		rows = append(rows, statusNode{
			Name: n.Name, Number: n.Number, State: n.State, Role: n.role(), Leader: n.leads(), Version: n.Version, Missing: n.Missing,
			Clients: int64(n.Samples.sum("connections")), Groups: int64(n.Samples.sum("groups")),
			Unwritten: int64(n.Samples.sum("send_queue_bytes")), Began: n.Samples.sum("node_life_began_timestamp_seconds"),
		})
	}
	return rows
}

// table are the nodes for people.
func (s *survey) table() [][]string {
	rows := [][]string{{"NODE", "NUMBER", "STATE", "ROLE", "CLIENTS", "QUEUED", "RTT", "UP", "VERSION"}}
	for i, row := range s.rows() {
		n := &s.Nodes[i]
		cells := []string{n.label(), n.Number, n.State, roleText(row), "", "", rttText(n.RTT), "", n.Version}
		if n.counted() {
			cells[4], cells[5] = grouped(row.Clients), count(uint64(row.Unwritten))
			cells[7] = span(s.At.Sub(time.UnixMilli(int64(row.Began * 1000))))
		}
		rows = append(rows, cells)
	}
	return rows
}

func roleText(n statusNode) string {
	if n.Leader {
		return "leader"
	}
	return n.Role
}

// rttText is a round trip in microseconds for a table; nothing if there was none.
func rttText(us int64) string {
	if us <= 0 {
		return ""
	}
	return micros(float64(us))
}
