package main

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// nodesCommand lists the nodes of the cluster.
type nodesCommand struct {
	apiFlags
}

// nodeList is the answer: the nodes as the one that was asked sees them.
type nodeList struct {
	Nodes []struct {
		Name    string `json:"name"`
		Number  string `json:"number"`
		State   string `json:"state"`
		Self    bool   `json:"self"`
		Cluster string `json:"cluster_address"`
		Admin   string `json:"admin_address"`
		Link    string `json:"link"`
		RTT     int64  `json:"rtt_us"`
	} `json:"nodes"`
}

// Run prints them as a table.
func (c *nodesCommand) Run(ctx context.Context, con *console) error {
	body, err := c.call(ctx, request{method: http.MethodGet, path: "nodes"})
	if err != nil {
		return c.failed(con, body, err)
	}
	if c.JSON {
		return printJSON(con.out, body)
	}
	list, err := decode[nodeList](body)
	if err != nil {
		return err
	}
	rows := [][]string{{"NUMBER", "NAME", "STATE", "CLUSTER", "LINK", "RTT"}}
	for _, n := range list.Nodes {
		link, rtt := n.Link, ""
		if n.Self {
			link = "(asked)"
		}
		if n.RTT > 0 {
			rtt = (time.Duration(n.RTT) * time.Microsecond).String()
		}
		rows = append(rows, []string{n.Number, n.Name, n.State, n.Cluster, link, rtt})
	}
	if err := printTable(con.out, rows); err != nil {
		return err
	}
	if isTerminal(con.out) {
		fmt.Fprintln(con.talk, hint(con.talk, "next: "+c.again("conns")))
	}
	return nil
}
