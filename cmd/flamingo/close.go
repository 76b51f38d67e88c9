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
	"strings"

	"flamingo/idspace"
)

// closeCommand closes connections, one after the other.
type closeCommand struct {
	apiFlags

	IDs []string `arg:"" name:"id" help:"The connections; - reads them from standard input, one a line."`
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
	body, err := c.call(ctx, request{method: http.MethodDelete, path: "connections/" + url.PathEscape(id)})
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
