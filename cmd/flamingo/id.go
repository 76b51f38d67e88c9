package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"flamingo/idspace"
)

// idCommand takes an id apart.
type idCommand struct {
	ID   idspace.ID `arg:"" help:"The id: 16 hex digits."`
	JSON bool       `short:"j" help:"Print JSON."`
}

// idParts are the parts of an id, as the admin API has them.
type idParts struct {
	ID         idspace.ID         `json:"id"`
	NodeNumber idspace.NodeNumber `json:"node_number"`
	Granted    time.Time          `json:"granted_at"`
	Serial     idspace.Serial     `json:"serial"`
}

const timeFormat = "2006-01-02 15:04:05.000 MST"

// Run prints the parts. It asks nobody: the id itself says it all.
func (c *idCommand) Run(_ context.Context, con *console) error {
	p := idParts{ID: c.ID, NodeNumber: c.ID.Node(), Granted: c.ID.Node().Time(), Serial: c.ID.Serial()}
	if c.JSON {
		body, err := json.Marshal(p)
		if err != nil {
			return err
		}
		return printJSON(con.out, body)
	}
	began := p.Granted.UTC().Format(timeFormat)
	if local := p.Granted.Local().Format(timeFormat); local != began {
		began = local + "\n         " + began
	}
	_, err := fmt.Fprintf(con.out, "id       %s  (%d)\nnode     %s  (%d), a life that began\n         %s\nserial   %07x  (%d)\n",
		p.ID, p.ID, p.NodeNumber, p.NodeNumber, began, p.Serial, p.Serial)
	return err
}
