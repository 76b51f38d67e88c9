package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"flamingo/idspace"
)

// nodesCommand is about the nodes of the cluster.
type nodesCommand struct {
	List   nodesListCommand   `cmd:"" default:"withargs" help:"The nodes of the cluster."`
	Retire nodesRetireCommand `cmd:"" help:"Give up a node that does not come back."`
}

// nodesListCommand lists them.
type nodesListCommand struct {
	apiFlags
}

// nodesRetireCommand gives one up.
type nodesRetireCommand struct {
	apiFlags

	Node   string `arg:"" placeholder:"NAME|NUMBER" help:"Its name, or its number: nine hexadecimal digits, as flamingo nodes shows them."`
	Anyway bool   `help:"Retire it though it is there: its clients lose their connections."`
}

// Help is the end of the help text.
func (*nodesRetireCommand) Help() string {
	return `The ids of a retired node are gone on all others, which exchange nothing with it any more, and who watches ` +
		`its connections is told. Should it come back after all, it ends its connections and takes another number. ` +
		`A node that is there is drained instead.`
}

// Run retires the node.
func (c *nodesRetireCommand) Run(ctx context.Context, con *console) error {
	number := c.Node
	if _, err := idspace.ParseNodeNumber(number); err != nil {
		body, err := c.call(ctx, request{method: http.MethodGet, path: "nodes"})
		if err != nil {
			return c.failed(con, body, err)
		}
		list, err := decode[nodeList](body)
		if err != nil {
			return err
		}
		if number, err = list.numberOf(c.Node); err != nil {
			return err
		}
	}
	query := url.Values{}
	if c.Anyway {
		query.Set("anyway", "true")
	}
	body, err := c.call(ctx, request{method: http.MethodPost, path: "nodes/" + url.PathEscape(number) + "/retire", query: query})
	if err != nil {
		return c.failed(con, body, err)
	}
	if !c.JSON {
		_, err = fmt.Fprintln(con.out, "retired", number)
		return err
	}
	line, err := json.Marshal(map[string]string{"number": number, "outcome": "retired"})
	if err != nil {
		return err
	}
	return printJSON(con.out, line)
}

// numberOf returns the number of the one node of that name.
func (l nodeList) numberOf(name string) (number string, err error) {
	var numbers, names []string
	for _, n := range l.Nodes {
		names = append(names, strconv.Quote(n.Name))
		if n.Name == name && n.Number != "" {
			numbers = append(numbers, n.Number)
		}
	}
	switch len(numbers) {
	case 0:
		return "", badUse("no node %q with a number: seen are %s", name, strings.Join(names, ", "))
	case 1:
		return numbers[0], nil
	}
	return "", badUse("%d nodes are named %q: say which number of %s", len(numbers), name, strings.Join(numbers, ", "))
}

// nodeList is the answer: the nodes as the one that was asked sees them.
type nodeList struct {
	Nodes    []listedNode `json:"nodes"`
	Trust    string       `json:"trust"` // empty alone
	Warnings []string     `json:"warnings"`
}

// A listedNode is a node as another one sees it.
type listedNode struct {
	Name    string `json:"name"`
	Number  string `json:"number"`
	State   string `json:"state"`
	Self    bool   `json:"self"`
	Cluster string `json:"cluster_address"`
	Admin   string `json:"admin_address"`
	Link    string `json:"link"`
	RTT     int64  `json:"rtt_us"`
	Version string `json:"version"`
	Role    string `json:"role"`
}

// Run prints them as a table.
func (c *nodesListCommand) Run(ctx context.Context, con *console) error {
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
	rows := [][]string{{"NUMBER", "NAME", "STATE", "ROLE", "CLUSTER", "LINK", "RTT", "VERSION"}}
	for _, n := range list.Nodes {
		link, rtt := n.Link, ""
		if n.Self {
			link = "(asked)"
		}
		if n.RTT > 0 {
			rtt = (time.Duration(n.RTT) * time.Microsecond).String()
		}
		rows = append(rows, []string{n.Number, n.Name, n.State, n.Role, n.Cluster, link, rtt, n.Version})
	}
	if err := printTable(con.out, rows); err != nil {
		return err
	}
	list.warn(con)
	if isTerminal(con.out) {
		fmt.Fprintln(con.talk, hint(con.talk, "next: "+c.again("conns")))
	}
	return nil
}

// warn says what is wrong at the node that was asked, beside the table: whoever reads
// that has to see it.
func (l *nodeList) warn(con *console) {
	if l.Trust != "" {
		fmt.Fprintln(con.talk, "trust between nodes:", l.Trust)
	}
	for _, w := range l.Warnings {
		fmt.Fprintln(con.talk, "WARNING:", w)
	}
}
