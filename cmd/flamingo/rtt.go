package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// rttCommand shows the round trips between nodes.
type rttCommand struct {
	apiFlags
}

// Help is the end of the help text.
func (*rttCommand) Help() string {
	return `Each node measures the round trips of its own links, smoothed, so that both directions are shown. A link is ` +
		`opened when one node has something for another one: without it there is none to measure, and -.`
}

// trip is what one node has measured to another.
type trip struct {
	From string `json:"from"`
	To   string `json:"to"`
	RTT  int64  `json:"rtt_us"` // 0: none was measured
}

// Run prints a row for each node, and a column for each that it measures.
func (c *rttCommand) Run(ctx context.Context, con *console) error {
	s, body, err := c.survey(ctx)
	if err != nil {
		return c.failed(con, body, err)
	}
	if c.JSON {
		return json.NewEncoder(con.out).Encode(map[string][]trip{"round_trips": s.trips()})
	}
	if err := printTable(con.out, s.tripTable()); err != nil {
		return err
	}
	for i := range s.Nodes {
		if n := &s.Nodes[i]; !n.counted() {
			fmt.Fprintf(con.talk, "flamingo: not asked: node %s: %s\n", n.label(), printable(n.Missing))
		}
	}
	return nil
}

// trips are all that were measured, and those that were not, between nodes of
// which the first has answered.
func (s *survey) trips() []trip {
	all := []trip{}
	for i := range s.Nodes {
		from := &s.Nodes[i]
		if !from.counted() {
			continue
		}
		for j := range s.Nodes {
			if to := &s.Nodes[j]; i != j {
				all = append(all, trip{From: from.Name, To: to.Name, RTT: from.rtt(to.Name)})
			}
		}
	}
	return all
}

// rtt returns the round trip to a peer in microseconds.
func (n *surveyed) rtt(peer string) (us int64) {
	n.Samples.each("mesh_peer_rtt_seconds", func(labels map[string]string, value float64) {
		if labels["peer"] == peer {
			us = int64(value * float64(time.Second/time.Microsecond))
		}
	})
	return us
}

func (s *survey) tripTable() [][]string {
	title := []string{"FROM"}
	for i := range s.Nodes {
		title = append(title, s.Nodes[i].label())
	}
	rows := [][]string{title}
	for i := range s.Nodes {
		from := &s.Nodes[i]
		row := []string{from.label()}
		for j := range s.Nodes {
			cell := ""
			switch {
			case i == j:
				cell = "·"
			case from.counted():
				cell = rttText(from.rtt(s.Nodes[j].Name))
			}
			row = append(row, cell)
		}
		rows = append(rows, row)
	}
	return rows
}
