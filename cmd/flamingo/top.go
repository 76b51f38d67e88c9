package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	tea "charm.land/bubbletea/v2"
)

// topCommand shows a cluster, live.
type topCommand struct {
	apiFlags

	Interval time.Duration `default:"1s" help:"How often to ask, 100ms to 1h."`
	Once     bool          `help:"Print the nodes and their rates over one interval as text, and end: as without a terminal."`
}

// Help is the end of the help text.
func (*topCommand) Help() string {
	return `Keys: n nodes, c connections, m round trips, e events, p problems; s sorts by the next column, / filters, ` +
		`j and k move, space pauses, ? shows the keys, q ends.`
}

// maxListed bounds the connections that are shown: those of the node at --addr.
const maxListed = 200

// A look is what is seen at one time.
type look struct {
	*survey
	conns []connection
	err   error  // why nothing is seen
	body  []byte // of the answer that says so
}

// look asks all nodes, and the one at --addr for its connections.
func (f *apiFlags) look(ctx context.Context) look {
	s, body, err := f.survey(ctx)
	if err != nil {
		return look{err: err, body: body}
	}
	query := url.Values{"limit": {strconv.Itoa(maxListed)}}
	body, err = f.call(ctx, request{method: http.MethodGet, path: "connections", query: query})
	if err != nil {
		return look{err: err, body: body}
	}
	page, err := decode[connectionPage](body)
	return look{survey: s, conns: page.Items, err: err}
}

// Run shows it until it is ended.
func (c *topCommand) Run(ctx context.Context, con *console) error {
	if err := checkInterval(c.Interval); err != nil {
		return err
	}
	first := c.look(ctx)
	if first.err != nil {
		return c.failed(con, first.body, first.err)
	}
	m := newTop(func() look { return c.look(ctx) }, c.Interval)
	m = m.take(first)
	if c.Once || c.JSON || !isTerminal(con.out) || !isTerminalInput(con.in) {
		return c.once(ctx, con, m)
	}
	_, err := tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(con.in), tea.WithOutput(con.out), tea.WithoutSignalHandler()).Run()
	if errors.Is(err, tea.ErrProgramKilled) && ctx.Err() != nil {
		return nil //nolint:nilerr // it was interrupted, as the user wanted
	}
	return err
}

// isTerminalInput reports whether keys can be read from r.
func isTerminalInput(r io.Reader) bool {
	f, ok := r.(*os.File)
	return ok && isTerminal(f)
}

// once prints one picture, with the rates of one interval.
func (c *topCommand) once(ctx context.Context, con *console, m top) error {
	later := time.NewTimer(c.Interval)
	defer later.Stop()
	select {
	case <-ctx.Done():
		return nil
	case <-later.C:
	}
	second := c.look(ctx)
	if second.err != nil {
		return c.failed(con, second.body, second.err)
	}
	m = m.take(second)
	if c.JSON {
		return m.printJSON(con.out)
	}
	fmt.Fprintln(con.out, m.headline())
	return printTable(con.out, m.nodeRows())
}
