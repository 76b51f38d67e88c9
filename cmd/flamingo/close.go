package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"flamingo/idspace"
)

// closeCommand closes connections, one after the other.
type closeCommand struct {
	apiFlags

	IDs []string `arg:"" name:"id" help:"The connections; - reads them from standard input, one a line."`

	Code   int    `placeholder:"N" help:"Code that the client of a WebSocket is told, such as 4001; if nothing is said 1000."`
	Reason string `placeholder:"TEXT" help:"Reason that it is told, up to 123 bytes."`
}

// Run closes each, whatever became of those before, and returns the first
// failure.
func (c *closeCommand) Run(ctx context.Context, con *console) error {
	ids, err := c.ids(con.in)
	if err != nil {
		return err
	}
	var first error
	for _, id := range ids {
		err := c.close(ctx, con, id)
		if err != nil && len(ids) > 1 {
			fmt.Fprintln(con.talk, "flamingo:", err)
			err = toldError{err}
		}
		if first == nil {
			first = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return first
}

func (c *closeCommand) close(ctx context.Context, con *console, id string) error {
	query := closeQuery(c.Code, c.Reason)
	body, err := c.call(ctx, request{method: http.MethodDelete, path: "connections/" + url.PathEscape(id), query: query})
	if err != nil {
		return c.failed(con, body, err)
	}
	if !c.JSON {
		_, err = fmt.Fprintln(con.out, "closed", id)
		return err
	}
	line, err := json.Marshal(map[string]string{"id": id, "outcome": "closed"})
	if err != nil {
		return err
	}
	return printJSON(con.out, line)
}

// closeQuery says what clients of WebSockets are told.
func closeQuery(code int, reason string) url.Values {
	query := url.Values{}
	if code != 0 {
		query.Set("code", strconv.Itoa(code))
	}
	if reason != "" {
		query.Set("reason", reason)
	}
	return query
}

// ids returns the connections to close, all of them ids.
func (c *closeCommand) ids(in io.Reader) ([]string, error) {
	var ids []string
	for _, arg := range c.IDs {
		if arg != "-" {
			ids = append(ids, arg)
			continue
		}
		lines := bufio.NewScanner(in)
		for lines.Scan() {
			if id := strings.TrimSpace(lines.Text()); id != "" {
				ids = append(ids, id)
			}
		}
		if err := lines.Err(); err != nil {
			return nil, fmt.Errorf("standard input: %w", err)
		}
	}
	var faults []error
	for _, id := range ids {
		_, err := idspace.ParseID(id)
		faults = append(faults, err)
	}
	return ids, errors.Join(faults...)
}
