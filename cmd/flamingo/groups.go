package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"flamingo/idspace"
)

// groupsCommand is about groups: which there are, who is in one, and to change
// that.
type groupsCommand struct {
	List  groupsListCommand  `cmd:"" default:"withargs" help:"The groups that have members, on all nodes."`
	Show  groupsShowCommand  `cmd:"" help:"The members of one group, on all nodes."`
	Join  groupsJoinCommand  `cmd:"" help:"Make a connection a member."`
	Leave groupsLeaveCommand `cmd:"" help:"End that."`
	Close groupsCloseCommand `cmd:"" help:"Close the connections of a group, on all nodes."`
}

// failedNode is a node that did not do its part, or did not answer.
type failedNode struct {
	Node    string `json:"node"`
	Number  string `json:"number"`
	Problem string `json:"problem"`
}

// tellFailed says which nodes something is missing of.
func tellFailed(con *console, what string, nodes []failedNode) {
	for _, n := range nodes {
		fmt.Fprintf(con.talk, "flamingo: %s node %s (%s): %s\n", what, printable(n.Node), n.Number, n.Problem)
	}
}

// groupsListCommand lists a page of groups.
type groupsListCommand struct {
	apiFlags

	Limit  int    `default:"50" placeholder:"N" help:"How many at most, up to 400."`
	Cursor string `placeholder:"GROUP" help:"Behind which to go on, as the page before says."`
}

// Run prints a page as a table.
func (c *groupsListCommand) Run(ctx context.Context, con *console) error {
	body, err := c.call(ctx, request{method: http.MethodGet, path: "groups", query: pageQuery(c.Limit, c.Cursor), takes: apiTimeout})
	if err != nil {
		return c.failed(con, body, err)
	}
	if c.JSON {
		return printJSON(con.out, body)
	}
	page, err := decode[struct {
		Items []struct {
			Group string `json:"group"`
			Count int    `json:"count"`
		} `json:"items"`
		Next    string       `json:"next"`
		Missing []failedNode `json:"missing"`
	}](body)
	if err != nil {
		return err
	}
	rows := [][]string{{"GROUP", "MEMBERS"}}
	for _, i := range page.Items {
		rows = append(rows, []string{i.Group, strconv.Itoa(i.Count)})
	}
	if err := printTable(con.out, rows); err != nil {
		return err
	}
	tellFailed(con, "not counted:", page.Missing)
	if page.Next != "" {
		fmt.Fprintln(con.talk, hint(con.talk, fmt.Sprintf("more: %s --limit %d --cursor %s", c.again("groups"), c.Limit, printable(page.Next))))
	}
	return nil
}

// groupsShowCommand lists a page of members.
type groupsShowCommand struct {
	apiFlags

	Group  string `arg:"" help:"The group."`
	Limit  int    `default:"50" placeholder:"N" help:"How many at most, up to 1000."`
	Cursor string `placeholder:"ID" help:"Behind which to go on, as the page before says."`
}

// Run prints the members, an id a line: for flamingo close - and the like.
func (c *groupsShowCommand) Run(ctx context.Context, con *console) error {
	body, err := c.call(ctx, request{method: http.MethodGet, path: groupPath(c.Group), query: pageQuery(c.Limit, c.Cursor), takes: apiTimeout})
	if err != nil {
		return c.failed(con, body, err)
	}
	if c.JSON {
		return printJSON(con.out, body)
	}
	page, err := decode[struct {
		Count   int          `json:"count"`
		Items   []string     `json:"items"`
		Next    string       `json:"next"`
		Missing []failedNode `json:"missing"`
	}](body)
	if err != nil {
		return err
	}
	for _, id := range page.Items {
		if _, err := fmt.Fprintln(con.out, id); err != nil {
			return err
		}
	}
	tellFailed(con, "not listed:", page.Missing)
	if page.Next != "" {
		fmt.Fprintln(con.talk, hint(con.talk, fmt.Sprintf("%d members; more: %s --limit %d --cursor %s",
			page.Count, c.again("groups show "+printable(c.Group)), c.Limit, page.Next)))
	}
	return nil
}

func groupPath(group string) string { return "groups/" + url.PathEscape(group) }

// groupsJoinCommand makes a connection a member.
type groupsJoinCommand struct{ tieFlags }

// groupsLeaveCommand ends a membership.
type groupsLeaveCommand struct{ tieFlags }

type tieFlags struct {
	apiFlags

	ID    idspace.ID `arg:"" help:"The connection."`
	Group string     `arg:"" help:"The group, such as room/7."`
}

// Run joins.
func (c *groupsJoinCommand) Run(ctx context.Context, con *console) error {
	return c.change(ctx, con, http.MethodPut, "joined")
}

// Run leaves.
func (c *groupsLeaveCommand) Run(ctx context.Context, con *console) error {
	return c.change(ctx, con, http.MethodDelete, "left")
}

func (c *tieFlags) change(ctx context.Context, con *console, method, done string) error {
	body, err := c.call(ctx, request{method: method, path: "connections/" + c.ID.String() + "/" + groupPath(c.Group)})
	if err != nil {
		return c.failed(con, body, err)
	}
	if !c.JSON {
		_, err = fmt.Fprintln(con.out, c.ID, done, printable(c.Group))
		return err
	}
	line, err := json.Marshal(map[string]string{"id": c.ID.String(), "group": c.Group, "outcome": done})
	if err != nil {
		return err
	}
	return printJSON(con.out, line)
}

// groupsCloseCommand closes the connections of a group.
type groupsCloseCommand struct {
	apiFlags

	Group  string `arg:"" help:"The group."`
	Code   int    `placeholder:"N" help:"Code that clients of WebSockets are told, such as 4001; if nothing is said 1000."`
	Reason string `placeholder:"TEXT" help:"Reason that they are told, up to 123 bytes."`
}

// Run closes, and prints what became of it.
func (c *groupsCloseCommand) Run(ctx context.Context, con *console) error {
	query := closeQuery(c.Code, c.Reason)
	body, err := c.call(ctx, request{method: http.MethodDelete, path: groupPath(c.Group), query: query, takes: apiTimeout})
	return c.published(con, "closed", c.Group, body, err)
}

// publishCommand sends one message to a group.
type publishCommand struct {
	apiFlags

	Group string `arg:"" help:"The group, such as room/7."`
	Data  string `arg:"" placeholder:"DATA" help:"The message; - reads it from standard input, @FILE from a file. It is sent as it is: a line without its end."`

	Except []idspace.ID `placeholder:"ID" help:"Members that do not get it, with commas between them."`
	Text   bool         `xor:"kind" help:"Send it as text over WebSocket; without --text or --binary the listener says."`
	Binary bool         `xor:"kind" help:"Send it as binary over WebSocket."`
}

// Run publishes, and prints what became of it.
func (c *publishCommand) Run(ctx context.Context, con *console) error {
	data, err := messageData(c.Data, con.in)
	if err != nil {
		return err
	}
	query := url.Values{}
	if len(c.Except) > 0 {
		var ids []string
		for _, id := range c.Except {
			ids = append(ids, id.String())
		}
		query.Set("except", strings.Join(ids, ","))
	}
	body, err := c.call(ctx, request{
		method: http.MethodPost, path: groupPath(c.Group) + "/messages", query: query,
		body: data, media: mediaOf(c.Text, c.Binary), takes: apiTimeout,
	})
	return c.published(con, "published to", c.Group, body, err)
}

// published prints the answer to what was done to a group.
func (f *apiFlags) published(con *console, done, group string, body []byte, err error) error {
	if err != nil {
		return f.failed(con, body, err)
	}
	if f.JSON {
		return printJSON(con.out, body)
	}
	p, err := decode[struct {
		Local   int          `json:"local"`
		Refused int          `json:"refused"`
		Nodes   int          `json:"nodes"`
		Failed  []failedNode `json:"failed"`
	}](body)
	if err != nil {
		return err
	}
	line := fmt.Sprintf("%s %s: %d members here, %d other nodes", done, printable(group), p.Local, p.Nodes)
	if p.Refused > 0 {
		line += fmt.Sprintf("; %d members here did not take it", p.Refused)
	}
	_, err = fmt.Fprintln(con.out, line)
	tellFailed(con, "not reached:", p.Failed)
	return err
}
